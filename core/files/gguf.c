#include "core/files/gguf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mapping.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied as they lie in the file");

enum {
    MAX_KEYS = 1 << 16,
    MAX_TENSORS = 1 << 17,
    MAX_NAME = 512,
    LEAST_KEY = 8 + 4 + 1,            /* bytes of the shortest value with an empty key */
    LEAST_TENSOR = 8 + 4 + 8 + 4 + 8, /* of a nameless tensor with one dimension */
    USUAL_ALIGNMENT = 32,
    MAX_ALIGNMENT = 1 << 20,
};

typedef enum kind { /* by the file's numbers */
                    KIND_UINT8,
                    KIND_INT8,
                    KIND_UINT16,
                    KIND_INT16,
                    KIND_UINT32,
                    KIND_INT32,
                    KIND_FLOAT32,
                    KIND_BOOL,
                    KIND_STRING,
                    KIND_ARRAY,
                    KIND_UINT64,
                    KIND_INT64,
                    KIND_FLOAT64,
                    N_KIND,
} kind;

static const struct {
    const char *name;
    size_t bytes; /* 0: it varies */
} kinds[N_KIND] = {
    [KIND_UINT8] = {"a uint8", 1},     [KIND_INT8] = {"an int8", 1},    [KIND_UINT16] = {"a uint16", 2},
    [KIND_INT16] = {"an int16", 2},    [KIND_UINT32] = {"a uint32", 4}, [KIND_INT32] = {"an int32", 4},
    [KIND_FLOAT32] = {"a float32", 4}, [KIND_BOOL] = {"a bool", 1},     [KIND_STRING] = {"a string", 0},
    [KIND_ARRAY] = {"an array", 0},    [KIND_UINT64] = {"a uint64", 8}, [KIND_INT64] = {"an int64", 8},
    [KIND_FLOAT64] = {"a float64", 8},
};

typedef struct value {
    char *key;
    kind kind, element; /* element: of an array */
    size_t n;           /* elements of an array; else 1 */
    const uint8_t *at;  /* the (first) element */
} value;

typedef struct placed {
    gguf_tensor entry;
    uint64_t offset; /* into the data */
} placed;

struct gguf {
    char *path;
    mapping map;
    value *values;   /* [n_value], sorted by key once open */
    placed *tensors; /* [n_tensor], sorted by name once open; names are ours */
    int n_value, n_tensor;
};

void gguf_close(gguf *g) {
    if (!g) return;
    for (int i = 0; i < g->n_value; i++) free(g->values[i].key);
    for (int i = 0; i < g->n_tensor; i++) free((char *)g->tensors[i].entry.name);
    mapping_close(&g->map);
    free(g->values);
    free(g->tensors);
    free(g->path);
    free(g);
}

/* ---- reading, in the order of the file ---- */

typedef struct cursor {
    const char *path;
    const uint8_t *at;
    size_t left;
    char what[MAX_NAME + 32]; /* is being read, for messages */
    error *err;
} cursor;

static status refuse(const cursor *c, const char *why) {
    return error_set(c->err, STATUS_DATA, "%s: %s: %s", c->path, c->what, why);
}

/* Steps over bytes; *at: where they lie. */
static status take(cursor *c, uint64_t bytes, const uint8_t **at) {
    *at = c->at;
    if (bytes > c->left)
        return error_set(c->err, STATUS_DATA, "%s: %s: cut: %" PRIu64 " bytes are announced, %zu are left",
                         c->path, c->what, bytes, c->left);
    c->at += bytes;
    c->left -= (size_t)bytes;
    return STATUS_OK;
}

static status take_u32(cursor *c, uint32_t *out) {
    const uint8_t *at;
    TRY(take(c, sizeof *out, &at));
    memcpy(out, at, sizeof *out);
    return STATUS_OK;
}

static status take_u64(cursor *c, uint64_t *out) {
    const uint8_t *at;
    TRY(take(c, sizeof *out, &at));
    memcpy(out, at, sizeof *out);
    return STATUS_OK;
}

/* A length, then so many bytes. */
static status take_string(cursor *c, const uint8_t **at, uint64_t *len) {
    TRY(take_u64(c, len));
    return take(c, *len, at);
}

