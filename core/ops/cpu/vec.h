/* core/ops/cpu/vec: 16 logical lanes of f32 on either instruction set. Every kernel is written in these, so
   AVX2 (two halves) and AVX-512 (one register) add in the same order and give the same bytes. Exponential and
   logarithm are Cephes' single-precision polynomials with a fixed contraction, below 1 ulp. */
#ifndef RLHF_OPS_CPU_VEC_H
#define RLHF_OPS_CPU_VEC_H

#include <immintrin.h>
#include <stdint.h>

/* Names of one instruction set's copy: ISA_NAME(cpu_linear) is cpu_linear_avx2 or cpu_linear_avx512. */
#define ISA_PASTE_(a, b) a##_##b
#define ISA_PASTE(a, b)  ISA_PASTE_(a, b)
#define ISA_NAME(name)   ISA_PASTE(name, ISA)

enum { LANES = 16 };

#ifdef ISA_avx512

typedef __m512 v16;
static inline v16 v_set(float x) { return _mm512_set1_ps(x); }
static inline v16 v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_store(float *p, v16 a) { _mm512_storeu_ps(p, a); }
static inline __mmask16 v_mask(int n) { return (__mmask16)((1u << n) - 1); }
/* The first n lanes (0 <= n <= 16); the others are zero and their memory is not touched. */
static inline v16 v_load_n(const float *p, int n) { return _mm512_maskz_loadu_ps(v_mask(n), p); }
static inline void v_store_n(float *p, v16 a, int n) { _mm512_mask_storeu_ps(p, v_mask(n), a); }
static inline v16 v_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
static inline v16 v_sub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
static inline v16 v_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
static inline v16 v_div(v16 a, v16 b) { return _mm512_div_ps(a, b); }
static inline v16 v_max(v16 a, v16 b) { return _mm512_max_ps(a, b); }
static inline v16 v_min(v16 a, v16 b) { return _mm512_min_ps(a, b); }
static inline v16 v_sqrt(v16 a) { return _mm512_sqrt_ps(a); }
static inline v16 v_fma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); } /* a b + c, one rounding */
/* Per lane: a < b ? x : y (false for NaN). */
static inline v16 v_where_less(v16 a, v16 b, v16 x, v16 y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
/* 2^n x for lanes of x >= 0 by adding n to the exponent; n is an integer held in the low bits of `bits`. */
static inline v16 v_scale_exponent(v16 x, v16 bits) {
    return _mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_castps_si512(x), _mm512_slli_epi32(_mm512_castps_si512(bits), 23)));
}
/* x = m 2^e with m in [0.5, 1), for normal x > 0. */
static inline void v_split_exponent(v16 x, v16 *m, v16 *e) {
    __m512i u = _mm512_castps_si512(x);
    *e = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_srli_epi32(u, 23), _mm512_set1_epi32(126)));
    *m = _mm512_castsi512_ps(
        _mm512_or_epi32(_mm512_and_epi32(u, _mm512_set1_epi32(0x7fffff)), _mm512_set1_epi32(0x3f000000)));
}

#else

typedef struct v16 {
    __m256 lo, hi;
} v16;
#define V16(lo_, hi_) ((v16){(lo_), (hi_)})
static inline v16 v_set(float x) { return V16(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
static inline v16 v_load(const float *p) { return V16(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)); }
static inline void v_store(float *p, v16 a) {
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}
static inline __m256i v_mask_half(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline v16 v_load_n(const float *p, int n) {
    if (n == LANES) return v_load(p);
    return V16(_mm256_maskload_ps(p, v_mask_half(n)),
               n > 8 ? _mm256_maskload_ps(p + 8, v_mask_half(n - 8)) : _mm256_setzero_ps());
}
static inline void v_store_n(float *p, v16 a, int n) {
    if (n == LANES) {
        v_store(p, a); /* a masked store is slow */
        return;
    }
    _mm256_maskstore_ps(p, v_mask_half(n), a.lo);
    if (n > 8) _mm256_maskstore_ps(p + 8, v_mask_half(n - 8), a.hi);
}
static inline v16 v_add(v16 a, v16 b) { return V16(_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)); }
static inline v16 v_sub(v16 a, v16 b) { return V16(_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)); }
static inline v16 v_mul(v16 a, v16 b) { return V16(_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)); }
static inline v16 v_div(v16 a, v16 b) { return V16(_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)); }
static inline v16 v_max(v16 a, v16 b) { return V16(_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)); }
static inline v16 v_min(v16 a, v16 b) { return V16(_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)); }
static inline v16 v_sqrt(v16 a) { return V16(_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)); }
static inline v16 v_fma(v16 a, v16 b, v16 c) {
    return V16(_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi));
}
static inline v16 v_where_less(v16 a, v16 b, v16 x, v16 y) {
    return V16(_mm256_blendv_ps(y.lo, x.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
               _mm256_blendv_ps(y.hi, x.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)));
}
static inline __m256 v_scale_exponent_half(__m256 x, __m256 bits) {
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_castps_si256(x), _mm256_slli_epi32(_mm256_castps_si256(bits), 23)));
}
static inline v16 v_scale_exponent(v16 x, v16 bits) {
    return V16(v_scale_exponent_half(x.lo, bits.lo), v_scale_exponent_half(x.hi, bits.hi));
}
static inline void v_split_exponent_half(__m256 x, __m256 *m, __m256 *e) {
    __m256i u = _mm256_castps_si256(x);
    *e = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(u, 23), _mm256_set1_epi32(126)));
    *m = _mm256_castsi256_ps(
        _mm256_or_si256(_mm256_and_si256(u, _mm256_set1_epi32(0x7fffff)), _mm256_set1_epi32(0x3f000000)));
}
static inline void v_split_exponent(v16 x, v16 *m, v16 *e) {
    v_split_exponent_half(x.lo, &m->lo, &e->lo);
    v_split_exponent_half(x.hi, &m->hi, &e->hi);
}

