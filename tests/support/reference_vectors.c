#include <math.h>

#include "tests/support/reference.h"

/* Loshchilov & Hutter 2019, algorithm 2; tf1 is TensorFlow 1's placement of epsilon. */
struct reference_adamw reference_adamw(const struct op_adamw *o) {
    struct reference_adamw out = {wide_create(1, o->p.n), wide_create(1, o->p.n), wide_create(1, o->p.n)};
    double lr = o->lr, beta1 = o->beta1, beta2 = o->beta2, eps = o->eps, c1 = o->c1, c2 = o->c2;
    for (int64_t i = 0; i < o->p.n; i++) {
        double p = o->p.data[i], g = (double)o->g.data[i] * o->scale;
        double m = beta1 * o->m.data[i] + (1 - beta1) * g;
        double v = beta2 * o->v.data[i] + (1 - beta2) * g * g;
        double m_magnitude = fabs(beta1 * o->m.data[i]) + fabs((1 - beta1) * g);
        double step = o->tf1 ? lr * sqrt(c2) / c1 / (sqrt(v) + eps) : lr / c1 / (sqrt(v / c2) + eps);
        wide_add(out.p, 0, i, p - lr * o->decay * p - step * m, fabs(p) + step * m_magnitude);
        wide_add(out.m, 0, i, m, m_magnitude);
        wide_add(out.v, 0, i, v, v);
    }
    return out;
}

wide reference_sumsq(const struct op_sumsq *o) {
    wide partial = wide_create(1, (o->x.n + SUMSQ_CHUNK - 1) / SUMSQ_CHUNK);
    for (int64_t i = 0; i < o->x.n; i++) {
        double square = (double)o->x.data[i] * o->x.data[i];
        wide_add(partial, 0, i / SUMSQ_CHUNK, square, square);
    }
    return partial;
}

wide reference_axpby(const struct op_axpby *o) {
    wide y = wide_create(1, o->y.n);
    for (int64_t i = 0; i < o->y.n; i++) {
        double ax = (double)o->a * o->x.data[i], by = o->b == 0 ? 0 : (double)o->b * o->y.data[i];
        wide_add(y, 0, i, ax + by, fabs(ax) + fabs(by));
    }
    return y;
}

wide reference_lerp(const struct op_lerp *o) {
    wide y = wide_create(1, o->y.n);
    for (int64_t i = 0; i < o->y.n; i++) {
        double x = o->x.data[i], old = o->y.data[i];
        wide_add(y, 0, i, old + o->t * (x - old), fabs(old) + fabs(o->t * x) + fabs(o->t * old));
    }
    return y;
}
