/* The clipped objective of the policy, the clipped loss of the values, and PPO-ptx. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/random.h"
#include "ppo/objective.h"
#include "tests/support/golden.h"

static void test_golden_policy(void **state) {
    (void)state;
    json_t *golden = golden_open("ppo"), *c;
    size_t i;
    json_array_foreach(golden_get(golden, "policy"), i, c) {
        float logprob[GOLDEN_MAX], old[GOLDEN_MAX], advantage[GOLDEN_MAX], dlogprob[GOLDEN_MAX];
        double want[GOLDEN_MAX];
        int n = golden_floats(c, "logprob", logprob);
        golden_floats(c, "logprob_old", old);
        golden_floats(c, "advantage", advantage);
        golden_doubles(c, "dlogprob", want);
        const struct ppo_objective how = {.clip_low = (float)golden_number(c, "clip_low"),
                                          .clip_high = (float)golden_number(c, "clip_high")};
        struct ppo_policy_sums sums = {0};
        ppo_policy_loss(&how, n, logprob, old, advantage, 1.0 / n, dlogprob, &sums);
        assert_int_equal(sums.n_token, n);
        assert_near(sums.loss, golden_number(c, "loss"), 1e-6);
        assert_all_near(dlogprob, want, n, 1e-6);
        assert_near(sums.ratio / n, golden_number(c, "ratio_mean"), 1e-6);
        assert_near(sums.ratio_max, golden_number(c, "ratio_max"), 1e-6);
        assert_near((double)sums.n_clipped / n, golden_number(c, "clip_share"), 1e-6);
        assert_near(0.5 * sums.delta_squared / n, golden_number(c, "approx_kl"), 1e-6);
    }
    json_decref(golden);
}

static void test_golden_value(void **state) {
    (void)state;
    json_t *golden = golden_open("ppo"), *c;
    size_t i;
    json_array_foreach(golden_get(golden, "value"), i, c) {
        float value[GOLDEN_MAX], old[GOLDEN_MAX], target[GOLDEN_MAX], dvalue[GOLDEN_MAX];
        double want[GOLDEN_MAX];
        int n = golden_floats(c, "value", value);
        golden_floats(c, "value_old", old);
        golden_floats(c, "value_target", target);
        golden_doubles(c, "dvalue", want);
        const struct ppo_objective how = {.value_clip = (float)golden_number(c, "value_clip"),
                                          .vf_coef = (float)golden_number(c, "vf_coef")};
        struct ppo_value_sums sums = {0};
        ppo_value_loss(&how, n, value, old, target, 1.0 / n, dvalue, &sums);
        assert_near(sums.loss, golden_number(c, "loss"), 1e-6);
        assert_all_near(dvalue, want, n, 1e-6);
        assert_near((double)sums.n_clipped / n, golden_number(c, "clip_share"), 1e-6);
    }
    json_decref(golden);
}

/* Three tokens with ratios 3/2, 3/2, 1 and advantages 1, -1, 2; clips at 0.8 and 1.2.
       token 1: max(-1.5, -1.2) = -1.2, held: it rose enough, no gradient
       token 2: max(1.5, 1.2) = 1.5: it rose and should not have, gradient -A ratio = 1.5
       token 3: -2, gradient -2
   loss = (-1.2 + 1.5 - 2) / 3 = -17/30; each gradient is divided by 3. Values 1, 2, 3, old 1, 1, 2, returns
   0, 3, 4, clip 1/2, vf_coef 1: held values 1, 1.5, 2.5; squares (1, 1), (1, 2.25), (1, 2.25): loss = (1
   + 2.25 + 2.25) / 6, the second and third are held (no gradient), the first pulls with (1 - 0) / 3. */
