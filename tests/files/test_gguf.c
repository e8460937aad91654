#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/files/gguf.h"
#include "tests/support/gguf_file.h"
#include "tests/support/places.h"

static const int64_t shape_1[] = {8}, shape_2[] = {2, 32}, two_blocks[] = {64};

/* A small file with something of everything. */
static gguf_file good_file(void) {
    gguf_file f = gguf_file_new();
    float plain[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t blocks[2 * 34] = {0, 0x3c, 5}; /* Q8_0: its scale is 1, its first element 5 */
    gguf_file_text(&f, "general.architecture", "llama");
    gguf_file_u32(&f, "count", 7);
    gguf_file_f32(&f, "eps", 0.5f);
    gguf_file_bool(&f, "flag", 1);
    gguf_file_value(&f, "large", 10, (const uint64_t[]){UINT64_MAX}, 8);
    gguf_file_value(&f, "small", 1, (const int8_t[]){-3}, 1);
    gguf_file_value(&f, "double", 12, (const double[]){0.1}, 8);
    gguf_file_texts(&f, "words", (const char *const[]){"a", "", "longer"}, 3);
    gguf_file_int32s(&f, "numbers", (const int32_t[]){-1, 5}, 2);
    gguf_file_floats(&f, "scores", (const float[]){-1.5f, 0}, 2);
    gguf_file_tensor(&f, "z", GGUF_F32, 1, shape_1, plain, sizeof plain);
    gguf_file_tensor(&f, "a", GGUF_Q8_0, 2, shape_2, blocks, sizeof blocks);
    return f;
}

/* The file must be refused with STATUS_DATA and a message that holds its name and the text. */
static void expect_refused(const char *path, const char *what) {
    gguf *g = NULL;
    error err = {0};
    status result = gguf_open(path, &g, &err);
    if (result != STATUS_DATA || !strstr(err.message, path) || !strstr(err.message, what))
        fail_msg("status %d, \"%s\": wanted \"%s\"", result, err.message, what);
    assert_null(g);
}

static gguf *open_good(const char *path, uint32_t version, size_t alignment) {
    gguf_file f = good_file();
    gguf *g;
    error err;
    f.version = version;
    f.alignment = alignment;
    gguf_file_write(&f, path);
    gguf_file_free(&f);
    if (gguf_open(path, &g, &err) != STATUS_OK) fail_msg("%s", err.message);
    return g;
}

static void what_was_written_is_read(void **state) {
    for (uint32_t version = 2; version <= 3; version++) {
        gguf *g = open_good(path_in(*state, "x.gguf"), version, 32);
        assert_int_equal(gguf_count(g), 2);
        assert_string_equal(gguf_entry(g, 0)->name, "a");
        assert_null(gguf_find(g, "none"));
        const gguf_tensor *t = gguf_find(g, "a");
        assert_int_equal(t->type, GGUF_Q8_0);
        assert_int_equal(t->n_dim, 2);
        assert_int_equal(t->shape[0], 2);
        assert_int_equal(t->shape[1], 32);
        assert_int_equal(t->bytes, 68);
        assert_int_equal(((const uint8_t *)t->data)[2], 5);
        float plain[8];
        gguf_dequantize(GGUF_F32, gguf_find(g, "z")->data, 8, plain);
        assert_true(plain[0] == 1 && plain[7] == 8);
        gguf_close(g);
    }
}

static void metadata_is_read_by_kind(void **state) {
    gguf *g = open_good(path_in(*state, "x.gguf"), 3, 32);
    int64_t whole;
    double number;
    int flag;
    gguf_text text;
    gguf_array array;
    error err;
    assert_int_equal(gguf_n_key(g), 10);
    assert_string_equal(gguf_key(g, 0), "count");
    assert_true(gguf_has(g, "words") && !gguf_has(g, "word"));
    assert_int_equal(gguf_get_int(g, "count", 0, 7, &whole, &err), STATUS_OK);
    assert_int_equal(whole, 7);
    assert_int_equal(gguf_get_int(g, "small", -3, -3, &whole, &err), STATUS_OK);
    assert_int_equal(gguf_get_number(g, "eps", &number, &err), STATUS_OK);
    assert_true(number == 0.5);
    assert_int_equal(gguf_get_number(g, "double", &number, &err), STATUS_OK);
    assert_true(number == 0.1);
    assert_int_equal(gguf_get_number(g, "count", &number, &err), STATUS_OK);
    assert_true(number == 7);
    assert_int_equal(gguf_get_bool(g, "flag", &flag, &err), STATUS_OK);
    assert_int_equal(flag, 1);
    assert_int_equal(gguf_get_text(g, "general.architecture", &text, &err), STATUS_OK);
    assert_true(gguf_text_is(text, "llama") && !gguf_text_is(text, "llam"));
    assert_int_equal(gguf_get_texts(g, "words", &array, &err), STATUS_OK);
    assert_int_equal(array.n, 3);
    assert_true(gguf_text_is(gguf_next_text(&array), "a"));
    assert_true(gguf_text_is(gguf_next_text(&array), ""));
    assert_true(gguf_text_is(gguf_next_text(&array), "longer"));
    assert_int_equal(gguf_get_int32s(g, "numbers", &array, &err), STATUS_OK);
    assert_int_equal(gguf_next_int32(&array), -1);
    assert_int_equal(gguf_next_int32(&array), 5);
    assert_int_equal(gguf_get_floats(g, "scores", &array, &err), STATUS_OK);
    assert_true(gguf_next_float(&array) == -1.5f);
    gguf_close(g);
}

static void another_kind_is_refused_by_key(void **state) {
    gguf *g = open_good(path_in(*state, "x.gguf"), 3, 32);
    int64_t whole;
    double number;
    int flag;
    gguf_text text;
    gguf_array array;
    error err;
#define REFUSED(call, what)                                                                                  \
    do {                                                                                                     \
        assert_int_equal(call, STATUS_DATA);                                                                 \
        if (!strstr(err.message, what)) fail_msg("%s", err.message);                                         \
    } while (0)
    REFUSED(gguf_get_int(g, "none", 0, 1, &whole, &err), "x.gguf: metadata \"none\" is missing");
    REFUSED(gguf_get_int(g, "eps", 0, 1, &whole, &err), "\"eps\" is a float32, must be a whole number");
    REFUSED(gguf_get_int(g, "flag", 0, 1, &whole, &err), "\"flag\" is a bool, must be a whole number");
    REFUSED(gguf_get_int(g, "words", 0, 1, &whole, &err), "\"words\" is an array, must be a whole number");
    REFUSED(gguf_get_int(g, "count", 0, 6, &whole, &err), "\"count\" is 7, must be from 0 to 6");
    REFUSED(gguf_get_int(g, "large", 0, 6, &whole, &err), "\"large\" is 9223372036854775807, must be from");
    REFUSED(gguf_get_number(g, "general.architecture", &number, &err), "is a string, must be a number");
    REFUSED(gguf_get_bool(g, "count", &flag, &err), "is a uint32, must be a bool");
    REFUSED(gguf_get_text(g, "count", &text, &err), "is a uint32, must be a string");
    REFUSED(gguf_get_texts(g, "count", &array, &err), "is a uint32, must be an array");
    REFUSED(gguf_get_texts(g, "numbers", &array, &err), "an element is an int32, must be a string");
    REFUSED(gguf_get_int32s(g, "words", &array, &err), "an element is a string, must be an int32");
    REFUSED(gguf_get_floats(g, "numbers", &array, &err), "an element is an int32, must be a float32");
    gguf_close(g);
}

/* ---- bad files: each maker adds one fault to a good one ---- */

static void version_1(gguf_file *f) { f->version = 1; }
static void version_4(gguf_file *f) { f->version = 4; }
static void big_endian(gguf_file *f) { f->version = 3u << 24; }
static void many_values(gguf_file *f) { f->n_value = 1ull << 60; }
static void many_tensors(gguf_file *f) { f->n_tensor = UINT64_MAX; }
static void more_values(gguf_file *f) { f->n_value++; }

static void array_of(gguf_file *f, uint32_t element, uint64_t n) {
    uint8_t bytes[12];
    memcpy(bytes, &element, 4);
    memcpy(bytes + 4, &n, 8);
    gguf_file_value(f, "bad", 9, bytes, sizeof bytes);
}
static void long_text(gguf_file *f) { gguf_file_value(f, "bad", 8, (const uint64_t[]){1ull << 40}, 8); }
static void longest_text(gguf_file *f) { gguf_file_value(f, "bad", 8, (const uint64_t[]){UINT64_MAX}, 8); }
static void long_array(gguf_file *f) { array_of(f, 4, 1ull << 40); }
static void overflowing_array(gguf_file *f) { array_of(f, 10, 1ull << 61); }
static void long_texts(gguf_file *f) { array_of(f, 8, 1ull << 61); }
static void nested_array(gguf_file *f) { array_of(f, 9, 1); }
static void unknown_element(gguf_file *f) { array_of(f, 99, 0); }
static void unknown_kind(gguf_file *f) { gguf_file_value(f, "bad", 13, "", 0); }
static void empty_key(gguf_file *f) { gguf_file_u32(f, "", 1); }
static void control_key(gguf_file *f) { gguf_file_u32(f, "a\nb", 1); }
static void double_key(gguf_file *f) { gguf_file_u32(f, "count", 1); }
static void long_key(gguf_file *f) {
    char key[600] = "";
    memset(key, 'k', sizeof key - 1);
    gguf_file_u32(f, key, 1);
}

static void no_dims(gguf_file *f) { gguf_file_entry(f, "bad", 0, 0, NULL, 0); }
static void five_dims(gguf_file *f) { gguf_file_entry(f, "bad", 0, 5, (const int64_t[]){1, 1, 1, 1, 1}, 0); }
static void zero_dim(gguf_file *f) { gguf_file_entry(f, "bad", 0, 2, (const int64_t[]){0, 4}, 0); }
static void overflowing_dims(gguf_file *f) {
    gguf_file_entry(f, "bad", 0, 2, (const int64_t[]){1ll << 40, 1ll << 40}, 0);
}
static void negative_dim(gguf_file *f) { gguf_file_entry(f, "bad", 0, 1, (const int64_t[]){-1}, 0); }
static void terabyte(gguf_file *f) { gguf_file_entry(f, "bad", 0, 1, (const int64_t[]){1ll << 38}, 128); }
static void unread_type(gguf_file *f) { gguf_file_entry(f, "bad", 10, 1, shape_1, 0); }
static void unknown_type(gguf_file *f) { gguf_file_entry(f, "bad", 1u << 31, 1, shape_1, 0); }
static void half_block(gguf_file *f) { gguf_file_entry(f, "bad", GGUF_Q4_0, 1, shape_1, 0); }
static void unaligned(gguf_file *f) { gguf_file_entry(f, "bad", 0, 1, shape_1, 4); }
static void behind_the_end(gguf_file *f) { gguf_file_entry(f, "bad", 0, 1, shape_1, 1ull << 50); }
static void last_offset(gguf_file *f) { gguf_file_entry(f, "bad", 0, 1, shape_1, UINT64_MAX - 31); }
static void overlapping(gguf_file *f) { gguf_file_entry(f, "bad", GGUF_Q8_0, 1, two_blocks, 0); }
static void the_same_place(gguf_file *f) { gguf_file_entry(f, "bad", GGUF_F32, 1, shape_1, 0); }
static void double_tensor(gguf_file *f) { gguf_file_tensor(f, "a", 0, 1, shape_1, (const float[8]){0}, 32); }
static void control_tensor(gguf_file *f) { gguf_file_entry(f, "\x1b[31m", 0, 1, shape_1, 0); }
static void alignment_3(gguf_file *f) { gguf_file_u32(f, "general.alignment", 3); }
static void alignment_0(gguf_file *f) { gguf_file_u32(f, "general.alignment", 0); }
static void alignment_text(gguf_file *f) { gguf_file_text(f, "general.alignment", "32"); }

static void faults_are_refused_by_name(void **state) {
    static const struct {
        void (*make)(gguf_file *f);
        const char *what;
    } bad[] = {
        {version_1, "version 1 is not read; 2 and 3 are"},
        {version_4, "version 4 is not read"},
        {big_endian, "big-endian"},
        {many_values, "cut: 1152921504606846976 metadata values are announced"},
        {many_tensors, "cut: 18446744073709551615 tensors are announced"},
        {more_values, "tensor 1 of 2: a name of 0 bytes"},
        {long_text, "metadata \"bad\": cut: 1099511627776 bytes are announced"},
        {longest_text, "metadata \"bad\": cut: 18446744073709551615 bytes are announced"},
        {long_array, "metadata \"bad\": cut: 4398046511104 bytes are announced"},
        {overflowing_array, "metadata \"bad\": cut: 18446744073709551615 bytes are announced"},
        {long_texts, "metadata \"bad\": cut: 2305843009213693952 strings are announced"},
        {nested_array, "metadata \"bad\": an array of arrays is not read"},
        {unknown_element, "metadata \"bad\": unknown kind 99"},
        {unknown_kind, "metadata \"bad\": unknown kind 13"},
        {empty_key, "metadata value 11 of 11: a name of 0 bytes"},
        {control_key, "control character 0x0a"},
        {double_key, "metadata \"count\" stands twice"},
        {long_key, "a name of 599 bytes, from 1 to 512 are read"},
        {no_dims, "tensor \"bad\": 0 dimensions"},
        {five_dims, "tensor \"bad\": 5 dimensions"},
        {zero_dim, "tensor \"bad\": a dimension of 0"},
        {overflowing_dims, "tensor \"bad\": its shape's size overflows"},
        {negative_dim, "tensor \"bad\": its shape's size overflows"},
        {terabyte, "tensor \"bad\": cut: its 1099511627776 bytes from byte 128 of the data on pass the end"},
        {unread_type, "tensor \"bad\": its type Q2_K (10) is not read; F32, F16, BF16, Q8_0"},
        {unknown_type, "tensor \"bad\": its type unknown (2147483648) is not read"},
        {half_block, "tensor \"bad\": rows of 8 elements are not whole blocks of Q4_0, which have 32"},
        {unaligned, "tensor \"bad\": its offset 4 is not a multiple of the alignment 32"},
        {behind_the_end, "tensor \"bad\": cut: its 32 bytes from byte 1125899906842624"},
        {last_offset, "tensor \"bad\": cut"},
        {overlapping, "overlap"},
        {the_same_place, "overlap"},
        {double_tensor, "tensor \"a\" stands twice"},
        {control_tensor, "control character 0x1b"},
        {alignment_3, "\"general.alignment\" is 3, must be a power of two"},
        {alignment_0, "\"general.alignment\" is 0, must be from 1"},
        {alignment_text, "\"general.alignment\" is a string, must be a whole number"},
    };
    const char *path = path_in(*state, "x.gguf");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gguf_file f = good_file();
        bad[i].make(&f);
        gguf_file_write(&f, path);
        gguf_file_free(&f);
        expect_refused(path, bad[i].what);
    }
}

