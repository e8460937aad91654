#include "core/model/from_gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/half.h"
#include "core/base/signal.h"
#include "core/model/from_gguf_names.h"
#include "core/model/placed.h"

/* A tensor of the new file and the one that it is made of: the same, but for a transpose and, with permuted,
   the order of rows. */
typedef struct source {
    const placed *to;
    const gguf_tensor *from;
    int permuted;
    int less_one;       /* gains that are kept from one, and that llama.cpp keeps whole */
    int64_t rows, cols; /* of `from`; a vector has rows of one element */
} source;

/* llama.cpp turns neighbours where Hugging Face turns elements half a head apart: row 2i + p of a head was
   row p (head_dim / 2) + i. */
static int is_permuted(const model_config *c, const placed *t) {
    return c->family == FAMILY_LLAMA && (t->how->part == PART_Q || t->how->part == PART_K);
}

/* The row of the file that becomes row r. */
static int64_t source_row(const source *t, int head_dim, int64_t r) {
    if (!t->permuted) return r;
    int64_t i = r % head_dim, half = head_dim / 2;
    return r - i + 2 * (i % half) + i / half;
}

/* ---- checks ---- */

static status wrong_shape(const gguf *g, const gguf_tensor *t, int n_dim, const int64_t *wanted, error *err) {
    char has[80] = "", want[80] = "";
    for (int i = 0, n = 0; i < t->n_dim; i++)
        n += snprintf(has + n, sizeof has - (size_t)n, "%s%" PRId64, i ? ", " : "", t->shape[i]);
    for (int i = 0, n = 0; i < n_dim; i++)
        n += snprintf(want + n, sizeof want - (size_t)n, "%s%" PRId64, i ? ", " : "", wanted[i]);
    return error_set(err, STATUS_DATA, "%s: tensor \"%s\": has shape [%s], wanted is [%s]", gguf_path(g),
                     t->name, has, want);
}

static status find_source(const gguf *g, const model_config *c, const placed *to, source *out, error *err) {
    char name[GGUF_NAME_SIZE];
    if (!gguf_tensor_name(to->how->ours, to->how->part, to->layer, name))
        return error_set(err, STATUS_DATA, "%s: GGUF has no name for \"%s\"", gguf_path(g), to->name);
    const gguf_tensor *from = gguf_find(g, name);
    if (!from) return error_set(err, STATUS_DATA, "%s: tensor \"%s\" is missing", gguf_path(g), name);
    const int64_t shape[2] = {to->n, to->p->cols}; /* of a matrix, as we have it: [out, in] */
    int same = from->n_dim == to->n_dim;
    for (int i = 0; same && i < from->n_dim; i++) same = from->shape[i] == shape[i];
    if (!same) return wrong_shape(g, from, to->n_dim, shape, err);
    *out = (source){.to = to,
                    .from = from,
                    .permuted = is_permuted(c, to),
                    .less_one = c->gain_from_one && strstr(to->how->ours, "norm") != NULL,
                    .rows = to->n,
                    .cols = to->n_dim == 2 ? to->p->cols : 1};
    return STATUS_OK;
}

static status refuse_unknown(const gguf *g, const model_config *c, const source *sources, int n, error *err) {
    for (int i = 0; i < gguf_count(g); i++) {
        const gguf_tensor *t = gguf_entry(g, i);
        int known =
            (c->tied && strcmp(t->name, "output.weight") == 0) || strcmp(t->name, GGUF_ROPE_DIVISORS) == 0;
        for (int j = 0; j < n && !known; j++) known = sources[j].from == t;
        if (!known)
            return error_set(err, STATUS_DATA, "%s: tensor \"%s\" is none of this model's", gguf_path(g),
                             t->name);
    }
    return STATUS_OK;
}

/* ---- writing ---- */

typedef struct output {
    safetensors_shards *writer;
    tensor_dtype dtype;
    uint16_t *half; /* as many elements as are put at once */
} output;

static void put(output *o, int tensor, const float *x, size_t n) {
    if (o->dtype == DTYPE_F32) {
        safetensors_shards_put(o->writer, tensor, x, n * sizeof *x);
        return;
    }
    (o->dtype == DTYPE_F16 ? f16_narrow : bf16_narrow)(x, n, o->half);
    safetensors_shards_put(o->writer, tensor, o->half, n * sizeof *o->half);
}

