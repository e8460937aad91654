/* The linear map, its two gradients, and the packs that they read. */
#include <omp.h>
#include <string.h>

#include "core/ops/cpu/gemm.h"
#include "core/ops/cpu/threads.h"
#include "core/ops/cpu/units.h"

/* Rows that a pass over dw takes, and the units of a row of dy's transpose: not a multiple of a page, so that
   its rows do not collide in the cache. */
enum { DW_CHUNK = 2 * ROW_BLOCK, DW_LD = DW_CHUNK / UNIT + LANES };

/* ---- packs, in units: forward [n / 64][k][64] of w^T, backward [k / 64][n][64] of w ---- */

int64_t ELEM_NAME(cpu_forward_pack)(int n, int k) { return round_up(n, PANEL) * units_of(k); }
int64_t ELEM_NAME(cpu_backward_pack)(int n, int k) { return round_up(k, PANEL) * units_of(n); }

static const unit *units_at(vec pack) { return (const void *)pack.data; }

void ELEM_NAME(cpu_weights_pack)(device *dev, const struct op_weights_pack *o) {
    mat w = o->w.w;
    int64_t k = w.cols, n_panel = (w.rows + PANEL - 1) / PANEL;
    int n_thread = threads_for(dev, 3 * w.rows * k);
#pragma omp parallel for num_threads(n_thread) schedule(dynamic) if (n_thread > 1)
    for (int64_t p = 0; p < n_panel; p++) {
        mat rows = mat_rows(w, (int)(p * PANEL), (int)min_of(PANEL, w.rows - p * PANEL));
        unit *forward = (void *)o->w.forward.data, *backward = (void *)o->w.backward.data;
        unit *panel = forward + p * PANEL * units_of(k);
        if (rows.rows < PANEL) memset(panel, 0, (size_t)(PANEL * units_of(k)) * sizeof *panel);
        ELEM_NAME(units_of_weights)(rows.data, rows.ld, rows.rows, k, panel);
        if (o->w.backward.n == 0) continue;
        for (int64_t c = 0; c < k; c += PANEL) ELEM_NAME(units_of_weight_rows)
        (rows.data + c, rows.ld, rows.rows, min_of(PANEL, k - c),
         backward + c * units_of(w.rows) + p * PANEL / UNIT * PANEL);
    }
}

/* ---- forward and the gradient of x ---- */

void ELEM_NAME(cpu_linear)(device *dev, const struct op_linear *o) {
    struct product p = {.out = elem_data(o->y),
                        .ld_out = o->y.ld,
                        .a = elem_data(o->x),
                        .ld_a = o->x.ld,
                        .panels = units_at(o->w.forward),
                        .panel_stride = PANEL * units_of(o->w.w.cols),
                        .bias = o->bias.data,
                        .add = elem_data(o->add),
                        .ld_add = o->add.ld,
                        .rows = o->y.rows,
                        .cols = o->y.cols,
                        .depth = o->x.cols,
                        .block = product_block(o->x.cols)};
    ELEM_NAME(cpu_product)(dev, &p);
}

void ELEM_NAME(cpu_linear_dx)(device *dev, const struct op_linear_dx *o) {
    struct product p = {.out = elem_data(o->dx),
                        .ld_out = o->dx.ld,
                        .a = elem_data(o->dy),
                        .ld_a = o->dy.ld,
                        .panels = units_at(o->w.backward),
                        .panel_stride = PANEL * units_of(o->w.w.rows),
                        .add = elem_data(o->add),
                        .ld_add = o->add.ld,
                        .rows = o->dx.rows,
                        .cols = o->dx.cols,
                        .depth = o->dy.cols,
                        .block = product_block(o->dy.cols)};
    ELEM_NAME(cpu_product)(dev, &p);
}

/* ---- the gradient of w ---- */

/* Scratch in units: x packed [cols / 64][at most DW_CHUNK][64], then a transposed piece of dy for each
   thread. */
