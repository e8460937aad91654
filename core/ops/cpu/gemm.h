/* core/ops/cpu/gemm: the one matrix product under every linear op and head. Its order of additions, and so
   its bytes, depend on depth and block alone. */
#ifndef RLHF_OPS_CPU_GEMM_H
#define RLHF_OPS_CPU_GEMM_H

#include "core/ops/cpu/elem.h"

enum {
    PANEL = 64,      /* columns of a panel of the packed operand */
    TILE_ROWS = 6,   /* rows of a register tile */
    BLOCK_ROWS = 192 /* rows that share a panel in the cache */
};

/* out[rows, cols] = prior + (b0 + b1 + ...) + bias + add, where b_i is the chain of fused multiply-adds of
   a[rows, depth] and b[depth, cols] in ascending depth inside block i of `block`. Panels hold b: the unit of
   depth k and column c at panels[c / 64 * panel_stride + k / UNIT * 64 + c % 64], columns from cols to a
   multiple of 64 finite and ignored, and so is what fills up the last unit. prior, bias and add may be NULL;
   prior (or add) may be out. The result goes to `sum` in f32, or rounded to `out`; the other is NULL. */
struct product {
    float *sum;
    elem *out;
    const elem *a, *add;
    const unit *panels;
    const float *prior, *bias;
    int64_t ld_out, ld_a, panel_stride, ld_prior, ld_add;
    int64_t rows, cols, depth, block;
};

/* The block of the rule: 512 up to a depth of 1024, else 1024. */
static inline int64_t product_block(int64_t depth) { return depth <= 1024 ? 512 : 1024; }

/* The whole product, on the device's threads. */
void ELEM_NAME(cpu_product)(const device *dev, const struct product *p);

/* Rows [first_row, end_row), at most BLOCK_ROWS, of panels [first_panel, end_panel), on the calling thread.
 */
void ELEM_NAME(cpu_product_part)(const struct product *p, int64_t first_row, int64_t end_row,
                                 int64_t first_panel, int64_t end_panel);

#endif
