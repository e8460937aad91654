/* Packs and their rows by hand, and the order of examples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datasets/order.h"
#include "datasets/pack.h"

static pack make(int max_token, int max_row, int max_seq) {
    limits l = {.max_token = max_token, .max_row = max_row, .max_seq = max_seq, .max_len = max_token};
    pack p;
    error err;
    if (pack_create(&l, &p, &err) != STATUS_OK) fail_msg("%s", err.message);
    return p;
}

/* "token sequence starts | rows (state > target)" */
static void expect(const pack *p, int n_seq, const int32_t *seq_start, int n_row, const int32_t (*row)[2]) {
    assert_int_equal(p->b.n_seq, n_seq);
    assert_memory_equal(p->b.seq_start, seq_start, sizeof *seq_start * ((size_t)n_seq + 1));
    assert_int_equal(p->b.n_token, seq_start[n_seq]);
    assert_int_equal(p->b.n_row, n_row);
    for (int r = 0; r < n_row; r++) {
        assert_int_equal(p->b.row_pos[r], row[r][0]);
        assert_int_equal(p->b.row_target[r], row[r][1]);
    }
}

/* Prompt 7, answer 8 and the end token 0, for each stage. */
static void test_three_tokens(void **state) {
    (void)state;
    static const int32_t token[] = {7, 8, 0};
    static const uint8_t all[] = {0, 1, 1}, completion[] = {0, 1, 1}, last[] = {0, 0, 1};
    pack p = make(20, 20, 4);
    /* Fine-tuning: the answer's tokens are read at the tokens before them. */
    pack_add(&p, 5, token, 3);
    pack_rows_of_targets(&p, completion);
    expect(&p, 1, (const int32_t[]){0, 3}, 2, (const int32_t[][2]){{0, 8}, {1, 0}});
    /* Pre-training: of "7 8 0" all but the first, which nothing stands before. */
    pack_clear(&p);
    pack_add(&p, 5, token, 3);
    pack_rows_of_targets(&p, all);
    expect(&p, 1, (const int32_t[]){0, 3}, 2, (const int32_t[][2]){{0, 8}, {1, 0}});
    pack_clear(&p);
    pack_add(&p, 5, token, 3);
    pack_rows_of_targets(&p, last);
    expect(&p, 1, (const int32_t[]){0, 3}, 1, (const int32_t[][2]){{1, 0}});
    /* PPO: the same rows give the answer's log-probabilities and values. */
    pack_clear(&p);
    pack_add(&p, 5, token, 3);
    pack_rows_of_answer(&p, 1);
    expect(&p, 1, (const int32_t[]){0, 3}, 2, (const int32_t[][2]){{0, 8}, {1, 0}});
    /* An empty answer: the end token alone. */
    pack_clear(&p);
    pack_add(&p, 5, token, 3);
    pack_rows_of_answer(&p, 2);
    expect(&p, 1, (const int32_t[]){0, 3}, 1, (const int32_t[][2]){{1, 0}});
    /* Reward: the score after the end token. */
    pack_clear(&p);
    pack_add(&p, 5, token, 3);
    pack_row_of_end(&p);
    expect(&p, 1, (const int32_t[]){0, 3}, 1, (const int32_t[][2]){{2, 0}});
    pack_free(&p);
}

