#include "core/files/gguf_dequantize.h"

#include <string.h>

#include "core/base/half.h"

/* Blocks as ggml defines them. A small block has 32 elements, the first 16 in the low halves of its bytes and
   the others in the high ones; a large block ("K") has 256 with scales of their own for each 16 or 32. */

enum { SMALL = 32, LARGE = 256, HALF_BYTES = 2 };

static const gguf_format formats[] = {
    [GGUF_F32] = {"F32", 1, 4},         [GGUF_F16] = {"F16", 1, 2},
    [GGUF_BF16] = {"BF16", 1, 2},       [GGUF_Q4_0] = {"Q4_0", SMALL, 18},
    [GGUF_Q4_1] = {"Q4_1", SMALL, 20},  [GGUF_Q5_0] = {"Q5_0", SMALL, 22},
    [GGUF_Q5_1] = {"Q5_1", SMALL, 24},  [GGUF_Q8_0] = {"Q8_0", SMALL, 34},
    [GGUF_Q4_K] = {"Q4_K", LARGE, 144}, [GGUF_Q5_K] = {"Q5_K", LARGE, 176},
    [GGUF_Q6_K] = {"Q6_K", LARGE, 210},
};

const gguf_format *gguf_format_of(uint32_t type) {
    if (type >= sizeof formats / sizeof *formats || !formats[type].name) return NULL;
    return &formats[type];
}

