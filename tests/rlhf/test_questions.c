/* Questions as files have them; examples never are the question itself; forms; where a choice begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rlhf/choice_tokens.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"

enum { SEED = 7, MOST = 2000 };

static void load(const char *directory, const char *text, questions *out) {
    const char *path = path_in(directory, "questions.jsonl");
    bad_lines bad = {0};
    write_all(path, text, strlen(text));
    OK(questions_load(path, &bad, out, err));
}

/* ---- reading ---- */

static void test_load(void **state) {
    questions q;
    load(*state,
         "{\"context\":\"a\",\"choices\":[\"b\",\"cd\"],\"label\":1}\n\n"
         "{\"subject\":\"s\",\"context\":\"\",\"choices\":[\"x\",\"y\",\"x\"],\"label\":0,\"more\":[1]}\n",
         &q);
    assert_int_equal(q.n, 2);
    assert_string_equal(question_choice(&q.list[0], 1), "cd");
    assert_int_equal(q.list[0].label, 1);
    assert_null(q.list[0].subject);
    assert_string_equal(q.list[1].subject, "s");
    assert_int_equal(q.list[1].n_choice, 3);
    assert_non_null(strstr(q.list[1].place, "questions.jsonl:3"));
    questions_free(&q);
}

static void test_bad_lines(void **state) {
    static const struct {
        const char *line, *word;
    } bad[] = {
        {"[1]", "must be an object"},
        {"{\"choices\":[\"a\",\"b\"],\"label\":0}", "context"},
        {"{\"context\":1,\"choices\":[\"a\",\"b\"],\"label\":0}", "context"},
        {"{\"context\":\"c\",\"label\":0}", "choices"},
        {"{\"context\":\"c\",\"choices\":[\"a\"],\"label\":0}", "2 to 256"},
        {"{\"context\":\"c\",\"choices\":\"ab\",\"label\":0}", "2 to 256"},
        {"{\"context\":\"c\",\"choices\":[\"a\",\"\"],\"label\":0}", "choice 2"},
        {"{\"context\":\"c\",\"choices\":[7,\"b\"],\"label\":0}", "choice 1"},
        {"{\"context\":\"c\",\"choices\":[\"a\\u0000x\",\"b\"],\"label\":0}", "choice 1"},
        {"{\"context\":\"c\",\"choices\":[\"a\",\"b\"],\"label\":2}", "label"},
        {"{\"context\":\"c\",\"choices\":[\"a\",\"b\"],\"label\":-1}", "label"},
        {"{\"context\":\"c\",\"choices\":[\"a\",\"b\"],\"label\":\"0\"}", "label"},
        {"{\"context\":\"c\",\"choices\":[\"a\",\"b\"]}", "label"},
        {"{\"subject\":5,\"context\":\"c\",\"choices\":[\"a\",\"b\"],\"label\":0}", "subject"},
        {"{\"context\":", "questions.jsonl:2"},
    };
    static const char GOOD[] = "{\"context\":\"a\",\"choices\":[\"b\",\"c\"],\"label\":1}\n";
    const char *path = path_in(*state, "questions.jsonl");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        buffer text = {0};
        questions q;
        bad_lines strict = {0}, mild = {.most = 1, .quiet = 1};
        buffer_format(&text, "%s%s\n%s", GOOD, bad[i].line, GOOD);
        write_all(path, text.data, text.len);
        REFUSED(questions_load(path, &strict, &q, err), STATUS_DATA, "questions.jsonl:2");
        REFUSED(questions_load(path, &strict, &q, err), STATUS_DATA, bad[i].word);
        OK(questions_load(path, &mild, &q, err));
        assert_int_equal(q.n, 2);
        questions_free(&q);
        buffer_free(&text);
    }
    questions q;
    bad_lines strict = {0};
    write_all(path, "\n", 1);
    REFUSED(questions_load(path, &strict, &q, err), STATUS_DATA, "no question");
    REFUSED(questions_load(path_in(*state, "none"), &strict, &q, err), STATUS_DATA, "none");
}

