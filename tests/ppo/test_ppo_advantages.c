/* Generalised advantage estimation, whitening and explained variance. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/random.h"
#include "core/train/moments.h"
#include "ppo/advantages.h"
#include "ppo/rewards.h"
#include "tests/support/golden.h"

static void test_golden(void **state) {
    (void)state;
    json_t *golden = golden_open("ppo"), *c;
    size_t i;
    json_array_foreach(golden_get(golden, "advantages"), i, c) {
        float reward[GOLDEN_MAX], value[GOLDEN_MAX], advantage[GOLDEN_MAX], target[GOLDEN_MAX];
        double want_advantage[GOLDEN_MAX], want_target[GOLDEN_MAX];
        int n = golden_floats(c, "reward", reward);
        golden_floats(c, "value", value);
        golden_doubles(c, "advantage", want_advantage);
        golden_doubles(c, "value_target", want_target);
        ppo_advantages(n, reward, value, (float)golden_number(c, "gamma"), (float)golden_number(c, "lam"),
                       advantage, target);
        assert_all_near(advantage, want_advantage, n, 1e-6);
        assert_all_near(target, want_target, n, 1e-6);
    }
    json_decref(golden);
}

/* An answer of three tokens, from log-probabilities to advantages; beta 0.1, gamma 1, lambda 1/2, score 1.
       log pi_old  -1    -2    -3           k       0.5    0     -1
       log pi_ref  -1.5  -2    -2           reward  -0.05  0     0.1 + 1 = 1.1
       V            0.2   0.4   0.6
       delta_3 = 1.1 - 0.6 = 0.5            A_3 = 0.5                       R_3 = 1.1
       delta_2 = 0 + 0.6 - 0.4 = 0.2        A_2 = 0.2 + 0.5 / 2 = 0.45      R_2 = 0.85
       delta_1 = -0.05 + 0.4 - 0.2 = 0.15   A_1 = 0.15 + 0.45 / 2 = 0.375   R_1 = 0.575 */
static void test_three_tokens_by_hand(void **state) {
    (void)state;
    const float old[3] = {-1, -2, -3}, reference[3] = {-1.5f, -2, -2}, value[3] = {0.2f, 0.4f, 0.6f};
    float reward[3], advantage[3], target[3];
    ppo_rewards(3, old, reference, 1, 0.1, reward);
    assert_all_near(reward, (const double[]){-0.05, 0, 1.1}, 3, 1e-6);
    ppo_advantages(3, reward, value, 1, 0.5f, advantage, target);
    assert_all_near(advantage, (const double[]){0.375, 0.45, 0.5}, 3, 1e-6);
    assert_all_near(target, (const double[]){0.575, 0.85, 1.1}, 3, 1e-6);
}

/* A one-token answer has A = score - beta k - V for any lambda. */
static void test_one_token(void **state) {
    (void)state;
    const float old = -0.75f, reference = -1.25f, value = 0.375f;
    float reward, advantage, target;
    ppo_rewards(1, &old, &reference, 2, 0.125, &reward);
    for (float lambda = 0; lambda <= 1; lambda += 0.25f) {
        ppo_advantages(1, &reward, &value, 1, lambda, &advantage, &target);
        assert_true(advantage == 2 - 0.125f * 0.5f - 0.375f);
        assert_true(target == reward);
    }
}

static void fill_normal(uint32_t step, int n, float scale, float shift, float *x) {
    random_normal(random_make_key(11, RANDOM_TEST, 0, step), (size_t)n, x);
    for (int i = 0; i < n; i++) x[i] = x[i] * scale + shift;
}

/* gamma = lambda = 1: A_t is what is still to come, less what was foretold; lambda = 0: the one-step error.
 */
static void test_ends_of_lambda(void **state) {
    (void)state;
    enum { N = 200 };
    float reward[N], value[N], advantage[N], target[N];
    fill_normal(1, N, 1, 0, reward);
    fill_normal(2, N, 1, 0, value);
    ppo_advantages(N, reward, value, 1, 1, advantage, target);
    double rest = 0;
    for (int t = N - 1; t >= 0; t--) {
        rest += reward[t];
        assert_near(advantage[t], rest - value[t], 1e-6);
        assert_near(target[t], rest, 1e-6);
    }
    ppo_advantages(N, reward, value, 0.5f, 0, advantage, target);
    for (int t = 0; t < N; t++)
        assert_near(advantage[t], reward[t] + (t < N - 1 ? 0.5 * value[t + 1] : 0) - value[t], 1e-6);
}