/* A key or a tensor's name, malloc'd. */
static status take_name(cursor *c, char **out) {
    const uint8_t *at;
    uint64_t len;
    TRY(take_string(c, &at, &len));
    if (len == 0 || len > MAX_NAME)
        return error_set(c->err, STATUS_DATA, "%s: %s: a name of %" PRIu64 " bytes, from 1 to %d are read",
                         c->path, c->what, len, MAX_NAME);
    for (uint64_t i = 0; i < len; i++)
        if (at[i] < 0x20 || at[i] == 0x7f)
            return error_set(c->err, STATUS_DATA, "%s: %s: its name holds the control character 0x%02x",
                             c->path, c->what, at[i]);
    *out = strndup((const char *)at, (size_t)len);
    return *out ? STATUS_OK : error_memory(c->err, "a name");
}

static status take_kind(cursor *c, kind *out) {
    uint32_t number;
    TRY(take_u32(c, &number));
    if (number >= N_KIND)
        return error_set(c->err, STATUS_DATA, "%s: %s: unknown kind %" PRIu32 " of value", c->path, c->what,
                         number);
    *out = (kind)number;
    return STATUS_OK;
}

static status take_elements(cursor *c, kind element, uint64_t n) {
    const uint8_t *at;
    uint64_t bytes = 0, len;
    if (kinds[element].bytes) {
        if (__builtin_mul_overflow(n, kinds[element].bytes, &bytes)) bytes = UINT64_MAX;
        return take(c, bytes, &at);
    }
    if (n > c->left / sizeof len)
        return error_set(c->err, STATUS_DATA,
                         "%s: %s: cut: %" PRIu64 " strings are announced, %zu bytes are left", c->path,
                         c->what, n, c->left);
    for (uint64_t i = 0; i < n; i++) TRY(take_string(c, &at, &len));
    return STATUS_OK;
}

static status take_value(cursor *c, value *v) {
    uint64_t n = 1;
    TRY(take_name(c, &v->key));
    snprintf(c->what, sizeof c->what, "metadata \"%s\"", v->key);
    TRY(take_kind(c, &v->kind));
    v->element = v->kind;
    if (v->kind == KIND_ARRAY) {
        TRY(take_kind(c, &v->element));
        if (v->element == KIND_ARRAY) return refuse(c, "an array of arrays is not read");
        TRY(take_u64(c, &n));
    }
    v->at = c->at;
    TRY(take_elements(c, v->element, n));
    v->n = (size_t)n;
    return STATUS_OK;
}

/* Fills shape and bytes. */
static status take_shape(cursor *c, gguf_tensor *t) {
    uint32_t n_dim, type;
    uint64_t elements = 1;
    TRY(take_u32(c, &n_dim));
    if (n_dim < 1 || n_dim > GGUF_MAX_DIM)
        return error_set(c->err, STATUS_DATA, "%s: %s: %" PRIu32 " dimensions, from 1 to %d are read",
                         c->path, c->what, n_dim, GGUF_MAX_DIM);
    t->n_dim = (int)n_dim;
    for (int i = t->n_dim - 1; i >= 0; i--) {
        uint64_t size;
        TRY(take_u64(c, &size));
        if (size == 0 || __builtin_mul_overflow(elements, size, &elements) || elements > SIZE_MAX / 16)
            return refuse(c, size ? "its shape's size overflows" : "a dimension of 0");
        t->shape[i] = (int64_t)size;
    }
    TRY(take_u32(c, &type));
    const gguf_format *format = gguf_format_of(type);
    if (!format) {
        const char *name = gguf_type_name(type);
        return error_set(c->err, STATUS_DATA,
                         "%s: %s: its type %s (%" PRIu32 ") is not read; " GGUF_TYPES_READ " are", c->path,
                         c->what, name ? name : "unknown", type);
    }
    t->type = (gguf_type)type;
    if (t->shape[t->n_dim - 1] % format->elements)
        return error_set(c->err, STATUS_DATA,
                         "%s: %s: rows of %" PRId64 " elements are not whole blocks of %s, which have %d",
                         c->path, c->what, t->shape[t->n_dim - 1], format->name, format->elements);
    t->bytes = (size_t)(elements / (uint64_t)format->elements) * (size_t)format->bytes;
    return STATUS_OK;
}

