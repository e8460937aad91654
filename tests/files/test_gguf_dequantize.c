/* Every block format against llama.cpp's own reader (tests/golden/gguf_blocks.py), bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/files/gguf_dequantize.h"
#include "tests/support/golden.h"

enum { N_TYPE = 64 };

static uint32_t type_of_name(const char *name) {
    for (uint32_t type = 0; type < N_TYPE; type++)
        if (gguf_format_of(type) && strcmp(gguf_format_of(type)->name, name) == 0) return type;
    fail_msg("no type %s", name);
    return 0;
}

static void blocks_stand_for_the_same_numbers(void **state) {
    (void)state;
    json_t *golden = golden_open("gguf_blocks"), *one;
    size_t k;
    int seen = 0;
    json_array_foreach(golden_get(golden, "formats"), k, one) {
        int32_t byte[GOLDEN_MAX], bits[GOLDEN_MAX], got[GOLDEN_MAX];
        uint8_t blocks[1 + GOLDEN_MAX];
        float out[GOLDEN_MAX];
        uint32_t type = type_of_name(golden_string(one, "type"));
        int size = golden_ints(one, "blocks", byte), n = golden_ints(one, "bits", bits);
        assert_int_equal(n / gguf_format_of(type)->elements * gguf_format_of(type)->bytes, size);
        for (int i = 0; i < size; i++) blocks[1 + i] = (uint8_t)byte[i];
        gguf_dequantize((gguf_type)type, blocks + 1, (size_t)n, out);
        memcpy(got, out, (size_t)n * sizeof *got);
        for (int i = 0; i < n; i++)
            if (got[i] != bits[i])
                fail_msg("%s: element %d is %a", golden_string(one, "type"), i, (double)out[i]);
        seen++;
    }
    json_decref(golden);
    assert_int_equal(seen, 10); /* all but F32 */
}

static void plain_numbers_are_copied(void **state) {
    (void)state;
    const float x[3] = {1, -2.5f, 1e-40f};
    char unaligned[1 + sizeof x];
    float out[3];
    memcpy(unaligned + 1, x, sizeof x);
    gguf_dequantize(GGUF_F32, unaligned + 1, 3, out);
    assert_memory_equal(out, x, sizeof x);
}

static void other_types_have_names_at_most(void **state) {
    (void)state;
    assert_null(gguf_format_of(10));
    assert_string_equal(gguf_type_name(10), "Q2_K");
    assert_string_equal(gguf_type_name(GGUF_Q4_K), "Q4_K");
    assert_null(gguf_type_name(4)); /* taken back by ggml */
    assert_null(gguf_type_name(1000));
    assert_null(gguf_format_of(UINT32_MAX));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_stand_for_the_same_numbers),
        cmocka_unit_test(plain_numbers_are_copied),
        cmocka_unit_test(other_types_have_names_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
