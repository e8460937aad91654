/* Win rates and their intervals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rlhf/eval_tally.h"

static void near(double got, double want) {
    if (!(fabs(got - want) < 1e-4)) fail_msg("%.6f, not %.6f", got, want);
}

/* One answer a side: wins, losses and ties. */
static eval_rate rate_of(int wins, int losses, int ties) {
    eval_tally t = {0};
    const float one = 1, two = 2;
    for (int i = 0; i < wins; i++) eval_tally_add(&t, &two, 1, &one, 1);
    for (int i = 0; i < losses; i++) eval_tally_add(&t, &one, 1, &two, 1);
    for (int i = 0; i < ties; i++) eval_tally_add(&t, &one, 1, &one, 1);
    return eval_tally_rate(&t);
}

/* Wilson (1927), by hand: 7 of 10 is [0.3968, 0.8922]; 10 of 10 is [1 / (1 + z^2 / 10), 1]. */
static void test_wilson(void **state) {
    (void)state;
    eval_rate r = rate_of(7, 3, 0);
    near(r.win, 0.7);
    near(r.low, 0.396780);
    near(r.high, 0.892208);
    near(r.tie, 0);
    r = rate_of(10, 0, 0);
    near(r.win, 1);
    near(r.low, 1 / (1 + 3.841459 / 10));
    near(r.high, 1);
    r = rate_of(0, 1, 0);
    near(r.low, 0);
    near(r.high, 3.841459 / (1 + 3.841459));
}

static void test_ties_count_half(void **state) {
    (void)state;
    eval_rate r = rate_of(2, 1, 3);
    near(r.win, 3.5 / 6);
    near(r.tie, 0.5);
    r = rate_of(0, 0, 8);
    near(r.win, 0.5);
    near(r.high - 0.5, 0.5 - r.low);
    near(r.high, 0.5 + 1.959964 / sqrt(8 + 3.841459) / 2);
}

/* Four copies of an answer tell no more than one: the prompts are what was drawn. */
static void test_copies_tell_nothing(void **state) {
    (void)state;
    eval_tally t = {0};
    const float low[] = {1, 1, 1, 1}, high[] = {2, 2, 2, 2};
    for (int i = 0; i < 10; i++) eval_tally_add(&t, i < 7 ? high : low, 4, i < 7 ? low : high, 4);
    eval_rate r = eval_tally_rate(&t), single = rate_of(7, 3, 0);
    near(r.low, single.low);
    near(r.high, single.high);
}

/* Answers that differ within each prompt and nowhere between prompts tell as much as they are many. */
static void test_answers_tell(void **state) {
    (void)state;
    eval_tally t = {0};
    const float a[] = {1, 4}, b[] = {2, 3, 5};
    for (int i = 0; i < 5; i++) eval_tally_add(&t, a, 2, b, 3);
    eval_rate r = eval_tally_rate(&t);
    near(r.win, 2.0 / 6);
    double n = 10, p = 2.0 / 6, z = 1.959964, scale = 1 + z * z / n;
    near(r.low, (p + z * z / 2 / n - z * sqrt(p * (1 - p) / n + z * z / 4 / n / n)) / scale);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_wilson), cmocka_unit_test(test_ties_count_half),
                                       cmocka_unit_test(test_copies_tell_nothing),
                                       cmocka_unit_test(test_answers_tell)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
