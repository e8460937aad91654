/* The measured peak that shares are told of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/ops/ops.h"

static void test_peak_is_measured_once(void **state) {
    (void)state;
    device *dev;
    error err = {0};
    assert_int_equal(device_open_cpu(1, &dev, &err), STATUS_OK);
    double peak = device_peak_flops(dev, TYPE_F32);
    /* At most two FMA of 16 lanes a cycle at 7 GHz; sanitizers make it slow. */
    assert_true(peak > 1e8 && peak < 7e9 * 2 * 16 * 2);
    assert_true(device_peak_flops(dev, TYPE_F32) == peak);
    device_close(dev);
}

static void test_far_memory_is_its_cpu(void **state) {
    (void)state;
    device *dev;
    error err = {0};
    assert_int_equal(device_open_far(1, 1, &dev, &err), STATUS_OK);
    double peak = device_peak_flops(dev, TYPE_F32);
    assert_true(peak > 1e8);
    assert_true(device_peak_flops(dev, TYPE_F32) == peak);
    device_close(dev);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_peak_is_measured_once),
                                       cmocka_unit_test(test_far_memory_is_its_cpu)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