static status take_tensor(cursor *c, placed *t) {
    char *name;
    TRY(take_name(c, &name));
    t->entry.name = name;
    snprintf(c->what, sizeof c->what, "tensor \"%s\"", name);
    TRY(take_shape(c, &t->entry));
    return take_u64(c, &t->offset);
}

/* A count of things that take at least `least` bytes each. */
static status check_count(const cursor *c, uint64_t n, uint64_t least, uint64_t most, const char *things) {
    if (n > c->left / least)
        return error_set(c->err, STATUS_DATA, "%s: cut: %" PRIu64 " %s are announced, %zu bytes are left",
                         c->path, n, things, c->left);
    if (n <= most) return STATUS_OK;
    return error_set(c->err, STATUS_DATA, "%s: %" PRIu64 " %s, at most %" PRIu64 " are read", c->path, n,
                     things, most);
}

static status take_header(cursor *c, uint64_t *n_tensor, uint64_t *n_value) {
    const uint8_t *magic;
    uint32_t version;
    snprintf(c->what, sizeof c->what, "header");
    if (c->left < 4 || memcmp(c->at, "GGUF", 4) != 0)
        return error_set(c->err, STATUS_DATA, "%s: does not begin with \"GGUF\": not a GGUF file", c->path);
    TRY(take(c, 4, &magic));
    TRY(take_u32(c, &version));
    if (version && version % (1 << 16) == 0) return refuse(c, "a file of a big-endian machine is not read");
    if (version < 2 || version > 3)
        return error_set(c->err, STATUS_DATA, "%s: GGUF version %" PRIu32 " is not read; 2 and 3 are",
                         c->path, version);
    TRY(take_u64(c, n_tensor));
    TRY(take_u64(c, n_value));
    TRY(check_count(c, *n_tensor, LEAST_TENSOR, MAX_TENSORS, "tensors"));
    return check_count(c, *n_value, LEAST_KEY, MAX_KEYS, "metadata values");
}

/* ---- checks of the whole ---- */

static int by_key(const void *a, const void *b) {
    return strcmp(((const value *)a)->key, ((const value *)b)->key);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const placed *)a)->entry.name, ((const placed *)b)->entry.name);
}

static int by_offset(const void *a, const void *b) {
    uint64_t x = ((const placed *)a)->offset, y = ((const placed *)b)->offset;
    return (x > y) - (x < y);
}

static status sort_values(gguf *g, error *err) {
    if (g->n_value) qsort(g->values, (size_t)g->n_value, sizeof *g->values, by_key);
    for (int i = 1; i < g->n_value; i++)
        if (strcmp(g->values[i - 1].key, g->values[i].key) == 0)
            return error_set(err, STATUS_DATA, "%s: metadata \"%s\" stands twice", g->path, g->values[i].key);
    return STATUS_OK;
}

static status sort_tensors(gguf *g, error *err) {
    if (g->n_tensor) qsort(g->tensors, (size_t)g->n_tensor, sizeof *g->tensors, by_name);
    for (int i = 1; i < g->n_tensor; i++)
        if (by_name(&g->tensors[i - 1], &g->tensors[i]) == 0)
            return error_set(err, STATUS_DATA, "%s: tensor \"%s\" stands twice", g->path,
                             g->tensors[i].entry.name);
    return STATUS_OK;
}

/* Fills data from the offsets. */
static status place_tensors(gguf *g, size_t header_bytes, size_t alignment, error *err) {
    size_t begin = (header_bytes + alignment - 1) / alignment * alignment;
    size_t len = g->map.len > begin ? g->map.len - begin : 0;
    for (int i = 0; i < g->n_tensor; i++) {
        gguf_tensor *t = &g->tensors[i].entry;
        uint64_t offset = g->tensors[i].offset;
        if (offset % alignment)
            return error_set(err, STATUS_DATA,
                             "%s: tensor \"%s\": its offset %" PRIu64
                             " is not a multiple of the alignment %zu",
                             g->path, t->name, offset, alignment);
        if (offset > len || t->bytes > len - offset)
            return error_set(err, STATUS_DATA,
                             "%s: tensor \"%s\": cut: its %zu bytes from byte %" PRIu64
                             " of the data on pass the end, which is at %zu",
                             g->path, t->name, t->bytes, offset, len);
        t->data = (const uint8_t *)g->map.data + begin + offset;
    }
    return STATUS_OK;
}