static int64_t packed_x_size(int64_t rows, int64_t cols) {
    return round_up(cols, PANEL) * units_of(min_of(rows, DW_CHUNK));
}

int64_t ELEM_NAME(cpu_linear_dw_scratch)(int n_thread, int max_token, int max_cols) {
    return packed_x_size(max_token, max_cols) + (int64_t)n_thread * BLOCK_ROWS * DW_LD;
}

/* db[c] += the chain over each block's rows, for the columns of dy. */
static void add_column_sums(mat dy, float *db) {
    for (int64_t first = 0; first < dy.rows; first += ROW_BLOCK) {
        int64_t end = min_of(first + ROW_BLOCK, dy.rows);
        FOR_LANES(dy.cols, c, n) {
            v16 sum = v_set(0);
            for (int64_t r = first; r < end; r++) sum = v_add(sum, e_load_n(elem_row(dy, r) + c, (int)n));
            v_store_n(db + c, v_add(v_load_n(db + c, (int)n), sum), (int)n);
        }
    }
}

/* Rows [first, first + count) of dw from one chunk of dy. */
static void add_dw_rows(const struct op_linear_dw *o, mat dy, const unit *packed_x, int64_t first,
                        int64_t count, unit *transposed) {
    float *dw = o->dw.data + first * o->dw.ld;
    mat columns = mat_columns(dy, (int)first, (int)count);
    if (o->db.data) add_column_sums(columns, o->db.data + first);
    ELEM_NAME(units_of_columns)(elem_data(columns), columns.ld, dy.rows, count, transposed, DW_LD);
    struct product p = {.sum = dw,
                        .ld_out = o->dw.ld,
                        .prior = dw,
                        .ld_prior = o->dw.ld,
                        .a = (const void *)transposed,
                        .ld_a = DW_LD * UNIT,
                        .panels = packed_x,
                        .panel_stride = units_of(dy.rows) * PANEL,
                        .rows = count,
                        .cols = o->dw.cols,
                        .depth = dy.rows,
                        .block = ROW_BLOCK};
    ELEM_NAME(cpu_product_part)(&p, 0, count, 0, (p.cols + PANEL - 1) / PANEL);
}

void ELEM_NAME(cpu_linear_dw)(device *dev, const struct op_linear_dw *o) {
    int64_t n = o->dw.rows, n_panel = (o->dw.cols + PANEL - 1) / PANEL;
    int n_thread = threads_for(dev, o->dy.rows * n * o->dw.cols / 16);
    int64_t height =
        n_thread == 1 ? BLOCK_ROWS : round_up((n + 2 * n_thread - 1) / (2 * n_thread), TILE_ROWS);
    height = min_of(height, BLOCK_ROWS);
    int64_t n_item = (n + height - 1) / height;
    unit *packed_x = (void *)o->scratch.data;
    for (int64_t row = 0; row < o->dy.rows; row += DW_CHUNK) {
        int64_t rows = min_of(DW_CHUNK, o->dy.rows - row);
        mat dy = mat_rows(o->dy, (int)row, (int)rows), x = mat_rows(o->x, (int)row, (int)rows);
        unit *transposed = packed_x + packed_x_size(rows, x.cols);
#pragma omp parallel num_threads(n_thread) if (n_thread > 1)
        {
            flush_denormals();
            unit *mine = transposed + (int64_t)omp_get_thread_num() * BLOCK_ROWS * DW_LD;
#pragma omp for schedule(static)
            for (int64_t p = 0; p < n_panel; p++) {
                const elem *columns = elem_data(x) + p * PANEL;
                ELEM_NAME(units_of_rows)
                (columns, x.ld, rows, min_of(PANEL, x.cols - p * PANEL),
                 packed_x + p * units_of(rows) * PANEL);
            }
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < n_item; i++)
                add_dw_rows(o, dy, packed_x, i * height, min_of(height, n - i * height), mine);
        }
    }
}
