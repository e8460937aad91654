/* The score head: one number a row. */
#include "core/ops/cpu/elem.h"
#include "core/ops/cpu/threads.h"

void ELEM_NAME(cpu_score)(device *dev, const struct op_score *o) {
    mat hidden = o->hidden;
    int n_thread = threads_for(dev, (int64_t)hidden.rows * hidden.cols);
    float bias = o->bias.data ? o->bias.data[0] : 0;
#pragma omp parallel for num_threads(n_thread) if (n_thread > 1)
    for (int r = 0; r < hidden.rows; r++) {
        flush_denormals();
        const elem *row = elem_row(hidden, r);
        v16 sum = v_set(0);
        FOR_LANES(hidden.cols, i, n) {
            sum = v_fma(e_load_n(row + i, (int)n), v_load_n(o->w.data + i, (int)n), sum);
        }
        o->score.data[r] = v_sum(sum) + bias;
    }
}

/* dw[columns] += the chain over each block of rows. */
static void add_dw_columns(const struct op_score_dx *o, int64_t column, int n) {
    float *dw = o->dw.data + column;
    for (int64_t first = 0; first < o->hidden.rows; first += ROW_BLOCK) {
        v16 sum = v_set(0);
        for (int64_t r = first; r < min_of(first + ROW_BLOCK, o->hidden.rows); r++) {
            const elem *hidden = elem_row(o->hidden, r) + column;
            sum = v_fma(v_set(o->dscore.data[r]), e_load_n(hidden, n), sum);
        }
        v_store_n(dw, v_add(v_load_n(dw, n), sum), n);
    }
}

static void add_dbias(const struct op_score_dx *o) {
    for (int64_t first = 0; first < o->hidden.rows; first += ROW_BLOCK) {
        float sum = 0;
        for (int64_t r = first; r < min_of(first + ROW_BLOCK, o->hidden.rows); r++) sum += o->dscore.data[r];
        o->dbias.data[0] += sum;
    }
}

void ELEM_NAME(cpu_score_dx)(device *dev, const struct op_score_dx *o) {
    int rows = o->hidden.rows, cols = o->hidden.cols;
    int n_thread = threads_for(dev, 2 * (int64_t)rows * cols);
#pragma omp parallel num_threads(n_thread) if (n_thread > 1)
    {
        flush_denormals();
#pragma omp for nowait
        for (int r = 0; r < (o->dhidden.data ? rows : 0); r++) {
            elem *dhidden = elem_row(o->dhidden, r);
            v16 d = v_set(o->dscore.data[r]);
            FOR_LANES(cols, i, n) {
                v16 w = v_load_n(o->w.data + i, (int)n);
                e_store_n(dhidden + i, v_fma(d, w, e_load_n(dhidden + i, (int)n)), (int)n);
            }
        }
#pragma omp for
        for (int c = 0; c < (o->dw.data ? cols : 0); c += LANES)
            add_dw_columns(o, c, (int)min_of(LANES, cols - c));
    }
    if (o->dbias.data) add_dbias(o);
}