static status check_overlap(gguf *g, error *err) {
    if (g->n_tensor) qsort(g->tensors, (size_t)g->n_tensor, sizeof *g->tensors, by_offset);
    for (int i = 1; i < g->n_tensor; i++) {
        const placed *a = &g->tensors[i - 1], *b = &g->tensors[i];
        if (a->offset + a->entry.bytes > b->offset)
            return error_set(err, STATUS_DATA, "%s: tensors \"%s\" and \"%s\" overlap", g->path,
                             a->entry.name, b->entry.name);
    }
    return STATUS_OK;
}

/* Left as it is where the file does not say. */
static status read_alignment(const gguf *g, size_t *out, error *err) {
    int64_t alignment;
    if (!gguf_has(g, "general.alignment")) return STATUS_OK;
    TRY(gguf_get_int(g, "general.alignment", 1, MAX_ALIGNMENT, &alignment, err));
    if (alignment & (alignment - 1))
        return error_set(err, STATUS_DATA,
                         "%s: metadata \"general.alignment\" is %" PRId64 ", must be a power of two", g->path,
                         alignment);
    *out = (size_t)alignment;
    return STATUS_OK;
}

static status read_all(gguf *g, error *err) {
    cursor c = {.path = g->path, .at = g->map.data, .left = g->map.len, .err = err};
    uint64_t n_tensor, n_value;
    size_t alignment = USUAL_ALIGNMENT;
    TRY(take_header(&c, &n_tensor, &n_value));
    g->values = calloc((size_t)n_value + 1, sizeof *g->values);
    g->tensors = calloc((size_t)n_tensor + 1, sizeof *g->tensors);
    if (!g->values || !g->tensors) return error_memory(err, "a GGUF file's lists");
    while (g->n_value < (int)n_value) {
        snprintf(c.what, sizeof c.what, "metadata value %d of %" PRIu64, g->n_value + 1, n_value);
        TRY(take_value(&c, &g->values[g->n_value++]));
    }
    while (g->n_tensor < (int)n_tensor) {
        snprintf(c.what, sizeof c.what, "tensor %d of %" PRIu64, g->n_tensor + 1, n_tensor);
        TRY(take_tensor(&c, &g->tensors[g->n_tensor++]));
    }
    TRY(sort_values(g, err));
    TRY(read_alignment(g, &alignment, err));
    TRY(place_tensors(g, g->map.len - c.left, alignment, err));
    TRY(check_overlap(g, err));
    return sort_tensors(g, err);
}

status gguf_open(const char *path, gguf **out, error *err) {
    *out = NULL;
    gguf *g = calloc(1, sizeof *g);
    if (!g || !(g->path = strdup(path))) {
        gguf_close(g);
        return error_memory(err, "a GGUF file");
    }
    status s = mapping_open(path, &g->map, err);
    if (s == STATUS_OK) s = read_all(g, err);
    if (s == STATUS_OK)
        *out = g;
    else
        gguf_close(g);
    return s;
}

const char *gguf_path(const gguf *g) { return g->path; }
int gguf_count(const gguf *g) { return g->n_tensor; }
const gguf_tensor *gguf_entry(const gguf *g, int i) { return &g->tensors[i].entry; }

const gguf_tensor *gguf_find(const gguf *g, const char *name) {
    placed wanted = {.entry = {.name = name}}, *found = NULL;
    if (g->n_tensor) found = bsearch(&wanted, g->tensors, (size_t)g->n_tensor, sizeof wanted, by_name);
    return found ? &found->entry : NULL;
}

/* ---- metadata ---- */

static const value *find_value(const gguf *g, const char *key) {
    value wanted = {.key = (char *)key};
    return g->n_value ? bsearch(&wanted, g->values, (size_t)g->n_value, sizeof wanted, by_key) : NULL;
}

int gguf_has(const gguf *g, const char *key) { return find_value(g, key) != NULL; }
int gguf_n_key(const gguf *g) { return g->n_value; }
const char *gguf_key(const gguf *g, int i) { return g->values[i].key; }

static status need_value(const gguf *g, const char *key, const value **out, error *err) {
    *out = find_value(g, key);
    if (*out) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: metadata \"%s\" is missing", g->path, key);
}

static status other_kind(const gguf *g, const value *v, const char *wanted, error *err) {
    return error_set(err, STATUS_DATA, "%s: metadata \"%s\" is %s, must be %s", g->path, v->key,
                     kinds[v->kind].name, wanted);
}

