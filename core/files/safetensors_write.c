#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/base/file.h"
#include "core/files/safetensors.h"

enum { HEADER_ALIGN = 8 };

struct safetensors_writer {
    file_writer file;
    char *path;
    size_t *bytes; /* [n] of each tensor */
    int n, current;
    size_t put; /* bytes of the current tensor so far */
    int misuse; /* 1 + the tensor whose put was refused, 0: none */
};

static status tensor_bytes(const char *path, const tensor_entry *e, size_t *out, error *err) {
    if (e->dtype != DTYPE_F32 && e->dtype != DTYPE_F16 && e->dtype != DTYPE_BF16 && e->dtype != DTYPE_I32)
        return error_set(err, STATUS_FAILED, "%s: tensor \"%s\": dtype %s is not written", path, e->name,
                         tensor_dtype_name(e->dtype));
    uint64_t bytes = tensor_dtype_bytes(e->dtype);
    int bad = e->n_dim < 0 || e->n_dim > SAFETENSORS_MAX_DIM;
    for (int i = 0; !bad && i < e->n_dim; i++)
        bad = e->shape[i] < 0 || __builtin_mul_overflow(bytes, (uint64_t)e->shape[i], &bytes) ||
              bytes > SIZE_MAX / 2;
    if (bad) return error_set(err, STATUS_FAILED, "%s: tensor \"%s\": a shape out of range", path, e->name);
    *out = (size_t)bytes;
    return STATUS_OK;
}

/* Prints the header, padded with spaces so that the data behind it is aligned, and fills bytes [n]. */
static status make_header(const char *path, const tensor_entry *tensors, int n, size_t *bytes, buffer *header,
                          error *err) {
    uint64_t offset = 0;
    buffer_string(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int i = 0; i < n; i++) {
        const tensor_entry *e = &tensors[i];
        TRY(tensor_bytes(path, e, &bytes[i], err));
        buffer_string(header, ",");
        buffer_json_string(header, e->name, strlen(e->name));
        buffer_format(header, ":{\"dtype\":\"%s\",\"shape\":[", tensor_dtype_name(e->dtype));
        for (int d = 0; d < e->n_dim; d++) buffer_format(header, "%s%" PRId64, d ? "," : "", e->shape[d]);
        buffer_format(header, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", offset, offset + bytes[i]);
        offset += bytes[i];
    }
    buffer_string(header, "}");
    size_t over = header->len % HEADER_ALIGN;
    if (over) buffer_append(header, "       ", HEADER_ALIGN - over);
    return buffer_check(header, err);
}

static void free_writer(safetensors_writer *w) {
    free(w->path);
    free(w->bytes);
    free(w);
}

void safetensors_abandon(safetensors_writer *w) {
    if (!w) return;
    file_abandon(&w->file);
    free_writer(w);
}

status safetensors_begin(const char *path, const tensor_entry *tensors, int n, safetensors_writer **out,
                         error *err) {
    *out = NULL;
    safetensors_writer *w = calloc(1, sizeof *w);
    if (!w) return error_memory(err, "a safetensors file");
    w->path = strdup(path);
    w->bytes = calloc((size_t)n + 1, sizeof *w->bytes);
    w->n = n;
    buffer header = {0};
    status s = w->path && w->bytes ? STATUS_OK : error_memory(err, "a safetensors file");
    if (s == STATUS_OK) s = make_header(path, tensors, n, w->bytes, &header, err);
    if (s == STATUS_OK) s = file_begin(&w->file, path, err);
    if (s == STATUS_OK) {
        uint64_t len = header.len;
        file_put(&w->file, &len, sizeof len);
        file_put(&w->file, header.data, header.len);
        *out = w;
    } else {
        free_writer(w);
    }
    buffer_free(&header);
    return s;
}

static void skip_finished(safetensors_writer *w) {
    while (w->current < w->n && w->put == w->bytes[w->current]) {
        w->current++;
        w->put = 0;
    }
}

void safetensors_put(safetensors_writer *w, int tensor, const void *data, size_t bytes) {
    if (w->misuse || bytes == 0) return;
    skip_finished(w);
    if (tensor != w->current || tensor >= w->n || bytes > w->bytes[tensor] - w->put) {
        w->misuse = tensor + 1;
        return;
    }
    file_put(&w->file, data, bytes);
    w->put += bytes;
}

status safetensors_commit(safetensors_writer *w, error *err) {
    skip_finished(w);
    status s = STATUS_OK;
    if (w->misuse)
        s = error_set(err, STATUS_FAILED, "%s: data put for tensor %d at byte %zu of tensor %d of %d",
                      w->path, w->misuse - 1, w->put, w->current, w->n);
    else if (w->current != w->n)
        s = error_set(err, STATUS_FAILED, "%s: data missing from byte %zu of tensor %d of %d on", w->path,
                      w->put, w->current, w->n);
    if (s == STATUS_OK)
        s = file_commit(&w->file, err);
    else
        file_abandon(&w->file);
    free_writer(w);
    return s;
}

status safetensors_write(const char *path, const tensor_entry *tensors, int n, error *err) {
    safetensors_writer *w;
    TRY(safetensors_begin(path, tensors, n, &w, err));
    for (int i = 0; i < n; i++) safetensors_put(w, i, tensors[i].data, w->bytes[i]);
    return safetensors_commit(w, err);
}
