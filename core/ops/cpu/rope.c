/* Rotary position embedding (Su et al. 2021) in Hugging Face's layout: pairs lie half a head apart. */
#include "core/ops/cpu/elem.h"
#include "core/ops/cpu/threads.h"

/* (a, b) -> (a cos - b sin, b cos + a sin); sign -1 turns back. */
static void rotate(elem *a, elem *b, const float *cosine, const float *sine, int half, v16 sign) {
    FOR_LANES(half, i, k) {
        v16 x = e_load_n(a + i, k), y = e_load_n(b + i, k);
        v16 c = v_load_n(cosine + i, k), s = v_mul(sign, v_load_n(sine + i, k));
        e_store_n(a + i, v_sub(v_mul(x, c), v_mul(y, s)), k);
        e_store_n(b + i, v_add(v_mul(y, c), v_mul(x, s)), k);
    }
}

static void rope_rows(const struct op_rope *o) {
    int half = o->head_dim / 2;
    v16 sign = v_set(o->inverse ? -1.0f : 1.0f);
#pragma omp for schedule(static) nowait
    for (int r = 0; r < o->x.rows; r++) {
        const float *cosine = o->cosine.data + o->position.data[r] * o->cosine.ld;
        const float *sine = o->sine.data + o->position.data[r] * o->sine.ld;
        for (int h = 0; h < o->n_rotated; h++) {
            elem *x = elem_row(o->x, r) + (int64_t)h * o->head_dim;
            rotate(x, x + half, cosine, sine, half, sign);
        }
    }
}

void ELEM_NAME(cpu_rope)(device *dev, const struct op_rope *o) {
    ON_THREADS(threads_for(dev, (int64_t)o->x.rows * o->n_rotated * o->head_dim * 2), rope_rows(o));
}
