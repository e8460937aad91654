/* rlhf eval choices: against NumPy's numbers; the bytes of rlhf eval logprobs; the same whatever else is
 * asked. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "rlhf/choice_results.h"
#include "rlhf/commands.h"
#include "tests/support/command.h"
#include "tests/support/golden.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"
#include "tests/support/sine_model.h"
#include "tests/support/speaking_model.h"

static void run(const char *const *words, buffer *out) {
    error err;
    if (run_command_line(eval_command, words, out, &err) != STATUS_OK)
        fail_msg("%s: %s", words[1], err.message);
}

static json_t *next_line(const char **text) {
    const char *end = strchr(*text, '\n');
    json_t *root;
    if (!end) return NULL;
    OK(parse_json(*text, (size_t)(end - *text), "a line", &root, err));
    *text = end + 1;
    return root;
}

static int get_int(const json_t *object, const char *key) {
    return (int)json_integer_value(json_object_get(object, key));
}

static double get_number(const json_t *array, size_t i) {
    return json_number_value(json_array_get(array, i));
}

/* ---- NumPy's numbers ---- */

static void write_lines(const char *path, const json_t *list) {
    buffer text = {0};
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one) {
        char *line = json_dumps(one, JSON_COMPACT);
        buffer_format(&text, "%s\n", line);
        free(line);
    }
    write_all(path, text.data, text.len);
    buffer_free(&text);
}

static const char *with_escapes(const char *text, buffer *out) {
    buffer_clear(out);
    buffer_string(out, "");
    for (; *text; text++)
        if (*text == '\n')
            buffer_string(out, "\\n");
        else
            buffer_append(out, text, 1);
    return out->len ? out->data : "";
}

static void test_golden(void **state) {
    const char *model = path_in(*state, "model"), *file = path_in(*state, "questions.jsonl"),
               *out = path_in(*state, "out.jsonl");
    json_t *golden = golden_open("choices");
    const json_t *one;
    size_t i;
    make_sine_model(model);
    write_lines(file, golden_get(golden, "questions"));
    json_array_foreach(golden_get(golden, "choices"), i, one) {
        buffer form = {0}, between = {0}, preamble = {0};
        run((const char *[]){"eval", "choices", model, file, "--threads", "1", "--shots",
                             golden_number(one, "shots") > 0 ? "1" : "0", "--form",
                             with_escapes(golden_string(one, "form"), &form), "--between",
                             with_escapes(golden_string(one, "between"), &between), "--preamble",
                             with_escapes(golden_string(one, "preamble"), &preamble), "--out", out, NULL},
            NULL);
        buffer text = read_all(out);
        const char *at = text.data;
        size_t k = 0;
        for (json_t *line; (line = next_line(&at)); json_decref(line)) {
            const json_t *logprob = json_object_get(line, "logprob");
            for (size_t j = 0; j < json_array_size(logprob); j++)
                assert_near(get_number(logprob, j), get_number(golden_get(one, "logprob"), k++), 1e-5);
        }
        assert_int_equal(k, 6);
        buffer_free(&text);
        buffer_free(&form);
        buffer_free(&between);
        buffer_free(&preamble);
    }
    assert_true(i >= 6);
    json_decref(golden);
}

/* ---- the bytes of eval logprobs ---- */

enum { QUESTIONS = 40 };

/* Questions of all sizes: contexts of 1 to 700 bytes, 2 to 6 choices of 1 to 150. The last context is longer
   than a pass through the model. */
static json_t *draw_questions(void) {
    json_t *list = json_array();
    random_key key = random_make_key(3, RANDOM_TEST, 0, 0);
    for (int i = 0; i < QUESTIONS; i++) {
        char text[4000];
        json_t *choices = json_array();
        size_t n =
            i == QUESTIONS - 1 ? 2500 : 1 + (size_t)random_below(key, (uint64_t)i, 0, i % 5 ? 60 : 700);
        for (size_t c = 0; c < n; c++)
            text[c] = (char)('a' + random_below(key, (uint64_t)i, 1000 + (uint32_t)c, 26));
        json_t *context = json_stringn(text, n);
        int n_choice = 2 + (int)random_below(key, (uint64_t)i, 1, 5);
        for (int k = 0; k < n_choice; k++) {
            size_t m = 1 + (size_t)random_below(key, (uint64_t)i, 10 + (uint32_t)k, 150);
            for (size_t c = 0; c < m; c++)
                text[c] =
                    (char)('A' + random_below(key, (uint64_t)i, 5000 + 200 * (uint32_t)k + (uint32_t)c, 26));
            json_array_append_new(choices, json_stringn(text, m));
        }
        json_array_append_new(list,
                              json_pack("{s:o,s:o,s:i}", "context", context, "choices", choices, "label",
                                        (int)random_below(key, (uint64_t)i, 2, (uint64_t)n_choice)));
    }
    return list;
}