static void test_three_tokens_by_hand(void **state) {
    (void)state;
    const struct ppo_objective how = {0.2f, 0.2f, 0.5f, 1};
    const float old[3] = {-2, -3, -1}, advantage[3] = {1, -1, 2};
    const float logprob[3] = {-2 + 0.40546511f, -3 + 0.40546511f, -1};
    float dlogprob[3], dvalue[3];
    struct ppo_policy_sums policy = {0};
    ppo_policy_loss(&how, 3, logprob, old, advantage, 1.0 / 3, dlogprob, &policy);
    assert_near(policy.loss, -17.0 / 30, 1e-6);
    assert_all_near(dlogprob, (const double[]){0, 0.5, -2.0 / 3}, 3, 1e-6);
    assert_int_equal(policy.n_clipped, 1);
    assert_near(policy.ratio / 3, 4.0 / 3, 1e-6);
    assert_near(policy.ratio_max, 1.5, 1e-6);
    struct ppo_value_sums value = {0};
    ppo_value_loss(&how, 3, (const float[]){1, 2, 3}, (const float[]){1, 1, 2}, (const float[]){0, 3, 4},
                   1.0 / 3, dvalue, &value);
    assert_near(value.loss, 5.5 / 6, 1e-6);
    assert_all_near(dvalue, (const double[]){1.0 / 3, 0, 0}, 3, 1e-6);
    assert_int_equal(value.n_clipped, 2);
}

enum { N = 300 };

/* Old and new log-probabilities, values and returns; none within 1e-3 of a bound, where there is no slope. */
static void fill(float *old, float *now, float *advantage) {
    random_normal(random_make_key(5, RANDOM_TEST, 0, 1), N, old);
    random_normal(random_make_key(5, RANDOM_TEST, 0, 2), N, now);
    random_normal(random_make_key(5, RANDOM_TEST, 0, 3), N, advantage);
    for (int t = 0; t < N; t++) {
        old[t] = -fabsf(old[t]) - 1;
        now[t] = old[t] + 0.2f * now[t];
        double ratio = exp((double)now[t] - old[t]);
        if (fabs(ratio - 0.8) < 1e-3 || fabs(ratio - 1.2) < 1e-3 || fabs(fabs(now[t] - old[t]) - 0.2) < 1e-3)
            now[t] = old[t] + 0.0625f;
    }
}

static void test_gradients_are_slopes(void **state) {
    (void)state;
    const struct ppo_objective how = {0.2f, 0.2f, 0.2f, 0.5f};
    static float old[N], now[N], third[N], dlogprob[N], dvalue[N];
    fill(old, now, third);
    struct ppo_policy_sums policy = {0};
    struct ppo_value_sums value = {0};
    ppo_policy_loss(&how, N, now, old, third, 1.0 / N, dlogprob, &policy);
    ppo_value_loss(&how, N, now, old, third, 1.0 / N, dvalue, &value);
    assert_in_range(policy.n_clipped, N / 20, N / 2);
    assert_in_range(value.n_clipped, N / 20, N / 2);
    for (int t = 0; t < N; t++) {
        float rest, at[2] = {now[t] - 0x1p-12f, now[t] + 0x1p-12f};
        double width = (double)at[1] - at[0];
        struct ppo_policy_sums p[2] = {{0}, {0}};
        struct ppo_value_sums v[2] = {{0}, {0}};
        for (int side = 0; side < 2; side++) {
            ppo_policy_loss(&how, 1, &at[side], &old[t], &third[t], 1.0 / N, &rest, &p[side]);
            ppo_value_loss(&how, 1, &at[side], &old[t], &third[t], 1.0 / N, &rest, &v[side]);
        }
        assert_near(dlogprob[t], (p[1].loss - p[0].loss) / width, 1e-4);
        assert_near(dvalue[t], (v[1].loss - v[0].loss) / width, 1e-4);
    }
}

/* Before the first step of an iteration nothing has moved: ratio exactly 1, nothing clipped, approximate KL
   0, and the gradient that of the plain policy gradient, -A/N. */
static void test_first_minibatch(void **state) {
    (void)state;
    const struct ppo_objective how = {0.2f, 0.2f, 0.2f, 1};
    static float old[N], now[N], advantage[N], dlogprob[N], dvalue[N];
    fill(old, now, advantage);
    struct ppo_policy_sums policy = {0};
    struct ppo_value_sums value = {0};
    ppo_policy_loss(&how, N, old, old, advantage, 1.0 / N, dlogprob, &policy);
    ppo_value_loss(&how, N, old, old, advantage, 1.0 / N, dvalue, &value);
    assert_true(policy.ratio == N && policy.ratio_max == 1);
    assert_true(policy.n_clipped == 0 && policy.delta_squared == 0);
    assert_true(value.n_clipped == 0);
    double mean = 0;
    for (int t = 0; t < N; t++) {
        mean += advantage[t] / (double)N;
        assert_near(dlogprob[t], -advantage[t] / (double)N, 1e-6);
    }
    assert_near(policy.loss, -mean, 1e-6);
}

