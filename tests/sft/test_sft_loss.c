/* The loss of pre-training and fine-tuning. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sft/loss.h"
#include "tests/support/golden.h"

static void test_golden(void **state) {
    (void)state;
    json_t *golden = golden_open("sft"), *c;
    size_t i;
    json_array_foreach(golden_get(golden, "loss"), i, c) {
        float logprob[GOLDEN_MAX], dlogprob[GOLDEN_MAX];
        int n = golden_floats(c, "logprob", logprob);
        struct sft_loss total = {0};
        sft_loss_add(&total, n, logprob);
        assert_near(sft_loss_mean(&total), golden_number(c, "loss"), 1e-6);
        assert_near(sft_loss_perplexity(sft_loss_mean(&total)), golden_number(c, "perplexity"), 1e-6);
        sft_loss_gradient(n, n, dlogprob);
        for (int r = 0; r < n; r++) assert_near(dlogprob[r], golden_number(c, "dlogprob"), 1e-6);
    }
    json_decref(golden);
}

/* Three target tokens with probabilities 1/2, 1/4 and 1/16: log p = -ln 2, -2 ln 2, -4 ln 2, their mean -7/3
   ln 2, so loss = 7/3 ln 2 = 1.6173434 and perplexity = 2^(7/3) = 5.0396842; each token pulls with -1/3. */
static void test_three_tokens_by_hand(void **state) {
    (void)state;
    const float logprob[3] = {-0.69314718f, -1.38629436f, -2.77258872f};
    float dlogprob[3];
    struct sft_loss total = {0};
    sft_loss_add(&total, 3, logprob);
    assert_near(sft_loss_mean(&total), 1.6173434, 1e-6);
    assert_near(sft_loss_perplexity(sft_loss_mean(&total)), 5.0396842, 1e-6);
    sft_loss_gradient(3, 3, dlogprob);
    for (int r = 0; r < 3; r++) assert_near(dlogprob[r], -1.0 / 3, 1e-6);
}

static void test_gradient_is_the_slope(void **state) {
    (void)state;
    float logprob[5] = {-0.5f, -2, -0.125f, -4, -1}, dlogprob[5];
    sft_loss_gradient(5, 5, dlogprob);
    for (int r = 0; r < 5; r++) {
        double loss[2];
        for (int side = 0; side < 2; side++) {
            float moved[5];
            for (int i = 0; i < 5; i++) moved[i] = logprob[i];
            moved[r] += side ? 0.0625f : -0.0625f;
            struct sft_loss total = {0};
            sft_loss_add(&total, 5, moved);
            loss[side] = sft_loss_mean(&total);
        }
        assert_near(dlogprob[r], (loss[1] - loss[0]) / 0.125, 1e-6);
    }
}

/* However the rows of a step are cut into micro-batches, the sum is the same bits. */
static void test_cuts_leave_no_trace(void **state) {
    (void)state;
    float logprob[1000];
    for (int i = 0; i < 1000; i++) logprob[i] = -1.0f / (float)(i % 37 + 3);
    struct sft_loss whole = {0};
    sft_loss_add(&whole, 1000, logprob);
    for (int cut = 1; cut < 1000; cut = cut * 3 + 1) {
        struct sft_loss pieces = {0};
        for (int at = 0; at < 1000; at += cut)
            sft_loss_add(&pieces, at + cut < 1000 ? cut : 1000 - at, logprob + at);
        assert_true(pieces.logprob == whole.logprob);
        assert_int_equal(pieces.n_target, 1000);
    }
}

static void test_nothing_to_learn(void **state) {
    (void)state;
    struct sft_loss none = {0};
    float untouched = 7, dlogprob[2] = {5, 5};
    sft_loss_add(&none, 0, NULL);
    assert_true(isnan(sft_loss_mean(&none)));
    sft_loss_gradient(0, 0, &untouched);
    assert_true(untouched == 7);
    sft_loss_gradient(2, 0, dlogprob);
    assert_true(dlogprob[0] == 0 && dlogprob[1] == 0);
    struct sft_loss broken = {0};
    sft_loss_add(&broken, 2, (const float[]){-1, NAN});
    assert_true(isnan(sft_loss_mean(&broken)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_three_tokens_by_hand),
        cmocka_unit_test(test_gradient_is_the_slope),
        cmocka_unit_test(test_cuts_leave_no_trace),
        cmocka_unit_test(test_nothing_to_learn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