static void another_alignment_is_kept_to(void **state) {
    const char *path = path_in(*state, "x.gguf");
    gguf_file f = gguf_file_new();
    f.alignment = 64;
    gguf_file_u32(&f, "general.alignment", 64);
    gguf_file_tensor(&f, "a", 0, 1, shape_1, (const float[8]){1}, 32);
    gguf_file_tensor(&f, "b", 0, 1, shape_1, (const float[8]){2}, 32);
    gguf_file_write(&f, path);
    gguf_file_free(&f);
    gguf *g;
    error err;
    float x[8];
    if (gguf_open(path, &g, &err) != STATUS_OK) fail_msg("%s", err.message);
    gguf_dequantize(GGUF_F32, gguf_find(g, "b")->data, 8, x);
    assert_true(x[0] == 2);
    gguf_close(g);
}

static void a_file_cut_anywhere_is_refused(void **state) {
    const char *path = path_in(*state, "x.gguf");
    gguf_file f = good_file();
    buffer whole = {0};
    gguf_file_bytes(&f, &whole);
    for (size_t n = 0; n < whole.len; n++) {
        write_all(path, whole.data, n);
        expect_refused(path, n < 4 ? "not a GGUF file" : "cut");
    }
    buffer_free(&whole);
    gguf_file_free(&f);
}