/* ---- examples ---- */

static int contains(const int32_t *list, int n, int value) {
    for (int i = 0; i < n; i++)
        if (list[i] == value) return 1;
    return 0;
}

/* What must hold of n examples for question i of the pool. */
static void check_draw(const questions *pool, int i, int n) {
    int32_t scratch[MOST], out[MOST], fewer[MOST];
    const question *asked = &pool->list[i];
    OK(questions_draw(pool, asked, SEED, (uint64_t)i, n, scratch, out, err));
    for (int k = 0; k < n; k++) {
        assert_in_range(out[k], 0, pool->n - 1);
        assert_false(contains(out, k, out[k]));
        assert_false(hash_equal(&pool->list[out[k]].same, &asked->same));
        if (asked->subject) assert_string_equal(pool->list[out[k]].subject, asked->subject);
    }
    for (int m = 0; m < n; m++) {
        OK(questions_draw(pool, asked, SEED, (uint64_t)i, m, scratch, fewer, err));
        assert_memory_equal(fewer, out, sizeof *out * (size_t)m);
    }
}

static void test_examples(void **state) {
    buffer text = {0};
    questions pool;
    int32_t scratch[64], a[64], b[64];
    /* Question 0 stands twice more in the file, as 10 and 20. */
    for (int i = 0; i < 30; i++)
        buffer_format(&text, "{\"context\":\"c%d\",\"choices\":[\"a\",\"b\"],\"label\":0}\n",
                      i % 10 && i / 10 ? i : i % 10);
    load(*state, text.data, &pool);
    for (int i = 0; i < 30; i++) check_draw(&pool, i, 5);
    check_draw(&pool, 0, 27);
    check_draw(&pool, 1, 29);
    REFUSED(questions_draw(&pool, &pool.list[0], SEED, 0, 28, scratch, a, err), STATUS_DATA, "27 other");
    OK(questions_draw(&pool, &pool.list[1], SEED, 1, 5, scratch, a, err));
    OK(questions_draw(&pool, &pool.list[1], SEED + 1, 1, 5, scratch, b, err));
    assert_memory_not_equal(a, b, sizeof *a * 5);
    OK(questions_draw(&pool, &pool.list[1], SEED, 2, 5, scratch, b, err));
    assert_memory_not_equal(a, b, sizeof *a * 5);
    questions_free(&pool);
    buffer_free(&text);
}

/* Every other question comes as often as any: 20 of 29 others, 3000 draws of 2, expected 206.9 each. */
static void test_examples_are_even(void **state) {
    buffer text = {0};
    questions pool;
    int32_t scratch[64], out[2];
    int count[30] = {0};
    for (int i = 0; i < 30; i++)
        buffer_format(&text, "{\"context\":\"c%d\",\"choices\":[\"a\",\"b\"],\"label\":0}\n", i);
    load(*state, text.data, &pool);
    for (uint64_t id = 0; id < 3000; id++) {
        OK(questions_draw(&pool, &pool.list[3], SEED, id, 2, scratch, out, err));
        count[out[0]]++;
        count[out[1]]++;
    }
    for (int i = 0; i < 30; i++) assert_in_range(count[i], i == 3 ? 0 : 140, i == 3 ? 0 : 280);
    questions_free(&pool);
    buffer_free(&text);
}

