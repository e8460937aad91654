/* RMS norm of single heads, forward and backward: q and k before they are turned (Henry et al. 2020; Qwen3).
 */
#include <math.h>

#include "core/ops/cpu/elem.h"
#include "core/ops/cpu/threads.h"

static float mean_of_squares(const elem *x, int d) {
    v16 sum = v_set(0);
    FOR_LANES(d, i, k) sum = v_fma(e_load_n(x + i, k), e_load_n(x + i, k), sum);
    return v_sum(sum) / (float)d;
}

static void head_norm_rows(const struct op_head_norm *o) {
    int d = o->x.cols / o->n_head;
#pragma omp for schedule(static) nowait
    for (int r = 0; r < o->x.rows; r++)
        for (int h = 0; h < o->n_head; h++) {
            const elem *x = elem_row(o->x, r) + (int64_t)h * d;
            elem *y = elem_row(o->y, r) + (int64_t)h * d;
            float rstd = 1.0f / sqrtf(mean_of_squares(x, d) + o->eps);
            v16 s = v_set(rstd);
            if (o->rstd.data) o->rstd.data[r * o->rstd.ld + h] = rstd;
            FOR_LANES(d, i, k)
            e_store_n(y + i, v_mul(v_mul(e_load_n(x + i, k), s), v_load_n(o->gain.data + i, k)), k);
        }
}

void ELEM_NAME(cpu_head_norm)(device *dev, const struct op_head_norm *o) {
    ON_THREADS(threads_for(dev, mat_elements(o->x) * 2), head_norm_rows(o));
}

/* With u = x rstd and g = dy gain:  dx = rstd (g - u mean(g u)). */
static void head_dx(const struct op_head_norm_dx *o, int r, int h) {
    int d = o->x.cols / o->n_head;
    int64_t column = (int64_t)h * d;
    const elem *x = elem_row(o->x, r) + column, *dy = elem_row(o->dy, r) + column;
    const float *gain = o->gain.data;
    elem *dx = elem_row(o->dx, r) + column;
    v16 s = v_set(o->rstd.data[r * o->rstd.ld + h]), sum = v_set(0);
    FOR_LANES(d, i, k) {
        v16 g = v_mul(e_load_n(dy + i, k), v_load_n(gain + i, k));
        sum = v_fma(g, v_mul(e_load_n(x + i, k), s), sum);
    }
    v16 mean = v_set(v_sum(sum) / (float)d);
    FOR_LANES(d, i, k) {
        v16 g = v_mul(e_load_n(dy + i, k), v_load_n(gain + i, k));
        v16 u = v_mul(e_load_n(x + i, k), s);
        e_store_n(dx + i, v_mul(s, v_sub(g, v_mul(u, mean))), k);
    }
}

static void head_dx_rows(const struct op_head_norm_dx *o) {
#pragma omp for schedule(static) nowait
    for (int r = 0; r < o->x.rows; r++)
        for (int h = 0; h < o->n_head; h++) head_dx(o, r, h);
}

/* Columns [first, first + n) of dgain, n <= LANES: one block of rows. */
static void head_dgain_block(const struct op_head_norm_dx *o, int row, int end, int first, int n) {
    int d = o->x.cols / o->n_head;
    v16 sum = v_set(0);
    for (int r = row; r < end; r++)
        for (int h = 0; h < o->n_head; h++) {
            int64_t column = (int64_t)h * d + first;
            v16 s = v_set(o->rstd.data[r * o->rstd.ld + h]);
            v16 u = v_mul(e_load_n(elem_row(o->x, r) + column, n), s);
            sum = v_fma(e_load_n(elem_row(o->dy, r) + column, n), u, sum);
        }
    float *dgain = o->dgain.data + first;
    v_store_n(dgain, v_add(v_load_n(dgain, n), sum), n);
}

static void head_dgain_strips(const struct op_head_norm_dx *o) {
    int d = o->x.cols / o->n_head;
#pragma omp for schedule(static) nowait
    for (int first = 0; first < d; first += LANES)
        for (int row = 0; row < o->x.rows; row += ROW_BLOCK)
            head_dgain_block(o, row, (int)min_of(row + ROW_BLOCK, o->x.rows), first,
                             (int)min_of(LANES, d - first));
}

void ELEM_NAME(cpu_head_norm_dx)(device *dev, const struct op_head_norm_dx *o) {
    int n_thread = threads_for(dev, mat_elements(o->x) * 4);
    if (o->dgain.data) ON_THREADS(n_thread, head_dgain_strips(o)); /* before dx, which may overwrite dy */
    ON_THREADS(n_thread, head_dx_rows(o));
}