/* Row by row. memory: [cols] */
static void put_matrix(const source *t, int head_dim, int tensor, float *memory, output *o) {
    const gguf_format *f = gguf_format_of(t->from->type);
    size_t row_bytes = (size_t)(t->cols / f->elements) * (size_t)f->bytes;
    for (int64_t r = 0; r < t->rows; r++) {
        const char *row = (const char *)t->from->data + (size_t)source_row(t, head_dim, r) * row_bytes;
        gguf_dequantize(t->from->type, row, (size_t)t->cols, memory);
        put(o, tensor, memory, (size_t)t->cols);
    }
}

/* Column by column: a vector, or what is stored transposed. memory: [rows * cols + rows] */
static void put_columns(const source *t, int head_dim, int tensor, float *memory, output *o) {
    size_t n = (size_t)(t->rows * t->cols);
    float *column = memory + n;
    gguf_dequantize(t->from->type, t->from->data, n, memory);
    for (size_t i = 0; t->less_one && i < n; i++) memory[i] -= 1;
    for (int64_t c = 0; c < t->cols; c++) {
        for (int64_t r = 0; r < t->rows; r++) column[r] = memory[source_row(t, head_dim, r) * t->cols + c];
        put(o, tensor, column, (size_t)t->rows);
    }
}

static int is_by_row(const source *t) { return t->to->n_dim == 2 && !t->to->transposed; }

/* The floats that any tensor takes on its way, and the elements that are put at once. */
static void measure(const source *sources, int n, size_t *memory, size_t *piece) {
    *memory = *piece = 1;
    for (int i = 0; i < n; i++) {
        const source *t = &sources[i];
        size_t part = (size_t)(is_by_row(t) ? t->cols : t->rows);
        size_t whole = is_by_row(t) ? part : (size_t)(t->rows * t->cols) + part;
        if (part > *piece) *piece = part;
        if (whole > *memory) *memory = whole;
    }
}

static status write_tensors(const source *sources, int n, int head_dim, tensor_dtype dtype,
                            const char *directory, error *err) {
    size_t most, piece;
    measure(sources, n, &most, &piece);
    float *memory = malloc(most * sizeof *memory);
    tensor_entry *entries = calloc((size_t)n + 1, sizeof *entries);
    output o = {.dtype = dtype, .half = malloc(piece * sizeof *o.half)};
    status s = memory && entries && o.half ? STATUS_OK : error_memory(err, "a tensor");
    for (int i = 0; i < n && s == STATUS_OK; i++) {
        const placed *to = sources[i].to;
        entries[i] = (tensor_entry){
            .name = to->name, .dtype = dtype, .n_dim = to->n_dim, .shape = {to->shape[0], to->shape[1]}};
    }
    if (s == STATUS_OK)
        s = safetensors_shards_begin(directory, entries, n, SAFETENSORS_SHARD_BYTES, &o.writer, err);
    for (int i = 0; i < n && s == STATUS_OK; i++) {
        (is_by_row(&sources[i]) ? put_matrix : put_columns)(&sources[i], head_dim, i, memory, &o);
        if (signal_stop_requested()) s = error_set(err, STATUS_INTERRUPTED, "stopped by a signal");
    }
    if (s == STATUS_OK)
        s = safetensors_shards_commit(o.writer, err);
    else
        safetensors_shards_abandon(o.writer);
    free(o.half);
    free(entries);
    free(memory);
    return s;
}

static status convert(const gguf *g, const model_config *c, const placed *list, int n, tensor_dtype dtype,
                      const char *directory, error *err) {
    source *sources = calloc((size_t)n + 1, sizeof *sources);
    status s = sources ? STATUS_OK : error_memory(err, "a list of tensors");
    for (int i = 0; i < n && s == STATUS_OK; i++) s = find_source(g, c, &list[i], &sources[i], err);
    if (s == STATUS_OK) s = refuse_unknown(g, c, sources, n, err);
    if (s == STATUS_OK) s = model_config_save(c, dtype, directory, err);
    if (s == STATUS_OK) s = write_tensors(sources, n, c->head_dim, dtype, directory, err);
    free(sources);
    return s;
}

status model_convert_gguf(const gguf *g, const model_config *c, tensor_dtype dtype, const char *directory,
                          error *err) {
    weights shape = {.config = *c};
    placed *list = NULL;
    int n = 0;
    status s = weights_list_params(&shape, err);
    if (s == STATUS_OK) s = placed_list(&shape, &list, &n, err);
    if (s == STATUS_OK) s = convert(g, c, list, n, dtype, directory, err);
    free(list);
    free(shape.params);
    free(shape.layer);
    return s;
}
