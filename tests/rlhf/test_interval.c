/* 95 % intervals: against numbers worked out elsewhere, and at the ends. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rlhf/interval.h"
#include "tests/support/golden.h"

static void test_wilson(void **state) {
    (void)state;
    interval v = interval_wilson(0.7, 10);
    assert_near(v.value, 0.7, 1e-12);
    assert_near(v.low, 0.396780, 1e-5);
    assert_near(v.high, 0.892208, 1e-5);
    v = interval_wilson(0, 5);
    assert_true(v.low == 0 && v.high > 0.4 && v.high < 0.5);
    v = interval_wilson(1, 5);
    assert_true(v.high == 1 && v.low > 0.5 && v.low < 0.6);
}

/* The first is the example of Newcombe 1998: 0.0569 to 0.3404. */
static void test_paired(void **state) {
    json_t *golden = golden_open("choices");
    const json_t *one;
    size_t i;
    (void)state;
    json_array_foreach(golden_get(golden, "pairs"), i, one) {
        int32_t t[4];
        assert_int_equal(golden_ints(one, "table", t), 4);
        interval v = interval_paired_difference(&(interval_pairs){t[0], t[1], t[2], t[3]});
        assert_near(v.value, golden_number(one, "difference"), 1e-12);
        assert_near(v.low, golden_number(one, "low"), 1e-9);
        assert_near(v.high, golden_number(one, "high"), 1e-9);
        /* The sides exchanged: the same with the other sign. */
        interval w = interval_paired_difference(&(interval_pairs){t[0], t[2], t[1], t[3]});
        assert_near(w.value, -v.value, 1e-12);
        assert_near(w.low, -v.high, 1e-9);
        assert_near(w.high, -v.low, 1e-9);
    }
    assert_true(i >= 6);
    json_decref(golden);
}

/* By hand: y / x = 1, 2, 3 of equal size: se^2 = 3 / 2 (1 + 0 + 1) / 9. */
static void test_ratio(void **state) {
    const double y[] = {2, 4, 6}, x[] = {2, 2, 2}, same[] = {4, 4, 4};
    (void)state;
    interval v = interval_ratio(3, y, x);
    assert_near(v.value, 2, 1e-12);
    assert_near(v.high - v.value, 1.959964 * sqrt(1.5 * 8 / 36), 1e-6);
    assert_near(v.value - v.low, v.high - v.value, 1e-12);
    v = interval_ratio(3, same, x);
    assert_true(v.low == 2 && v.high == 2);
    v = interval_ratio(1, y, x);
    assert_true(v.value == 1 && isnan(v.low) && isnan(v.high));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_wilson), cmocka_unit_test(test_paired),
                                       cmocka_unit_test(test_ratio)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
