/* The residual sum, with dropout by counter; scaling. */
#include "core/ops/cpu/elem.h"
#include "core/ops/cpu/philox.h"
#include "core/ops/cpu/threads.h"

enum { DROPOUT_WORK = 4 }; /* what an element's random number costs, in floats moved */

/* out = a + b; a absent: b. */
static void add_row(elem *out, const elem *a, const elem *b, int n) {
    FOR_LANES(n, i, k) {
        v16 x = e_load_n(b + i, k);
        e_store_n(out + i, a ? v_add(e_load_n(a + i, k), x) : x, k);
    }
}

/* Element i of the row is number site * cols + i of its position's stream. */
static void add_dropout_row(const struct op_add *o, int r) {
    float uniform[PHILOX_NUMBERS];
    elem *out = elem_row(o->out, r);
    const elem *a = o->a.data ? elem_row(o->a, r) : NULL, *b = elem_row(o->b, r);
    v16 dropout = v_set(o->dropout), keep = v_set(1.0f - o->dropout), zero = v_set(0);
    int64_t first = (int64_t)o->site * o->b.cols, end = first + o->b.cols;
    for (int64_t base = first & ~(int64_t)3; base < end; base += PHILOX_NUMBERS) {
        philox_uniform(o->key, o->sequence.data[r], (uint32_t)o->position.data[r], (uint32_t)(base / 4),
                       uniform);
        int64_t from = base > first ? base : first;
        int64_t n = (base + PHILOX_NUMBERS < end ? base + PHILOX_NUMBERS : end) - from;
        const float *u = uniform + (from - base);
        FOR_LANES(n, j, k) {
            int64_t i = from - first + j;
            v16 kept = v_div(e_load_n(b + i, k), keep);
            v16 x = v_where_less(v_load_n(u + j, k), dropout, zero, kept);
            e_store_n(out + i, a ? v_add(e_load_n(a + i, k), x) : x, k);
        }
    }
}

static void add_rows(const struct op_add *o) {
    int rows = o->b.rows, cols = o->b.cols;
#pragma omp for schedule(static) nowait
    for (int r = 0; r < rows; r++) {
        if (o->dropout > 0)
            add_dropout_row(o, r);
        else
            add_row(elem_row(o->out, r), o->a.data ? elem_row(o->a, r) : NULL, elem_row(o->b, r), cols);
    }
}

void ELEM_NAME(cpu_add)(device *dev, const struct op_add *o) {
    ON_THREADS(threads_for(dev, mat_elements(o->b) * (o->dropout > 0 ? DROPOUT_WORK : 2)), add_rows(o));
}

static void scale_rows(const struct op_scale *o) {
    v16 factor = v_set(o->factor);
#pragma omp for schedule(static) nowait
    for (int r = 0; r < o->x.rows; r++) {
        const elem *x = elem_row(o->x, r);
        elem *y = elem_row(o->y, r);
        FOR_LANES(o->x.cols, i, k) e_store_n(y + i, v_mul(factor, e_load_n(x + i, k)), k);
    }
}

void ELEM_NAME(cpu_scale)(device *dev, const struct op_scale *o) {
    ON_THREADS(threads_for(dev, mat_elements(o->x) * 2), scale_rows(o));
}
