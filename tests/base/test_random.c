/* Philox against the vectors published with Random123 (kat_vectors). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/random.h"

static void test_known_answers(void **state) {
    (void)state;
    uint32_t x[4];
    random_block((random_key){{0, 0}}, 0, 0, 0, x);
    const uint32_t zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    assert_memory_equal(x, zero, sizeof x);
    random_block((random_key){{0xffffffff, 0xffffffff}}, UINT64_MAX, 0xffffffff, 0xffffffff, x);
    const uint32_t ones[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    assert_memory_equal(x, ones, sizeof x);
    random_block((random_key){{0xa4093822, 0x299f31d0}}, 0x85a308d3243f6a88u, 0x13198a2e, 0x03707344, x);
    const uint32_t pi[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    assert_memory_equal(x, pi, sizeof x);
}

static void test_uniform_never_reaches_its_ends(void **state) {
    (void)state;
    assert_true(random_uniform(0) > 0);
    assert_true(random_uniform(UINT32_MAX) < 1);
}

static void test_permutation_is_one(void **state) {
    (void)state;
    int32_t order[1000];
    int seen[1000] = {0}, moved = 0;
    random_permutation(random_make_key(7, RANDOM_SHUFFLE, 0, 3), 1000, order);
    for (int i = 0; i < 1000; i++) {
        assert_in_range(order[i], 0, 999);
        assert_int_equal(seen[order[i]]++, 0);
        moved += order[i] != i;
    }
    assert_true(moved > 900);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_uniform_never_reaches_its_ends),
        cmocka_unit_test(test_permutation_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
