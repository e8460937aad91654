/* Scores, per-token rewards and the KL controller. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ppo/controller.h"
#include "ppo/rewards.h"
#include "tests/support/golden.h"

static void test_golden_scores(void **state) {
    (void)state;
    json_t *golden = golden_open("ppo"), *c;
    size_t i;
    json_array_foreach(golden_get(golden, "score"), i, c) {
        const char *name = golden_string(c, "rule");
        struct ppo_score_rule rule = {
            .unfinished = strcmp(name, "replace") == 0    ? PPO_UNFINISHED_REPLACE
                          : strcmp(name, "subtract") == 0 ? PPO_UNFINISHED_SUBTRACT
                                                          : PPO_UNFINISHED_KEEP,
            .unfinished_score = (float)golden_number(c, "amount"),
            .clip = (float)golden_number(c, "clip"),
        };
        float got = ppo_score(&rule, (float)golden_number(c, "score"), (int)golden_number(c, "finished"));
        assert_near(got, golden_number(c, "out"), 1e-6);
    }
    json_decref(golden);
}

static void test_golden_rewards(void **state) {
    (void)state;
    json_t *golden = golden_open("ppo"), *c;
    size_t i;
    json_array_foreach(golden_get(golden, "rewards"), i, c) {
        float logprob[GOLDEN_MAX], reference[GOLDEN_MAX], reward[GOLDEN_MAX];
        double want[GOLDEN_MAX];
        int n = golden_floats(c, "logprob", logprob);
        golden_floats(c, "logprob_ref", reference);
        golden_doubles(c, "reward", want);
        ppo_rewards(n, logprob, reference, (float)golden_number(c, "score"), golden_number(c, "kl_coef"),
                    reward);
        assert_all_near(reward, want, n, 1e-6);
        struct ppo_kl kl = {0};
        ppo_kl_add(&kl, n, logprob, reference);
        assert_near(kl.k1, golden_number(c, "k1"), 1e-6);
        assert_near(kl.k3, golden_number(c, "k3"), 1e-6);
    }
    json_decref(golden);
}

/* Before the first update policy and reference are the same bytes: no KL by either estimator, and nothing but
   the score in the rewards. */
static void test_equal_policies_have_no_kl(void **state) {
    (void)state;
    const float logprob[3] = {-0.1f, -2.7f, -11.3f};
    float reward[3];
    struct ppo_kl kl = {0};
    ppo_kl_add(&kl, 3, logprob, logprob);
    assert_true(kl.k1 == 0 && kl.k3 == 0);
    ppo_rewards(3, logprob, logprob, 0.7f, 0.02, reward);
    assert_true(reward[0] == 0 && reward[1] == 0 && reward[2] == 0.7f);
    assert_false(signbit(reward[0]));
}

static void test_k3_is_never_negative(void **state) {
    (void)state;
    for (float k = -8; k <= 8; k += 0.03125f) {
        struct ppo_kl kl = {0};
        ppo_kl_add(&kl, 1, &k, (const float[]){0});
        assert_true(kl.k3 >= 0);
    }
}

static void test_one_token(void **state) {
    (void)state;
    float reward;
    ppo_rewards(1, (const float[]){-1}, (const float[]){-3}, 0.5f, 0.25, &reward);
    assert_true(reward == 0.0f); /* 0.5 - 0.25 x 2 */
}

static void test_not_a_number_stays_one(void **state) {
    (void)state;
    const struct ppo_score_rule rule = {PPO_UNFINISHED_REPLACE, -1, 2};
    assert_true(isnan(ppo_score(&rule, NAN, 1)));
    assert_true(ppo_score(&rule, NAN, 0) == -1); /* what is replaced does not matter */
    assert_true(ppo_score(&rule, INFINITY, 1) == 2);
    float reward[2];
    ppo_rewards(2, (const float[]){NAN, 0}, (const float[]){0, 0}, 1, 0.1, reward);
    assert_true(isnan(reward[0]) && reward[1] == 1);
}

static void test_golden_controller(void **state) {
    (void)state;
    json_t *golden = golden_open("ppo");
    const json_t *c = json_array_get(golden_get(golden, "controller"), 0);
    double kl[GOLDEN_MAX], want[GOLDEN_MAX];
    int n = golden_doubles(c, "kl", kl);
    golden_doubles(c, "kl_coef", want);
    struct ppo_controller adaptive = {golden_number(c, "start"), 1, golden_number(c, "target"),
                                      golden_number(c, "horizon")};
    struct ppo_controller fixed = adaptive;
    fixed.adaptive = 0;
    for (int i = 0; i < n; i++) {
        ppo_controller_update(&adaptive, kl[i], (int64_t)golden_number(c, "n_episode"));
        ppo_controller_update(&fixed, kl[i], (int64_t)golden_number(c, "n_episode"));
        assert_near(adaptive.kl_coef, want[i], 1e-12);
        assert_true(fixed.kl_coef == golden_number(c, "start"));
    }
    json_decref(golden);
}

/* The pull is bounded however far the KL is off, is 0 on the target, and has the right sign. */
static void test_controller_steers(void **state) {
    (void)state;
    struct ppo_controller far = {1, 1, 6, 1000}, farther = far, there = far, below = far;
    ppo_controller_update(&far, 60, 100);
    ppo_controller_update(&farther, 6e9, 100);
    ppo_controller_update(&there, 6, 100);
    ppo_controller_update(&below, -3, 100); /* the k1 estimate of a KL may be negative */
    assert_true(far.kl_coef == farther.kl_coef);
    assert_near(far.kl_coef, 1.02, 1e-12);
    assert_true(there.kl_coef == 1);
    assert_near(below.kl_coef, 0.98, 1e-12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_scores),
        cmocka_unit_test(test_golden_rewards),
        cmocka_unit_test(test_equal_policies_have_no_kl),
        cmocka_unit_test(test_k3_is_never_negative),
        cmocka_unit_test(test_one_token),
        cmocka_unit_test(test_not_a_number_stays_one),
        cmocka_unit_test(test_golden_controller),
        cmocka_unit_test(test_controller_steers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
