/* Accuracy, calibration and normalisation of a reward model. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "reward/accuracy.h"
#include "reward/normalise.h"
#include "tests/support/golden.h"

static void test_golden(void **state) {
    (void)state;
    json_t *golden = golden_open("reward"), *e;
    const json_t *c = json_array_get(golden_get(golden, "accuracy"), 0);
    struct reward_accuracy counts = {0};
    size_t i;
    json_array_foreach(golden_get(c, "elements"), i, e) {
        float score[GOLDEN_MAX];
        int32_t rank[GOLDEN_MAX];
        int k = golden_floats(e, "score", score);
        golden_ints(e, "rank", rank);
        reward_accuracy_add(&counts, k, score, rank);
    }
    assert_near(reward_accuracy_share(&counts), golden_number(c, "accuracy"), 1e-6);
    assert_near(reward_accuracy_margin(&counts), golden_number(c, "margin"), 1e-6);
    assert_near(reward_accuracy_calibration_error(&counts), golden_number(c, "calibration_error"), 1e-6);
    const json_t *gaps = golden_get(c, "at_gap");
    for (int gap = 1; gap <= 7; gap++) {
        const json_t *want = json_array_get(gaps, (size_t)gap - 1);
        double got = reward_accuracy_at_gap(&counts, gap);
        if (json_is_null(want))
            assert_true(isnan(got));
        else
            assert_near(got, json_number_value(want), 1e-6);
    }
    json_decref(golden);
}

/* Ranks 1, 2, 3 with scores 2, 0, 1: the pairs (1,2) and (1,3) are right by 2 and 1, (2,3) is wrong by 1. So
   2/3 are right, the mean margin is (2 + 1 - 1) / 3, gap 1 has one of two right and gap 2 its only one. */
static void test_three_answers_by_hand(void **state) {
    (void)state;
    struct reward_accuracy counts = {0};
    reward_accuracy_add(&counts, 3, (const float[]){2, 0, 1}, (const int32_t[]){1, 2, 3});
    assert_near(reward_accuracy_share(&counts), 2.0 / 3, 1e-12);
    assert_near(reward_accuracy_margin(&counts), 2.0 / 3, 1e-12);
    assert_near(reward_accuracy_at_gap(&counts, 1), 0.5, 1e-12);
    assert_near(reward_accuracy_at_gap(&counts, 2), 1, 1e-12);
    assert_true(isnan(reward_accuracy_at_gap(&counts, 3)));
}

static void test_equal_scores_are_wrong(void **state) {
    (void)state;
    struct reward_accuracy counts = {0};
    reward_accuracy_add(&counts, 2, (const float[]){1, 1}, (const int32_t[]){2, 1});
    assert_true(reward_accuracy_share(&counts) == 0);
    assert_true(reward_accuracy_calibration_error(&counts) ==
                0); /* one half was foretold, and is what it is */
    reward_accuracy_add(&counts, 2, (const float[]){NAN, 1}, (const int32_t[]){1, 2});
    assert_int_equal(counts.n_pair, 2);
    assert_int_equal(counts.n_right, 0);
    assert_true(isnan(reward_accuracy_margin(&counts)));
}

/* Scores that differ by ln 3 claim to be right in 3 of 4 cases. */
static void test_calibration(void **state) {
    (void)state;
    const float score[2] = {1.0986123f, 0};
    const int32_t right[2] = {1, 2}, wrong[2] = {2, 1};
    struct reward_accuracy honest = {0}, boastful = {0};
    for (int i = 0; i < 4; i++) {
        reward_accuracy_add(&honest, 2, score, i < 3 ? right : wrong);
        reward_accuracy_add(&boastful, 2, score, i < 1 ? right : wrong);
    }
    assert_true(reward_accuracy_calibration_error(&honest) < 1e-6);
    assert_near(reward_accuracy_calibration_error(&boastful), 0.5, 1e-6);
    struct reward_accuracy sure = {0};
    reward_accuracy_add(&sure, 2, (const float[]){3e38f, -3e38f}, right);
    assert_true(reward_accuracy_calibration_error(&sure) == 0);
}

