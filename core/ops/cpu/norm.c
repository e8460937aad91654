/* LayerNorm (Ba et al. 2016) and RMSNorm (Zhang and Sennrich 2019), forward and backward. */
#include <math.h>

#include "core/ops/cpu/elem.h"
#include "core/ops/cpu/threads.h"

static float row_mean(const elem *x, int d) {
    v16 sum = v_set(0);
    FOR_LANES(d, i, k) sum = v_add(sum, e_load_n(x + i, k));
    return v_sum(sum) / (float)d;
}

/* Mean of (x - mean)^2. */
static float row_variance(const elem *x, float mean, int d) {
    v16 sum = v_set(0), m = v_set(mean);
    FOR_LANES(d, i, k) {
        v16 deviation = v_keep(v_sub(e_load_n(x + i, k), m), k);
        sum = v_fma(deviation, deviation, sum);
    }
    return v_sum(sum) / (float)d;
}

static void norm_rows(const struct op_norm *o) {
    int d = o->x.cols, layer = o->kind == NORM_LAYER;
#pragma omp for schedule(static) nowait
    for (int r = 0; r < o->x.rows; r++) {
        const elem *x = elem_row(o->x, r);
        elem *y = elem_row(o->y, r);
        float mean = layer ? row_mean(x, d) : 0;
        float rstd = 1.0f / sqrtf(row_variance(x, mean, d) + o->eps);
        if (o->mean.data && layer) o->mean.data[r] = mean;
        if (o->rstd.data) o->rstd.data[r] = rstd;
        v16 m = v_set(mean), s = v_set(rstd), offset = v_set(o->offset);
        FOR_LANES(d, i, k) {
            v16 unit = v_mul(v_sub(e_load_n(x + i, k), m), s);
            v16 gain = v_add(v_load_n(o->gain.data + i, k), offset);
            v16 scaled = o->bias.data ? v_fma(unit, gain, v_load_n(o->bias.data + i, k)) : v_mul(unit, gain);
            e_store_n(y + i, scaled, k);
        }
    }
}

void ELEM_NAME(cpu_norm)(device *dev, const struct op_norm *o) {
    ON_THREADS(threads_for(dev, mat_elements(o->x) * 2), norm_rows(o));
}

/* With u = (x - mean) rstd and g = dy gain:  dx += rstd (g - mean(g) - u mean(g u)); rms: without mean(g). */
static void norm_dx_row(const struct op_norm_dx *o, int r) {
    int d = o->x.cols, layer = o->kind == NORM_LAYER;
    const elem *x = elem_row(o->x, r), *dy = elem_row(o->dy, r);
    const float *gain = o->gain.data;
    elem *dx = elem_row(o->dx, r);
    v16 m = v_set(layer ? o->mean.data[r] : 0), s = v_set(o->rstd.data[r]), offset = v_set(o->offset);
    v16 sum_g = v_set(0), sum_gu = v_set(0);
    FOR_LANES(d, i, k) {
        v16 g = v_mul(e_load_n(dy + i, k), v_add(v_load_n(gain + i, k), offset));
        v16 u = v_mul(v_sub(e_load_n(x + i, k), m), s);
        sum_g = v_add(sum_g, g);
        sum_gu = v_fma(g, u, sum_gu);
    }
    v16 mean_g = v_set(layer ? v_sum(sum_g) / (float)d : 0), mean_gu = v_set(v_sum(sum_gu) / (float)d);
    FOR_LANES(d, i, k) {
        v16 g = v_mul(e_load_n(dy + i, k), v_add(v_load_n(gain + i, k), offset));
        v16 u = v_mul(v_sub(e_load_n(x + i, k), m), s);
        v16 centred = v_sub(v_sub(g, mean_g), v_mul(u, mean_gu));
        e_store_n(dx + i, v_add(e_load_n(dx + i, k), v_mul(s, centred)), k);
    }
}

enum { STRIP = 512 }; /* columns whose running sums stay in the first-level cache */

/* Adds one block of rows to columns [first, first + n) of dgain and dbias, each a chain over the rows. */
static void norm_dgain_block(const struct op_norm_dx *o, int row, int end, int first, int n) {
    float dgain[STRIP] = {0}, dbias[STRIP] = {0};
    for (int r = row; r < end; r++) {
        const elem *x = elem_row(o->x, r) + first, *dy = elem_row(o->dy, r) + first;
        v16 m = v_set(o->kind == NORM_LAYER ? o->mean.data[r] : 0), s = v_set(o->rstd.data[r]);
        FOR_LANES(n, i, k) {
            v16 g = e_load_n(dy + i, k), u = v_mul(v_sub(e_load_n(x + i, k), m), s);
            v_store(dgain + i, v_fma(g, u, v_load(dgain + i)));
            v_store(dbias + i, v_add(g, v_load(dbias + i)));
        }
    }
    for (int i = 0; o->dgain.data && i < n; i++) o->dgain.data[first + i] += dgain[i];
    for (int i = 0; o->dbias.data && i < n; i++) o->dbias.data[first + i] += dbias[i];
}

static void norm_dx_rows(const struct op_norm_dx *o) {
#pragma omp for schedule(static) nowait
    for (int r = 0; r < o->x.rows; r++) norm_dx_row(o, r);
}

static void norm_dgain_strips(const struct op_norm_dx *o, int width) {
    int d = o->x.cols, rows = o->x.rows;
#pragma omp for schedule(static) nowait
    for (int first = 0; first < d; first += width)
        for (int row = 0; row < rows; row += ROW_BLOCK)
            norm_dgain_block(o, row, (int)min_of(row + ROW_BLOCK, rows), first,
                             (int)min_of(width, d - first));
}

void ELEM_NAME(cpu_norm_dx)(device *dev, const struct op_norm_dx *o) {
    int n_thread = threads_for(dev, mat_elements(o->x) * 4);
    ON_THREADS(n_thread, norm_dx_rows(o));
    if (!o->dgain.data && !o->dbias.data) return;
    int width = (int)min_of(STRIP, threads_columns(n_thread, o->x.cols));
    ON_THREADS(n_thread, norm_dgain_strips(o, width));
}
