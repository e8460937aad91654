/* Rows by index: embeddings and their gradient, gathering and scattering of rows. Where rows meet in a sum,
   threads split the columns and each walks all rows in order. */
#include <string.h>

#include "core/ops/cpu/cpu.h"
#include "core/ops/cpu/threads.h"
#include "core/ops/cpu/vec.h"

static void copy_row(float *out, const float *x, int n) { memcpy(out, x, (size_t)n * sizeof *x); }

static void accumulate_row(float *sum, const float *x, int n) {
    FOR_LANES(n, i, k) v_store_n(sum + i, v_add(v_load_n(sum + i, k), v_load_n(x + i, k)), k);
}

static void embed_rows(const struct op_embed *o) {
    int rows = o->out.rows, d = o->out.cols;
#pragma omp for schedule(static) nowait
    for (int r = 0; r < rows; r++) {
        float *out = o->out.data + r * o->out.ld;
        copy_row(out, o->token_table.data + o->token.data[r] * o->token_table.ld, d);
        if (o->position_table.data)
            accumulate_row(out, o->position_table.data + o->position.data[r] * o->position_table.ld, d);
    }
}

void ISA_NAME(cpu_embed)(device *dev, const struct op_embed *o) {
    ON_THREADS(threads_for(dev, mat_elements(o->out) * 2), embed_rows(o));
}

static void embed_dw_strips(const struct op_embed_dw *o, int width) {
    int d = o->dout.cols;
#pragma omp for schedule(static) nowait
    for (int first = 0; first < d; first += width) {
        for (int64_t j = 0; j < o->order.n; j++) {
            int i = o->order.data[j];
            accumulate_row(o->d_table.data + o->id.data[i] * o->d_table.ld + first,
                           o->dout.data + i * o->dout.ld + first, (int)min_of(width, d - first));
        }
    }
}

void ISA_NAME(cpu_embed_dw)(device *dev, const struct op_embed_dw *o) {
    int n_thread = threads_for(dev, mat_elements(o->dout) * 2);
    ON_THREADS(n_thread, embed_dw_strips(o, threads_columns(n_thread, o->dout.cols)));
}

static void gather_rows(const struct op_rows_gather *o) {
#pragma omp for schedule(static) nowait
    for (int r = 0; r < o->out.rows; r++)
        copy_row(o->out.data + r * o->out.ld, o->x.data + o->index.data[r] * o->x.ld, o->out.cols);
}

void ISA_NAME(cpu_rows_gather)(device *dev, const struct op_rows_gather *o) {
    ON_THREADS(threads_for(dev, mat_elements(o->out) * 2), gather_rows(o));
}

static void rows_add_strips(const struct op_rows_add *o, int width) {
    int d = o->in.cols;
#pragma omp for schedule(static) nowait
    for (int first = 0; first < d; first += width)
        for (int r = 0; r < o->in.rows; r++)
            accumulate_row(o->x.data + o->index.data[r] * o->x.ld + first, o->in.data + r * o->in.ld + first,
                           (int)min_of(width, d - first));
}

void ISA_NAME(cpu_rows_add)(device *dev, const struct op_rows_add *o) {
    int n_thread = threads_for(dev, mat_elements(o->in) * 2);
    ON_THREADS(n_thread, rows_add_strips(o, threads_columns(n_thread, o->in.cols)));
}
