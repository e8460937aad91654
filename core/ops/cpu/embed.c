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

void ISA_NAME(cpu_embed)(device *dev, const struct op_embed *o) {
    int rows = o->out.rows, d = o->out.cols, n_thread = threads_for(dev, (int64_t)rows * d * 2);
    THREADS_FOR(n_thread, int, r, rows, 1) {
        float *out = o->out.data + r * o->out.ld;
        copy_row(out, o->token_table.data + o->token.data[r] * o->token_table.ld, d);
        if (o->position_table.data)
            accumulate_row(out, o->position_table.data + o->position.data[r] * o->position_table.ld, d);
    }
}

void ISA_NAME(cpu_embed_dw)(device *dev, const struct op_embed_dw *o) {
    int d = o->dout.cols, n_thread = threads_for(dev, o->order.n * d * 2);
    int width = threads_columns(n_thread, d);
    THREADS_FOR(n_thread, int, first, d, width) {
        int n = d - first < width ? d - first : width;
        for (int64_t j = 0; j < o->order.n; j++) {
            int i = o->order.data[j];
            accumulate_row(o->d_table.data + o->id.data[i] * o->d_table.ld + first,
                           o->dout.data + i * o->dout.ld + first, n);
        }
    }
}

void ISA_NAME(cpu_rows_gather)(device *dev, const struct op_rows_gather *o) {
    int rows = o->out.rows, d = o->out.cols, n_thread = threads_for(dev, (int64_t)rows * d * 2);
    THREADS_FOR(n_thread, int, r, rows, 1)
    copy_row(o->out.data + r * o->out.ld, o->x.data + o->index.data[r] * o->x.ld, d);
}

void ISA_NAME(cpu_rows_add)(device *dev, const struct op_rows_add *o) {
    int rows = o->in.rows, d = o->in.cols, n_thread = threads_for(dev, (int64_t)rows * d * 2);
    int width = threads_columns(n_thread, d);
    THREADS_FOR(n_thread, int, first, d, width) {
        int n = d - first < width ? d - first : width;
        for (int r = 0; r < rows; r++)
            accumulate_row(o->x.data + o->index.data[r] * o->x.ld + first, o->in.data + r * o->in.ld + first,
                           n);
    }
}
