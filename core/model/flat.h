/* core/model/flat: the list of named parameters over flat arrays that weights and adapters are made of. For
   core/model alone. */
#ifndef RLHF_MODEL_FLAT_H
#define RLHF_MODEL_FLAT_H

#include "core/model/model.h"

/* Appends one parameter behind the last one, on a vector's boundary; while counting (params NULL) only the
   numbers grow. placed 0: it has no place in the arrays, its offset is -1. */
void flat_add_param(flat *f, param *params, const char *name, int rows, int cols, int decays, int placed);

/* Where it lies; NULL while the memory is only measured, and of one without a place. */
static inline float *flat_place(const flat *f, const param *p) {
    return f->master && p->offset >= 0 ? f->master + p->offset : NULL;
}

/* A parameter's gradient lies where the parameter does; absent where nothing is trained. */
static inline vec flat_vec_grad(const flat *f, vec p) {
    return p.data && f->grad ? (vec){f->grad + (p.data - f->master), p.n} : (vec){0};
}
static inline mat flat_mat_grad(const flat *f, mat p) {
    if (!p.data || !f->grad) return (mat){0};
    p.data = f->grad + (p.data - f->master);
    return p;
}

/* Parameter i becomes normal numbers of the key, times scale. Waits for the device. */
status flat_draw_normal(device *dev, const flat *f, int i, random_key key, double scale, error *err);
/* A score head's weight: N(0, 1 / (d + 1)), from (seed, round) alone (Ziegler et al. 2019). */
status flat_draw_score(device *dev, const flat *f, int i, uint64_t seed, int round, error *err);

#endif