static void files_that_are_none(void **state) {
    const char *path = path_in(*state, "x.gguf");
    expect_refused(path, "No such file");
    expect_refused(*state, "is not a file");
    write_all(path, "{\"a\": 1}", 8);
    expect_refused(path, "does not begin with \"GGUF\"");
}

/* 100 MB of which the first bytes say that a terabyte follows. */
static void a_claim_of_a_terabyte_fails_at_once(void **state) {
    static void (*const claims[])(gguf_file * f) = {long_text,   long_array,   long_texts,
                                                    many_values, many_tensors, terabyte};
    const char *path = path_in(*state, "x.gguf");
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        gguf_file f = good_file();
        claims[i](&f);
        gguf_file_write(&f, path);
        gguf_file_free(&f);
        assert_int_equal(truncate(path, 100 << 20), 0);
        clock_t begin = clock();
        expect_refused(path, "cut");
        assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 0.2);
    }
}

static void more_than_is_ever_needed_is_refused(void **state) {
    const char *path = path_in(*state, "x.gguf");
    gguf_file f = good_file();
    f.n_value = 70000;
    gguf_file_write(&f, path);
    assert_int_equal(truncate(path, 1 << 20), 0);
    expect_refused(path, "70000 metadata values, at most 65536 are read");
    gguf_file_free(&f);
}

int main(void) {
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(what_was_written_is_read),
        IN_DIRECTORY(metadata_is_read_by_kind),
        IN_DIRECTORY(another_kind_is_refused_by_key),
        IN_DIRECTORY(faults_are_refused_by_name),
        IN_DIRECTORY(another_alignment_is_kept_to),
        IN_DIRECTORY(a_file_cut_anywhere_is_refused),
        IN_DIRECTORY(files_that_are_none),
        IN_DIRECTORY(a_claim_of_a_terabyte_fails_at_once),
        IN_DIRECTORY(more_than_is_ever_needed_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
