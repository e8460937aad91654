/* rlhf eval perplexity: against NumPy's numbers, the bytes of rlhf eval logprobs, and documents that are
 * none. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "rlhf/commands.h"
#include "tests/support/command.h"
#include "tests/support/golden.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"
#include "tests/support/sine_model.h"
#include "tests/support/speaking_model.h"

/* Runs the command with --format json and --threads 1; *out is the caller's. */
static json_t *measure(const char *model, const char *const *words) {
    const char *line[20] = {"eval", "perplexity", "--format", "json", "--threads", "1", model};
    error err;
    buffer text = {0};
    json_t *root;
    for (int i = 0; words[i]; i++) line[7 + i] = words[i];
    if (run_command_line(eval_command, line, &text, &err) != STATUS_OK) fail_msg("%s", err.message);
    OK(parse_json(text.data, text.len, "stdout", &root, err));
    buffer_free(&text);
    return root;
}

static double number(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}
static double value(const json_t *object, const char *key) {
    return number(json_object_get(object, key), "value");
}

static void test_golden(void **state) {
    const char *model = path_in(*state, "model"), *file = path_in(*state, "a.txt");
    json_t *golden = golden_open("choices");
    const json_t *one;
    size_t i;
    make_sine_model(model);
    json_array_foreach(golden_get(golden, "perplexity"), i, one) {
        const char *text = golden_string(one, "text");
        char window[16], stride[16];
        int start = golden_number(one, "start") > 0, tokens = (int)strlen(text) - !start;
        snprintf(window, sizeof window, "%.0f", golden_number(one, "window"));
        snprintf(stride, sizeof stride, "%.0f", golden_number(one, "stride"));
        write_all(file, text, strlen(text));
        json_t *got = measure(model, (const char *[]){file, "--window", window, "--stride", stride,
                                                      start ? NULL : "--no-start", NULL});
        double nats = golden_number(one, "nats");
        assert_near(number(got, "nats"), nats, 1e-5);
        assert_int_equal(number(got, "tokens"), tokens);
        assert_int_equal(number(got, "bytes"), tokens);
        assert_near(value(got, "nats_per_token"), nats / tokens, 1e-5);
        assert_near(value(got, "perplexity"), exp(nats / tokens), 1e-4);
        assert_near(value(got, "bits_per_byte"), nats / tokens / log(2), 1e-5);
        assert_true(json_is_null(json_object_get(json_object_get(got, "perplexity"), "low")));
        json_decref(got);
    }
    assert_true(i >= 4);
    json_decref(golden);
}

/* Documents that fit: the sum of what eval logprobs gives for them, but for the end-of-text behind. */
static void test_bytes_of_logprobs(void **state) {
    static const char LINES[] = "{\"text\":\"Once upon a time\"}\n{\"text\":\"ab\"}\n{\"text\":\"x\"}\n"
                                "{\"text\":\"there was a very little girl who had no name at all\"}\n";
    const char *model = path_in(*state, "model"), *file = path_in(*state, "a.jsonl"),
               *out = path_in(*state, "out.jsonl");
    buffer read = {0}, documents;
    error err;
    make_speaking_model(model, "plain", 128, 5);
    write_all(file, LINES, sizeof LINES - 1);
    assert_int_equal(
        run_command_line(eval_command,
                         (const char *[]){"eval", "logprobs", model, file, "--threads", "1", NULL}, &read,
                         &err),
        STATUS_OK);
    json_t *got = measure(model, (const char *[]){file, "--no-start", "--out", out, NULL});
    documents = read_all(out);
    double total = 0;
    const char *a = read.data, *b = documents.data;
    for (int i = 0; i < 4; i++) {
        json_t *line, *document;
        double nats = 0;
        OK(parse_json(a, strcspn(a, "\n"), "logprobs", &line, err));
        OK(parse_json(b, strcspn(b, "\n"), "perplexity", &document, err));
        a = strchr(a, '\n') + 1;
        b = strchr(b, '\n') + 1;
        const json_t *logprob = json_object_get(line, "logprob");
        size_t n = json_array_size(logprob) - 1;
        for (size_t t = 1; t < n; t++) nats -= (float)json_number_value(json_array_get(logprob, t));
        assert_true(number(document, "nats") == nats);
        assert_int_equal(number(document, "tokens"), n - 1);
        assert_non_null(strstr(json_string_value(json_object_get(document, "document")), "a.jsonl:"));
        total += nats;
        json_decref(line);
        json_decref(document);
    }
    assert_int_equal(*b, 0);
    assert_near(number(got, "nats"), total, 1e-12);
    assert_int_equal(number(got, "documents"), 4);
    assert_int_equal(number(got, "tokens"), 15 + 1 + 0 + 50);
    const json_t *bits = json_object_get(got, "bits_per_byte");
    assert_true(number(bits, "low") < number(bits, "value") && number(bits, "value") < number(bits, "high"));
    json_decref(got);
    buffer_free(&read);
    buffer_free(&documents);
}

