/* tests/support/reference: every op of ops.h written straight from its definition in f64, to be read beside
   the paper. Functions take the op's own struct, whose operands are host memory here, and change none of
   them. */
#ifndef RLHF_TESTS_REFERENCE_H
#define RLHF_TESTS_REFERENCE_H

#include <string.h>

#include "core/ops/ops.h"

/* What an op should write, row-major. The magnitude of a value is the sum of the absolute values of the terms
   that it is added up from, with the amplification of what goes through an exponential: an f32 result is
   right when |result - value| <= a few roundings x magnitude. */
typedef struct wide {
    double *value, *magnitude; /* [rows, cols] */
    int rows, cols;
} wide;

wide wide_create(int64_t rows, int64_t cols); /* zeros */
void wide_free(wide w);

/* ---- products (reference_products.c) ---- */
struct reference_linear_dw {
    wide dw, db; /* db empty when it is absent */
};
wide reference_linear(const struct op_linear *o);
wide reference_linear_dx(const struct op_linear_dx *o);
struct reference_linear_dw reference_linear_dw(const struct op_linear_dw *o);

/* ---- rows (reference_rows.c) ---- */
struct reference_norm {
    wide y, mean, rstd; /* [m, d], [1, m], [1, m] */
};
struct reference_norm_dx {
    wide dx, dgain, dbias;
};
struct reference_norm reference_norm(const struct op_norm *o);
struct reference_norm_dx reference_norm_dx(const struct op_norm_dx *o);
struct reference_head_norm {
    wide y, rstd;
};
struct reference_head_norm_dx {
    wide dx, dgain; /* dgain empty when it is absent */
};
struct reference_head_norm reference_head_norm(const struct op_head_norm *o);
struct reference_head_norm_dx reference_head_norm_dx(const struct op_head_norm_dx *o);
wide reference_gelu(const struct op_gelu *o);
wide reference_gelu_dx(const struct op_gelu_dx *o);
wide reference_glu(const struct op_glu *o);
wide reference_glu_dx(const struct op_glu_dx *o);
wide reference_rope(const struct op_rope *o);
wide reference_add(const struct op_add *o);
wide reference_scale(const struct op_scale *o);
wide reference_embed(const struct op_embed *o);
wide reference_embed_dw(const struct op_embed_dw *o); /* does not look at order */
wide reference_rows_gather(const struct op_rows_gather *o);
wide reference_rows_add(const struct op_rows_add *o);

/* ---- attention (reference_attention.c) ---- */
struct reference_attention {
    wide out, lse;
};
struct reference_attention reference_attention(const struct op_attention *o);
wide reference_attention_dx(
    const struct op_attention_dx *o);                 /* from qkv and dout alone: not from out and lse */
wide reference_kv_write(const struct op_kv_write *o); /* all pages; what is not written stays */
wide reference_attention_paged(const struct op_attention_paged *o);

/* ---- heads (reference_heads.c) ---- */
struct reference_vocab {
    wide logprob, entropy, lse; /* [1, m]; logprob empty without a target */
};
struct reference_vocab_dx {
    wide dhidden, dw; /* dw empty when it is absent */
};
struct reference_score_dx {
    wide dhidden, dw, dbias; /* dbias empty when it is absent */
};
struct reference_vocab reference_vocab(const struct op_vocab *o);
struct reference_vocab_dx reference_vocab_dx(const struct op_vocab_dx *o); /* not from lse and entropy */
wide reference_score(const struct op_score *o);
struct reference_score_dx reference_score_dx(const struct op_score_dx *o);
/* z + g of every id for one row, -inf where top_k or top_p cut: [1, n_vocab]. The token is its argmax. */
wide reference_sample(const struct op_sample *o, int row);

/* ---- vectors (reference_vectors.c) ---- */
struct reference_adamw {
    wide p, m, v;
};
struct reference_adamw reference_adamw(const struct op_adamw *o);
wide reference_sumsq(const struct op_sumsq *o);
wide reference_axpby(const struct op_axpby *o);
wide reference_lerp(const struct op_lerp *o);

/* ---- for the files above ---- */
static inline double bf16_value(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}
/* The nearest bf16, of two equally near ones the even one. */
static inline uint16_t bf16_nearest(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return (uint16_t)(bits >> 16 | 0x40);
    uint32_t lower = bits & 0xffff, half = bits >> 16;
    return (uint16_t)(lower > 0x8000 || (lower == 0x8000 && half % 2) ? half + 1 : half);
}
static inline double at(mat m, int64_t r, int64_t c) {
    return m.type == TYPE_BF16 ? bf16_value(m.bf16[r * m.ld + c]) : (double)m.data[r * m.ld + c];
}
/* An element of a weight as products see it: rounded to its copies' type. */
static inline double weight_at(const weight *w, int64_t r, int64_t c) {
    return w->type == TYPE_BF16 ? bf16_value(bf16_nearest(w->w.data[r * w->w.ld + c])) : at(w->w, r, c);
}
static inline double *value_at(wide w, int64_t r, int64_t c) { return &w.value[r * w.cols + c]; }
/* Adds one term to an element. */
static inline void wide_add(wide w, int64_t r, int64_t c, double term, double magnitude) {
    w.value[r * w.cols + c] += term;
    w.magnitude[r * w.cols + c] += magnitude;
}
wide wide_of_mat(mat m); /* its content, as what += starts from; empty when data is NULL */
wide wide_of_vec(vec v); /* [1, n] */

#endif
