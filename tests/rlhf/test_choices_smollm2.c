/* rlhf eval choices with a published model: what transformers gives to the choices of real questions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/json.h"
#include "rlhf/commands.h"
#include "tests/support/command.h"
#include "tests/support/golden.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"

static const double TOLERANCE = 2e-4; /* of the log-probability of a token */

/* Copies the lines of a shared file, counted from 1. */
static void copy_lines(const json_t *one, const char *to) {
    int32_t line[GOLDEN_MAX];
    char name[128];
    int n = golden_ints(one, "lines", line);
    snprintf(name, sizeof name, "data/eval/%s", golden_string(one, "file"));
    buffer all = read_all(shared_path(name)), some = {0};
    for (int i = 0; i < n; i++) {
        const char *at = all.data;
        for (int k = 1; k < line[i]; k++) at = strchr(at, '\n') + 1;
        buffer_append(&some, at, strcspn(at, "\n") + 1);
    }
    write_all(to, some.data, some.len);
    buffer_free(&all);
    buffer_free(&some);
}

static void compare(const json_t *one, const char *out) {
    double logprob[GOLDEN_MAX];
    int32_t tokens[GOLDEN_MAX];
    int n = golden_doubles(one, "logprob", logprob), at = 0;
    golden_ints(one, "tokens", tokens);
    buffer text = read_all(out);
    for (char *line = text.data, *end; (end = strchr(line, '\n')); line = end + 1) {
        json_t *root;
        OK(parse_json(line, (size_t)(end - line), "a line", &root, err));
        const json_t *got = json_object_get(root, "logprob"), *count = json_object_get(root, "tokens");
        for (size_t i = 0; i < json_array_size(got); i++, at++) {
            double off = json_number_value(json_array_get(got, i)) - logprob[at];
            assert_int_equal(json_integer_value(json_array_get(count, i)), tokens[at]);
            if (!(fabs(off) <= TOLERANCE * tokens[at]))
                fail_msg("%s, choice %d: off by %g", golden_string(one, "file"), at, off);
        }
        json_decref(root);
    }
    assert_int_equal(at, n);
    buffer_free(&text);
}

static void test_transformers(void **state) {
    const char *model = model_path("SmolLM2-135M-Instruct"), *file = path_in(*state, "questions.jsonl"),
               *out = path_in(*state, "out.jsonl");
    json_t *golden = golden_open("choices_smollm2");
    const json_t *one;
    size_t i;
    json_array_foreach(golden_get(golden, "cases"), i, one) {
        error err;
        copy_lines(one, file);
        if (run_command_line(eval_command,
                             (const char *[]){"eval", "choices", model, file, "--form",
                                              golden_string(one, "form"), "--shots",
                                              golden_number(one, "shots") > 0 ? "1" : "0", "--threads", "1",
                                              "--out", out, NULL},
                             NULL, &err) != STATUS_OK)
            fail_msg("%s", err.message);
        compare(one, out);
    }
    json_decref(golden);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_transformers, directory_setup, directory_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
