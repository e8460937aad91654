/* tests/support/gguf_file: GGUF files made piece by piece, good ones and bad ones. */
#ifndef RLHF_TESTS_GGUF_FILE_H
#define RLHF_TESTS_GGUF_FILE_H

#include <stdint.h>

#include "core/base/buffer.h"

typedef struct gguf_file {
    uint32_t version;
    uint64_t n_value, n_tensor; /* what the header says: counted as pieces are added */
    size_t alignment;           /* of what is written */
    buffer values, tensors, data;
} gguf_file;

gguf_file gguf_file_new(void); /* version 3, alignment 32 */
void gguf_file_free(gguf_file *f);

/* By the file's numbers: kind 4 is a uint32, 5 an int32, 6 a float32, 7 a bool, 8 a string, 9 an array. */
void gguf_file_value(gguf_file *f, const char *key, uint32_t kind, const void *bytes, size_t n);
void gguf_file_u32(gguf_file *f, const char *key, uint32_t x);
void gguf_file_f32(gguf_file *f, const char *key, float x);
void gguf_file_bool(gguf_file *f, const char *key, int x);
void gguf_file_text(gguf_file *f, const char *key, const char *text);
void gguf_file_texts(gguf_file *f, const char *key, const char *const *texts, size_t n);
void gguf_file_int32s(gguf_file *f, const char *key, const int32_t *x, size_t n);
void gguf_file_floats(gguf_file *f, const char *key, const float *x, size_t n);

/* shape is row-major, as readers give it; the data's bytes are appended, aligned. */
void gguf_file_tensor(gguf_file *f, const char *name, uint32_t type, int n_dim, const int64_t *shape,
                      const void *data, size_t bytes);
/* An entry of the directory alone. */
void gguf_file_entry(gguf_file *f, const char *name, uint32_t type, int n_dim, const int64_t *shape,
                     uint64_t offset);

void gguf_file_bytes(const gguf_file *f, buffer *out); /* the whole file, appended */
void gguf_file_write(const gguf_file *f, const char *path);

#endif
