#include "core/files/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/half.h"
#include "core/base/json.h"
#include "core/base/mapping.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are copied as they lie in the file");

enum {
    LENGTH_BYTES = 8,
    MAX_HEADER = 100000000, /* the format's own limit */
    MAX_INDEX = 100000000,
    MAX_NAME = 512,
};

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
    [DTYPE_F32] = {"F32", 4},         [DTYPE_I32] = {"I32", 4},   [DTYPE_BOOL] = {"BOOL", 1},
    [DTYPE_U8] = {"U8", 1},           [DTYPE_I8] = {"I8", 1},     [DTYPE_F8_E5M2] = {"F8_E5M2", 1},
    [DTYPE_F8_E4M3] = {"F8_E4M3", 1}, [DTYPE_I16] = {"I16", 2},   [DTYPE_U16] = {"U16", 2},
    [DTYPE_F16] = {"F16", 2},         [DTYPE_BF16] = {"BF16", 2}, [DTYPE_U32] = {"U32", 4},
    [DTYPE_F64] = {"F64", 8},         [DTYPE_I64] = {"I64", 8},   [DTYPE_U64] = {"U64", 8},
};

const char *tensor_dtype_name(tensor_dtype dtype) { return dtypes[dtype].name; }
size_t tensor_dtype_bytes(tensor_dtype dtype) { return dtypes[dtype].bytes; }

typedef struct shard {
    char *path;
    mapping map;
} shard;

/* An entry and where it stands, for the checks that need more than one of them. */
typedef struct placed {
    tensor_entry entry;
    uint64_t begin, end; /* in its shard's data */
    int shard;
} placed;

struct safetensors {
    char *path;
    shard *shards;
    int n_shard;
    placed *tensors; /* [n], sorted by name once open; names are ours */
    int n, capacity;
    json_t *metadata; /* NULL or the first shard's __metadata__ */
};

void safetensors_close(safetensors *s) {
    if (!s) return;
    for (int i = 0; i < s->n; i++) free((char *)s->tensors[i].entry.name);
    for (int i = 0; i < s->n_shard; i++) {
        mapping_close(&s->shards[i].map);
        free(s->shards[i].path);
    }
    json_decref(s->metadata);
    free(s->tensors);
    free(s->shards);
    free(s->path);
    free(s);
}

static status map_file(shard *f, error *err) {
    TRY(mapping_open(f->path, &f->map, err));
    if (f->map.len >= LENGTH_BYTES) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: cut: %zu bytes, the header's length alone takes 8", f->path,
                     f->map.len);
}

static status bad_tensor(const shard *f, const char *name, const char *what, error *err) {
    return error_set(err, STATUS_DATA, "%s: tensor \"%s\": %s", f->path, name, what);
}

static status read_dtype(const shard *f, const char *name, const json_t *value, tensor_dtype *out,
                         error *err) {
    if (!json_is_string(value)) return bad_tensor(f, name, "\"dtype\" must be a string", err);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        *out = (tensor_dtype)i;
        if (strcmp(dtypes[i].name, json_string_value(value)) == 0) return STATUS_OK;
    }
    return error_set(err, STATUS_DATA, "%s: tensor \"%s\": unknown dtype \"%.40s\"", f->path, name,
                     json_string_value(value));
}