const char *gguf_type_name(uint32_t type) {
    static const char *const others[] = {
        [9] = "Q8_1",     [10] = "Q2_K",  [11] = "Q3_K",   [15] = "Q8_K",  [16] = "IQ2_XXS", [17] = "IQ2_XS",
        [18] = "IQ3_XXS", [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S", [22] = "IQ2_S",   [23] = "IQ4_XS",
        [24] = "I8",      [25] = "I16",   [26] = "I32",    [27] = "I64",   [28] = "F64",     [29] = "IQ1_M",
        [34] = "TQ1_0",   [35] = "TQ2_0", [39] = "MXFP4",  [40] = "NVFP4", [41] = "Q1_0",
    };
    const gguf_format *format = gguf_format_of(type);
    if (format) return format->name;
    return type < sizeof others / sizeof *others ? others[type] : NULL;
}

static float read_f16(const uint8_t *at) {
    uint16_t x;
    memcpy(&x, at, sizeof x);
    return f16_to_f32(x);
}

/* (q - 8) d */
static void q4_0(const uint8_t *block, float *out) {
    float d = read_f16(block);
    const uint8_t *q = block + HALF_BYTES;
    for (int i = 0; i < SMALL / 2; i++) {
        out[i] = (float)((q[i] & 15) - 8) * d;
        out[i + SMALL / 2] = (float)((q[i] >> 4) - 8) * d;
    }
}

/* q d + m */
static void q4_1(const uint8_t *block, float *out) {
    float d = read_f16(block), m = read_f16(block + HALF_BYTES);
    const uint8_t *q = block + 2 * HALF_BYTES;
    for (int i = 0; i < SMALL / 2; i++) {
        out[i] = (float)(q[i] & 15) * d + m;
        out[i + SMALL / 2] = (float)(q[i] >> 4) * d + m;
    }
}

/* Element i's fifth bit is bit i of four bytes. */
static int fifth_bit(const uint8_t *high, int i) { return (high[i / 8] >> i % 8 & 1) << 4; }

/* (q - 16) d */
static void q5_0(const uint8_t *block, float *out) {
    float d = read_f16(block);
    const uint8_t *high = block + HALF_BYTES, *q = high + SMALL / 8;
    for (int i = 0; i < SMALL / 2; i++) {
        out[i] = (float)(((q[i] & 15) | fifth_bit(high, i)) - 16) * d;
        out[i + SMALL / 2] = (float)((q[i] >> 4 | fifth_bit(high, i + SMALL / 2)) - 16) * d;
    }
}

/* q d + m */
static void q5_1(const uint8_t *block, float *out) {
    float d = read_f16(block), m = read_f16(block + HALF_BYTES);
    const uint8_t *high = block + 2 * HALF_BYTES, *q = high + SMALL / 8;
    for (int i = 0; i < SMALL / 2; i++) {
        out[i] = (float)((q[i] & 15) | fifth_bit(high, i)) * d + m;
        out[i + SMALL / 2] = (float)(q[i] >> 4 | fifth_bit(high, i + SMALL / 2)) * d + m;
    }
}

/* q d, q signed */
static void q8_0(const uint8_t *block, float *out) {
    float d = read_f16(block);
    for (int i = 0; i < SMALL; i++) out[i] = (float)(int8_t)block[HALF_BYTES + i] * d;
}

/* Scale and minimum of group j of 8, six bits each, packed in 12 bytes: those of the first four groups whole
   in the bytes' low six bits, the others' low four bits in the last four bytes, their high two on top of the
   first eight. */
static void scale_of_group(const uint8_t *packed, int j, int *scale, int *minimum) {
    if (j < 4) {
        *scale = packed[j] & 63;
        *minimum = packed[j + 4] & 63;
    } else {
        *scale = (packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4;
        *minimum = packed[j + 4] >> 4 | (packed[j] >> 6) << 4;
    }
}

/* Groups of 32: q (d scale) - dmin minimum. Two groups share 32 bytes, the first in the low halves. high: a
   byte for each place in a group, whose bit j is the fifth of group j; NULL where there are four bits. */
static void q_k_groups(const uint8_t *block, const uint8_t *high, const uint8_t *q, float *out) {
    float d = read_f16(block), dmin = read_f16(block + HALF_BYTES);
    for (int j = 0; j < LARGE / 32; j++) {
        int scale, minimum;
        scale_of_group(block + 2 * HALF_BYTES, j, &scale, &minimum);
        float step = d * (float)scale, offset = dmin * (float)minimum;
        for (int i = 0; i < 32; i++) {
            int x = q[j / 2 * 32 + i] >> j % 2 * 4 & 15;
            if (high) x |= (high[i] >> j & 1) << 4;
            out[32 * j + i] = step * (float)x - offset;
        }
    }
}

enum { K_HEADER = 2 * HALF_BYTES + 12 };

static void q4_k(const uint8_t *block, float *out) { q_k_groups(block, NULL, block + K_HEADER, out); }

static void q5_k(const uint8_t *block, float *out) {
    q_k_groups(block, block + K_HEADER, block + K_HEADER + LARGE / 8, out);
}

/* Groups of 16: (d scale) (q - 32), scale signed. Each half of 128 has its low four bits in 64 bytes, its
   high two in 32, four quarters side by side. */
static void q6_k(const uint8_t *block, float *out) {
    const uint8_t *low = block, *high = low + LARGE / 2, *scale = high + LARGE / 4;
    float d = read_f16(scale + LARGE / 16);
    for (int i = 0; i < LARGE; i++) {
        int half = i / 128, quarter = i / 32 % 4, place = i % 32;
        int x = low[half * 64 + quarter % 2 * 32 + place] >> quarter / 2 * 4 & 15;
        x |= (high[half * 32 + place] >> quarter * 2 & 3) << 4;
        out[i] = d * (float)(int8_t)scale[i / 16] * (float)(x - 32);
    }
}

void gguf_dequantize(gguf_type type, const void *data, size_t n, float *out) {
    static void (*const read[])(const uint8_t *block, float *out) = {
        [GGUF_Q4_0] = q4_0, [GGUF_Q4_1] = q4_1, [GGUF_Q5_0] = q5_0, [GGUF_Q5_1] = q5_1,
        [GGUF_Q8_0] = q8_0, [GGUF_Q4_K] = q4_k, [GGUF_Q5_K] = q5_k, [GGUF_Q6_K] = q6_k,
    };
    if (type == GGUF_F32)
        memcpy(out, data, n * sizeof *out);
    else if (type == GGUF_F16)
        f16_widen(data, n, out);
    else if (type == GGUF_BF16)
        bf16_widen(data, n, out);
    else
        for (size_t i = 0; i < n / (size_t)formats[type].elements; i++)
            read[type]((const uint8_t *)data + i * (size_t)formats[type].bytes,
                       out + i * (size_t)formats[type].elements);
}
