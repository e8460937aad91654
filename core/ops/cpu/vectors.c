/* Long vectors: the optimizer's step and what surrounds it, at memory speed. Threads take chunks. */
#include <math.h>

#include "core/ops/cpu/cpu.h"
#include "core/ops/cpu/threads.h"
#include "core/ops/cpu/vec.h"

enum { CHUNK = 4096 };

static int chunk_length(int64_t n, int64_t first) { return (int)min_of(CHUNK, n - first); }

/* AdamW's scalars: p = keep p - rate m / (root sqrt(v) + eps). */
struct adamw_factors {
    v16 scale, beta1, beta2, rest1, rest2, keep, rate, root, eps;
};

static struct adamw_factors adamw_factors(const struct op_adamw *o) {
    float rate = o->tf1 ? o->lr * sqrtf(o->c2) / o->c1 : o->lr / o->c1;
    float root = o->tf1 ? 1.0f : 1.0f / sqrtf(o->c2);
    return (struct adamw_factors){v_set(o->scale),
                                  v_set(o->beta1),
                                  v_set(o->beta2),
                                  v_set(1.0f - o->beta1),
                                  v_set(1.0f - o->beta2),
                                  v_set(1.0f - o->lr * o->decay),
                                  v_set(rate),
                                  v_set(root),
                                  v_set(o->eps)};
}

static void adamw_chunk(const struct op_adamw *o, struct adamw_factors f, int64_t first, int n) {
    float *p = o->p.data + first, *m = o->m.data + first, *v = o->v.data + first;
    const float *gradient = o->g.data + first;
    FOR_LANES(n, i, k) {
        v16 g = v_mul(v_load_n(gradient + i, k), f.scale);
        v16 mean = v_fma(f.beta1, v_load_n(m + i, k), v_mul(f.rest1, g));
        v16 square = v_fma(f.beta2, v_load_n(v + i, k), v_mul(v_mul(f.rest2, g), g));
        v16 step = v_div(v_mul(f.rate, mean), v_add(v_mul(v_sqrt(square), f.root), f.eps));
        v_store_n(m + i, mean, k);
        v_store_n(v + i, square, k);
        v_store_n(p + i, v_sub(v_mul(v_load_n(p + i, k), f.keep), step), k);
    }
}

static void adamw_chunks(const struct op_adamw *o) {
    struct adamw_factors f = adamw_factors(o);
#pragma omp for schedule(static) nowait
    for (int64_t first = 0; first < o->p.n; first += CHUNK)
        adamw_chunk(o, f, first, chunk_length(o->p.n, first));
}

void ISA_NAME(cpu_adamw)(device *dev, const struct op_adamw *o) {
    ON_THREADS(threads_for(dev, o->p.n * 7), adamw_chunks(o));
}

static void sumsq_chunks(const struct op_sumsq *o) {
#pragma omp for schedule(static) nowait
    for (int64_t first = 0; first < o->x.n; first += SUMSQ_CHUNK) {
        const float *x = o->x.data + first;
        v16 sum = v_set(0);
        FOR_LANES(min_of(SUMSQ_CHUNK, o->x.n - first), i, k) {
            v16 value = v_load_n(x + i, k);
            sum = v_fma(value, value, sum);
        }
        o->partial.data[first / SUMSQ_CHUNK] = v_sum(sum);
    }
}

void ISA_NAME(cpu_sumsq)(device *dev, const struct op_sumsq *o) {
    ON_THREADS(threads_for(dev, o->x.n), sumsq_chunks(o));
}

static void axpby_chunks(const struct op_axpby *o) {
    v16 a = v_set(o->a), b = v_set(o->b);
#pragma omp for schedule(static) nowait
    for (int64_t first = 0; first < o->y.n; first += CHUNK) {
        const float *x = o->x.data + first;
        float *y = o->y.data + first;
        FOR_LANES(chunk_length(o->y.n, first), i, k) {
            v16 ax = v_mul(a, v_load_n(x + i, k));
            v_store_n(y + i, o->b == 0 ? ax : v_fma(b, v_load_n(y + i, k), ax), k);
        }
    }
}

void ISA_NAME(cpu_axpby)(device *dev, const struct op_axpby *o) {
    ON_THREADS(threads_for(dev, o->y.n * 3), axpby_chunks(o));
}

static void lerp_chunks(const struct op_lerp *o) {
    v16 t = v_set(o->t);
#pragma omp for schedule(static) nowait
    for (int64_t first = 0; first < o->y.n; first += CHUNK) {
        const float *x = o->x.data + first;
        float *y = o->y.data + first;
        FOR_LANES(chunk_length(o->y.n, first), i, k) {
            v16 old = v_load_n(y + i, k);
            v_store_n(y + i, v_fma(t, v_sub(v_load_n(x + i, k), old), old), k);
        }
    }
}

void ISA_NAME(cpu_lerp)(device *dev, const struct op_lerp *o) {
    ON_THREADS(threads_for(dev, o->y.n * 3), lerp_chunks(o));
}

static void fill_chunks(const struct op_fill *o) {
    v16 value = v_set(o->value);
#pragma omp for schedule(static) nowait
    for (int64_t first = 0; first < o->y.n; first += CHUNK) {
        float *y = o->y.data + first;
        FOR_LANES(chunk_length(o->y.n, first), i, k) v_store_n(y + i, value, k);
    }
}

void ISA_NAME(cpu_fill)(device *dev, const struct op_fill *o) {
    ON_THREADS(threads_for(dev, o->y.n), fill_chunks(o));
}
