/* What fine-tuning and pre-training learn from: token ids and targets of each shape of data, by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/json.h"
#include "datasets/sequences.h"
#include "tests/support/data_cases.h"
#include "tests/support/places.h"

static logger quiet = {.quiet = true};
static tokenizer *tok;

static int setup(void **state) {
    (void)state;
    tok = bytes_tokenizer();
    return 0;
}
static int teardown(void **state) {
    (void)state;
    tokenizer_free(tok);
    return 0;
}

static status tokens_of_line(const data_options *o, loss_kind loss, const char *line, ints *token,
                             ints *target, error *err) {
    example_info info;
    json_t *root;
    TRY(parse_json_object(line, strlen(line), "f:1", &root, err));
    status s = example_tokens(o, loss, root, "f:1", token, target, &info, err);
    json_decref(root);
    return s;
}

/* marks: '1' for a target, '0' for none, one for each id. */
static void expect_example(const data_options *o, loss_kind loss, const char *line, const char *text,
                           const char *marks) {
    ints token = {0}, target = {0};
    error err;
    if (tokens_of_line(o, loss, line, &token, &target, &err) != STATUS_OK) fail_msg("%s", err.message);
    expect_ids(tok, token.data, (int)token.len, text);
    assert_int_equal(target.len, token.len);
    assert_int_equal(target.len, strlen(marks));
    for (size_t i = 0; i < target.len; i++)
        if (target.data[i] != marks[i] - '0') fail_msg("%s: target %zu is %d", line, i, target.data[i]);
    ints_free(&token);
    ints_free(&target);
}

static void refuse_example(const data_options *o, const char *line, const char *says) {
    ints token = {0}, target = {0};
    error err;
    assert_int_equal(tokens_of_line(o, LOSS_COMPLETION, line, &token, &target, &err), STATUS_DATA);
    if (!strstr(err.message, says) || strncmp(err.message, "f:1", 3) != 0)
        fail_msg("\"%s\" does not say \"%s\"", err.message, says);
    ints_free(&token);
    ints_free(&target);
}

/* ---- three tokens, for each loss ---- */

static void test_three_tokens(void **state) {
    (void)state;
    bad_lines bad = {.log = &quiet};
    data_options plain = bytes_options(tok, "plain", 100, &bad);
    const char *completion = "{\"prompt\": \"a\", \"completion\": \"b\"}";
    expect_example(&plain, LOSS_COMPLETION, completion, "ab<|endoftext|>", "011");
    expect_example(&plain, LOSS_ASSISTANT, completion, "ab<|endoftext|>", "011");
    expect_example(&plain, LOSS_ALL, completion, "ab<|endoftext|>", "011");
    expect_example(&plain, LOSS_ALL, "{\"prompt\": \"aa\", \"completion\": \"b\"}", "aab<|endoftext|>",
                   "0111");
    expect_example(&plain, LOSS_ALL, "{\"text\": \"ab\"}", "ab<|endoftext|>", "011");
    expect_example(&plain, LOSS_COMPLETION, "{\"text\": \"ab\"}", "ab<|endoftext|>", "011");
    /* An empty completion is its end token; an empty text has nothing to predict. */
    expect_example(&plain, LOSS_COMPLETION, "{\"prompt\": \"ab\", \"completion\": \"\"}", "ab<|endoftext|>",
                   "001");
    expect_example(&plain, LOSS_ALL, "{\"text\": \"\"}", "<|endoftext|>", "0");
}

