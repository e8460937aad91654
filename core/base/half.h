/* core/base/half: the two 16-bit floats, IEEE's binary16 (f16) and bfloat16 (bf16), to f32 and back. Bits are
   moved as integers: results do not depend on whether the processor flushes denormals. */
#ifndef RLHF_BASE_HALF_H
#define RLHF_BASE_HALF_H

#include <stddef.h>
#include <stdint.h>

/* Exact, for every bit pattern; a NaN stays a NaN. */
float f16_to_f32(uint16_t x);
float bf16_to_f32(uint16_t x);
/* To nearest, ties to even; beyond the range: infinity. A NaN becomes a quiet NaN of its sign. */
uint16_t f16_from_f32(float x);
uint16_t bf16_from_f32(float x);

/* n elements. `from` may be aligned to nothing. */
void f16_widen(const void *from, size_t n, float *to);
void bf16_widen(const void *from, size_t n, float *to);
void f16_narrow(const float *from, size_t n, uint16_t *to);
void bf16_narrow(const float *from, size_t n, uint16_t *to);

#endif