/* However a minibatch is cut into micro-batches, sums and gradients are the same bits. */
static void test_cuts_leave_no_trace(void **state) {
    (void)state;
    const struct ppo_objective how = {0.2f, 0.2f, 0.2f, 0.1f};
    static float old[N], now[N], third[N], whole_gradient[2][N], gradient[2][N];
    fill(old, now, third);
    struct ppo_policy_sums policy = {0};
    struct ppo_value_sums value = {0};
    ppo_policy_loss(&how, N, now, old, third, 1.0 / N, whole_gradient[0], &policy);
    ppo_value_loss(&how, N, now, old, third, 1.0 / N, whole_gradient[1], &value);
    for (int cut = 1; cut < N; cut = cut * 2 + 1) {
        struct ppo_policy_sums p = {0};
        struct ppo_value_sums v = {0};
        for (int at = 0; at < N; at += cut) {
            int n = at + cut < N ? cut : N - at;
            ppo_policy_loss(&how, n, now + at, old + at, third + at, 1.0 / N, gradient[0] + at, &p);
            ppo_value_loss(&how, n, now + at, old + at, third + at, 1.0 / N, gradient[1] + at, &v);
        }
        assert_true(p.loss == policy.loss && p.ratio == policy.ratio && p.ratio_max == policy.ratio_max);
        assert_true(p.delta_squared == policy.delta_squared && p.n_clipped == policy.n_clipped);
        assert_true(v.loss == value.loss && v.n_clipped == value.n_clipped);
        assert_memory_equal(gradient, whole_gradient, sizeof gradient);
    }
}

static void test_hostile_numbers(void **state) {
    (void)state;
    const struct ppo_objective how = {0.2f, 0.2f, 0.2f, 1};
    float out = 7;
    struct ppo_policy_sums none = {0};
    ppo_policy_loss(&how, 0, NULL, NULL, NULL, 0, &out, &none);
    assert_true(out == 7 && none.loss == 0 && none.n_token == 0);
    const float x = NAN, zero = 0, one = 1;
    const float *bad[3][3] = {{&x, &zero, &one}, {&zero, &x, &one}, {&zero, &zero, &x}};
    for (int i = 0; i < 3; i++) {
        struct ppo_policy_sums p = {0};
        struct ppo_value_sums v = {0};
        ppo_policy_loss(&how, 1, bad[i][0], bad[i][1], bad[i][2], 1, &out, &p);
        assert_true(isnan(p.loss) && isnan(out));
        ppo_value_loss(&how, 1, bad[i][0], bad[i][1], bad[i][2], 1, &out, &v);
        assert_true(isnan(v.loss) || i == 1);
    }
    /* A token that became far likelier: held at 1.2 where that is welcome, without bound where it is not. */
    struct ppo_policy_sums welcome = {0}, feared = {0};
    ppo_policy_loss(&how, 1, &zero, (const float[]){-1000}, &one, 1, &out, &welcome);
    assert_near(welcome.loss, -1.2, 1e-6);
    assert_true(out == 0);
    ppo_policy_loss(&how, 1, &zero, (const float[]){-1000}, (const float[]){-1}, 1, &out, &feared);
    assert_true(isinf(feared.loss));
}

static void test_ptx(void **state) {
    (void)state;
    float dlogprob[3];
    ppo_ptx_gradient(3, 12, 27.75f, dlogprob);
    for (int r = 0; r < 3; r++) assert_near(dlogprob[r], -27.75 / 12, 1e-6);
    ppo_ptx_gradient(3, 0, 27.75f, dlogprob);
    assert_true(dlogprob[0] == 0 && dlogprob[2] == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_policy),        cmocka_unit_test(test_golden_value),
        cmocka_unit_test(test_three_tokens_by_hand), cmocka_unit_test(test_gradients_are_slopes),
        cmocka_unit_test(test_first_minibatch),      cmocka_unit_test(test_cuts_leave_no_trace),
        cmocka_unit_test(test_hostile_numbers),      cmocka_unit_test(test_ptx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
