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
#include "datasets/sequences.h"
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
        sequences s;
        error err;
        r->bad.n = 0;
        if (sequences_load(&r->o, LOSS_COMPLETION, SPLIT_ANY, &path, 1, &s, &err) != STATUS_OK)
            fail_msg("%s", err.message);
        expect_counts(file[i].name, s.n, r->bad.n, file[i].n, file[i].n_bad);
        assert_true(s.n_target > 0 && s.n_target < (int64_t)s.token.len);
        sequences_free(&s);
    }
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
        READING_TEST(test_rankings),
        READING_TEST(test_prompts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
