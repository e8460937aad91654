/* core/ops/cpu/vocab: slabs of logits and the softmax of one row, shared by training and sampling, which is
   why they cannot disagree. */
#ifndef RLHF_OPS_CPU_VOCAB_H
#define RLHF_OPS_CPU_VOCAB_H

#include "core/ops/cpu/elem.h"

/* Logits [rows][ld] of at most ROW_BLOCK rows; each row ends with -inf from n_vocab to a multiple of
   VOCAB_TILE. */
struct slab {
    float *logits;
    int64_t ld;
    int rows, n_vocab;
    float inverse_temperature;
};

/* lse = log sum exp z and the entropy of softmax z. */
struct softmax {
    float lse, entropy;
};

/* Floats of a slab, and of a row in it: not a multiple of a page, so that rows do not collide in the cache.
 */
int64_t ELEM_NAME(cpu_slab_size)(int64_t rows, int64_t n_vocab);

/* Fills a slab at `memory` with the logits of hidden's rows. */
struct slab ELEM_NAME(cpu_slab_fill)(const device *dev, mat hidden, weight w, int n_vocab, float temperature,
                                     float *memory);

/* One pass: 16 lanes of a running maximum m, l = sum exp(z - m) and t = sum exp(z - m) (z - m). */
struct softmax ELEM_NAME(cpu_softmax_row)(const struct slab *slab, int row);

/* z of logits; -1e30 for -inf, so that no difference is infinite. */
static inline v16 slab_z(v16 logits, v16 inverse_temperature) {
    return v_max(v_set(-1e30f), v_mul(logits, inverse_temperature));
}
static inline float slab_z_at(const struct slab *slab, int row, int id) {
    return v_first(slab_z(v_set(slab->logits[row * slab->ld + id]), v_set(slab->inverse_temperature)));
}

#endif