static void test_examples_of_the_subject(void **state) {
    buffer text = {0};
    questions pool;
    int32_t scratch[64], out[64];
    for (int i = 0; i < 24; i++)
        buffer_format(&text,
                      "{\"subject\":\"s%d\",\"context\":\"c%d\",\"choices\":[\"a\",\"b\"],\"label\":0}\n",
                      i % 3, i);
    buffer_string(&text, "{\"context\":\"free\",\"choices\":[\"a\",\"b\"],\"label\":0}\n");
    load(*state, text.data, &pool);
    for (int i = 0; i < 24; i++) check_draw(&pool, i, 7);
    REFUSED(questions_draw(&pool, &pool.list[4], SEED, 4, 8, scratch, out, err), STATUS_DATA,
            "of subject s1");
    check_draw(&pool, 24, 24);
    questions_free(&pool);
    buffer_free(&text);
}

static void test_limit(void **state) {
    int32_t scratch[100], all[100], some[100], more[100];
    (void)state;
    assert_int_equal(questions_choose(100, 0, SEED, scratch, all), 100);
    for (int i = 0; i < 100; i++) assert_int_equal(all[i], i);
    assert_int_equal(questions_choose(100, 500, SEED, scratch, all), 100);
    assert_int_equal(questions_choose(100, 10, SEED, scratch, some), 10);
    assert_int_equal(questions_choose(100, 30, SEED, scratch, more), 30);
    for (int i = 0; i < 10; i++) {
        assert_true(contains(more, 30, some[i]));
        assert_true(i == 0 || some[i] > some[i - 1]);
    }
    assert_true(some[9] > 40); /* not the first ones */
}

/* ---- forms ---- */

static void expect_form(const char *directory, const char *form, const char *preamble, int shots,
                        const char *want_prompt, const char *want_choice) {
    static const int32_t example[] = {1};
    questions q;
    question_form f;
    buffer text = {0};
    load(directory,
         "{\"subject\":\"old_times\",\"context\":\"C{\\\\n}\",\"choices\":[\"one\",\"two\"],\"label\":0}\n"
         "{\"subject\":\"new\",\"context\":\"D\",\"choices\":[\"x\",\"y\",\"z\"],\"label\":2}\n",
         &q);
    OK(question_form_open(form, "|\\n", preamble, &f, err));
    OK(question_form_prompt(&f, &q.list[0], &q, example, shots, &text, err));
    assert_string_equal(text.data, want_prompt);
    buffer_clear(&text);
    question_form_choice(&f, &q.list[0], 1, &text);
    assert_string_equal(text.data, want_choice);
    buffer_free(&text);
    question_form_free(&f);
    questions_free(&q);
}

static void test_forms(void **state) {
    /* A context is text: neither its brace nor its backslash means anything. */
    expect_form(*state, "continue", NULL, 0, "C{\\n} ", "two");
    expect_form(*state, "question", NULL, 1, "Question: D\nAnswer: z|\nQuestion: C{\\n}\nAnswer: ", "two");
    expect_form(*state, "letters", "On {subject}:\\t", 1,
                "On old times:\tD\nA. x\nB. y\nC. z\nAnswer: C|\nC{\\n}\nA. one\nB. two\nAnswer: ", "B");
    expect_form(*state, "\\{{subject}}\\\\ {context}{letter}", NULL, 0, "{old times}\\ C{\\n}", "B");
    expect_form(*state, "{choice}", "", 1, "z|\n", "two");
}

