/* The order of examples: epochs, mixtures by weight, and going on from a cursor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datasets/order.h"

enum { SEED = 5, ROUND = 2 };

static order mixture(const int *n, const int *weight, int files) {
    order o;
    error err;
    if (order_create_mixture(n, weight, files, SEED, RANDOM_SHUFFLE, ROUND, &o, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    return o;
}

static void test_epochs_are_permutations(void **state) {
    (void)state;
    enum { N = 101 };
    order o;
    error err;
    int32_t want[N];
    assert_int_equal(order_create(N, SEED, RANDOM_SHUFFLE, ROUND, &o, &err), STATUS_OK);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        random_permutation(random_make_key(SEED, RANDOM_SHUFFLE, ROUND, epoch), N, want);
        for (int i = 0; i < N; i++) assert_int_equal(order_next(&o), want[i]);
    }
    order_free(&o);
}

/* Which file an example is of. */
static int file_of(const int *n, int example) {
    int file = 0;
    for (; example >= n[file]; file++) example -= n[file];
    return file;
}

/* Each epoch has each file's share, and a file begins again only when all of it was used. */
static void check_mixture(const int *n, const int *weight, const int *share, int files) {
    enum { MOST = 1000, EPOCHS = 7 };
    int used[MOST] = {0}, total = 0, first[8] = {0};
    order o = mixture(n, weight, files);
    for (int f = 0; f < files; f++) first[f] = total, total += n[f];
    assert_int_equal(o.n, total);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        int drawn[8] = {0};
        for (int i = 0; i < total; i++) {
            int example = order_next(&o);
            assert_in_range(example, 0, total - 1);
            drawn[file_of(n, example)]++;
            used[example]++;
        }
        for (int f = 0; f < files; f++) {
            assert_int_equal(drawn[f], share[f]);
            int64_t places = (int64_t)(epoch + 1) * share[f];
            for (int i = first[f]; i < first[f] + n[f]; i++)
                assert_in_range(used[i], places / n[f], (places + n[f] - 1) / n[f]);
        }
    }
    order_free(&o);
}

static void test_mixtures(void **state) {
    (void)state;
    check_mixture((const int[]){300, 100}, (const int[]){1, 1}, (const int[]){200, 200}, 2);
    check_mixture((const int[]){300, 100}, (const int[]){3, 1}, (const int[]){300, 100}, 2);
    check_mixture((const int[]){10, 90}, (const int[]){9, 1}, (const int[]){90, 10}, 2);
    /* 100 places among 1 : 1 : 1; the largest remainders, the first file first. */
    check_mixture((const int[]){50, 25, 25}, (const int[]){1, 1, 1}, (const int[]){34, 33, 33}, 3);
    check_mixture((const int[]){5, 5}, (const int[]){1, 3}, (const int[]){3, 7}, 2);
    check_mixture((const int[]){1, 1, 998}, (const int[]){1000000, 999999, 1}, (const int[]){500, 500, 0}, 3);
    check_mixture((const int[]){17}, (const int[]){4}, (const int[]){17}, 1);
}

/* The files stand in a different order each epoch, and their examples too. */
static void test_mixtures_are_shuffled(void **state) {
    (void)state;
    enum { N = 400 };
    static const int n[] = {200, 200}, weight[] = {1, 1};
    int seen[2][N], same = 0, runs = 1;
    order o = mixture(n, weight, 2);
    for (int e = 0; e < 2; e++)
        for (int i = 0; i < N; i++) seen[e][i] = order_next(&o);
    for (int i = 0; i < N; i++) same += seen[0][i] == seen[1][i];
    for (int i = 1; i < N; i++) runs += file_of(n, seen[0][i]) != file_of(n, seen[0][i - 1]);
    assert_in_range(same, 0, 12);
    assert_in_range(runs, 150, 250);
    order_free(&o);
}

/* A cursor is all that a run needs to go on. */
static void test_going_on(void **state) {
    (void)state;
    static const int n[] = {30, 7, 60}, weight[] = {1, 5, 2};
    order whole = mixture(n, weight, 3), again = mixture(n, weight, 3);
    for (int i = 0; i < 500; i++) {
        if (i % 13 == 0) order_seek(&again, whole.epoch, whole.next);
        if (i % 29 == 0) {
            order_free(&again);
            again = mixture(n, weight, 3);
            order_seek(&again, whole.epoch, whole.next);
        }
        assert_int_equal(order_next(&whole), order_next(&again));
    }
    order_free(&whole);
    order_free(&again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs_are_permutations),
        cmocka_unit_test(test_mixtures),
        cmocka_unit_test(test_mixtures_are_shuffled),
        cmocka_unit_test(test_going_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