static void test_no_pairs(void **state) {
    (void)state;
    struct reward_accuracy counts = {0};
    reward_accuracy_add(&counts, 3, (const float[]){1, 2, 3}, (const int32_t[]){1, 1, 1});
    reward_accuracy_add(&counts, 1, (const float[]){1}, (const int32_t[]){1});
    reward_accuracy_add(&counts, 0, NULL, NULL);
    assert_int_equal(counts.n_pair, 0);
    assert_true(isnan(reward_accuracy_share(&counts)));
    assert_true(isnan(reward_accuracy_margin(&counts)));
    assert_true(isnan(reward_accuracy_at_gap(&counts, 1)));
    assert_true(isnan(reward_accuracy_calibration_error(&counts)));
}

static void test_large_gaps_share_the_last_place(void **state) {
    (void)state;
    struct reward_accuracy counts = {0};
    reward_accuracy_add(&counts, 2, (const float[]){1, 0}, (const int32_t[]){INT32_MIN, INT32_MAX});
    reward_accuracy_add(&counts, 2, (const float[]){1, 0}, (const int32_t[]){1, 1 + REWARD_GAPS});
    assert_int_equal(counts.gap_pair[REWARD_GAPS - 1], 2);
}

static void test_normalise(void **state) {
    (void)state;
    json_t *golden = golden_open("reward");
    const json_t *c = json_array_get(golden_get(golden, "normalise"), 0);
    float score[GOLDEN_MAX], mean = -1, std = -1;
    int n = golden_floats(c, "score", score);
    error err;
    assert_int_equal(reward_normalise_fit(REWARD_NORMALISE_MEAN_STD, n, score, &mean, &std, &err), STATUS_OK);
    assert_near(mean, golden_number(c, "mean"), 1e-6);
    assert_near(std, golden_number(c, "std"), 1e-6);
    assert_int_equal(reward_normalise_fit(REWARD_NORMALISE_MEAN, n, score, &mean, &std, &err), STATUS_OK);
    assert_near(mean, golden_number(c, "mean"), 1e-6);
    assert_true(std == 1);
    assert_int_equal(reward_normalise_fit(REWARD_NORMALISE_NONE, 0, NULL, &mean, &std, &err), STATUS_OK);
    assert_true(mean == 0 && std == 1);
    json_decref(golden);
}

static void test_normalise_refuses(void **state) {
    (void)state;
    float mean = 7, std = 7;
    error err;
    assert_int_equal(reward_normalise_fit(REWARD_NORMALISE_MEAN, 0, NULL, &mean, &std, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "no scores"));
    const float equal[3] = {2.5f, 2.5f, 2.5f}, broken[3] = {1, NAN, 2};
    assert_int_equal(reward_normalise_fit(REWARD_NORMALISE_MEAN_STD, 3, equal, &mean, &std, &err),
                     STATUS_DATA);
    assert_non_null(strstr(err.message, "all 3 scores are 2.5"));
    assert_int_equal(reward_normalise_fit(REWARD_NORMALISE_MEAN, 3, broken, &mean, &std, &err),
                     STATUS_FAILED);
    assert_non_null(strstr(err.message, "score 2 of 3 is nan"));
    assert_true(mean == 7 && std == 7);
    assert_int_equal(reward_normalise_fit(REWARD_NORMALISE_MEAN, 3, equal, &mean, &std, &err), STATUS_OK);
    assert_true(mean == 2.5f && std == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_three_answers_by_hand),
        cmocka_unit_test(test_equal_scores_are_wrong),
        cmocka_unit_test(test_calibration),
        cmocka_unit_test(test_no_pairs),
        cmocka_unit_test(test_large_gaps_share_the_last_place),
        cmocka_unit_test(test_normalise),
        cmocka_unit_test(test_normalise_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