#endif

/* The tree over 16 lanes: 8, 4, then (a0 + a2) + (a1 + a3). */
static inline float v_sum(v16 a) {
#ifdef ISA_avx512
    __m256 lo = _mm512_castps512_ps256(a), hi = _mm512_extractf32x8_ps(a, 1);
#else
    __m256 lo = a.lo, hi = a.hi;
#endif
    __m256 eight = _mm256_add_ps(lo, hi);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

static inline float v_maximum(v16 a) {
#ifdef ISA_avx512
    __m256 lo = _mm512_castps512_ps256(a), hi = _mm512_extractf32x8_ps(a, 1);
#else
    __m256 lo = a.lo, hi = a.hi;
#endif
    __m256 eight = _mm256_max_ps(lo, hi);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

static inline float v_first(v16 a) {
#ifdef ISA_avx512
    return _mm512_cvtss_f32(a);
#else
    return _mm256_cvtss_f32(a.lo);
#endif
}

/* 0, 1, ... 15 */
static inline v16 v_iota(void) {
    static const float iota[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return v_load(iota);
}

/* The first n lanes of a; the others are zero. */
static inline v16 v_keep(v16 a, int n) {
    return n == LANES ? a : v_where_less(v_iota(), v_set((float)n), a, v_set(0));
}

/* e^x for x <= 88; exactly 0 below -86.6 (so also for -inf), exactly 1 at 0; NaN stays NaN. */
static inline v16 v_exp(v16 x) {
    const v16 low = v_set(-86.6f),
              magic = v_set(12582912.0f); /* 1.5 x 2^23: rounds to an integer in the low bits */
    v16 clamped = v_max(low, x);          /* the second operand where one is NaN */
    v16 shifted = v_fma(clamped, v_set(1.44269504f), magic);
    v16 n = v_sub(shifted, magic);
    v16 r = v_fma(n, v_set(-0.693359375f), clamped);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    v16 p = v_fma(v_set(1.9875691500e-4f), r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    p = v_add(v_fma(p, v_mul(r, r), r), v_set(1.0f));
    return v_where_less(x, low, v_set(0.0f), v_scale_exponent(p, shifted));
}

/* Natural logarithm of normal x > 0. */
static inline v16 v_log(v16 x) {
    v16 m, e;
    v_split_exponent(x, &m, &e);
    const v16 root = v_set(0.70710678f), one = v_set(1.0f);
    e = v_where_less(m, root, v_sub(e, one), e);
    m = v_sub(v_where_less(m, root, v_add(m, m), m), one);
    v16 z = v_mul(m, m), p = v_set(7.0376836292e-2f);
    p = v_fma(p, m, v_set(-1.1514610310e-1f));
    p = v_fma(p, m, v_set(1.1676998740e-1f));
    p = v_fma(p, m, v_set(-1.2420140846e-1f));
    p = v_fma(p, m, v_set(1.4249322787e-1f));
    p = v_fma(p, m, v_set(-1.6668057665e-1f));
    p = v_fma(p, m, v_set(2.0000714765e-1f));
    p = v_fma(p, m, v_set(-2.4999993993e-1f));
    p = v_fma(p, m, v_set(3.3333331174e-1f));
    v16 y = v_mul(v_mul(p, m), z);
    y = v_fma(e, v_set(-2.12194440e-4f), y);
    y = v_fma(v_set(-0.5f), z, y);
    return v_fma(e, v_set(0.693359375f), v_add(m, y));
}

static inline float f_exp(float x) { return v_first(v_exp(v_set(x))); }
static inline float f_log(float x) { return v_first(v_log(v_set(x))); }

/* A row's sum in the rule's order: f over whole vectors, then the rest filled with zeros. FOR_LANES(n, i, k)
   runs with i = 0, 16, ... and k = 16, or the remainder at the end. */
#define FOR_LANES(n, i, k)                                                                                   \
    for (int64_t i = 0, k = (n) < LANES ? (n) : LANES; i < (n); i += LANES, k = (n)-i < LANES ? (n)-i : LANES)

#endif