/* 0: not a whole number. One beyond int64 becomes the largest. */
static int read_whole(const value *v, int64_t *out) {
    size_t n = kinds[v->kind].bytes;
    uint64_t bits = 0;
    memcpy(&bits, v->at, n);
    switch (v->kind) {
    case KIND_UINT8:
    case KIND_UINT16:
    case KIND_UINT32:
    case KIND_UINT64:
        *out = bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
        return 1;
    case KIND_INT8:
    case KIND_INT16:
    case KIND_INT32:
    case KIND_INT64:
        *out = (int64_t)(bits << (64 - 8 * n)) >> (64 - 8 * n);
        return 1;
    default:
        return 0;
    }
}

status gguf_get_int(const gguf *g, const char *key, int64_t low, int64_t high, int64_t *out, error *err) {
    const value *v;
    TRY(need_value(g, key, &v, err));
    if (!read_whole(v, out)) return other_kind(g, v, "a whole number", err);
    if (*out >= low && *out <= high) return STATUS_OK;
    return error_set(err, STATUS_DATA,
                     "%s: metadata \"%s\" is %" PRId64 ", must be from %" PRId64 " to %" PRId64, g->path, key,
                     *out, low, high);
}

status gguf_get_number(const gguf *g, const char *key, double *out, error *err) {
    const value *v;
    int64_t whole;
    float single;
    TRY(need_value(g, key, &v, err));
    if (v->kind == KIND_FLOAT32) {
        memcpy(&single, v->at, sizeof single);
        *out = (double)single;
    } else if (v->kind == KIND_FLOAT64) {
        memcpy(out, v->at, sizeof *out);
    } else if (read_whole(v, &whole)) {
        *out = (double)whole;
    } else {
        return other_kind(g, v, "a number", err);
    }
    if (isfinite(*out)) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: metadata \"%s\" is not finite", g->path, key);
}

status gguf_get_bool(const gguf *g, const char *key, int *out, error *err) {
    const value *v;
    TRY(need_value(g, key, &v, err));
    if (v->kind != KIND_BOOL) return other_kind(g, v, "a bool", err);
    *out = *v->at;
    if (*out <= 1) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: metadata \"%s\" is %d, must be 0 or 1", g->path, key, *out);
}

status gguf_get_text(const gguf *g, const char *key, gguf_text *out, error *err) {
    const value *v;
    TRY(need_value(g, key, &v, err));
    if (v->kind != KIND_STRING) return other_kind(g, v, "a string", err);
    gguf_array one = {1, v->at};
    *out = gguf_next_text(&one);
    return STATUS_OK;
}

int gguf_text_is(gguf_text text, const char *word) {
    return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

static status get_array(const gguf *g, const char *key, kind element, gguf_array *out, error *err) {
    const value *v;
    TRY(need_value(g, key, &v, err));
    if (v->kind != KIND_ARRAY) return other_kind(g, v, "an array", err);
    if (v->element != element)
        return error_set(err, STATUS_DATA, "%s: metadata \"%s\": an element is %s, must be %s", g->path, key,
                         kinds[v->element].name, kinds[element].name);
    *out = (gguf_array){v->n, v->at};
    return STATUS_OK;
}

status gguf_get_texts(const gguf *g, const char *key, gguf_array *out, error *err) {
    return get_array(g, key, KIND_STRING, out, err);
}

status gguf_get_int32s(const gguf *g, const char *key, gguf_array *out, error *err) {
    return get_array(g, key, KIND_INT32, out, err);
}

status gguf_get_floats(const gguf *g, const char *key, gguf_array *out, error *err) {
    return get_array(g, key, KIND_FLOAT32, out, err);
}

gguf_text gguf_next_text(gguf_array *a) {
    uint64_t len;
    memcpy(&len, a->at, sizeof len);
    gguf_text text = {(const char *)a->at + sizeof len, (size_t)len};
    a->at += sizeof len + text.len;
    return text;
}

int32_t gguf_next_int32(gguf_array *a) {
    int32_t x;
    memcpy(&x, a->at, sizeof x);
    a->at += sizeof x;
    return x;
}

float gguf_next_float(gguf_array *a) {
    float x;
    memcpy(&x, a->at, sizeof x);
    a->at += sizeof x;
    return x;
}