/* Fills n_dim, shape and bytes. */
static status read_shape(const shard *f, const char *name, const json_t *value, tensor_entry *e, error *err) {
    if (!json_is_array(value)) return bad_tensor(f, name, "\"shape\" must be an array", err);
    if (json_array_size(value) > SAFETENSORS_MAX_DIM)
        return error_set(err, STATUS_DATA, "%s: tensor \"%s\": %zu dimensions, at most %d are read", f->path,
                         name, json_array_size(value), SAFETENSORS_MAX_DIM);
    e->n_dim = (int)json_array_size(value);
    uint64_t bytes = tensor_dtype_bytes(e->dtype);
    for (int i = 0; i < e->n_dim; i++) {
        const json_t *size = json_array_get(value, (size_t)i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return bad_tensor(f, name, "\"shape\" must hold whole numbers that are not negative", err);
        e->shape[i] = json_integer_value(size);
        if (__builtin_mul_overflow(bytes, (uint64_t)e->shape[i], &bytes) || bytes > SIZE_MAX / 2)
            return bad_tensor(f, name, "its shape's size overflows", err);
    }
    e->bytes = (size_t)bytes;
    return STATUS_OK;
}

static status read_offsets(const shard *f, const char *name, const json_t *value, uint64_t data_bytes,
                           placed *p, error *err) {
    const json_t *begin = json_array_get(value, 0), *end = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return bad_tensor(f, name, "\"data_offsets\" must be two whole numbers, begin and end", err);
    p->begin = (uint64_t)json_integer_value(begin);
    p->end = (uint64_t)json_integer_value(end);
    if (p->end > data_bytes)
        return error_set(err, STATUS_DATA,
                         "%s: tensor \"%s\": its data ends at byte %" PRIu64 ", the file has %" PRIu64
                         " (cut?)",
                         f->path, name, p->end, data_bytes);
    if (p->end - p->begin != p->entry.bytes)
        return error_set(err, STATUS_DATA,
                         "%s: tensor \"%s\": %" PRIu64 " bytes, but its dtype and shape take %zu", f->path,
                         name, p->end - p->begin, p->entry.bytes);
    return STATUS_OK;
}

static status check_name(const shard *f, const char *name, error *err) {
    if (strlen(name) > MAX_NAME)
        return error_set(err, STATUS_DATA,
                         "%s: a tensor's name of %zu bytes (\"%.40s...\"), at most %d are read", f->path,
                         strlen(name), name, MAX_NAME);
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return error_set(err, STATUS_DATA, "%s: a tensor's name holds the control character 0x%02x",
                             f->path, (unsigned char)*c);
    return STATUS_OK;
}

static status add_tensor(safetensors *s, int shard_index, const char *name, const json_t *value,
                         size_t data_start, error *err) {
    const shard *f = &s->shards[shard_index];
    placed p = {.shard = shard_index};
    TRY(check_name(f, name, err));
    if (!json_is_object(value)) return bad_tensor(f, name, "must be an object", err);
    TRY(read_dtype(f, name, json_object_get(value, "dtype"), &p.entry.dtype, err));
    TRY(read_shape(f, name, json_object_get(value, "shape"), &p.entry, err));
    TRY(read_offsets(f, name, json_object_get(value, "data_offsets"), f->map.len - data_start, &p, err));
    p.entry.data = (const char *)f->map.data + data_start + p.begin;
    if (s->n == s->capacity) {
        int capacity = s->capacity ? 2 * s->capacity : 64;
        placed *more = realloc(s->tensors, (size_t)capacity * sizeof *more);
        if (!more) return error_memory(err, "the tensors of a file");
        s->tensors = more;
        s->capacity = capacity;
    }
    p.entry.name = strdup(name);
    if (!p.entry.name) return error_memory(err, "a tensor's name");
    s->tensors[s->n++] = p;
    return STATUS_OK;
}

static status keep_metadata(safetensors *s, const shard *f, json_t *value, error *err) {
    const char *key;
    json_t *text;
    if (!json_is_object(value))
        return error_set(err, STATUS_DATA, "%s: __metadata__ must be an object", f->path);
    json_object_foreach(value, key, text) {
        if (!json_is_string(text))
            return error_set(err, STATUS_DATA, "%s: __metadata__: \"%.80s\" must be a string, not %s",
                             f->path, key, json_kind(text));
    }
    if (!s->metadata) s->metadata = json_incref(value);
    return STATUS_OK;
}

static int by_offset(const void *a, const void *b) {
    const placed *p = a, *q = b;
    if (p->begin != q->begin) return p->begin < q->begin ? -1 : 1;
    if (p->end != q->end) return p->end < q->end ? -1 : 1;
    return strcmp(p->entry.name, q->entry.name);
}

/* The shard's tensors, the n from `from` on, must fill its data exactly: no byte unused, none used twice. */
static status check_cover(const shard *f, placed *tensors, int n, uint64_t data_bytes, error *err) {
    uint64_t end = 0;
    if (n) qsort(tensors, (size_t)n, sizeof *tensors, by_offset);
    for (int i = 0; i < n; i++) {
        if (tensors[i].begin < end)
            return error_set(err, STATUS_DATA,
                             "%s: tensor \"%s\": begins at byte %" PRIu64 ", which overlaps tensor \"%s\"",
                             f->path, tensors[i].entry.name, tensors[i].begin, tensors[i - 1].entry.name);
        if (tensors[i].begin > end)
            return error_set(err, STATUS_DATA,
                             "%s: tensor \"%s\": begins at byte %" PRIu64
                             " and leaves a gap from byte %" PRIu64,
                             f->path, tensors[i].entry.name, tensors[i].begin, end);
        end = tensors[i].end;
    }
    if (end != data_bytes)
        return error_set(err, STATUS_DATA, "%s: %" PRIu64 " bytes behind the last tensor", f->path,
                         data_bytes - end);
    return STATUS_OK;
}

static status read_header(safetensors *s, int shard_index, const json_t *header, size_t data_start,
                          error *err) {
    const shard *f = &s->shards[shard_index];
    int from = s->n;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)header, name, value) {
        if (strcmp(name, "__metadata__") == 0)
            TRY(keep_metadata(s, f, value, err));
        else
            TRY(add_tensor(s, shard_index, name, value, data_start, err));
    }
    return check_cover(f, s->n > from ? s->tensors + from : NULL, s->n - from, f->map.len - data_start, err);
}

