/* core/files/gguf_dequantize: how a GGUF file stores numbers: plain, or in blocks of small integers that
   share scales (ggml's formats), and what each stands for as f32. */
#ifndef RLHF_FILES_GGUF_DEQUANTIZE_H
#define RLHF_FILES_GGUF_DEQUANTIZE_H

#include <stddef.h>
#include <stdint.h>

/* By the numbers that files have. */
typedef enum gguf_type {
    GGUF_F32 = 0,
    GGUF_F16 = 1,
    GGUF_Q4_0 = 2,
    GGUF_Q4_1 = 3,
    GGUF_Q5_0 = 6,
    GGUF_Q5_1 = 7,
    GGUF_Q8_0 = 8,
    GGUF_Q4_K = 12,
    GGUF_Q5_K = 13,
    GGUF_Q6_K = 14,
    GGUF_BF16 = 30,
} gguf_type;

#define GGUF_TYPES_READ "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K"

typedef struct gguf_format {
    const char *name; /* "Q4_K" */
    int elements;     /* of a block, consecutive in a row */
    int bytes;        /* of a block */
} gguf_format;

/* NULL for a type that is not read here. */
const gguf_format *gguf_format_of(uint32_t type);
/* The name of any type that files are known to have, read here or not; NULL for others. */
const char *gguf_type_name(uint32_t type);

/* n elements, a multiple of the format's, as f32: the value that the format defines, each operation rounded
   once. data may be aligned to nothing. */
void gguf_dequantize(gguf_type type, const void *data, size_t n, float *out);

#endif