static void test_chats(void **state) {
    (void)state;
    bad_lines bad = {.log = &quiet};
    data_options chatml = bytes_options(tok, "chatml", 1000, &bad);
    const char *talk =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", \"content\": "
        "\"ab\"}, {\"role\": \"user\", \"content\": \"r\"}, {\"role\": \"assistant\", \"content\": \"c\"}]}";
    const char *text = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nab<|im_end|>\n"
                       "<|im_start|>user\nr<|im_end|>\n<|im_start|>assistant\nc<|im_end|>";
    const char *marks = "00000000"
                        "000000000000"
                        "111"
                        "000000000"
                        "000000000000"
                        "11";
    expect_example(&chatml, LOSS_ASSISTANT, talk, text, marks);
    expect_example(&chatml, LOSS_COMPLETION, talk, text, marks);
    expect_example(&chatml, LOSS_ALL, talk, text, "0111111111111111111111111111111111111111111111");
    /* The same as a prompt of messages and a completion. */
    expect_example(&chatml, LOSS_COMPLETION,
                   "{\"prompt\": [{\"role\": \"user\", \"content\": \"q\"}], \"completion\": \"ab\"}",
                   "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nab<|im_end|>",
                   "00000000000000000000111");
    expect_example(&chatml, LOSS_COMPLETION,
                   "{\"prompt\": [{\"role\": \"user\", \"content\": \"q\"}], \"completion\":"
                   " [{\"role\": \"assistant\", \"content\": \"ab\"}]}",
                   "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nab<|im_end|>",
                   "00000000000000000000111");
    /* A system prompt for those that have none. */
    chatml.system = "S";
    expect_example(
        &chatml, LOSS_ASSISTANT,
        "{\"messages\": [{\"role\": \"system\", \"content\": \"T\"}, {\"role\": \"user\", \"content\": "
        "\"q\"}, "
        "{\"role\": \"assistant\", \"content\": \"a\"}]}",
        "<|im_start|>system\nT<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>",
        "0000000000"
        "000000000"
        "000000000000"
        "11");
    expect_example(
        &chatml, LOSS_COMPLETION, "{\"prompt\": \"q\", \"completion\": \"a\"}",
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>",
        "0000000000"
        "000000000"
        "000000000000"
        "11");
}

/* What looks like a control token in somebody's text is letters. */
static void test_texts_are_only_text(void **state) {
    (void)state;
    bad_lines bad = {.log = &quiet};
    data_options o = bytes_options(tok, "chatml", 1000, &bad);
    ints token = {0}, target = {0};
    error err;
    const char *line = "{\"prompt\": \"<|im_end|>\", \"completion\": \"<|im_start|>\"}";
    assert_int_equal(tokens_of_line(&o, LOSS_COMPLETION, line, &token, &target, &err), STATUS_OK);
    int control = 0;
    for (size_t i = 0; i < token.len; i++) control += token.data[i] < 3;
    assert_int_equal(control, 4); /* two turns, opened and ended */
    ints_free(&token);
    ints_free(&target);
}

static void test_bad_lines(void **state) {
    (void)state;
    bad_lines bad = {.log = &quiet};
    data_options o = bytes_options(tok, "chatml", 1000, &bad);
    refuse_example(&o, "", "f:1");
    refuse_example(&o, "{", "f:1");
    refuse_example(&o, "{\"text\": \"a\"} x", "f:1");
    refuse_example(&o, "{\"text\": \"a\", \"text\": \"b\"}", "f:1");
    refuse_example(&o, "[]", "must be an object, not an array");
    refuse_example(&o, "{}", "has none of \"text\", \"prompt\" and \"messages\"");
    refuse_example(&o, "{\"text\": 3}", "\"text\" must be a string");
    refuse_example(&o, "{\"text\": \"\xff\"}", "f:1");
    refuse_example(&o, "{\"prompt\": \"a\"}", "\"completion\" is missing");
    refuse_example(&o, "{\"prompt\": \"a\", \"completion\": [{\"role\": \"user\", \"content\": \"b\"}]}",
                   "\"completion\" must be a string or a list of one message of the assistant");
    refuse_example(&o, "{\"prompt\": \"a\", \"completion\": \"b\\u0000\"}",
                   "\"completion\" holds a zero byte");
    refuse_example(&o, "{\"prompt\": 3, \"completion\": \"a\"}",
                   "\"prompt\" must be a string or a list of messages");
    refuse_example(&o, "{\"prompt\": [], \"completion\": \"a\"}", "1 to 1023 messages");
    refuse_example(&o, "{\"messages\": {}}", "1 to 1023 messages");
    refuse_example(&o, "{\"messages\": [3]}", "message 1 must be an object, not a number");
    refuse_example(&o, "{\"messages\": [{\"role\": \"user\"}]}", "\"content\" is missing");
    refuse_example(&o, "{\"messages\": [{\"role\": \"robot\", \"content\": \"a\"}]}", "robot");
    refuse_example(&o, "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}",
                   "without a message of the assistant");
    refuse_example(&o, "{\"prompt\": [{\"role\": \"assistant\", \"content\": \"a\"}], \"completion\": \"b\"}",
                   "must not end with the assistant's");
    refuse_example(&o, "{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}",
                   "a chat without a user's message");
    refuse_example(&o, "{\"text\": \"a\", \"split\": \"dev\"}",
                   "split \"dev\" is none of train, valid, test");
    refuse_example(&o, "{\"text\": \"a\", \"split\": 1}", "\"split\" must be a string");
}

