/* Answers of an unfinished run: what was written is there again, whatever was cut or damaged behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "core/base/file.h"
#include "rlhf/partial.h"
#include "tests/support/places.h"

enum { PROMPTS = 3, K = 2, MOST = 5 };

static error err;

static void must(status s) {
    if (s != STATUS_OK) fail_msg("%s", err.message);
}

/* Answer i has i % MOST + 1 tokens, all told by i. */
static void answer(answers *a, int i) {
    a->n_token[i] = i % MOST + 1;
    a->finished[i] = i % 2;
    for (int t = 0; t < a->n_token[i]; t++) {
        a->token[i * MOST + t] = 100 * i + t;
        a->logprob[i * MOST + t] = -0.1f * (float)(i + 1) / (float)(t + 3);
    }
}

static void assert_answer(const answers *a, int i) {
    answers want;
    must(answers_create(PROMPTS, K, MOST, &want, &err));
    answer(&want, i);
    assert_int_equal(a->n_token[i], want.n_token[i]);
    assert_int_equal(a->finished[i], want.finished[i]);
    assert_memory_equal(a->token + i * MOST, want.token + i * MOST,
                        sizeof *want.token * (size_t)want.n_token[i]);
    assert_memory_equal(a->logprob + i * MOST, want.logprob + i * MOST,
                        sizeof *want.logprob * (size_t)want.n_token[i]);
    answers_free(&want);
}

/* The answers that a file of `of` brings. */
static int64_t reopen(const char *path, const hash *of, answers *a) {
    partial p;
    int64_t n;
    must(answers_create(PROMPTS, K, MOST, a, &err));
    must(partial_open(path, of, a, &p, &n, &err));
    partial_close(&p);
    return n;
}

static void write_some(const char *path, const hash *of, const int *which, int n) {
    partial p;
    answers a;
    int64_t there;
    must(answers_create(PROMPTS, K, MOST, &a, &err));
    must(partial_open(path, of, &a, &p, &there, &err));
    for (int i = 0; i < n; i++) {
        answer(&a, which[i]);
        must(partial_add(&p, &a, which[i], &err));
    }
    partial_close(&p);
    answers_free(&a);
}

static void test_answers_are_there_again(void **state) {
    const char *path = path_in(*state, "answers.partial");
    hash of = hash_bytes("a", 1), other = hash_bytes("b", 1);
    answers a;
    write_some(path, &of, (int[]){4, 0, 5}, 3);
    assert_int_equal(reopen(path, &of, &a), 2); /* prompt 2 whole, prompt 0 half */
    assert_true(!a.there[0] && !a.there[1] && a.there[2]);
    assert_answer(&a, 4);
    assert_answer(&a, 5);
    answers_free(&a);
    write_some(path, &of, (int[]){1}, 1);
    assert_int_equal(reopen(path, &of, &a), 4);
    assert_answer(&a, 0);
    answers_free(&a);
    assert_int_equal(reopen(path, &other, &a), 0); /* of something else: begun anew */
    answers_free(&a);
    assert_int_equal(reopen(path, &of, &a), 0);
    answers_free(&a);
}

/* Cut anywhere, or with any byte changed, it brings only what is right, and can be gone on with. */
static void test_cut_and_damaged(void **state) {
    const char *path = path_in(*state, "answers.partial");
    hash of = hash_bytes("a", 1);
    answers a;
    remove(path);
    write_some(path, &of, (int[]){0, 1, 2, 3}, 4);
    buffer whole = {0};
    must(file_read(path, 1 << 20, &whole, &err));
    for (size_t n = 0; n < 2 * whole.len; n++) {
        if (n < whole.len) {
            write_all(path, whole.data, n);
        } else {
            whole.data[n - whole.len] ^= 0x40;
            write_all(path, whole.data, whole.len);
            whole.data[n - whole.len] ^= 0x40;
        }
        int64_t there = reopen(path, &of, &a);
        assert_true(there < 2 * K);
        for (int i = 0; i < PROMPTS * K; i++)
            if (a.there[i / K]) assert_answer(&a, i);
        answers_free(&a);
        write_some(path, &of, (int[]){5, 4}, 2);
        assert_int_equal(reopen(path, &of, &a), there + K);
        answers_free(&a);
    }
    buffer_free(&whole);
}

static void test_removed(void **state) {
    const char *path = path_in(*state, "answers.partial");
    hash of = hash_bytes("a", 1);
    answers a;
    partial p;
    int64_t n;
    must(answers_create(PROMPTS, K, MOST, &a, &err));
    must(partial_open(path, &of, &a, &p, &n, &err));
    must(partial_remove(&p, &err));
    assert_false(path_exists(path));
    partial_close(&p);
    assert_int_equal(partial_open(path_in(*state, "none/answers.partial"), &of, &a, &p, &n, &err),
                     STATUS_FAILED);
    assert_non_null(strstr(err.message, "none/answers.partial: cannot write"));
    partial_close(&p);
    answers_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers_are_there_again, directory_setup, directory_teardown),
        cmocka_unit_test_setup_teardown(test_cut_and_damaged, directory_setup, directory_teardown),
        cmocka_unit_test_setup_teardown(test_removed, directory_setup, directory_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
