#include "tests/support/gguf_file.h"

#include <string.h>

#include "tests/support/places.h"

static void put_u32(buffer *b, uint32_t x) { buffer_append(b, &x, sizeof x); }
static void put_u64(buffer *b, uint64_t x) { buffer_append(b, &x, sizeof x); }
static void put_text(buffer *b, const char *text) {
    put_u64(b, strlen(text));
    buffer_string(b, text);
}
static void align(buffer *b, size_t alignment) {
    while (b->len % alignment) buffer_append(b, "", 1);
}

gguf_file gguf_file_new(void) { return (gguf_file){.version = 3, .alignment = 32}; }

void gguf_file_free(gguf_file *f) {
    buffer_free(&f->values);
    buffer_free(&f->tensors);
    buffer_free(&f->data);
}

void gguf_file_value(gguf_file *f, const char *key, uint32_t kind, const void *bytes, size_t n) {
    put_text(&f->values, key);
    put_u32(&f->values, kind);
    buffer_append(&f->values, bytes, n);
    f->n_value++;
}

void gguf_file_u32(gguf_file *f, const char *key, uint32_t x) { gguf_file_value(f, key, 4, &x, sizeof x); }
void gguf_file_f32(gguf_file *f, const char *key, float x) { gguf_file_value(f, key, 6, &x, sizeof x); }

void gguf_file_bool(gguf_file *f, const char *key, int x) {
    uint8_t byte = (uint8_t)x;
    gguf_file_value(f, key, 7, &byte, 1);
}

void gguf_file_text(gguf_file *f, const char *key, const char *text) {
    gguf_file_value(f, key, 8, "", 0);
    put_text(&f->values, text);
}

static void begin_array(gguf_file *f, const char *key, uint32_t element, uint64_t n) {
    gguf_file_value(f, key, 9, &element, sizeof element);
    put_u64(&f->values, n);
}

void gguf_file_texts(gguf_file *f, const char *key, const char *const *texts, size_t n) {
    begin_array(f, key, 8, n);
    for (size_t i = 0; i < n; i++) put_text(&f->values, texts[i]);
}

void gguf_file_int32s(gguf_file *f, const char *key, const int32_t *x, size_t n) {
    begin_array(f, key, 5, n);
    buffer_append(&f->values, x, n * sizeof *x);
}

void gguf_file_floats(gguf_file *f, const char *key, const float *x, size_t n) {
    begin_array(f, key, 6, n);
    buffer_append(&f->values, x, n * sizeof *x);
}

void gguf_file_entry(gguf_file *f, const char *name, uint32_t type, int n_dim, const int64_t *shape,
                     uint64_t offset) {
    put_text(&f->tensors, name);
    put_u32(&f->tensors, (uint32_t)n_dim);
    for (int i = n_dim - 1; i >= 0; i--) put_u64(&f->tensors, (uint64_t)shape[i]);
    put_u32(&f->tensors, type);
    put_u64(&f->tensors, offset);
    f->n_tensor++;
}

void gguf_file_tensor(gguf_file *f, const char *name, uint32_t type, int n_dim, const int64_t *shape,
                      const void *data, size_t bytes) {
    align(&f->data, f->alignment);
    gguf_file_entry(f, name, type, n_dim, shape, f->data.len);
    buffer_append(&f->data, data, bytes);
}

void gguf_file_bytes(const gguf_file *f, buffer *out) {
    buffer_string(out, "GGUF");
    put_u32(out, f->version);
    put_u64(out, f->n_tensor);
    put_u64(out, f->n_value);
    buffer_append(out, f->values.data, f->values.len);
    buffer_append(out, f->tensors.data, f->tensors.len);
    align(out, f->alignment);
    buffer_append(out, f->data.data, f->data.len);
}

void gguf_file_write(const gguf_file *f, const char *path) {
    buffer whole = {0};
    gguf_file_bytes(f, &whole);
    write_all(path, whole.data, whole.len);
    buffer_free(&whole);
}