/* A second sequence's rows lie behind the first one's, and never reach into it. */
static void test_several_sequences(void **state) {
    (void)state;
    static const int32_t a[] = {1, 2, 3}, b[] = {4}, c[] = {5, 6};
    static const uint8_t target[] = {1, 1, 1};
    pack p = make(6, 5, 3);
    pack_add(&p, 10, a, 3);
    pack_rows_of_targets(&p, target); /* the first token's target is never read */
    pack_add(&p, 1ull << 40, b, 1);
    pack_rows_of_targets(&p, target); /* one token: nothing to predict */
    assert_true(pack_fits(&p, 2, 3));
    assert_false(pack_fits(&p, 3, 1)); /* tokens */
    assert_false(pack_fits(&p, 2, 4)); /* rows */
    pack_add(&p, 12, c, 2);
    pack_rows_of_answer(&p, 1);
    pack_row_of_end(&p);
    expect(&p, 3, (const int32_t[]){0, 3, 4, 6}, 4, (const int32_t[][2]){{0, 2}, {1, 3}, {4, 6}, {5, 0}});
    assert_int_equal(p.b.seq_id[0], 10);
    assert_true(p.b.seq_id[1] == 1ull << 40);
    assert_memory_equal(p.b.token, ((const int32_t[]){1, 2, 3, 4, 5, 6}), 24);
    assert_false(pack_fits(&p, 0, 0)); /* sequences */
    pack_clear(&p);
    assert_true(pack_fits(&p, 6, 5));
    assert_false(pack_fits(&p, 7, 0));
    assert_int_equal(p.b.n_token + p.b.n_seq + p.b.n_row, 0);
    pack_free(&p);
    pack_free(&p);
}

/* ---- order ---- */

static order order_of(int n, uint64_t seed, int round) {
    order o;
    error err;
    if (order_create(n, seed, RANDOM_SHUFFLE, round, &o, &err) != STATUS_OK) fail_msg("%s", err.message);
    return o;
}

static void test_an_epoch_is_a_permutation(void **state) {
    (void)state;
    for (int n = 1; n < 40; n += 6) {
        order o = order_of(n, 3, 0);
        for (int epoch = 0; epoch < 3; epoch++) {
            char seen[40] = {0};
            for (int i = 0; i < n; i++) {
                int at = order_next(&o);
                assert_in_range(at, 0, n - 1);
                assert_false(seen[at]++);
                assert_int_equal(o.epoch, epoch);
            }
        }
        order_free(&o);
    }
}

/* Another epoch, seed or round is another order; the same is the same. */
static void test_an_order_has_its_key(void **state) {
    (void)state;
    enum { N = 50 };
    int first[N], same[4] = {0};
    order o = order_of(N, 3, 1), again = order_of(N, 3, 1), seed = order_of(N, 4, 1),
          round = order_of(N, 3, 2);
    for (int i = 0; i < N; i++) {
        first[i] = order_next(&o);
        same[0] += order_next(&again) == first[i];
        same[1] += order_next(&seed) == first[i];
        same[2] += order_next(&round) == first[i];
    }
    for (int i = 0; i < N; i++) same[3] += order_next(&o) == first[i];
    assert_int_equal(same[0], N);
    for (int i = 1; i < 4; i++) assert_true(same[i] < N / 4);
    order_free(&o);
    order_free(&again);
    order_free(&seed);
    order_free(&round);
}

/* From every cursor a resumed run goes on as the undisturbed one. */
static void test_seeking_is_resuming(void **state) {
    (void)state;
    enum { N = 7, ALL = 3 * N };
    order o = order_of(N, 9, 0);
    int want[ALL], epoch[ALL + 1], next[ALL + 1];
    for (int i = 0; i < ALL; i++) {
        epoch[i] = o.epoch;
        next[i] = o.next;
        want[i] = order_next(&o);
    }
    for (int from = 0; from < ALL; from++) {
        order resumed = order_of(N, 9, 0);
        order_seek(&resumed, epoch[from], next[from]);
        for (int i = from; i < ALL; i++) assert_int_equal(order_next(&resumed), want[i]);
        assert_int_equal(resumed.epoch, o.epoch);
        assert_int_equal(resumed.next, o.next);
        order_free(&resumed);
    }
    order_free(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_tokens),
        cmocka_unit_test(test_several_sequences),
        cmocka_unit_test(test_an_epoch_is_a_permutation),
        cmocka_unit_test(test_an_order_has_its_key),
        cmocka_unit_test(test_seeking_is_resuming),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