/* ---- files ---- */

/* All examples of a file: with a file to validate on the splits do not count. */
static sequence_data load(const data_options *o, loss_kind loss, const char *directory, const char *file) {
    const char *valid = data_file(directory, "valid.jsonl", "{\"text\": \"held out\"}\n");
    sequence_data d;
    error err;
    if (sequences_load(o, loss, &file, 1, &valid, 1, &d, &err) != STATUS_OK) fail_msg("%s", err.message);
    return d;
}

static void refuse_load(const data_options *o, const char *file, const char *says) {
    sequence_data d;
    error err;
    assert_int_equal(sequences_load(o, LOSS_ALL, &file, 1, NULL, 0, &d, &err), STATUS_DATA);
    if (!strstr(err.message, says)) fail_msg("\"%s\" does not say \"%s\"", err.message, says);
    assert_null(d.file);
}

static void expect_sequence(const sequence_data *d, int i, const char *text, const char *marks) {
    const sequence *s = &d->train.entry[i];
    assert_true(i < d->train.n);
    expect_ids(tok, s->token, s->n, text);
    assert_int_equal(s->n, strlen(marks));
    int targets = 0;
    for (size_t t = 0; marks[t]; t++) {
        assert_int_equal(sequence_targets(s)[t], marks[t] - '0');
        targets += marks[t] == '1';
    }
    assert_int_equal(s->n_target, targets);
}

/* Documents become as many sequences as they need, each without a target for its first token. */
static void test_documents_are_cut(void **state) {
    bad_lines bad = {.log = &quiet};
    data_options o = bytes_options(tok, "plain", 4, &bad);
    sequence_data d = load(&o, LOSS_ALL, *state,
                           data_file(*state, "a.jsonl", "{\"text\": \"abcdefg\"}\n{\"text\": \"hi\"}\n"));
    assert_int_equal(d.train.n, 3);
    expect_sequence(&d, 0, "abcd", "0111");
    expect_sequence(&d, 1, "efg<|endoftext|>", "0111");
    expect_sequence(&d, 2, "hi<|endoftext|>", "011");
    assert_true(d.train.n_target == 8 && d.train.longest == 4 && d.train.most_targets == 3);
    sequences_free(&d);
    /* Nothing comes of a rest of one token. */
    d = load(&o, LOSS_ALL, *state, data_file(*state, "b.jsonl", "{\"text\": \"abcd\"}\n"));
    assert_int_equal(d.train.n, 1);
    expect_sequence(&d, 0, "abcd", "0111");
    sequences_free(&d);
    /* Text files: one document, or as many as the separator cuts. */
    const char *text = data_file(*state, "c.txt", "ab\n--\n \n--\ncd--");
    o.max_length = 100;
    d = load(&o, LOSS_ALL, *state, text);
    assert_int_equal(d.train.n, 1);
    expect_sequence(&d, 0, "ab\n--\n \n--\ncd--<|endoftext|>", "0111111111111111");
    sequences_free(&d);
    o.separator = "--";
    d = load(&o, LOSS_ALL, *state, text);
    assert_int_equal(d.train.n, 2); /* the blank one is none */
    expect_sequence(&d, 0, "ab\n<|endoftext|>", "0111");
    expect_sequence(&d, 1, "\ncd<|endoftext|>", "0111");
    sequences_free(&d);
}

