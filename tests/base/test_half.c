/* The two 16-bit floats against their definitions, for every bit pattern. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/half.h"

/* (-1)^sign 2^(exponent - bias) 1.fraction, or without the 1 and with the least exponent. */
static double defined(uint16_t x, int exponent_bits) {
    int fraction_bits = 15 - exponent_bits, most = (1 << exponent_bits) - 1, bias = most / 2;
    int exponent = x >> fraction_bits & most, fraction = x & ((1 << fraction_bits) - 1);
    double size = exponent == most && fraction ? (double)NAN
                  : exponent == most           ? (double)INFINITY
                  : exponent ? ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits)
                             : ldexp(fraction, 1 - bias - fraction_bits);
    return x & 0x8000 ? -size : size;
}

static void assert_same(float got, double want, unsigned pattern) {
    if (isnan(want) ? !isnan(got) : ((double)got != want || !signbit(got) != !signbit(want)))
        fail_msg("pattern %04x: %a, wanted %a", pattern, (double)got, want);
}

static void every_pattern_is_widened_exactly(void **state) {
    (void)state;
    for (unsigned x = 0; x < 65536; x++) {
        assert_same(f16_to_f32((uint16_t)x), defined((uint16_t)x, 5), x);
        assert_same(bf16_to_f32((uint16_t)x), defined((uint16_t)x, 8), x);
    }
}

/* Between two neighbours: the nearer one, and in the middle the one whose last bit is 0. */
static void assert_rounds(unsigned x, int exponent_bits, uint16_t (*narrow)(float)) {
    double a = defined((uint16_t)x, exponent_bits), b = defined((uint16_t)(x + 1), exponent_bits);
    if (isinf(b)) b = 2 * a - defined((uint16_t)(x - 1), exponent_bits); /* where the next one would be */
    float middle = (float)((a + b) / 2);
    float below = nextafterf(middle, (float)a), above = nextafterf(middle, (float)b);
    assert_int_equal(narrow((float)a), x);
    assert_int_equal(narrow(middle), x & 1 ? x + 1 : x);
    assert_int_equal(narrow(below), x);
    assert_int_equal(narrow(above), x + 1);
}

static void narrowing_goes_to_the_nearest(void **state) {
    (void)state;
    for (unsigned sign = 0; sign <= 0x8000; sign += 0x8000) {
        for (unsigned x = 0; x < 0x7c00; x++) assert_rounds(sign | x, 5, f16_from_f32);
        for (unsigned x = 0; x < 0x7f80; x++) assert_rounds(sign | x, 8, bf16_from_f32);
    }
}

static void beyond_the_range(void **state) {
    (void)state;
    assert_int_equal(f16_from_f32(65504), 0x7bff);
    assert_int_equal(f16_from_f32(65520), 0x7c00);
    assert_int_equal(f16_from_f32(-1e30f), 0xfc00);
    assert_int_equal(f16_from_f32(INFINITY), 0x7c00);
    assert_int_equal(f16_from_f32(1e-30f), 0);
    assert_int_equal(f16_from_f32(-0.0f), 0x8000);
    assert_int_equal(bf16_from_f32(3.4e38f), 0x7f80);
    assert_true(isnan(f16_to_f32(f16_from_f32(NAN))));
    assert_true(isnan(bf16_to_f32(bf16_from_f32(NAN))));
    uint32_t bits = 0xff800001; /* a NaN whose fraction would be cut to 0, which is infinity's */
    float x;
    memcpy(&x, &bits, sizeof x);
    assert_true(isnan(bf16_to_f32(bf16_from_f32(x))));
    assert_int_equal(f16_from_f32(x), 0xfe00);
}

static void arrays_do_the_same(void **state) {
    (void)state;
    char bytes[1 + 2 * sizeof(uint16_t)] = {0};
    uint16_t half[2] = {f16_from_f32(1.5f), f16_from_f32(-7)}, back[2];
    float wide[2];
    memcpy(bytes + 1, half, sizeof half);
    f16_widen(bytes + 1, 2, wide);
    assert_true(wide[0] == 1.5f && wide[1] == -7);
    f16_narrow(wide, 2, back);
    assert_memory_equal(back, half, sizeof half);
    bf16_narrow(wide, 2, back);
    memcpy(bytes + 1, back, sizeof back);
    bf16_widen(bytes + 1, 2, wide);
    assert_true(wide[0] == 1.5f && wide[1] == -7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pattern_is_widened_exactly),
        cmocka_unit_test(narrowing_goes_to_the_nearest),
        cmocka_unit_test(beyond_the_range),
        cmocka_unit_test(arrays_do_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