/* What eval logprobs gives for context, blank and choice, added up: its last token, an end-of-text, left out.
 */
static void expect_sums(const char *model, const json_t *questions, const char *scored,
                        const char *directory) {
    buffer lines = {0}, read = {0};
    const char *pairs = path_in(directory, "pairs.jsonl"), *at = scored, *from;
    size_t i, k;
    const json_t *q, *choice;
    json_array_foreach(questions, i, q) json_array_foreach(json_object_get(q, "choices"), k, choice) {
        buffer_format(&lines, "{\"prompt\":\"%s\",\"completion\":\" %s\"}\n",
                      json_string_value(json_object_get(q, "context")), json_string_value(choice));
    }
    write_all(pairs, lines.data, lines.len);
    run((const char *[]){"eval", "logprobs", model, pairs, "--threads", "1", NULL}, &read);
    from = read.data;
    for (json_t *line; (line = next_line(&at)); json_decref(line)) {
        const json_t *logprob = json_object_get(line, "logprob");
        for (k = 0; k < json_array_size(logprob); k++) {
            json_t *one = next_line(&from);
            const json_t *token = json_object_get(one, "logprob");
            double sum = 0;
            size_t first = (size_t)get_int(one, "prompt_len"), n = json_array_size(token) - 1;
            for (size_t t = first; t < n; t++) sum += (float)get_number(token, t);
            assert_int_equal(get_number(json_object_get(line, "tokens"), k), n - first);
            if (sum != get_number(logprob, k))
                fail_msg("line %d, choice %zu: %.17g, eval logprobs %.17g", get_int(line, "line"), k + 1,
                         get_number(logprob, k), sum);
            json_decref(one);
        }
    }
    assert_int_equal(*from, 0);
    buffer_free(&lines);
    buffer_free(&read);
}

static void test_bytes_of_logprobs(void **state) {
    const char *model = path_in(*state, "model"), *file = path_in(*state, "questions.jsonl"),
               *out = path_in(*state, "out.jsonl");
    json_t *questions = draw_questions();
    make_speaking_model(model, "plain", 4096, 5);
    write_lines(file, questions);
    run((const char *[]){"eval", "choices", model, file, "--threads", "1", "--out", out, NULL}, NULL);
    buffer text = read_all(out);
    expect_sums(model, questions, text.data, *state);
    buffer_free(&text);
    json_decref(questions);
}

/* ---- the same whatever else is asked ---- */

/* The line of a model, shots and question; NULL: there is none. */
static json_t *find_line(const char *text, const char *model, int shots, int number) {
    for (json_t *line; (line = next_line(&text)); json_decref(line))
        if (strcmp(json_string_value(json_object_get(line, "model")), model) == 0 &&
            get_int(line, "shots") == shots && get_int(line, "line") == number)
            return line;
    return NULL;
}

/* Every line of some stands in all, byte for byte. */
static int expect_subset(const char *some, const char *all) {
    int n = 0;
    for (json_t *line; (line = next_line(&some)); json_decref(line), n++) {
        json_t *twin = find_line(all, json_string_value(json_object_get(line, "model")),
                                 get_int(line, "shots"), get_int(line, "line"));
        if (!twin || !json_equal(line, twin)) fail_msg("line %d differs", get_int(line, "line"));
        json_decref(twin);
    }
    return n;
}

static void test_same_whatever_else(void **state) {
    const char *a = path_in(*state, "a"), *b = path_in(*state, "b"),
               *file = path_in(*state, "questions.jsonl"), *out = path_in(*state, "out.jsonl");
    json_t *questions = draw_questions();
    make_speaking_model(a, "plain", 700, 5);
    make_speaking_model(b, "plain", 2048, 6);
    write_lines(file, questions);
    run((const char *[]){"eval", "choices", a, b, file, "--threads", "1", "--shots", "0,1,4", "--out", out,
                         NULL},
        NULL);
    buffer all = read_all(out), some;
    run((const char *[]){"eval", "choices", b, file, "--threads", "3", "--shots", "4,0", "--out", out, NULL},
        NULL);
    some = read_all(out);
    assert_int_equal(expect_subset(some.data, all.data), 2 * QUESTIONS);
    buffer_free(&some);
    run((const char *[]){"eval", "choices", a, file, "--threads", "2", "--shots", "1,4", "--limit", "7",
                         "--out", out, "--shots-from", file, NULL},
        NULL);
    some = read_all(out);
    assert_int_equal(expect_subset(some.data, all.data), 14);
    for (const char *at = all.data; *at;) {
        json_t *line = next_line(&at);
        const json_t *examples = json_object_get(line, "examples");
        assert_int_equal(json_array_size(examples), get_int(line, "shots"));
        for (size_t k = 0; k < json_array_size(examples); k++)
            assert_int_not_equal(get_number(examples, k), get_int(line, "line"));
        json_decref(line);
    }
    buffer_free(&some);
    buffer_free(&all);
    json_decref(questions);
}

