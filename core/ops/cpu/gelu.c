/* Activations: GELU in its tanh form (Hendrycks and Gimpel 2016), SwiGLU and GeGLU (Shazeer 2020). */
#include "core/ops/cpu/elem.h"
#include "core/ops/cpu/threads.h"

enum { EXP_WORK = 4 }; /* what an element costs, in floats moved */

/* 1 / (1 + exp(-x)); the exponent is held below overflow. */
static inline v16 v_sigmoid(v16 x) {
    v16 e = v_exp(v_min(v_set(80.0f), v_sub(v_set(0), x)));
    return v_div(v_set(1), v_add(v_set(1), e));
}

/* gelu(x) = x / (1 + exp(-2u)) and -2u = x (GELU_LINEAR + GELU_CUBIC x^2). */
#define GELU_LINEAR (-1.5957691216f) /* -2 sqrt(2 / pi) */
#define GELU_CUBIC  (-0.0713548163f) /* 0.044715 of that */

static inline v16 gelu_exponent(v16 x, v16 square) {
    return v_mul(x, v_fma(square, v_set(GELU_CUBIC), v_set(GELU_LINEAR)));
}

static inline v16 gelu(v16 x) {
    v16 e = v_exp(v_min(v_set(80.0f), gelu_exponent(x, v_mul(x, x))));
    return v_div(x, v_add(v_set(1), e));
}

/* s + x s (1 - s) d(2u)/dx, s = 1 / (1 + exp(-2u)) */
static inline v16 gelu_slope(v16 x) {
    v16 square = v_mul(x, x), one = v_set(1);
    v16 s = v_div(one, v_add(one, v_exp(v_min(v_set(80.0f), gelu_exponent(x, square)))));
    v16 du = v_fma(square, v_set(-3 * GELU_CUBIC), v_set(-GELU_LINEAR));
    return v_fma(v_mul(v_mul(x, s), v_sub(one, s)), du, s);
}

static void gelu_rows(const struct op_gelu *o) {
#pragma omp for schedule(static) nowait
    for (int r = 0; r < o->x.rows; r++) {
        const elem *x = elem_row(o->x, r);
        elem *y = elem_row(o->y, r);
        FOR_LANES(o->x.cols, i, k) e_store_n(y + i, gelu(e_load_n(x + i, k)), k);
    }
}

void ELEM_NAME(cpu_gelu)(device *dev, const struct op_gelu *o) {
    ON_THREADS(threads_for(dev, mat_elements(o->x) * EXP_WORK), gelu_rows(o));
}

static void gelu_dx_rows(const struct op_gelu_dx *o) {
#pragma omp for schedule(static) nowait
    for (int r = 0; r < o->x.rows; r++) {
        const elem *x = elem_row(o->x, r), *dy = elem_row(o->dy, r);
        elem *dx = elem_row(o->dx, r);
        FOR_LANES(o->x.cols, i, k)
        e_store_n(dx + i, v_mul(e_load_n(dy + i, k), gelu_slope(e_load_n(x + i, k))), k);
    }
}

void ELEM_NAME(cpu_gelu_dx)(device *dev, const struct op_gelu_dx *o) {
    ON_THREADS(threads_for(dev, mat_elements(o->x) * EXP_WORK), gelu_dx_rows(o));
}

static void glu_rows(const struct op_glu *o) {
    int f = o->y.cols;
#pragma omp for schedule(static) nowait
    for (int r = 0; r < o->y.rows; r++) {
        const elem *gate = elem_row(o->x, r), *up = gate + f;
        elem *y = elem_row(o->y, r);
        FOR_LANES(f, i, k) {
            v16 g = e_load_n(gate + i, k);
            v16 act = o->kind == GLU_GELU ? gelu(g) : v_mul(g, v_sigmoid(g));
            e_store_n(y + i, v_mul(act, e_load_n(up + i, k)), k);
        }
    }
}

void ELEM_NAME(cpu_glu)(device *dev, const struct op_glu *o) {
    ON_THREADS(threads_for(dev, mat_elements(o->y) * EXP_WORK), glu_rows(o));
}

/* dup = dy act(gate),  dgate = dy up act'(gate). silu, with s = sigmoid(gate): act = gate s,
   act' = s (1 + gate (1 - s)). */
static void glu_dx_rows(const struct op_glu_dx *o) {
    int f = o->dy.cols;
#pragma omp for schedule(static) nowait
    for (int r = 0; r < o->dy.rows; r++) {
        const elem *gate = elem_row(o->x, r), *up = gate + f, *dy = elem_row(o->dy, r);
        elem *dgate = elem_row(o->dx, r), *dup = dgate + f;
        FOR_LANES(f, i, k) {
            v16 g = e_load_n(gate + i, k), u = e_load_n(up + i, k), d = e_load_n(dy + i, k);
            v16 act, slope, one = v_set(1);
            if (o->kind == GLU_GELU) {
                act = gelu(g);
                slope = gelu_slope(g);
            } else {
                v16 s = v_sigmoid(g);
                act = v_mul(g, s);
                slope = v_mul(s, v_fma(g, v_sub(one, s), one));
            }
            e_store_n(dgate + i, v_mul(v_mul(d, u), slope), k);
            e_store_n(dup + i, v_mul(d, act), k);
        }
    }
}

void ELEM_NAME(cpu_glu_dx)(device *dev, const struct op_glu_dx *o) {
    ON_THREADS(threads_for(dev, mat_elements(o->dy) * EXP_WORK), glu_dx_rows(o));
}