static void test_too_long(void **state) {
    bad_lines bad = {.log = &quiet};
    data_options o = bytes_options(tok, "plain", 4, &bad);
    const char *file = data_file(*state, "a.jsonl",
                                 "{\"prompt\": \"ab\", \"completion\": \"c\"}\n"
                                 "{\"prompt\": \"ab\", \"completion\": \"cdefg\"}\n"
                                 "{\"prompt\": \"abcd\", \"completion\": \"e\"}\n");
    refuse_load(&o, file, "a.jsonl:2: 8 tokens, at most 4 fit (data.too_long: cut would cut it)");
    assert_int_equal(bad.n, 1);
    bad = (bad_lines){.most = 2, .log = &quiet};
    sequence_data d = load(&o, LOSS_COMPLETION, *state, file);
    assert_int_equal(d.train.n, 1);
    assert_int_equal(bad.n, 2);
    sequences_free(&d);
    /* Cut at the end; one whose targets are all gone is a bad line still. */
    o.cut = 1;
    bad = (bad_lines){.most = 1, .log = &quiet};
    d = load(&o, LOSS_COMPLETION, *state, file);
    assert_int_equal(d.train.n, 2);
    expect_sequence(&d, 1, "abcd", "0011");
    assert_int_equal(bad.n, 1);
    sequences_free(&d);
    bad = (bad_lines){.log = &quiet};
    refuse_load(&o, data_file(*state, "b.jsonl", "{\"text\": \"a\"}\n\n{\"prompt\": 1}\n"), "b.jsonl:3: ");
    refuse_load(&o, data_file(*state, "c.jsonl", "\n"), "c.jsonl: no example of split train (0 read, 1 bad)");
}

/* ---- splits ---- */

/* A line's own split counts; the others follow from the hash of their opening, and each line has one. */
static void test_splits(void **state) {
    bad_lines bad = {.log = &quiet};
    data_options o = bytes_options(tok, "plain", 100, &bad);
    buffer lines = {0};
    for (int i = 0; i < 400; i++) buffer_format(&lines, "{\"prompt\": \"p%d\", \"completion\": \"c\"}\n", i);
    const char *file = data_file(*state, "a.jsonl", lines.data);
    sequence_data all = load(&o, LOSS_ALL, *state, file), own;
    error err;
    assert_int_equal(all.train.n, 400);
    assert_int_equal(all.valid.n, 1);
    assert_int_equal(sequences_load(&o, LOSS_ALL, &file, 1, NULL, 0, &own, &err), STATUS_OK);
    int n_test = (int)own.file[0].n_of_split[SPLIT_TEST];
    assert_int_equal(own.train.n + own.valid.n + n_test, 400);
    assert_in_range(own.valid.n, 30, 75); /* 2 of 16 */
    assert_in_range(n_test, 10, 45);      /* 1 of 16 */
    sequences_free(&all);
    sequences_free(&own);
    /* The rule itself: the first hexadecimal digit of SHA-256 of the opening, which is 1 for p0. */
    split_kind split;
    prompt_text text = {.text = "p0"};
    assert_int_equal(split_of_prompt(&text, NULL, "f:1", &split, &err), STATUS_OK);
    assert_int_equal(split, SPLIT_VALID);
    /* A chat with that opening is in the same split, however it goes on. */
    prompt_text chat = {
        .messages = "[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":\"p0\"},"
                    "{\"role\":\"assistant\",\"content\":\"x\"},{\"role\":\"user\",\"content\":\"y\"}]"};
    assert_int_equal(split_of_prompt(&chat, NULL, "f:1", &split, &err), STATUS_OK);
    assert_int_equal(split, SPLIT_VALID);
    assert_int_equal(split_of_prompt(&chat, "test", "f:1", &split, &err), STATUS_OK);
    assert_int_equal(split, SPLIT_TEST);

    buffer_clear(&lines);
    for (int i = 0; i < 12; i++)
        buffer_format(&lines, "{\"text\": \"t%d\", \"split\": \"%s\"}\n", i, split_name(SPLIT_TRAIN + i % 3));
    file = data_file(*state, "b.jsonl", lines.data);
    assert_int_equal(sequences_load(&o, LOSS_ALL, &file, 1, NULL, 0, &own, &err), STATUS_OK);
    assert_true(own.train.n == 4 && own.valid.n == 4 && own.file[0].n_of_split[SPLIT_TEST] == 4);
    sequences_free(&own);
    refuse_load(&o, data_file(*state, "c.jsonl", "{\"text\": \"t\", \"split\": \"valid\"}\n"),
                "no example of split train (1 read, 0 bad)");
    buffer_free(&lines);
}

#define DIRECTORY_TEST(name) cmocka_unit_test_setup_teardown(name, directory_setup, directory_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_tokens),
        cmocka_unit_test(test_chats),
        cmocka_unit_test(test_texts_are_only_text),
        cmocka_unit_test(test_bad_lines),
        DIRECTORY_TEST(test_documents_are_cut),
        DIRECTORY_TEST(test_too_long),
        DIRECTORY_TEST(test_splits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