/* ---- accuracies ---- */

static void test_accuracy(void **state) {
    static const char FILE_TEXT[] = "{\"context\":\"c\",\"choices\":[\"aaaa\",\"b\"],\"label\":0}\n"
                                    "{\"context\":\"d\",\"choices\":[\"aa\",\"bb\",\"c\"],\"label\":2}\n"
                                    "{\"context\":\"e\",\"choices\":[\"aa\",\"bb\"],\"label\":1}\n";
    /* raw: 1, 2, 0 (a tie: the first); per token: 0, 2, 0; per byte: 0, 0, 1 */
    const double logprob[] = {-4, -3, -4, -9, -3, -1, -1};
    const int length[] = {2, 1, 1, 1, 1, 1, 1}, bytes[] = {4, 1, 2, 2, 1, 1, 2};
    const int32_t index[] = {0, 1, 2};
    const char *path = path_in(*state, "questions.jsonl");
    bad_lines bad = {0};
    questions q;
    write_all(path, FILE_TEXT, sizeof FILE_TEXT - 1);
    OK(questions_load(path, &bad, &q, err));
    choice_results r = {.file = "f", .form = "{choice}", .n_model = 2, .n_shots = 1};
    r.result = calloc(2, sizeof *r.result);
    choice_results_begin(&r, &q, index, 3);
    assert_near(r.chance, (0.5 + 1.0 / 3 + 0.5) / 3, 1e-12);
    assert_near(r.longest, (1 + 0 + 0.5) / 3, 1e-12);
    const double worse[] = {-4, -3, -4, -9, -5, -1, -1};
    OK(choice_results_add(&r, &q, index, "first", 0, 0, worse, length, bytes, err));
    OK(choice_results_add(&r, &q, index, "second", 0, 2, logprob, length, bytes, err));
    const choice_result *second = &r.result[1];
    assert_near(choice_accuracy(&r, second, CHOICE_RAW).value, 1.0 / 3, 1e-12);
    assert_near(choice_accuracy(&r, second, CHOICE_PER_TOKEN).value, 2.0 / 3, 1e-12);
    assert_near(choice_accuracy(&r, second, CHOICE_PER_BYTE).value, 2.0 / 3, 1e-12);
    assert_near(choice_difference(&r, second, CHOICE_RAW).value, 1.0 / 3, 1e-12);
    assert_near(choice_difference(&r, second, CHOICE_PER_BYTE).value, 0, 1e-12);
    buffer text = {0};
    choice_results_table(&r, &text);
    assert_non_null(strstr(text.data, "chance"));
    assert_non_null(strstr(text.data, "above first"));
    assert_non_null(strstr(text.data, "second, 0 shots: 2 of 3 contexts were cut"));
    assert_non_null(strstr(text.data, " 33.3 (6.1 to 79.2)"));
    buffer_free(&text);
    choice_results_free(&r);
    questions_free(&q);
}

/* The figures of --format json are those of --out. */
static void test_json(void **state) {
    const char *model = path_in(*state, "model"), *file = path_in(*state, "questions.jsonl"),
               *out = path_in(*state, "out.jsonl");
    json_t *questions = draw_questions(), *root;
    buffer text = {0};
    make_speaking_model(model, "plain", 512, 5);
    write_lines(file, questions);
    run((const char *[]){"eval", "choices", model, model, file, "--threads", "1", "--format", "json", "--out",
                         out, NULL},
        &text);
    OK(parse_json(text.data, text.len, "stdout", &root, err));
    assert_int_equal(get_int(root, "questions"), QUESTIONS);
    const json_t *first = json_array_get(json_object_get(root, "results"), 0),
                 *second = json_array_get(json_object_get(root, "results"), 1);
    buffer lines = read_all(out);
    const char *at = lines.data;
    int right = 0;
    for (int i = 0; i < QUESTIONS; i++) {
        json_t *line = next_line(&at);
        const json_t *p = json_object_get(line, "logprob"), *b = json_object_get(line, "bytes");
        size_t best = 0;
        for (size_t k = 1; k < json_array_size(p); k++)
            if (get_number(p, k) / get_number(b, k) > get_number(p, best) / get_number(b, best)) best = k;
        right += (int)best == get_int(line, "label");
        json_decref(line);
    }
    const json_t *per_byte = json_object_get(first, "per_byte");
    assert_near(json_number_value(json_object_get(per_byte, "value")), (double)right / QUESTIONS, 1e-12);
    assert_null(json_object_get(first, "raw_difference"));
    assert_true(json_number_value(json_object_get(json_object_get(second, "raw_difference"), "value")) == 0);
    assert_true(get_int(first, "cut") >= 1);
    json_decref(root);
    json_decref(questions);
    buffer_free(&lines);
    buffer_free(&text);
}

