/* core/ops/cpu/elem: the type of activations that a kernel is compiled for. Kernels that touch activations
   are compiled once for f32 and once for bf16: they read elements as lanes of f32, compute in f32, and round
   once when they write. Products multiply units of four bytes: one f32, or two bf16 that follow each other
   along the sum. */
#ifndef RLHF_OPS_CPU_ELEM_H
#define RLHF_OPS_CPU_ELEM_H

#include "core/ops/cpu/bf16.h"
#include "core/ops/cpu/cpu.h"

/* Names of one element type's copy: ELEM_NAME(cpu_norm) is cpu_norm_avx2_f32 or cpu_norm_avx2_bf16, ... */
#define ELEM_NAME(name) ISA_PASTE(ISA_NAME(name), ELEM)

#ifdef ELEM_bf16

typedef uint16_t elem;
typedef uint32_t unit;
enum { UNIT = 2 }; /* elements of a unit */
#define ELEM_TYPE TYPE_BF16
enum { ELEM_IS_F32 = 0 };
static inline elem *elem_data(mat m) { return m.bf16; }
static inline v16 e_load(const elem *p) { return v_load_bf16(p); }
static inline v16 e_load_n(const elem *p, int n) { return v_load_bf16_n(p, n); }
static inline void e_store(elem *p, v16 a) { v_store_bf16(p, a); }
static inline void e_store_n(elem *p, v16 a, int n) { v_store_bf16_n(p, a, n); }

/* The word of the first n elements (1 or 2) at p. */
static inline unit unit_of(const elem *p, int n) {
    unit u;
    if (n == 1) return *p;
    memcpy(&u, p, sizeof u);
    return u;
}

#ifdef __AVX512BF16__
/* c + odd a odd b, then + even a even b, each fused; denormals are flushed. */
typedef __m512i units;
static inline units u_load(const unit *p) { return _mm512_loadu_si512(p); }
static inline units u_set(const elem *p, int n) { return _mm512_set1_epi32((int)unit_of(p, n)); }
static inline v16 u_fma(units a, units b, v16 c) { return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b); }
#else
/* What the instruction above computes, in two steps. */
typedef struct units {
    v16 even, odd;
} units;
static inline units u_load(const unit *p) { return (units){v_load_even(p), v_load_odd(p)}; }
static inline units u_set(const elem *p, int n) {
    return (units){v_set(f_of_bf16(p[0])), n == 1 ? v_set(0) : v_set(f_of_bf16(p[1]))};
}
static inline v16 u_fma(units a, units b, v16 c) { return v_fma(a.even, b.even, v_fma(a.odd, b.odd, c)); }
#endif

#else

typedef float elem;
typedef float unit;
enum { UNIT = 1 };
#define ELEM_TYPE TYPE_F32
enum { ELEM_IS_F32 = 1 };
static inline elem *elem_data(mat m) { return m.data; }
static inline v16 e_load(const elem *p) { return v_load(p); }
static inline v16 e_load_n(const elem *p, int n) { return v_load_n(p, n); }
static inline void e_store(elem *p, v16 a) { v_store(p, a); }
static inline void e_store_n(elem *p, v16 a, int n) { v_store_n(p, a, n); }

typedef v16 units;
static inline units u_load(const unit *p) { return v_load(p); }
static inline units u_set(const elem *p, int n) {
    (void)n;
    return v_set(*p);
}
static inline v16 u_fma(units a, units b, v16 c) { return v_fma(a, b, c); }

#endif

/* Row r of a matrix of elements. */
static inline elem *elem_row(mat m, int64_t r) { return elem_data(m) + r * m.ld; }
/* Units of n elements along a sum; the last one may be filled up with zeros. */
static inline int64_t units_of(int64_t n) { return (n + UNIT - 1) / UNIT; }

#define ELEM_DECLARE(name) void ELEM_NAME(cpu_##name)(device *, const struct op_##name *);
OPS_LIST(ELEM_DECLARE)
#undef ELEM_DECLARE

/* What struct ops promises of sizes and speed. */
int64_t ELEM_NAME(cpu_forward_pack)(int n, int k);
int64_t ELEM_NAME(cpu_backward_pack)(int n, int k);
int64_t ELEM_NAME(cpu_scratch)(int n_thread, const struct scratch_need *);
double ELEM_NAME(cpu_measure_peak)(int n_thread);
/* Floats of scratch of the single ops; cpu_scratch is the largest of them. */
int64_t ELEM_NAME(cpu_linear_dw_scratch)(int n_thread, int max_token, int max_cols);
int64_t ELEM_NAME(cpu_vocab_scratch)(int n_thread, int max_row, int width, int vocab, int backward);
int64_t ELEM_NAME(cpu_attention_scratch)(int n_thread, int max_len, int head_dim, int backward);

#endif
