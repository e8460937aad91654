/* Real data as people publish it (no part of the project; absent, the tests are skipped): every record is
   read, but for those that are known to be odd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datasets/prompts.h"
#include "datasets/rankings.h"
#include "datasets/token_cache.h"
#include "tests/support/data_cases.h"
#include "tests/support/places.h"

static logger quiet = {.quiet = true};

enum { EVERYTHING = 1 << 20 }; /* longer than any sequence, more than all bad lines */

typedef struct reading {
    tokenizer *tok;
    bad_lines bad;
    data_options o;
} reading;

static int reading_setup(void **state) {
    reading *r = calloc(1, sizeof *r);
    r->tok = bytes_tokenizer();
    r->bad = (bad_lines){.most = EVERYTHING, .log = &quiet};
    r->o = bytes_options(r->tok, "chatml", EVERYTHING, &r->bad);
    *state = r;
    return 0;
}

static int reading_teardown(void **state) {
    reading *r = *state;
    tokenizer_free(r->tok);
    free(r);
    return 0;
}

static void expect_counts(const char *name, int n, int n_bad, int want, int want_bad) {
    if (n != want || n_bad != want_bad)
        fail_msg("%s: %d read and %d bad, not %d and %d", name, n, n_bad, want, want_bad);
}

static void test_demonstrations(void **state) {
    static const struct {
        const char *name;
        int n, n_bad;
    } file[] = {
        {"data/demonstrations/user_oriented.jsonl", 155, 0},
        {"data/demonstrations/seed_tasks.jsonl", 175, 0},
        {"data/demonstrations/oasst_en_chats.jsonl", 94, 0},
        {"data/demonstrations/gsm8k_train.jsonl", 7473, 0},
        {"data/demonstrations/alpaca_en.jsonl", 4174, 0},
        {"data/demonstrations/alpaca_zh.jsonl", 1597, 0},
        {"data/text/movie_reviews.jsonl", 1600, 0},
        {"data/text/tang300.txt", 1, 0},
        {"data/text/emma.txt", 1, 0},
    };
    reading *r = *state;
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        const char *path = shared_path(file[i].name);
        token_file f;
        error err;
        r->bad.n = 0;
        if (token_cache_read(&r->o, LOSS_COMPLETION, path, &f, &err) != STATUS_OK)
            fail_msg("%s", err.message);
        expect_counts(file[i].name, (int)f.n_read, r->bad.n, file[i].n, file[i].n_bad);
        token_file_close(&f);
    }
}

/* OpenAssistant's trees say what was made of them by others: the same chats and the same rankings. */
static void test_trees(void **state) {
    const char *trees = shared_path("data/raw/oasst_en_trees.jsonl"),
               *chats = shared_path("data/demonstrations/oasst_en_chats.jsonl"),
               *ranked = shared_path("data/rankings/oasst_en.jsonl");
    reading *r = *state;
    token_file a, b;
    rankings x, y;
    error err;
    if (token_cache_read(&r->o, LOSS_ASSISTANT, trees, &a, &err) != STATUS_OK ||
        token_cache_read(&r->o, LOSS_ASSISTANT, chats, &b, &err) != STATUS_OK ||
        rankings_load(&r->o, SPLIT_ANY, &trees, 1, &x, &err) != STATUS_OK ||
        rankings_load(&r->o, SPLIT_ANY, &ranked, 1, &y, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    assert_int_equal(a.n_read, 94);
    assert_int_equal(a.bytes, b.bytes);
    assert_memory_equal(a.record, b.record, a.bytes);
    assert_int_equal(x.n, 197);
    assert_int_equal(y.n, 197);
    assert_int_equal(x.token.len, y.token.len);
    for (int i = 0; i < x.n; i++) assert_int_equal(x.entry[i].n_answer, y.entry[i].n_answer);
    assert_int_equal(r->bad.n, 0);
    token_file_close(&a);
    token_file_close(&b);
    rankings_free(&x);
    rankings_free(&y);
}

/* oasst_zh: a list of ten answers, and four with the same text twice. */
static void test_rankings(void **state) {
    static const struct {
        const char *name;
        int n, n_bad;
    } file[] = {
        {"data/rankings/hh_harmless_train.jsonl", 1392, 0}, {"data/rankings/hh_harmless_test.jsonl", 345, 0},
        {"data/rankings/oasst_en.jsonl", 197, 0},           {"data/rankings/oasst_zh.jsonl", 490, 5},
        {"data/rankings/pandalm.jsonl", 1887, 0},
    };
    reading *r = *state;
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        const char *path = shared_path(file[i].name);
        rankings all;
        error err;
        r->bad.n = 0;
        if (rankings_load(&r->o, SPLIT_ANY, &path, 1, &all, &err) != STATUS_OK) fail_msg("%s", err.message);
        expect_counts(file[i].name, all.n, r->bad.n, file[i].n, file[i].n_bad);
        rankings_free(&all);
    }
}

/* Files of demonstrations and rankings serve as prompts; the same prompt is one. */
static void test_prompts(void **state) {
    reading *r = *state;
    static const struct {
        const char *name;
        int n, n_bad;
    } file[] = {{"data/demonstrations/user_oriented.jsonl", 155, 0},
                {"data/rankings/pandalm.jsonl", 107, 0},
                {"data/rankings/oasst_en.jsonl", 197, 0}};
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        const char *path = shared_path(file[i].name);
        prompts p;
        error err;
        r->bad.n = 0;
        if (prompts_load(&r->o, SPLIT_ANY, &path, 1, &p, &err) != STATUS_OK) fail_msg("%s", err.message);
        expect_counts(file[i].name, p.n, r->bad.n, file[i].n, file[i].n_bad);
        prompts_free(&p);
    }
}

#define READING_TEST(name) cmocka_unit_test_setup_teardown(name, reading_setup, reading_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        READING_TEST(test_demonstrations),
        READING_TEST(test_trees),
        READING_TEST(test_rankings),
        READING_TEST(test_prompts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
