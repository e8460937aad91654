#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/files/safetensors.h"
#include "tests/support/places.h"

/* A file of this header, padded or not, and n_data bytes 0, 1, 2, ... behind it. */
static void write_file(const char *file, const char *header, size_t n_data) {
    buffer b = {0};
    uint64_t len = strlen(header);
    buffer_append(&b, &len, sizeof len);
    buffer_string(&b, header);
    for (size_t i = 0; i < n_data; i++) {
        char c = (char)i;
        buffer_append(&b, &c, 1);
    }
    write_all(file, b.data, b.len);
    buffer_free(&b);
}

/* The file must be refused with STATUS_DATA and a message that holds both texts. */
static void expect_refused(const char *file, const char *place, const char *what) {
    safetensors *s = NULL;
    error err = {0};
    status result = safetensors_open(file, &s, &err);
    if (result != STATUS_DATA || !strstr(err.message, place) || !strstr(err.message, what))
        fail_msg("status %d, \"%s\": wanted \"%s\" and \"%s\"", result, err.message, place, what);
    assert_null(s);
}

static void test_round_trip(void **state) {
    const char *path = path_in(*state, "x.safetensors");
    const float weight[6] = {1, -2, 0.5f, 1e-30f, 3e38f, -0.0f};
    const int32_t tokens[3] = {7, -1, INT32_MAX};
    const float scalar = 42;
    const tensor_entry tensors[] = {
        {.name = "z.weight", .dtype = DTYPE_F32, .n_dim = 2, .shape = {2, 3}, .data = weight},
        {.name = "tokens", .dtype = DTYPE_I32, .n_dim = 1, .shape = {3}, .data = tokens},
        {.name = "empty", .dtype = DTYPE_F32, .n_dim = 2, .shape = {0, 5}},
        {.name = "a \"scalar\"", .dtype = DTYPE_F32, .n_dim = 0, .data = &scalar},
    };
    error err = {0};
    assert_int_equal(safetensors_write(path, tensors, 4, &err), STATUS_OK);
    safetensors *s;
    if (safetensors_open(path, &s, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_int_equal(safetensors_count(s), 4);
    assert_string_equal(safetensors_entry(s, 0)->name, "a \"scalar\"");
    assert_string_equal(safetensors_entry(s, 3)->name, "z.weight");
    assert_string_equal(safetensors_metadata(s, "format"), "pt");
    assert_null(safetensors_metadata(s, "other"));
    assert_null(safetensors_find(s, "none"));

    const tensor_entry *e = safetensors_find(s, "z.weight");
    assert_int_equal(e->dtype, DTYPE_F32);
    assert_int_equal(e->n_dim, 2);
    assert_int_equal(e->shape[0], 2);
    assert_int_equal(e->shape[1], 3);
    assert_int_equal(e->bytes, sizeof weight);
    assert_int_equal((uintptr_t)e->data % 8, 0);
    float got[6], one;
    int32_t ids[3];
    assert_int_equal(safetensors_copy_f32(s, "z.weight", 2, (const int64_t[]){2, 3}, got, &err), STATUS_OK);
    assert_memory_equal(got, weight, sizeof got);
    assert_int_equal(safetensors_copy_i32(s, "tokens", 1, (const int64_t[]){3}, ids, &err), STATUS_OK);
    assert_memory_equal(ids, tokens, sizeof ids);
    assert_int_equal(safetensors_copy_f32(s, "a \"scalar\"", 0, NULL, &one, &err), STATUS_OK);
    assert_true(one == scalar);
    assert_int_equal(safetensors_copy_f32(s, "empty", 2, (const int64_t[]){0, 5}, NULL, &err), STATUS_OK);

    assert_int_equal(safetensors_copy_f32(s, "none", 1, (const int64_t[]){3}, got, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "x.safetensors: tensor \"none\": is missing"));
    assert_int_equal(safetensors_copy_f32(s, "tokens", 1, (const int64_t[]){3}, got, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "tensor \"tokens\": has dtype I32, only F32"));
    assert_int_equal(safetensors_copy_f32(s, "z.weight", 2, (const int64_t[]){3, 2}, got, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "tensor \"z.weight\": has shape [2, 3], wanted is [3, 2]"));
    assert_int_equal(safetensors_copy_f32(s, "z.weight", 1, (const int64_t[]){6}, got, &err), STATUS_DATA);
    safetensors_close(s);
}

static void test_the_same_tensors_give_the_same_bytes_whole_or_in_pieces(void **state) {
    const char *path = path_in(*state, "x.safetensors");
    const float data[5] = {1, 2, 3, 4, 5};
    const tensor_entry tensors[] = {
        {.name = "a", .dtype = DTYPE_F32, .n_dim = 1, .shape = {3}, .data = data},
        {.name = "none", .dtype = DTYPE_F32, .n_dim = 1, .shape = {0}},
        {.name = "b", .dtype = DTYPE_F32, .n_dim = 1, .shape = {2}, .data = data + 3},
    };
    error err = {0};
    buffer whole = {0}, pieces = {0};
    assert_int_equal(safetensors_write(path, tensors, 3, &err), STATUS_OK);
    assert_int_equal(file_read(path, 10000, &whole, &err), STATUS_OK);
    assert_int_equal(whole.len % 8, (8 + sizeof data) % 8);

    safetensors_writer *w;
    assert_int_equal(safetensors_begin(path, tensors, 3, &w, &err), STATUS_OK);
    safetensors_put(w, 0, data, 4);
    safetensors_put(w, 0, data + 1, 8);
    safetensors_put(w, 2, data + 3, 8);
    assert_int_equal(safetensors_commit(w, &err), STATUS_OK);
    assert_int_equal(file_read(path, 10000, &pieces, &err), STATUS_OK);
    assert_int_equal(pieces.len, whole.len);
    assert_memory_equal(pieces.data, whole.data, whole.len);
    buffer_free(&whole);
    buffer_free(&pieces);
}

static void test_a_wrong_put_leaves_no_file(void **state) {
    const char *directory = *state, *path = path_in(directory, "x.safetensors");
    const float data[2] = {1, 2};
    const tensor_entry tensors[] = {
        {.name = "a", .dtype = DTYPE_F32, .n_dim = 1, .shape = {1}},
        {.name = "b", .dtype = DTYPE_F32, .n_dim = 1, .shape = {1}},
    };
    static const struct {
        int first;
        size_t bytes;
        int second;
    } wrong[] = {{1, 4, 0}, {0, 8, 1}, {0, 4, 0}, {0, 4, 2}, {0, 3, 1}, {0, 4, -1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        error err = {0};
        safetensors_writer *w;
        assert_int_equal(safetensors_begin(path, tensors, 2, &w, &err), STATUS_OK);
        safetensors_put(w, wrong[i].first, data, wrong[i].bytes);
        safetensors_put(w, wrong[i].second, data, 4);
        assert_int_equal(safetensors_commit(w, &err), STATUS_FAILED);
        assert_non_null(strstr(err.message, path));
        assert_false(path_exists(path));
    }
    error err = {0};
    safetensors_writer *w;
    assert_int_equal(safetensors_begin(path, tensors, 2, &w, &err), STATUS_OK);
    safetensors_put(w, 0, data, 4);
    assert_int_equal(safetensors_commit(w, &err), STATUS_FAILED);
    assert_non_null(strstr(err.message, "data missing from byte 0 of tensor 1 of 2"));
    assert_int_equal(safetensors_begin(path, tensors, 2, &w, &err), STATUS_OK);
    safetensors_abandon(w);
    safetensors_abandon(NULL);
    char **names;
    int n;
    assert_int_equal(path_list(directory, &names, &n, &err), STATUS_OK);
    assert_int_equal(n, 0);
    path_free_list(names, n);
}

static void test_what_cannot_be_written_is_refused(void **state) {
    const char *path = path_in(*state, "x.safetensors");
    error err = {0};
    tensor_entry e = {.name = "long", .dtype = DTYPE_F64, .n_dim = 1, .shape = {1}};
    assert_int_equal(safetensors_write(path, &e, 1, &err), STATUS_FAILED);
    assert_non_null(strstr(err.message, "tensor \"long\": dtype F64"));
    e = (tensor_entry){.name = "big", .dtype = DTYPE_F32, .n_dim = 2, .shape = {INT64_MAX, 2}};
    assert_int_equal(safetensors_write(path, &e, 1, &err), STATUS_FAILED);
    assert_non_null(strstr(err.message, "tensor \"big\""));
    assert_int_equal(safetensors_write("/nowhere/at/all", NULL, 0, &err), STATUS_FAILED);
    assert_non_null(strstr(err.message, "/nowhere/at/all"));
}

static void test_a_full_disk_leaves_the_old_file(void **state) {
    const char *path = path_in(*state, "x.safetensors");
    static const float data[5000] = {1};
    const tensor_entry e = {.name = "a", .dtype = DTYPE_F32, .n_dim = 1, .shape = {5000}, .data = data};
    const size_t limits[] = {0, 1, 8, 50, 4096, 20000};
    error err = {0};
    write_all(path, "old", 3);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        disk_holds(limits[i]);
        status s = safetensors_write(path, &e, 1, &err);
        disk_is_free();
        assert_int_equal(s, STATUS_FAILED);
        assert_non_null(strstr(err.message, path));
        assert_non_null(strstr(err.message, "File too large"));
        buffer old = read_all(path);
        assert_string_equal(old.data, "old");
        buffer_free(&old);
    }
    char **names;
    int n;
    assert_int_equal(path_list(*state, &names, &n, &err), STATUS_OK);
    assert_int_equal(n, 1);
    path_free_list(names, n);
}

#define A(shape, begin, end)                                                                                 \
    "\"a\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"
#define B(shape, begin, end)                                                                                 \
    "\"b\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

static void test_hostile_headers_are_refused_by_place(void **state) {
    const char *path = path_in(*state, "x.safetensors");
    static const struct {
        const char *header;
        size_t data;
        const char *what;
    } bad[] = {
        {"[]", 0, "does not begin with '{'"},
        {" {}", 0, "does not begin with '{'"},
        {"", 0, "does not begin with '{'"},
        {"{", 0, "not JSON"},
        {"{} x", 0, "not JSON"},
        {"{\"a\":1}", 0, "tensor \"a\": must be an object"},
        {"{\"a\":{}}", 0, "tensor \"a\": \"dtype\" must be a string"},
        {"{\"a\":{\"dtype\":\"F33\",\"shape\":[],\"data_offsets\":[0,4]}}", 4,
         "tensor \"a\": unknown dtype \"F33\""},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor \"a\": \"shape\" must be an array"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "tensor \"a\": \"data_offsets\""},
        {"{" A("[1]", 0, 4) "," A("[1]", 4, 8) "}", 8, "duplicate"},
        {"{" A("[-1]", 0, 4) "}", 4, "tensor \"a\": \"shape\" must hold"},
        {"{" A("[1.0]", 0, 4) "}", 4, "tensor \"a\": \"shape\" must hold"},
        {"{" A("[1]", 4, 0) "}", 4, "tensor \"a\": \"data_offsets\""},
        {"{" A("[1]", -4, 0) "}", 4, "tensor \"a\": \"data_offsets\""},
        {"{" A("[1]", 0, 8) "}", 8, "tensor \"a\": 8 bytes, but its dtype and shape take 4"},
        {"{" A("[2]", 0, 8) "}", 7, "tensor \"a\": its data ends at byte 8, the file has 7"},
        {"{" A("[1]", 0, 4) "}", 5, "1 bytes behind the last tensor"},
        {"{" A("[1]", 4, 8) "}", 8, "tensor \"a\": begins at byte 4 and leaves a gap from byte 0"},
        {"{" A("[1]", 0, 4) "," B("[1]", 8, 12) "}", 12, "tensor \"b\": begins at byte 8 and leaves a gap"},
        {"{" A("[2]", 0, 8) "," B("[2]", 4, 12) "}", 12,
         "tensor \"b\": begins at byte 4, which overlaps tensor \"a\""},
        {"{" A("[1]", 0, 4) "," B("[1]", 0, 4) "}", 4, "overlaps tensor \"a\""},
        {"{" A("[9223372036854775807]", 0, 4) "}", 4, "tensor \"a\": its shape's size overflows"},
        {"{" A("[4294967296,4294967296]", 0, 0) "}", 0, "tensor \"a\": its shape's size overflows"},
        {"{" A("[4294967296,4294967296,0]", 0, 0) "}", 0, "tensor \"a\": its shape's size overflows"},
        {"{" A("[18446744073709551616]", 0, 4) "}", 4, "too big integer"},
        {"{" A("[1]", 0, 9223372036854775807) "}", 4,
         "tensor \"a\": its data ends at byte 9223372036854775807"},
        {"{" A("[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4, "tensor \"a\": 9 dimensions"},
        {"{\"__metadata__\":{\"format\":1}}", 0, "__metadata__: \"format\" must be a string"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ must be an object"},
        {"{\"a\\n\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, "control character 0x0a"},
        {"{\"a\\u0000\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, "not JSON"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file(path, bad[i].header, bad[i].data);
        expect_refused(path, path, bad[i].what);
    }
}

static void test_other_dtypes_are_looked_at_but_not_converted(void **state) {
    const char *path = path_in(*state, "x.safetensors");
    static const char *const names[] = {"BOOL", "U8",  "I8",  "F8_E5M2", "F8_E4M3", "I16",
                                        "U16",  "U32", "F64", "I64",     "U64"};
    static const int bytes[] = {1, 1, 1, 1, 1, 2, 2, 4, 8, 8, 8};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        char header[200];
        snprintf(header, sizeof header, "{\"x\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%d]}}",
                 names[i], 3 * bytes[i]);
        write_file(path, header, (size_t)(3 * bytes[i]));
        safetensors *s;
        error err = {0};
        float out[3];
        assert_int_equal(safetensors_open(path, &s, &err), STATUS_OK);
        const tensor_entry *e = safetensors_find(s, "x");
        assert_string_equal(tensor_dtype_name(e->dtype), names[i]);
        assert_int_equal(e->bytes, 3 * bytes[i]);
        assert_int_equal(((const uint8_t *)e->data)[2], 2);
        assert_int_equal(safetensors_copy_f32(s, "x", 1, e->shape, out, &err), STATUS_DATA);
        assert_non_null(strstr(err.message, names[i]));
        safetensors_close(s);
    }
}

static void test_half_floats_become_f32(void **state) {
    const char *path = path_in(*state, "x.safetensors");
    const uint16_t f16[4] = {0x3c00, 0xc000, 0x0001, 0x7bff}, bf16[4] = {0x3f80, 0xc000, 0x0080, 0x7f7f};
    const float as_f16[4] = {1, -2, 0x1p-24f, 65504}, as_bf16[4] = {1, -2, 0x1p-126f, 0x1.fep127f};
    const tensor_entry tensors[] = {
        {.name = "half", .dtype = DTYPE_F16, .n_dim = 2, .shape = {2, 2}, .data = f16},
        {.name = "brain", .dtype = DTYPE_BF16, .n_dim = 1, .shape = {4}, .data = bf16},
    };
    error err = {0};
    float got[4];
    safetensors *s;
    assert_int_equal(safetensors_write(path, tensors, 2, &err), STATUS_OK);
    assert_int_equal(safetensors_open(path, &s, &err), STATUS_OK);
    assert_int_equal(safetensors_copy_f32(s, "half", 2, (const int64_t[]){2, 2}, got, &err), STATUS_OK);
    assert_memory_equal(got, as_f16, sizeof got);
    assert_int_equal(safetensors_check_f32(s, "brain", 1, (const int64_t[]){4}, &err), STATUS_OK);
    assert_int_equal(safetensors_copy_f32(s, "brain", 1, (const int64_t[]){4}, got, &err), STATUS_OK);
    assert_memory_equal(got, as_bf16, sizeof got);
    safetensors_close(s);
}

static void test_unaligned_data_is_copied(void **state) {
    const char *path = path_in(*state, "x.safetensors");
    write_file(path, "{" A("[1]", 0, 4) "}  ", 4);
    safetensors *s;
    error err = {0};
    float out;
    const uint32_t bits = 0x03020100;
    assert_int_equal(safetensors_open(path, &s, &err), STATUS_OK);
    assert_int_equal(safetensors_copy_f32(s, "a", 1, (const int64_t[]){1}, &out, &err), STATUS_OK);
    assert_memory_equal(&out, &bits, 4);
    safetensors_close(s);
}

static void test_a_file_cut_anywhere_is_refused(void **state) {
    const char *path = path_in(*state, "x.safetensors");
    write_file(path, "{\"__metadata__\":{\"format\":\"pt\"}," A("[2]", 0, 8) "," B("[1]", 8, 12) "}", 12);
    error err = {0};
    buffer whole = {0};
    assert_int_equal(file_read(path, 10000, &whole, &err), STATUS_OK);
    for (size_t len = 0; len < whole.len; len++) {
        write_all(path, whole.data, len);
        expect_refused(path, path, len ? "" : "cut");
    }
    write_all(path, whole.data, whole.len);
    safetensors *s;
    assert_int_equal(safetensors_open(path, &s, &err), STATUS_OK);
    safetensors_close(s);
    buffer_free(&whole);
}

static void test_absurd_header_lengths_are_refused(void **state) {
    const char *path = path_in(*state, "x.safetensors");
    static const uint64_t lengths[] = {UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63,
                                       100000001,  100000000,      9};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char bytes[16] = {0};
        memcpy(bytes, &lengths[i], 8);
        memcpy(bytes + 8, "{}      ", 8);
        write_all(path, bytes, sizeof bytes);
        expect_refused(path, path, "header of");
    }
}

static void test_deep_nesting_is_refused(void **state) {
    const char *path = path_in(*state, "x.safetensors");
    size_t depth = 100000;
    char *header = malloc(depth + 6);
    memcpy(header, "{\"a\":", 5);
    memset(header + 5, '[', depth);
    header[depth + 5] = 0;
    write_file(path, header, 0);
    free(header);
    expect_refused(path, path, "not JSON");
}

static void test_missing_files(void **state) {
    const char *directory = *state;
    expect_refused("/nowhere/x.safetensors", "/nowhere/x.safetensors", "No such file");
    expect_refused(directory, directory, "neither model.safetensors nor");
    expect_refused("/dev/null", "/dev/null", "is not a file");
}

/* A directory with two shards, x.safetensors holding b and y.safetensors holding a, and this index. */
static void write_shards(const char *directory, const char *index) {
    write_file(path_in(directory, "y.safetensors"), "{" A("[1]", 0, 4) "}", 4);
    write_file(path_in(directory, "x.safetensors"), "{" B("[2]", 0, 8) "}", 8);
    write_all(path_in(directory, "model.safetensors.index.json"), index, strlen(index));
}

static void test_shards(void **state) {
    const char *directory = *state;
    write_shards(directory,
                 "{\"metadata\":{},\"weight_map\":{\"b\":\"x.safetensors\",\"a\":\"y.safetensors\"}}");
    safetensors *s;
    error err = {0};
    if (safetensors_open(directory, &s, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_int_equal(safetensors_count(s), 2);
    assert_string_equal(safetensors_entry(s, 0)->name, "a");
    assert_int_equal(safetensors_find(s, "b")->bytes, 8);
    assert_string_equal(safetensors_path(s), directory);
    safetensors_close(s);

    /* A single file goes before an index, as elsewhere. */
    const char *file = path_in(directory, "model.safetensors");
    write_file(file, "{" A("[1]", 0, 4) "}", 4);
    assert_int_equal(safetensors_open(directory, &s, &err), STATUS_OK);
    assert_int_equal(safetensors_count(s), 1);
    safetensors_close(s);
}

static void test_shards_and_index_must_agree(void **state) {
    const char *directory = *state;
    static const struct {
        const char *index, *what;
    } bad[] = {
        {"{}", "\"weight_map\" must be an object"},
        {"[", "not JSON"},
        {"{\"weight_map\":{\"a\":1}}", "\"a\" must name a file"},
        {"{\"weight_map\":{\"a\":\"../y.safetensors\"}}", "is not the name of a .safetensors file"},
        {"{\"weight_map\":{\"a\":\"y.bin\"}}", "is not the name of a .safetensors file"},
        {"{\"weight_map\":{\"a\":\"z.safetensors\"}}", "No such file"},
        {"{\"weight_map\":{\"b\":\"x.safetensors\",\"c\":\"x.safetensors\"}}",
         "tensor \"c\": is not in x.safetensors"},
        {"{\"weight_map\":{\"b\":\"x.safetensors\",\"c\":\"y.safetensors\"}}", "the index says nothing"},
        {"{\"weight_map\":{\"b\":\"y.safetensors\",\"a\":\"x.safetensors\"}}", "the index says"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_shards(directory, bad[i].index);
        expect_refused(directory, directory, bad[i].what);
    }
    write_shards(directory, "{\"weight_map\":{\"a\":\"y.safetensors\",\"b\":\"x.safetensors\"}}");
    write_file(path_in(directory, "x.safetensors"), "{" A("[1]", 0, 4) "," B("[1]", 4, 8) "}", 8);
    expect_refused(directory, "tensor \"a\"", "stands in two files");
}

int main(void) {
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_round_trip),
        IN_DIRECTORY(test_the_same_tensors_give_the_same_bytes_whole_or_in_pieces),
        IN_DIRECTORY(test_a_wrong_put_leaves_no_file),
        IN_DIRECTORY(test_what_cannot_be_written_is_refused),
        IN_DIRECTORY(test_a_full_disk_leaves_the_old_file),
        IN_DIRECTORY(test_hostile_headers_are_refused_by_place),
        IN_DIRECTORY(test_other_dtypes_are_looked_at_but_not_converted),
        IN_DIRECTORY(test_half_floats_become_f32),
        IN_DIRECTORY(test_unaligned_data_is_copied),
        IN_DIRECTORY(test_a_file_cut_anywhere_is_refused),
        IN_DIRECTORY(test_absurd_header_lengths_are_refused),
        IN_DIRECTORY(test_deep_nesting_is_refused),
        IN_DIRECTORY(test_missing_files),
        IN_DIRECTORY(test_shards),
        IN_DIRECTORY(test_shards_and_index_must_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