/* Takes path (malloc'd or NULL) over. */
static status add_shard(safetensors *s, char *path, error *err) {
    shard *more = path ? realloc(s->shards, (size_t)(s->n_shard + 1) * sizeof *more) : NULL;
    if (!more) {
        free(path);
        return error_memory(err, "a path");
    }
    s->shards = more;
    shard *f = &s->shards[s->n_shard++];
    *f = (shard){.path = path};
    TRY(map_file(f, err));

    uint64_t header_len;
    memcpy(&header_len, f->map.data, sizeof header_len);
    if (header_len > MAX_HEADER)
        return error_set(err, STATUS_DATA, "%s: a header of %" PRIu64 " bytes, the format allows %d", path,
                         header_len, MAX_HEADER);
    if (header_len > f->map.len - LENGTH_BYTES)
        return error_set(err, STATUS_DATA, "%s: cut: a header of %" PRIu64 " bytes in a file of %zu", path,
                         header_len, f->map.len);
    const char *text = (const char *)f->map.data + LENGTH_BYTES;
    if (header_len == 0 || text[0] != '{')
        return error_set(err, STATUS_DATA, "%s: its header does not begin with '{': not a safetensors file",
                         path);
    json_t *header;
    TRY(parse_json(text, (size_t)header_len, path, &header, err));
    status result = read_header(s, s->n_shard - 1, header, LENGTH_BYTES + (size_t)header_len, err);
    json_decref(header);
    return result;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const placed *)a)->entry.name, ((const placed *)b)->entry.name);
}

static placed *find(const safetensors *s, const char *name) {
    placed key = {.entry.name = name};
    return s->n ? bsearch(&key, s->tensors, (size_t)s->n, sizeof key, by_name) : NULL;
}

static status sort_names(safetensors *s, error *err) {
    if (s->n) qsort(s->tensors, (size_t)s->n, sizeof *s->tensors, by_name);
    for (int i = 1; i < s->n; i++)
        if (strcmp(s->tensors[i - 1].entry.name, s->tensors[i].entry.name) == 0)
            return error_set(err, STATUS_DATA, "%s: tensor \"%s\": stands in two files, %s and %s", s->path,
                             s->tensors[i].entry.name, s->shards[s->tensors[i - 1].shard].path,
                             s->shards[s->tensors[i].shard].path);
    return STATUS_OK;
}

static int find_shard(const safetensors *s, const char *path) {
    for (int i = 0; i < s->n_shard; i++)
        if (strcmp(s->shards[i].path, path) == 0) return i;
    return -1;
}