/* Many windows of several files, more than one pack: as each file alone, and the same with other threads. */
static void test_several_files(void **state) {
    const char *model = path_in(*state, "model"), *a = path_in(*state, "a.txt"),
               *b = path_in(*state, "b.txt");
    char text[9000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)('a' + i * i % 23);
    write_all(a, text, 9000);
    write_all(b, text + 77, 5000);
    make_speaking_model(model, "plain", 96, 5);
    json_t *one = measure(model, (const char *[]){a, NULL}), *two = measure(model, (const char *[]){b, NULL}),
           *both = measure(model, (const char *[]){a, b, "--threads", "3", NULL});
    assert_true(number(both, "nats") == number(one, "nats") + number(two, "nats"));
    assert_int_equal(number(both, "tokens"), 14000);
    assert_int_equal(number(both, "window"), 96);
    assert_int_equal(number(both, "stride"), 48);
    json_decref(one);
    json_decref(two);
    json_decref(both);
}

static void test_bad_input(void **state) {
    static const struct {
        const char *line, *word;
    } bad[] = {{"{\"txt\":\"a\"}", "text"},
               {"[1]", "must be an object"},
               {"{\"text\":7}", "text"},
               {"{\"text\":\"\"}", "empty document"},
               {"{\"text\":", "a.jsonl:2"}};
    const char *model = path_in(*state, "model"), *file = path_in(*state, "a.jsonl"),
               *out = path_in(*state, "out.jsonl"), *empty = path_in(*state, "empty.txt");
    error err;
    make_speaking_model(model, "plain", 32, 5);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        buffer text = {0};
        buffer_format(&text, "{\"text\":\"good\"}\n%s\n{\"text\":\"good\"}\n", bad[i].line);
        write_all(file, text.data, text.len);
        buffer_free(&text);
        const char *words[] = {"eval", "perplexity", model, file, "--out", out, NULL};
        assert_int_equal(run_command_line(eval_command, words, NULL, &err), STATUS_DATA);
        if (!strstr(err.message, "a.jsonl:2") || !strstr(err.message, bad[i].word))
            fail_msg("\"%s\" does not name %s", err.message, bad[i].word);
        assert_false(path_exists(out));
        json_t *got = measure(model, (const char *[]){file, "--max-bad", "1", NULL});
        assert_int_equal(number(got, "documents"), 2);
        json_decref(got);
    }
    write_all(empty, "", 0);
    const struct {
        const char *word[6];
        status want;
        const char *says;
    } lines[] = {{{file, "--window", "33"}, STATUS_USAGE, "context is 32"},
                 {{file, "--window", "1"}, STATUS_USAGE, "--window"},
                 {{file, "--window", "8", "--stride", "8"}, STATUS_USAGE, "--stride"},
                 {{file, "--format", "xml"}, STATUS_USAGE, "table or json"},
                 {{"/no/file.txt"}, STATUS_DATA, "/no/file.txt"},
                 {{empty}, STATUS_DATA, "empty document"},
                 {{NULL}, STATUS_USAGE, "usage"}};
    write_all(file, "{\"text\":\"good\"}\n", 16);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *words[10] = {"eval", "perplexity", model};
        for (int k = 0; lines[i].word[k]; k++) words[3 + k] = lines[i].word[k];
        status s = run_command_line(eval_command, words, NULL, &err);
        if (s != lines[i].want || !strstr(err.message, lines[i].says))
            fail_msg("line %zu: %d \"%s\"", i, s, err.message);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, directory_setup, directory_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_golden), TEST(test_bytes_of_logprobs),
                                       TEST(test_several_files), TEST(test_bad_input)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
