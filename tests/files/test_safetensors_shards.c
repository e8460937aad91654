/* A model's tensors over several files: how they are divided, what the index says, and what is left of an
   older division. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/files/safetensors.h"
#include "tests/support/places.h"

enum { N = 5, LARGEST = 40 };

static const int elements[N] = {10, LARGEST, 3, 7, 20};

/* Tensors "t0" ... of elements[i] floats i, i + 0.01, ... */
typedef struct model_files {
    tensor_entry entry[N];
    char name[N][16];
    float data[N][LARGEST];
} model_files;

static void make(model_files *m) {
    for (int i = 0; i < N; i++) {
        snprintf(m->name[i], sizeof m->name[i], "t%d", i);
        for (int j = 0; j < elements[i]; j++) m->data[i][j] = (float)i + (float)j / 100;
        m->entry[i] =
            (tensor_entry){.name = m->name[i], .dtype = DTYPE_F32, .n_dim = 1, .shape = {elements[i]}};
    }
}

static status put_all(const char *directory, model_files *m, uint64_t shard_bytes, error *err) {
    safetensors_shards *w;
    TRY(safetensors_shards_begin(directory, m->entry, N, shard_bytes, &w, err));
    for (int i = 0; i < N; i++) { /* in two pieces */
        size_t bytes = (size_t)elements[i] * sizeof(float);
        safetensors_shards_put(w, i, m->data[i], 4);
        safetensors_shards_put(w, i, m->data[i] + 1, bytes - 4);
    }
    return safetensors_shards_commit(w, err);
}

static void expect_tensors(const char *directory, const model_files *m) {
    safetensors *s;
    error err = {0};
    float got[LARGEST];
    if (safetensors_open(directory, &s, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_int_equal(safetensors_count(s), N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(safetensors_copy_f32(s, m->name[i], 1, (const int64_t[]){elements[i]}, got, &err),
                         STATUS_OK);
        assert_memory_equal(got, m->data[i], (size_t)elements[i] * sizeof *got);
    }
    safetensors_close(s);
}

/* The directory's files, separated by spaces. */
static void expect_files(const char *directory, const char *want) {
    char **names, got[512] = "";
    int n;
    error err = {0};
    assert_int_equal(path_list(directory, &names, &n, &err), STATUS_OK);
    for (int i = 0; i < n; i++) {
        size_t used = strlen(got);
        snprintf(got + used, sizeof got - used, "%s%s", i ? " " : "", names[i]);
    }
    path_free_list(names, n);
    assert_string_equal(got, want);
}

#define SHARD(i, n) "model-0000" #i "-of-0000" #n ".safetensors"
#define INDEX       "model.safetensors.index.json"

static void test_division(void **state) {
    static model_files m;
    const char *directory = *state;
    error err = {0};
    make(&m);
    /* 40, 160, 12, 28, 80 bytes: a tensor that is larger than a shard has one alone. */
    assert_int_equal(put_all(directory, &m, 120, &err), STATUS_OK);
    expect_files(directory, SHARD(1, 3) " " SHARD(2, 3) " " SHARD(3, 3) " " INDEX);
    expect_tensors(directory, &m);
    json_t *index;
    assert_int_equal(parse_json_file(path_in(directory, INDEX), 10000, &index, &err), STATUS_OK);
    const json_t *metadata = json_object_get(index, "metadata"), *map = json_object_get(index, "weight_map");
    assert_int_equal(json_integer_value(json_object_get(metadata, "total_size")), 320);
    assert_int_equal(json_integer_value(json_object_get(metadata, "total_parameters")), 80);
    assert_int_equal(json_object_size(map), N);
    assert_string_equal(json_string_value(json_object_get(map, "t0")), SHARD(1, 3));
    assert_string_equal(json_string_value(json_object_get(map, "t1")), SHARD(2, 3));
    assert_string_equal(json_string_value(json_object_get(map, "t4")), SHARD(3, 3));
    json_decref(index);
}

/* Saved over another division, the directory holds the new one alone; other files stay. */
static void test_an_older_division(void **state) {
    static model_files m;
    const char *directory = *state, *other = path_in(directory, "model-of-others.safetensors");
    error err = {0};
    make(&m);
    write_all(other, "x", 1);
    static const struct {
        uint64_t bytes;
        const char *files;
    } step[] = {{1, SHARD(1, 5) " " SHARD(2, 5) " " SHARD(3, 5) " " SHARD(4, 5) " " SHARD(5, 5)},
                {200, SHARD(1, 2) " " SHARD(2, 2)},
                {320, NULL},
                {200, SHARD(1, 2) " " SHARD(2, 2)}};
    for (size_t i = 0; i < sizeof step / sizeof *step; i++) {
        char want[512];
        m.data[1][3] = (float)i;
        assert_int_equal(put_all(directory, &m, step[i].bytes, &err), STATUS_OK);
        snprintf(want, sizeof want, "%s%smodel-of-others.safetensors %s", step[i].files ? step[i].files : "",
                 step[i].files ? " " : "", step[i].files ? INDEX : "model.safetensors");
        expect_files(directory, want);
        expect_tensors(directory, &m);
    }
}

/* Nothing half-written: what was there stays whole. */
static void test_a_full_disk(void **state) {
    static model_files m, other;
    const char *directory = *state;
    error err = {0};
    make(&m);
    make(&other);
    other.data[0][0] = 77;
    assert_int_equal(put_all(directory, &m, 320, &err), STATUS_OK);
    disk_holds(150);
    status s = put_all(directory, &other, 100, &err);
    disk_is_free();
    assert_int_equal(s, STATUS_FAILED);
    assert_non_null(strstr(err.message, "safetensors"));
    expect_tensors(directory, &m);
}

static void test_abandoned(void **state) {
    static model_files m;
    error err = {0};
    safetensors_shards *w;
    make(&m);
    assert_int_equal(safetensors_shards_begin(*state, m.entry, N, 100, &w, &err), STATUS_OK);
    safetensors_shards_put(w, 0, m.data[0], 40);
    safetensors_shards_abandon(w);
    safetensors_shards_abandon(NULL);
    expect_files(*state, "");
    /* Too few bytes are our own bug: no file. */
    assert_int_equal(safetensors_shards_begin(*state, m.entry, N, 320, &w, &err), STATUS_OK);
    safetensors_shards_put(w, 0, m.data[0], 40);
    assert_int_equal(safetensors_shards_commit(w, &err), STATUS_FAILED);
    expect_files(*state, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_division, directory_setup, directory_teardown),
        cmocka_unit_test_setup_teardown(test_an_older_division, directory_setup, directory_teardown),
        cmocka_unit_test_setup_teardown(test_a_full_disk, directory_setup, directory_teardown),
        cmocka_unit_test_setup_teardown(test_abandoned, directory_setup, directory_teardown),
    };
    return cmocka_run_group_tests_name("files: shards", tests, NULL, NULL);
}