static status check_shard_name(const char *place, const char *tensor, const json_t *file, error *err) {
    const char *name = json_string_value(file);
    if (!name) return error_set(err, STATUS_DATA, "%s: \"%.200s\" must name a file", place, tensor);
    size_t len = strlen(name), tail = strlen(".safetensors");
    if (strchr(name, '/') || len <= tail || strcmp(name + len - tail, ".safetensors") != 0)
        return error_set(err, STATUS_DATA,
                         "%s: \"%.200s\": \"%.200s\" is not the name of a .safetensors file beside it", place,
                         tensor, name);
    return STATUS_OK;
}

/* Opens every shard that the map names. */
static status open_shards(safetensors *s, const char *directory, const char *place, json_t *map, error *err) {
    const char *tensor;
    json_t *file;
    json_object_foreach(map, tensor, file) {
        TRY(check_shard_name(place, tensor, file, err));
        char *path = path_join(directory, json_string_value(file));
        if (path && find_shard(s, path) >= 0)
            free(path);
        else
            TRY(add_shard(s, path, err));
    }
    return STATUS_OK;
}

/* The map and the shards must say the same of every tensor. */
static status check_map(safetensors *s, const char *place, json_t *map, error *err) {
    for (int i = 0; i < s->n; i++) {
        const placed *p = &s->tensors[i];
        const char *path = s->shards[p->shard].path,
                   *named = json_string_value(json_object_get(map, p->entry.name));
        const char *slash = strrchr(path, '/');
        if (!named || strcmp(named, slash ? slash + 1 : path) != 0)
            return error_set(err, STATUS_DATA, "%s: tensor \"%s\": stands in %s, the index says %.200s",
                             place, p->entry.name, path, named ? named : "nothing");
    }
    const char *tensor;
    json_t *file;
    json_object_foreach(map, tensor, file) {
        if (!find(s, tensor))
            return error_set(err, STATUS_DATA, "%s: tensor \"%.200s\": is not in %s", place, tensor,
                             json_string_value(file));
    }
    return STATUS_OK;
}

static status open_index(safetensors *s, const char *directory, const char *place, error *err) {
    json_t *index;
    TRY(parse_json_file(place, MAX_INDEX, &index, err));
    json_t *map = json_object_get(index, "weight_map");
    status result = json_is_object(map)
                        ? open_shards(s, directory, place, map, err)
                        : error_set(err, STATUS_DATA, "%s: \"weight_map\" must be an object", place);
    if (result == STATUS_OK) result = sort_names(s, err);
    if (result == STATUS_OK) result = check_map(s, place, map, err);
    json_decref(index);
    return result;
}

static status open_directory(safetensors *s, const char *directory, error *err) {
    char *single = path_join(directory, "model.safetensors");
    char *index = path_join(directory, "model.safetensors.index.json");
    status result;
    if (!single || !index) {
        result = error_memory(err, "a path");
    } else if (path_exists(single)) {
        result = add_shard(s, single, err);
        single = NULL;
        if (result == STATUS_OK) result = sort_names(s, err);
    } else if (path_exists(index)) {
        result = open_index(s, directory, index, err);
    } else {
        result = error_set(err, STATUS_DATA,
                           "%s: holds neither model.safetensors nor model.safetensors.index.json", directory);
    }
    free(single);
    free(index);
    return result;
}

status safetensors_open(const char *path, safetensors **out, error *err) {
    *out = NULL;
    safetensors *s = calloc(1, sizeof *s);
    if (!s || !(s->path = strdup(path))) {
        free(s);
        return error_memory(err, "a safetensors file");
    }
    status result;
    if (path_is_directory(path)) {
        result = open_directory(s, path, err);
    } else {
        result = add_shard(s, strdup(path), err);
        if (result == STATUS_OK) result = sort_names(s, err);
    }
    if (result == STATUS_OK)
        *out = s;
    else
        safetensors_close(s);
    return result;
}

int safetensors_count(const safetensors *s) { return s->n; }
const tensor_entry *safetensors_entry(const safetensors *s, int i) { return &s->tensors[i].entry; }
const char *safetensors_path(const safetensors *s) { return s->path; }

