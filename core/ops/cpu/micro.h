/* core/ops/cpu/micro: the small products of attention, whose operands lie in the caches. At most six rows at
   a time; a sum is one chain of fused multiply-adds in ascending depth, which may continue an earlier one. */
#ifndef RLHF_OPS_CPU_MICRO_H
#define RLHF_OPS_CPU_MICRO_H

#include "core/ops/cpu/cpu.h"

/* Unrolls the loop behind it. */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

enum { MICRO_ROWS = 6 };

/* out[rows, cols] = (continued ? out : 0) + a[rows, depth] b[depth, cols]; b's elements are of the type. */
struct micro {
    const float *a;
    const void *b;
    float *out;
    dtype type;
    int64_t ld_a, ld_b, ld_out;
    int rows, cols, depth, continued;
    /* Memory as large as b that will be read next: it is fetched into the second-level cache. NULL: none. */
    const void *next;
};

/* a: element (r, k) at a[r ld_a + k]. */
void ISA_NAME(micro_product)(const struct micro *p);
/* a is held transposed: element (r, k) at a[k ld_a + r]. b is f32; next is ignored. */
void ISA_NAME(micro_product_t)(const struct micro *p);

#endif
