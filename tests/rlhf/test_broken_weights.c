/* rlhf eval of a model with one weight that is no number: each command ends with what is broken and where,
   and leaves no figure behind. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "rlhf/commands.h"
#include "tests/support/command.h"
#include "tests/support/places.h"
#include "tests/support/speaking_model.h"

/* The last number of the file. */
static void break_weight(const char *model) {
    static const float broken = NAN;
    const char *path = path_in(model, "model.safetensors");
    buffer file = read_all(path);
    memcpy(file.data + file.len - sizeof broken, &broken, sizeof broken);
    write_all(path, file.data, file.len);
    buffer_free(&file);
}

static void expect_broken(const char *directory, const char *command, const char *text, const char *place) {
    const char *model = path_in(directory, "model"), *file = path_in(directory, "file.jsonl"),
               *out = path_in(directory, "out.jsonl");
    const char *words[] = {"eval", command, model, file, "--threads", "1", "--out", out, NULL};
    buffer printed = {0};
    error err;
    write_all(file, text, strlen(text));
    assert_int_equal(run_command_line(eval_command, words, &printed, &err), STATUS_FAILED);
    if (!strstr(err.message, place) || !strstr(err.message, "the model's weights are broken"))
        fail_msg("eval %s: \"%s\" does not name %s", command, err.message, place);
    assert_int_equal(printed.len, 0);
    assert_false(path_exists(out));
    assert_false(path_exists(path_in(directory, "out.jsonl" FILE_TEMPORARY)));
    buffer_free(&printed);
}

static void test_a_weight_that_is_no_number(void **state) {
    const char *model = path_in(*state, "model");
    make_speaking_model(model, "plain", 64, 5);
    break_weight(model);
    expect_broken(*state, "logprobs", "{\"text\":\"abc\"}\n", "line 1: the log-probability of token 1 is");
    expect_broken(*state, "choices", "{\"context\":\"a\",\"choices\":[\"b\",\"c\"],\"label\":0}\n",
                  "choice 0:");
    expect_broken(*state, "perplexity", "{\"text\":\"abc\"}\n", "file.jsonl:1: a token's log-probability");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_a_weight_that_is_no_number,
                                                                       directory_setup, directory_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