static void test_bad_forms(void **state) {
    static const struct {
        const char *form, *between, *preamble, *word;
    } bad[] = {
        {"contin", "", NULL, "none of continue"},
        {"{context}", "", NULL, "does not end"},
        {"{choice} {letter}", "", NULL, "behind"},
        {"{choice}.", "", NULL, "behind"},
        {"{contex} {choice}", "", NULL, "{contex"},
        {"{ {choice}", "", NULL, "{ {choice}"},
        {"a\\q{choice}", "", NULL, "\\q"},
        {"{choice}", "a\\", NULL, "--between"},
        {"{choice}", "{context}", NULL, "--between"},
        {"{choice}", "", "{context}", "--preamble"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        question_form f;
        REFUSED(question_form_open(bad[i].form, bad[i].between, bad[i].preamble, &f, err), STATUS_USAGE,
                bad[i].word);
    }
}

static void test_questions_that_a_form_cannot_take(void **state) {
    buffer text = {0}, out = {0};
    questions q;
    question_form f;
    buffer_string(&text, "{\"context\":\"c\",\"label\":0,\"choices\":[\"0\"");
    for (int i = 1; i < 27; i++) buffer_format(&text, ",\"%d\"", i);
    buffer_string(&text, "]}\n");
    load(*state, text.data, &q);
    OK(question_form_open("{letter}", "", NULL, &f, err));
    REFUSED(question_form_prompt(&f, q.list, &q, NULL, 0, &out, err), STATUS_DATA, "27 choices");
    question_form_free(&f);
    OK(question_form_open("{subject}{choice}", "", NULL, &f, err));
    REFUSED(question_form_prompt(&f, q.list, &q, NULL, 0, &out, err), STATUS_DATA, "no \"subject\"");
    question_form_free(&f);
    questions_free(&q);
    buffer_free(&text);
    buffer_free(&out);
}

/* ---- where a choice begins ---- */

/* A few letters and the merges " b", "ab" and "abc". */
static tokenizer *make_tokenizer(int has_bos) {
    static const char BOS[] =
        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
        "{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],"
        "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[10],\"tokens\":[\"<s>\"]}}},";
    static const char REST[] =
        "\"added_tokens\":[{\"id\":0,\"content\":\"<|endoftext|>\",\"special\":true},"
        "{\"id\":10,\"content\":\"<s>\",\"special\":true}],"
        "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
        "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1,\"b\":2,\"c\":3,"
        "\"x\":4,\"\u0120\":5,\"\u010a\":6,\"\u0120b\":7,\"ab\":8,\"abc\":9},"
        "\"merges\":[\"\u0120 b\",\"a b\",\"ab c\"]}}";
    tokenizer *tok;
    buffer json = {0};
    buffer_format(&json, "{%s%s", has_bos ? BOS : "", REST);
    OK(tokenizer_parse(json.data, json.len, "a tokenizer", &tok, err));
    buffer_free(&json);
    return tok;
}

static void append(const tokenizer *tok, const choice_tokens *t, int64_t start, int n, buffer *out) {
    buffer_string(out, "[");
    for (int i = 0; i < n; i++) {
        OK(tokenizer_decode(tok, t->token.data + start + i, 1, 1, out, err));
        buffer_string(out, "]");
        if (i + 1 < n) buffer_string(out, "[");
    }
}

/* The pieces of context and choices of one question with choices c1 and c2. */
static void expect_pieces(const char *directory, int has_bos, const char *form, int context_limit,
                          const char *context, const char *c1, const char *c2, const char *want) {
    tokenizer *tok = make_tokenizer(has_bos);
    questions q;
    question_form f;
    choice_tokens t;
    buffer text = {0}, got = {0};
    static const int32_t index[] = {0};
    buffer_format(&text, "{\"context\":\"%s\",\"choices\":[\"%s\",\"%s\"],\"label\":0}\n", context, c1, c2);
    load(directory, text.data, &q);
    OK(question_form_open(form, "", NULL, &f, err));
    choice_setting how = {&f, &q, 0, SEED};
    OK(choice_tokens_encode(tok, 0, context_limit, &how, &q, index, 1, &t, err));
    append(tok, &t, t.question[0].start, t.question[0].n_context, &got);
    int64_t at = t.question[0].start + t.question[0].n_context;
    for (int k = 0; k < 2; at += t.length[k++]) {
        buffer_string(&got, " ");
        append(tok, &t, at, t.length[k], &got);
    }
    assert_string_equal(got.data, want);
    assert_int_equal(at, t.token.len);
    assert_int_equal(t.bytes[0], strlen(c1));
    choice_tokens_free(&t);
    question_form_free(&f);
    questions_free(&q);
    tokenizer_free(tok);
    buffer_free(&text);
    buffer_free(&got);
}

static void test_where_a_choice_begins(void **state) {
    /* The blank belongs to the choice, and is one token with it. */
    expect_pieces(*state, 0, "{context} {choice}", 64, "xx", "b", "bx", "[x][x] [ b] [ b][x]");
    expect_pieces(*state, 0, "{context} \\n{choice}", 64, "x", "b", "x", "[x] [ ][\n][b] [ ][\n][x]");
    /* Encoded as a whole: what merges across the border is counted from the left. "abc" is one id and so is
       "ab": behind one id stands the rest. */
    expect_pieces(*state, 0, "{context}{choice}", 64, "ab", "cx", "xb", "[ab] [x] [x][b]");
    expect_pieces(*state, 0, "{context}{choice}", 64, "", "x", "ab", "[<|endoftext|>] [x] [ab]");
    expect_pieces(*state, 0, "{context} {choice}", 64, "", "b", "x", "[<|endoftext|>] [ b] [ ][x]");
    /* Four tokens are fed for the longer choice, its last one left out. */
    expect_pieces(*state, 0, "{context}{choice}", 4, "xbxbx", "bb", "x", "[x][b][x] [b][b] [x]");
    expect_pieces(*state, 0, "{context}{choice}", 3, "xbx", "bbb", "x", "[x] [b][b][b] [x]");
}

static void test_bos(void **state) {
    expect_pieces(*state, 1, "{context} {choice}", 64, "xx", "b", "bx", "[<s>][x][x] [ b] [ b][x]");
    expect_pieces(*state, 1, "{context}{choice}", 64, "", "x", "ab", "[<s>] [x] [ab]");
    expect_pieces(*state, 1, "{context}{choice}", 4, "xbxbx", "bb", "x", "[<s>][b][x] [b][b] [x]");
    expect_pieces(*state, 1, "{context}{choice}", 1, "", "x", "b", "[<s>] [x] [b]");
}

static void test_choices_without_a_place(void **state) {
    tokenizer *tok = make_tokenizer(0);
    questions q;
    question_form f;
    choice_tokens t;
    static const int32_t index[] = {0};
    load(*state, "{\"context\":\"ab\",\"choices\":[\"x\",\"c\"],\"label\":0}\n", &q);
    OK(question_form_open("{context}{choice}", "", NULL, &f, err));
    choice_setting how = {&f, &q, 0, SEED};
    REFUSED(choice_tokens_encode(tok, 0, 64, &how, &q, index, 1, &t, err), STATUS_DATA,
            "questions.jsonl:1: choice 2 adds no token");
    questions_free(&q);
    load(*state, "{\"context\":\"x\",\"choices\":[\"xbxb\",\"c\"],\"label\":0}\n", &q);
    REFUSED(choice_tokens_encode(tok, 0, 3, &how, &q, index, 1, &t, err), STATUS_DATA, "context is 3");
    OK(choice_tokens_encode(tok, 0, 4, &how, &q, index, 1, &t, err));
    assert_int_equal(t.n_cut, 0);
    choice_tokens_free(&t);
    how.shots = 1;
    REFUSED(choice_tokens_encode(tok, 0, 64, &how, &q, index, 1, &t, err), STATUS_DATA, "1 examples");
    questions_free(&q);
    question_form_free(&f);
    tokenizer_free(tok);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, directory_setup, directory_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_load),
                                       TEST(test_bad_lines),
                                       TEST(test_examples),
                                       TEST(test_examples_are_even),
                                       TEST(test_examples_of_the_subject),
                                       TEST(test_limit),
                                       TEST(test_forms),
                                       TEST(test_bad_forms),
                                       TEST(test_questions_that_a_form_cannot_take),
                                       TEST(test_where_a_choice_begins),
                                       TEST(test_bos),
                                       TEST(test_choices_without_a_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