/* ---- what is refused ---- */

static void test_bad_input(void **state) {
    static const struct {
        const char *word[6];
        status want;
        const char *says;
    } lines[] = {
        {{"--shots", "1,,2"}, STATUS_USAGE, "--shots"},
        {{"--shots", "1,"}, STATUS_USAGE, "--shots"},
        {{"--shots", "-1"}, STATUS_USAGE, "--shots"},
        {{"--shots", "1001"}, STATUS_USAGE, "--shots"},
        {{"--shots", "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0"}, STATUS_USAGE, "--shots"},
        {{"--form", "none"}, STATUS_USAGE, "--form"},
        {{"--format", "xml"}, STATUS_USAGE, "table or json"},
        {{"--shot", "1"}, STATUS_USAGE, "--shot"},
        {{"--shots", "2"}, STATUS_DATA, "questions.jsonl:1: 2 examples"},
        {{"--shots-from", "/no/file"}, STATUS_DATA, "/no/file"},
        {{"--form", "{subject} {choice}"}, STATUS_DATA, "questions.jsonl:1"},
    };
    static const char TEXT[] = "{\"context\":\"a\",\"choices\":[\"b\",\"cc\"],\"label\":1}\n"
                               "{\"context\":\"b\",\"choices\":[\"b\",\"cc\"],\"label\":0}\n";
    const char *model = path_in(*state, "model"), *file = path_in(*state, "questions.jsonl"),
               *out = path_in(*state, "out.jsonl");
    make_speaking_model(model, "plain", 32, 5);
    write_all(file, TEXT, sizeof TEXT - 1);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *words[] = {"eval",           "choices",        model, file, "--out", out,
                               lines[i].word[0], lines[i].word[1], NULL};
        error err;
        status s = run_command_line(eval_command, words, NULL, &err);
        if (s != lines[i].want || !strstr(err.message, lines[i].says))
            fail_msg("line %zu: %d \"%s\"", i, s, err.message);
        assert_false(path_exists(out));
    }
    error err;
    assert_int_equal(
        run_command_line(eval_command, (const char *[]){"eval", "choices", file, NULL}, NULL, &err),
        STATUS_USAGE);
    assert_int_equal(run_command_line(eval_command,
                                      (const char *[]){"eval", "choices", "/no/model", file, NULL}, NULL,
                                      &err),
                     STATUS_DATA);
    assert_int_equal(
        run_command_line(eval_command, (const char *[]){"eval", "choices", "--help", NULL}, NULL, &err),
        STATUS_OK);
}

/* ---- shared data ---- */

/* A random model knows nothing: each set is read whole, and near chance. */
static void test_shared_sets(void **state) {
    static const char *const sets[][2] = {{"data/eval/hellaswag.jsonl", NULL},
                                          {"data/eval/mmlu.jsonl", "data/eval/mmlu_few_shot.jsonl"},
                                          {"data/eval/cmmlu.jsonl", "data/eval/cmmlu_few_shot.jsonl"}};
    const char *model = path_in(*state, "model");
    make_speaking_model(model, "plain", 256, 5);
    for (int i = 0; i < 3; i++) {
        const char *words[20] = {"eval",      "choices", model,      shared_path(sets[i][0]),
                                 "--limit",   "40",      "--format", "json",
                                 "--threads", "1",       "--shots",  "0,2"};
        buffer text = {0};
        json_t *root;
        if (sets[i][1]) {
            words[12] = "--shots-from";
            words[13] = shared_path(sets[i][1]);
            words[14] = "--form";
            words[15] = "letters";
        }
        run(words, &text);
        OK(parse_json(text.data, text.len, "stdout", &root, err));
        assert_true(get_int(root, "of") > 1000);
        assert_near(json_number_value(json_object_get(root, "chance")), 0.25, 1e-9);
        json_decref(root);
        buffer_free(&text);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, directory_setup, directory_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_golden), TEST(test_bytes_of_logprobs), TEST(test_same_whatever_else), TEST(test_accuracy),
        TEST(test_json),   TEST(test_bad_input),         TEST(test_shared_sets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
