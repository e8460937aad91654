/* A published model in our hands: SmolLM2-135M-Instruct, converted from GGUF, gives the log-probabilities and
   the greedy answers that transformers gives (tests/golden/smollm2.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/json.h"
#include "rlhf/commands.h"
#include "tests/support/command.h"
#include "tests/support/golden.h"
#include "tests/support/places.h"

#define TOLERANCE 2e-4
#define EVEN      1e-3 /* two tokens this near may change places */

static void run(status (*command)(int, char **, error *), const char *const *words, buffer *out) {
    error err;
    if (run_command_line(command, words, out, &err) != STATUS_OK) fail_msg("%s: %s", words[0], err.message);
    if (out) buffer_append(out, "", 1);
}

static json_t *parse_line(const char **text) {
    const char *end = strchr(*text, '\n');
    json_t *root = NULL;
    error err;
    if (!end || parse_json(*text, (size_t)(end - *text), "a line", &root, &err) != STATUS_OK)
        fail_msg("no line");
    *text = end + 1;
    return root;
}

/* Line number `line`, from 1. */
static json_t *line_of(const buffer *file, int line) {
    const char *at = file->data;
    for (int i = 1; at && i < line; i++) at = strchr(at, '\n') + 1;
    return parse_line(&at);
}

/* The text that a case names, as a line of documents. */
static void add_text(const json_t *one, buffer *lines) {
    char path[128], hex[2 * HASH_BYTES + 1];
    snprintf(path, sizeof path, "data/%s", golden_string(one, "file"));
    buffer file = read_all(shared_path(path));
    json_t *record = line_of(&file, (int)golden_number(one, "line"));
    const char *text = golden_string(record, golden_string(one, "field"));
    hash h = hash_bytes(text, strlen(text));
    hash_hex(&h, hex);
    assert_string_equal(hex, golden_string(one, "sha256"));
    buffer_string(lines, "{\"text\":");
    buffer_json_string(lines, text, strlen(text));
    buffer_string(lines, "}\n");
    json_decref(record);
    buffer_free(&file);
}

/* Returns the largest difference. */
static double compare(const json_t *wanted, const json_t *got) {
    int32_t ids[GOLDEN_MAX];
    double logprob[GOLDEN_MAX], largest = 0;
    char hex[2 * HASH_BYTES + 1];
    int n = golden_ints(got, "tokens", ids);
    hash h = hash_bytes(ids, (size_t)n * sizeof *ids);
    hash_hex(&h, hex);
    if (strcmp(hex, golden_string(wanted, "tokens")) != 0)
        fail_msg("%s, line %d: other tokens", golden_string(wanted, "file"),
                 (int)golden_number(wanted, "line"));
    assert_int_equal(golden_doubles(wanted, "logprob", logprob), n - 1);
    for (int i = 1; i < n; i++) {
        double x = json_number_value(json_array_get(golden_get(got, "logprob"), (size_t)i));
        largest = fmax(largest, fabs(x - logprob[i - 1]));
    }
    return largest;
}

static void log_probabilities_are_those_of_transformers(void **state) {
    shared_path("data");
    char *model = strdup(model_path("SmolLM2-135M-Instruct"));
    json_t *golden = golden_open("smollm2");
    const json_t *cases = golden_get(golden, "texts"), *one;
    buffer lines = {0}, out = {0};
    size_t i;
    double largest = 0;
    json_array_foreach(cases, i, one) add_text(one, &lines);
    const char *file = path_in(*state, "texts.jsonl");
    write_all(file, lines.data, lines.len);
    run(eval_command, (const char *[]){"eval", "logprobs", model, file, NULL}, &out);
    const char *at = out.data;
    json_array_foreach(cases, i, one) {
        json_t *got = parse_line(&at);
        largest = fmax(largest, compare(one, got));
        json_decref(got);
    }
    print_message("%zu texts, largest difference of a log-probability %.2g\n", json_array_size(cases),
                  largest);
    assert_true(json_array_size(cases) >= 64);
    assert_true(largest <= TOLERANCE);
    buffer_free(&out);
    buffer_free(&lines);
    json_decref(golden);
    free(model);
}

static void expect_answer(const json_t *wanted, const json_t *got) {
    int32_t a[GOLDEN_MAX], b[GOLDEN_MAX];
    double gap[GOLDEN_MAX];
    int n = golden_ints(wanted, "tokens", a), m = golden_ints(got, "tokens", b), i = 0;
    golden_doubles(wanted, "gap", gap);
    while (i < n && i < m && a[i] == b[i]) i++;
    if (i < n && !(gap[i] < EVEN)) fail_msg("%s: token %d differs", golden_string(wanted, "prompt"), i);
}

static void greedy_answers_are_those_of_transformers(void **state) {
    const char *model = model_path("SmolLM2-135M-Instruct"), *file = path_in(*state, "prompts.jsonl");
    json_t *golden = golden_open("smollm2");
    const json_t *answers = golden_get(golden, "answers"), *one;
    buffer lines = {0};
    size_t i;
    json_array_foreach(answers, i, one)
        buffer_format(&lines, "{\"prompt\":\"%s\"}\n", golden_string(one, "prompt"));
    write_all(file, lines.data, lines.len);
    run(generate_command,
        (const char *[]){"generate", "--model", model, "--prompts", file, "--out", path_in(*state, "run"),
                         "--set", "generate.greedy=true", "--set", "generate.samples=1", "--set",
                         "generate.max_tokens=24", NULL},
        NULL);
    buffer out = read_all(path_in(*state, "run/answers.jsonl"));
    const char *at = out.data;
    json_array_foreach(answers, i, one) {
        json_t *got = parse_line(&at);
        expect_answer(one, got);
        json_decref(got);
    }
    buffer_free(&out);
    buffer_free(&lines);
    json_decref(golden);
}

int main(void) {
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(log_probabilities_are_those_of_transformers),
        IN_DIRECTORY(greedy_answers_are_those_of_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
