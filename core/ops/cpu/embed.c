/* Rows by index: embeddings and their gradient, gathering and scattering of rows. Where rows meet in a sum,
   threads split the columns and each walks all rows in order. */
#include <string.h>

#include "core/ops/cpu/elem.h"
#include "core/ops/cpu/threads.h"

/* out = a + b; b NULL: a. */
static void embed_row(elem *out, const float *a, const float *b, int n) {
    FOR_LANES(n, i, k) {
        v16 x = v_load_n(a + i, k);
        e_store_n(out + i, b ? v_add(x, v_load_n(b + i, k)) : x, k);
    }
}

static void embed_rows(const struct op_embed *o) {
    int rows = o->out.rows, d = o->out.cols;
#pragma omp for schedule(static) nowait
    for (int r = 0; r < rows; r++) {
        const float *position = NULL;
        if (o->position_table.data)
            position = o->position_table.data + o->position.data[r] * o->position_table.ld;
        embed_row(elem_row(o->out, r), o->token_table.data + o->token.data[r] * o->token_table.ld, position,
                  d);
    }
}

void ELEM_NAME(cpu_embed)(device *dev, const struct op_embed *o) {
    ON_THREADS(threads_for(dev, mat_elements(o->out) * 2), embed_rows(o));
}

static void embed_dw_strips(const struct op_embed_dw *o, int width) {
    int d = o->dout.cols;
#pragma omp for schedule(static) nowait
    for (int first = 0; first < d; first += width) {
        for (int64_t j = 0; j < o->order.n; j++) {
            int i = o->order.data[j];
            float *sum = o->d_table.data + o->id.data[i] * o->d_table.ld + first;
            const elem *x = elem_row(o->dout, i) + first;
            FOR_LANES(min_of(width, d - first), c, k)
            v_store_n(sum + c, v_add(v_load_n(sum + c, k), e_load_n(x + c, k)), k);
        }
    }
}

void ELEM_NAME(cpu_embed_dw)(device *dev, const struct op_embed_dw *o) {
    int n_thread = threads_for(dev, mat_elements(o->dout) * 2);
    ON_THREADS(n_thread, embed_dw_strips(o, threads_columns(n_thread, o->dout.cols)));
}

static void gather_rows(const struct op_rows_gather *o) {
#pragma omp for schedule(static) nowait
    for (int r = 0; r < o->out.rows; r++)
        memcpy(elem_row(o->out, r), elem_row(o->x, o->index.data[r]), (size_t)o->out.cols * sizeof(elem));
}

void ELEM_NAME(cpu_rows_gather)(device *dev, const struct op_rows_gather *o) {
    ON_THREADS(threads_for(dev, mat_elements(o->out) * 2), gather_rows(o));
}

static void rows_add_strips(const struct op_rows_add *o, int width) {
    int d = o->in.cols;
#pragma omp for schedule(static) nowait
    for (int first = 0; first < d; first += width)
        for (int r = 0; r < o->in.rows; r++) {
            elem *sum = elem_row(o->x, o->index.data[r]) + first;
            const elem *x = elem_row(o->in, r) + first;
            FOR_LANES(min_of(width, d - first), c, k)
            e_store_n(sum + c, v_add(e_load_n(sum + c, k), e_load_n(x + c, k)), k);
        }
}

void ELEM_NAME(cpu_rows_add)(device *dev, const struct op_rows_add *o) {
    int n_thread = threads_for(dev, mat_elements(o->in) * 2);
    ON_THREADS(n_thread, rows_add_strips(o, threads_columns(n_thread, o->in.cols)));
}
