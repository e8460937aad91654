/* core/ops/cpu/bf16: lanes from and to bf16, the upper half of an f32. What is written is rounded to nearest,
   ties to even; NaN stays NaN. Pairs lie in words of 32 bits, the even element in the lower half. */
#ifndef RLHF_OPS_CPU_BF16_H
#define RLHF_OPS_CPU_BF16_H

#include <string.h>

#include "core/ops/cpu/vec.h"

#ifdef ISA_avx512

static inline v16 v_of_bf16(__m256i half) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
static inline v16 v_load_bf16(const uint16_t *p) { return v_of_bf16(_mm256_loadu_si256((const void *)p)); }
static inline v16 v_load_bf16_n(const uint16_t *p, int n) {
    return v_of_bf16(_mm256_maskz_loadu_epi16(v_mask(n), p));
}
/* The upper half of each word is what the lane rounds to. */
static inline __m512i v_round_bits(v16 a) {
    __m512i bits = _mm512_castps_si512(a);
    __m512i last = _mm512_and_epi32(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), last);
    __m512i quiet = _mm512_or_epi32(bits, _mm512_set1_epi32(0x400000));
    return _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), quiet);
}
static inline __m256i v_to_bf16(v16 a) {
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(v_round_bits(a), 16));
}
static inline void v_store_bf16(uint16_t *p, v16 a) { _mm256_storeu_si256((void *)p, v_to_bf16(a)); }
static inline void v_store_bf16_n(uint16_t *p, v16 a, int n) {
    _mm256_mask_storeu_epi16(p, v_mask(n), v_to_bf16(a));
}
static inline void v_store_pairs(uint32_t *p, v16 even, v16 odd) {
    __m512i low = _mm512_srli_epi32(v_round_bits(even), 16);
    __m512i high = _mm512_and_epi32(v_round_bits(odd), _mm512_set1_epi32((int)0xffff0000));
    _mm512_storeu_si512(p, _mm512_or_epi32(low, high));
}
static inline v16 v_load_even(const uint32_t *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
}
static inline v16 v_load_odd(const uint32_t *p) {
    return _mm512_castsi512_ps(_mm512_and_epi32(_mm512_loadu_si512(p), _mm512_set1_epi32((int)0xffff0000)));
}

#else

static inline __m256 v_of_bf16(const uint16_t *p) {
    __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
}
static inline v16 v_load_bf16(const uint16_t *p) { return V16(v_of_bf16(p), v_of_bf16(p + 8)); }
static inline v16 v_load_bf16_n(const uint16_t *p, int n) {
    uint16_t lanes[LANES] = {0};
    if (n == LANES) return v_load_bf16(p);
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return v_load_bf16(lanes);
}
static inline __m256i v_round_bits(__m256 a) {
    __m256i bits = _mm256_castps_si256(a);
    __m256i last = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), last);
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q)));
}
static inline void v_store_bf16(uint16_t *p, v16 a) {
    __m256i lo = _mm256_srli_epi32(v_round_bits(a.lo), 16), hi = _mm256_srli_epi32(v_round_bits(a.hi), 16);
    _mm256_storeu_si256((void *)p, _mm256_permute4x64_epi64(_mm256_packus_epi32(lo, hi), 0xd8));
}
static inline void v_store_bf16_n(uint16_t *p, v16 a, int n) {
    uint16_t lanes[LANES];
    v_store_bf16(n == LANES ? p : lanes, a);
    if (n < LANES) memcpy(p, lanes, (size_t)n * sizeof *p);
}
static inline void v_store_pairs_half(uint32_t *p, __m256 even, __m256 odd) {
    __m256i low = _mm256_srli_epi32(v_round_bits(even), 16);
    __m256i high = _mm256_and_si256(v_round_bits(odd), _mm256_set1_epi32((int)0xffff0000));
    _mm256_storeu_si256((void *)p, _mm256_or_si256(low, high));
}
static inline void v_store_pairs(uint32_t *p, v16 even, v16 odd) {
    v_store_pairs_half(p, even.lo, odd.lo);
    v_store_pairs_half(p + 8, even.hi, odd.hi);
}
static inline __m256 v_load_even_half(const uint32_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_loadu_si256((const void *)p), 16));
}
static inline __m256 v_load_odd_half(const uint32_t *p) {
    __m256i upper = _mm256_set1_epi32((int)0xffff0000);
    return _mm256_castsi256_ps(_mm256_and_si256(_mm256_loadu_si256((const void *)p), upper));
}
static inline v16 v_load_even(const uint32_t *p) { return V16(v_load_even_half(p), v_load_even_half(p + 8)); }
static inline v16 v_load_odd(const uint32_t *p) { return V16(v_load_odd_half(p), v_load_odd_half(p + 8)); }

#endif

static inline float f_of_bf16(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#endif
