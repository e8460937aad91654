#include "core/base/half.h"

#include <math.h>
#include <string.h>

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

enum { F32_INFINITY = 0x7f800000, F16_INFINITY = 0x7c00, F16_QUIET_NAN = 0x7e00 };

float f16_to_f32(uint16_t x) {
    uint32_t sign = (uint32_t)(x & 0x8000) << 16, exponent = x >> 10 & 31, fraction = x & 0x3ff;
    if (exponent == 0) return float_of(bits_of((float)fraction * 0x1p-24f) | sign);
    if (exponent == 31) return float_of(sign | F32_INFINITY | fraction << 13);
    return float_of(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

uint16_t f16_from_f32(float x) {
    uint32_t bits = bits_of(x), magnitude = bits & 0x7fffffff;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (magnitude > F32_INFINITY) return sign | F16_QUIET_NAN;
    if (magnitude >= bits_of(65520)) return sign | F16_INFINITY; /* half way from the largest to 2^16 */
    if (magnitude < bits_of(0x1p-14f)) return sign | (uint16_t)rintf(float_of(magnitude) * 0x1p24f);
    uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return sign | (uint16_t)((rounded - ((uint32_t)(127 - 15) << 23)) >> 13);
}

float bf16_to_f32(uint16_t x) { return float_of((uint32_t)x << 16); }

uint16_t bf16_from_f32(float x) {
    uint32_t bits = bits_of(x);
    if ((bits & 0x7fffffff) > F32_INFINITY) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void f16_widen(const void *from, size_t n, float *to) {
    const char *bytes = from;
    for (size_t i = 0; i < n; i++) {
        uint16_t x;
        memcpy(&x, bytes + i * sizeof x, sizeof x);
        to[i] = f16_to_f32(x);
    }
}

void bf16_widen(const void *from, size_t n, float *to) {
    const char *bytes = from;
    for (size_t i = 0; i < n; i++) {
        uint16_t x;
        memcpy(&x, bytes + i * sizeof x, sizeof x);
        to[i] = bf16_to_f32(x);
    }
}

void f16_narrow(const float *from, size_t n, uint16_t *to) {
    for (size_t i = 0; i < n; i++) to[i] = f16_from_f32(from[i]);
}

void bf16_narrow(const float *from, size_t n, uint16_t *to) {
    for (size_t i = 0; i < n; i++) to[i] = bf16_from_f32(from[i]);
}