const tensor_entry *safetensors_find(const safetensors *s, const char *name) {
    const placed *p = find(s, name);
    return p ? &p->entry : NULL;
}

const char *safetensors_metadata(const safetensors *s, const char *key) {
    return json_string_value(json_object_get(s->metadata, key));
}

static void print_shape(int n_dim, const int64_t *shape, buffer *out) {
    buffer_string(out, "[");
    for (int i = 0; i < n_dim; i++) buffer_format(out, "%s%" PRId64, i ? ", " : "", shape[i]);
    buffer_string(out, "]");
}

static status wrong_shape(const char *path, const tensor_entry *e, int n_dim, const int64_t *shape,
                          error *err) {
    buffer has = {0}, wanted = {0};
    print_shape(e->n_dim, e->shape, &has);
    print_shape(n_dim, shape, &wanted);
    status result = buffer_check(&has, err);
    if (result == STATUS_OK) result = buffer_check(&wanted, err);
    if (result == STATUS_OK)
        result = error_set(err, STATUS_DATA, "%s: tensor \"%s\": has shape %s, wanted is %s", path, e->name,
                           has.data, wanted.data);
    buffer_free(&has);
    buffer_free(&wanted);
    return result;
}

static int is_float(tensor_dtype dtype) {
    return dtype == DTYPE_F32 || dtype == DTYPE_F16 || dtype == DTYPE_BF16;
}

/* *path: the file that holds it. */
static status find_elements(const safetensors *s, const char *name, int n_dim, const int64_t *shape,
                            const tensor_entry **out, const char **path, error *err) {
    const placed *p = find(s, name);
    if (!p) return error_set(err, STATUS_DATA, "%s: tensor \"%s\": is missing", s->path, name);
    *path = s->shards[p->shard].path;
    const tensor_entry *e = *out = &p->entry;
    int same = e->n_dim == n_dim;
    for (int i = 0; same && i < n_dim; i++) same = e->shape[i] == shape[i];
    return same ? STATUS_OK : wrong_shape(*path, e, n_dim, shape, err);
}

static status wrong_dtype(const char *path, const tensor_entry *e, const char *wanted, error *err) {
    return error_set(err, STATUS_DATA, "%s: tensor \"%s\": has dtype %s, only %s can be read here", path,
                     e->name, tensor_dtype_name(e->dtype), wanted);
}

static status find_floats(const safetensors *s, const char *name, int n_dim, const int64_t *shape,
                          const tensor_entry **out, error *err) {
    const char *path;
    TRY(find_elements(s, name, n_dim, shape, out, &path, err));
    return is_float((*out)->dtype) ? STATUS_OK : wrong_dtype(path, *out, "F32, F16 and BF16", err);
}

status safetensors_check_f32(const safetensors *s, const char *name, int n_dim, const int64_t *shape,
                             error *err) {
    const tensor_entry *e;
    return find_floats(s, name, n_dim, shape, &e, err);
}

status safetensors_copy_f32(const safetensors *s, const char *name, int n_dim, const int64_t *shape,
                            float *out, error *err) {
    const tensor_entry *e;
    TRY(find_floats(s, name, n_dim, shape, &e, err));
    size_t n = e->bytes / tensor_dtype_bytes(e->dtype);
    if (e->dtype == DTYPE_F16)
        f16_widen(e->data, n, out);
    else if (e->dtype == DTYPE_BF16)
        bf16_widen(e->data, n, out);
    else if (n)
        memcpy(out, e->data, e->bytes);
    return STATUS_OK;
}

status safetensors_copy_i32(const safetensors *s, const char *name, int n_dim, const int64_t *shape,
                            int32_t *out, error *err) {
    const tensor_entry *e;
    const char *path;
    TRY(find_elements(s, name, n_dim, shape, &e, &path, err));
    if (e->dtype != DTYPE_I32) return wrong_dtype(path, e, "I32", err);
    if (e->bytes) memcpy(out, e->data, e->bytes);
    return STATUS_OK;
}
