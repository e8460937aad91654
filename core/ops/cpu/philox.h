/* core/ops/cpu/philox: sixteen blocks of core/base/random.h's counter at a time, the same numbers. */
#ifndef RLHF_OPS_CPU_PHILOX_H
#define RLHF_OPS_CPU_PHILOX_H

#include <immintrin.h>

#include "core/base/random.h"

enum { PHILOX_LANES = 16, PHILOX_NUMBERS = 4 * PHILOX_LANES };

/* A register of 32-bit words. */
#ifdef ISA_avx512
typedef __m512i words;
enum { WORDS = 16 };
static inline words words_set(uint32_t x) { return _mm512_set1_epi32((int)x); }
static inline words words_load(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline words words_add(words a, words b) { return _mm512_add_epi32(a, b); }
static inline words words_xor(words a, words b) { return _mm512_xor_si512(a, b); }
static inline void words_multiply(words a, words b, words *high, words *low) {
    words even = _mm512_mul_epu32(a, b), odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), b);
    *high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
    *low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
}
static inline words words_pairs(words a, words b, int high) {
    return high ? _mm512_unpackhi_epi32(a, b) : _mm512_unpacklo_epi32(a, b);
}
static inline words words_quads(words a, words b, int high) {
    return high ? _mm512_unpackhi_epi64(a, b) : _mm512_unpacklo_epi64(a, b);
}
static inline void words_store_uniform(float *to, words x) {
    __m512 integer = _mm512_cvtepi32_ps(_mm512_srli_epi32(x, 9));
    _mm512_storeu_ps(to,
                     _mm512_mul_ps(_mm512_add_ps(integer, _mm512_set1_ps(0.5f)), _mm512_set1_ps(0x1p-23f)));
}
#else
typedef __m256i words;
enum { WORDS = 8 };
static inline words words_set(uint32_t x) { return _mm256_set1_epi32((int)x); }
static inline words words_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline words words_add(words a, words b) { return _mm256_add_epi32(a, b); }
static inline words words_xor(words a, words b) { return _mm256_xor_si256(a, b); }
static inline void words_multiply(words a, words b, words *high, words *low) {
    words even = _mm256_mul_epu32(a, b), odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), b);
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}
static inline words words_pairs(words a, words b, int high) {
    return high ? _mm256_unpackhi_epi32(a, b) : _mm256_unpacklo_epi32(a, b);
}
static inline words words_quads(words a, words b, int high) {
    return high ? _mm256_unpackhi_epi64(a, b) : _mm256_unpacklo_epi64(a, b);
}
static inline void words_store_uniform(float *to, words x) {
    __m256 integer = _mm256_cvtepi32_ps(_mm256_srli_epi32(x, 9));
    _mm256_storeu_ps(to,
                     _mm256_mul_ps(_mm256_add_ps(integer, _mm256_set1_ps(0.5f)), _mm256_set1_ps(0x1p-23f)));
}
#endif

static inline void words_philox(words c[4], random_key key) {
    uint32_t k0 = key.word[0], k1 = key.word[1];
    for (int i = 0; i < 10; i++) {
        words high0, low0, high1, low1;
        words_multiply(c[0], words_set(0xD2511F53u), &high0, &low0);
        words_multiply(c[2], words_set(0xCD9E8D57u), &high1, &low1);
        c[0] = words_xor(words_xor(high1, c[1]), words_set(k0));
        c[2] = words_xor(words_xor(high0, c[3]), words_set(k1));
        c[1] = low1;
        c[3] = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* uniform[4 j + w] = random_uniform of word w of random_block(key, sequence_id, position, block + j). */
static inline void philox_uniform(random_key key, uint64_t sequence_id, uint32_t position, uint32_t block,
                                  float uniform[PHILOX_NUMBERS]) {
    /* Which block a lane computes: so that transposing squares of four words leaves the numbers in order. */
    static const int32_t lane_block[PHILOX_LANES] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    for (int lane = 0; lane < PHILOX_LANES; lane += WORDS) {
        words c[4] = {words_set((uint32_t)sequence_id), words_set((uint32_t)(sequence_id >> 32)),
                      words_set(position), words_add(words_set(block), words_load(lane_block + lane))};
        words_philox(c, key);
        for (int high = 0; high < 2; high++) {
            words first = words_pairs(c[0], c[1], high), last = words_pairs(c[2], c[3], high);
            words_store_uniform(uniform + 2 * high * PHILOX_LANES + lane, words_quads(first, last, 0));
            words_store_uniform(uniform + (2 * high + 1) * PHILOX_LANES + lane, words_quads(first, last, 1));
        }
    }
}

#endif