/* Values that are right make every advantage 0. */
static void test_perfect_values(void **state) {
    (void)state;
    const float reward[4] = {0.5f, -0.25f, 1, 2}, value[4] = {3.25f, 2.75f, 3, 2};
    float advantage[4], target[4];
    ppo_advantages(4, reward, value, 1, 0.95f, advantage, target);
    for (int t = 0; t < 4; t++) assert_true(advantage[t] == 0 && target[t] == value[t]);
}

static void test_empty_and_broken_episodes(void **state) {
    (void)state;
    ppo_advantages(0, NULL, NULL, 1, 1, NULL, NULL);
    float advantage[3], target[3];
    ppo_advantages(3, (const float[]){0, NAN, 1}, (const float[]){0, 0, 0}, 1, 1, advantage, target);
    assert_true(isnan(advantage[0]) && isnan(advantage[1]) && advantage[2] == 1);
}

static void test_golden_whitening(void **state) {
    (void)state;
    json_t *golden = golden_open("ppo"), *c;
    size_t i;
    json_array_foreach(golden_get(golden, "whiten"), i, c) {
        float x[GOLDEN_MAX], y[GOLDEN_MAX];
        double want[GOLDEN_MAX];
        int n = golden_floats(c, "x", x);
        memcpy(y, x, sizeof x);
        golden_doubles(c, "whitened", want);
        ppo_whiten(n, x, 0);
        assert_all_near(x, want, n, 1e-6);
        golden_doubles(c, "with_mean", want);
        ppo_whiten(n, y, 1);
        assert_all_near(y, want, n, 1e-6);
    }
    json_decref(golden);
}

/* Mean 0 and std sqrt(var / (var + 1e-8)), however small the spread or large the mean. */
static void test_whitening(void **state) {
    (void)state;
    enum { N = 5000 };
    static float x[N];
    const float scale[] = {1, 100, 1e-3f, 1e-5f}, shift[] = {0, 1, -50};
    for (int s = 0; s < 4; s++)
        for (int m = 0; m < 3; m++) {
            fill_normal(3, N, scale[s], shift[m], x);
            struct moments before = moments_of(N, x);
            ppo_whiten(N, x, 0);
            struct moments after = moments_of(N, x);
            assert_true(fabs(after.mean) < 1e-6);
            assert_true(fabs(sqrt(after.variance) - sqrt(before.variance / (before.variance + 1e-8))) < 1e-6);
        }
}

static void test_whitening_a_constant(void **state) {
    (void)state;
    const float constant[] = {0, 0.1f, -3e7f, 1e-30f, 12345.678f};
    static float x[100001];
    for (int c = 0; c < 5; c++)
        for (int n = 1; n <= 100001; n = n * 10 + 1) {
            for (int i = 0; i < n; i++) x[i] = constant[c];
            ppo_whiten(n, x, 0);
            for (int i = 0; i < n; i++) assert_true(fabsf(x[i]) < 1e-9f);
        }
    float same[3] = {0.1f, 0.1f, 0.1f};
    ppo_whiten(3, same, 1);
    assert_true(same[0] == 0.1f && same[2] == 0.1f);
    ppo_whiten(0, NULL, 0);
}

static void test_explained_variance(void **state) {
    (void)state;
    json_t *golden = golden_open("ppo");
    const json_t *c = json_array_get(golden_get(golden, "explained_variance"), 0);
    float value[GOLDEN_MAX], target[GOLDEN_MAX];
    int n = golden_floats(c, "value", value);
    golden_floats(c, "value_target", target);
    assert_near(ppo_explained_variance(n, value, target), golden_number(c, "explained_variance"), 1e-6);
    assert_true(ppo_explained_variance(n, target, target) == 1);
    assert_true(isnan(ppo_explained_variance(2, (const float[]){1, 2}, (const float[]){3, 3})));
    assert_true(isnan(ppo_explained_variance(0, NULL, NULL)));
    json_decref(golden);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_three_tokens_by_hand),
        cmocka_unit_test(test_one_token),
        cmocka_unit_test(test_ends_of_lambda),
        cmocka_unit_test(test_perfect_values),
        cmocka_unit_test(test_empty_and_broken_episodes),
        cmocka_unit_test(test_golden_whitening),
        cmocka_unit_test(test_whitening),
        cmocka_unit_test(test_whitening_a_constant),
        cmocka_unit_test(test_explained_variance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
