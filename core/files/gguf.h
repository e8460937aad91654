/* core/files/gguf: a model in one file, as llama.cpp has it (GGUF, versions 2 and 3): values by key, then a
   list of tensors, then their bytes. Read by mmap; nothing in it is believed before it is checked. */
#ifndef RLHF_FILES_GGUF_H
#define RLHF_FILES_GGUF_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/files/gguf_dequantize.h"

enum { GGUF_MAX_DIM = 4 };

typedef struct gguf_tensor {
    const char *name;
    gguf_type type;
    int n_dim;                   /* 1 .. GGUF_MAX_DIM */
    int64_t shape[GGUF_MAX_DIM]; /* each > 0, row-major: the fastest last (the file has it first) */
    const void *data;            /* as the type stores it; aligned to nothing */
    size_t bytes;
} gguf_tensor;

typedef struct gguf gguf;

/* STATUS_DATA "FILE: what is wrong": not GGUF, another version or byte order; counts, lengths and shapes that
   overflow or pass the end of the file; a kind or type that is unknown or not read (by name); arrays of
   arrays; keys or tensors that stand twice, names with control characters; an alignment that is no power of
   two, tensors that are not aligned or overlap. The file must not change while it is open. Memory taken is
   bounded by the file's size. *out: gguf_close. */
status gguf_open(const char *path, gguf **out, error *err);
void gguf_close(gguf *g);
const char *gguf_path(const gguf *g); /* that was opened, for messages */

int gguf_count(const gguf *g);
/* Tensor i, 0 <= i < count, sorted by name. It and its data live as long as g. */
const gguf_tensor *gguf_entry(const gguf *g, int i);
/* NULL when there is none of that name. */
const gguf_tensor *gguf_find(const gguf *g, const char *name);

/* ---- metadata ---- */

int gguf_has(const gguf *g, const char *key);
/* Key i, 0 <= i < gguf_n_key, sorted. */
int gguf_n_key(const gguf *g);
const char *gguf_key(const gguf *g, int i);

/* Each reports a missing key or a value of another kind as STATUS_DATA "FILE: metadata "KEY" is ...". */

/* A whole number of any width, from low to high. */
status gguf_get_int(const gguf *g, const char *key, int64_t low, int64_t high, int64_t *out, error *err);
/* A number of any kind, finite. */
status gguf_get_number(const gguf *g, const char *key, double *out, error *err);
status gguf_get_bool(const gguf *g, const char *key, int *out, error *err);

/* Bytes of the file, not ended by a zero. */
typedef struct gguf_text {
    const char *data;
    size_t len;
} gguf_text;

status gguf_get_text(const gguf *g, const char *key, gguf_text *out, error *err);
int gguf_text_is(gguf_text text, const char *word);

/* Arrays of one kind; next_* take the elements in order, n times at most. */
typedef struct gguf_array {
    size_t n;
    const uint8_t *at;
} gguf_array;

status gguf_get_texts(const gguf *g, const char *key, gguf_array *out, error *err);
status gguf_get_int32s(const gguf *g, const char *key, gguf_array *out, error *err);
status gguf_get_floats(const gguf *g, const char *key, gguf_array *out, error *err);
gguf_text gguf_next_text(gguf_array *a);
int32_t gguf_next_int32(gguf_array *a);
float gguf_next_float(gguf_array *a);

#endif
