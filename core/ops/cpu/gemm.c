#include "core/ops/cpu/gemm.h"

#include <string.h>

#include "core/ops/cpu/threads.h"

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Few rows wait for memory. Each pass over a strip of a panel fetches its share of the next strip into the
   second-level cache: 0, 64 or 128 bytes a step of depth, 256 together. A single pass needs no strips: it
   fetches 256 bytes a step ahead of itself, into the first level. */
enum {
    STRIP_ROWS = 64,
    STRIP_DEPTH = 256,
    FETCH_STEPS = 4,
    STREAM_FETCH = 256,
    STREAM_AHEAD = 4096 /* bytes */
};

/* Vectors of 16 across a tile. AVX-512 holds 6 x 64 sums. AVX2 holds 6 x 16, so it walks a panel in slices,
   wider ones for fewer rows. */
#ifdef ISA_avx512
enum { ACROSS_1 = 4, ACROSS_2 = 4, ACROSS_3 = 4, ACROSS_4 = 4, ACROSS_5 = 4, ACROSS_6 = 4, ACROSS_MOST = 4 };
#else
enum { ACROSS_1 = 4, ACROSS_2 = 2, ACROSS_3 = 1, ACROSS_4 = 1, ACROSS_5 = 1, ACROSS_6 = 1, ACROSS_MOST = 4 };
#endif

/* What a register tile reads and writes: the chain over depth (going on from an earlier strip's, [rows][64]),
   then prior + chain + bias + add, to sum or rounded to out. */
struct tile {
    const elem *a, *add;
    const unit *b;
    const float *chain, *prior, *bias;
    float *sum;
    elem *out;
    int64_t ld_a, ld_prior, ld_add, ld_out;
    int64_t depth; /* in units; the last one holds `rest` elements of a if that is not 0 */
    int rest;
    const char *fetch; /* memory that a later pass reads */
};

/* What the end of the tile adds is on its way while the chain runs. */
ALWAYS_INLINE void tile_fetch(const void *p, int64_t ld, size_t size, const int rows, const int across) {
    if (!p) return;
    for (int r = 0; r < rows; r++)
        UNROLL for (int j = 0; j < across; j++)
            _mm_prefetch((const char *)p + (r * ld + j * LANES) * (int64_t)size, _MM_HINT_T0);
}

/* One unit of depth, of which a holds n elements. */
ALWAYS_INLINE void tile_step(v16 sum[TILE_ROWS][ACROSS_MOST], const elem *a, int64_t ld_a, const unit *b,
                             const int rows, const int across, const int n) {
    units column[ACROSS_MOST];
    UNROLL for (int j = 0; j < across; j++) column[j] = u_load(b + j * LANES);
    UNROLL for (int r = 0; r < rows; r++) {
        units x = u_set(a + r * ld_a, n);
        UNROLL for (int j = 0; j < across; j++) sum[r][j] = u_fma(x, column[j], sum[r][j]);
    }
}

/* All but the pointers are constants at each call, so the loops unroll and the sums stay in registers. */
ALWAYS_INLINE void tile_run(const struct tile *t, const int rows, const int across, const int fetch) {
    v16 sum[TILE_ROWS][ACROSS_MOST];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < across; j++) sum[r][j] =
        t->chain ? v_load(t->chain + r * PANEL + j * LANES) : v_set(0);
    const elem *a = t->a;
    const unit *b = t->b;
    const char *ahead = t->fetch;
    int64_t ld_a = t->ld_a, whole = t->depth - (UNIT > 1 && t->rest);
    tile_fetch(t->prior, t->ld_prior, sizeof *t->prior, rows, across);
    tile_fetch(t->add, t->ld_add, sizeof *t->add, rows, across);
    for (int64_t k = 0; k < whole; k++, a += UNIT, b += PANEL, ahead += fetch) {
        UNROLL for (int z = 0; z < fetch; z += 64) {
            if (fetch == STREAM_FETCH)
                _mm_prefetch(ahead + z, _MM_HINT_T0);
            else
                _mm_prefetch(ahead + z, _MM_HINT_T1);
        }
        tile_step(sum, a, ld_a, b, rows, across, UNIT);
    }
    if (UNIT > 1 && t->rest) tile_step(sum, a, ld_a, b, rows, across, 1);
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < across; j++) {
        v16 y = sum[r][j];
        if (t->prior) y = v_add(v_load(t->prior + r * t->ld_prior + j * LANES), y);
        if (t->bias) y = v_add(y, v_load(t->bias + j * LANES));
        if (t->add) y = v_add(y, e_load(t->add + r * t->ld_add + j * LANES));
        if (t->sum)
            v_store(t->sum + r * t->ld_out + j * LANES, y);
        else
            e_store(t->out + r * t->ld_out + j * LANES, y);
    }
}

typedef void tile_kernel(const struct tile *t);
#define TILE(rows, fetch)                                                                                    \
    static void tile_##rows##_##fetch(const struct tile *t) { tile_run(t, rows, ACROSS_##rows, fetch); }
#define TILES(rows)    TILE(rows, 0) TILE(rows, 64) TILE(rows, 128) TILE(rows, 256)
#define TILE_ROW(rows) tile_##rows##_0, tile_##rows##_64, tile_##rows##_128, tile_##rows##_256
/* clang-format off */
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
static tile_kernel *const tiles[TILE_ROWS + 1][FETCH_STEPS] = {
    {NULL}, {TILE_ROW(1)}, {TILE_ROW(2)}, {TILE_ROW(3)}, {TILE_ROW(4)}, {TILE_ROW(5)}, {TILE_ROW(6)}};
/* clang-format on */

/* Columns of a slice of a panel that is walked by tiles over so many rows. */
static int slice_columns(int64_t rows) {
    static const int across[TILE_ROWS + 1] = {0, ACROSS_1, ACROSS_2, ACROSS_3, ACROSS_4, ACROSS_5, ACROSS_6};
    return LANES * across[rows < TILE_ROWS ? rows : TILE_ROWS];
}

static int64_t tile_count(int64_t rows) { return (rows + TILE_ROWS - 1) / TILE_ROWS; }

/* Passes over a panel's memory, or a strip's. */
static int pass_count(int64_t rows) { return (int)(tile_count(rows) * (PANEL / slice_columns(rows))); }

/* Which kernel (its fetch is 0, or 32 << step bytes) so that all passes together fetch 256 bytes a step. */
static int fetch_step(int pass, int n_pass) {
    int step = n_pass == 1 ? 3 : n_pass < 4 ? 2 : 1;
    return pass < 8 >> step ? step : 0;
}

/* One strip or block of one panel: `first` holds its first row and column; tiles of nearly equal height. */
static void run_strip(const struct tile *first, int64_t rows) {
    int64_t n_tile = tile_count(rows), height = rows / n_tile, taller = rows % n_tile;
    int slice = slice_columns(rows), pass = 0, n_pass = pass_count(rows);
    const char *next = (const char *)(first->b + (n_pass == 1 ? STREAM_AHEAD / 4 : first->depth * PANEL));
    for (int column = 0; column < PANEL; column += slice) {
        struct tile t = *first;
        t.b += column;
        if (t.sum) t.sum += column;
        if (t.out) t.out += column;
        if (t.chain) t.chain += column;
        if (t.prior) t.prior += column;
        if (t.bias) t.bias += column;
        if (t.add) t.add += column;
        for (int64_t i = 0; i < n_tile; i++, pass++) {
            int64_t r = height + (i < taller);
            int step = fetch_step(pass, n_pass);
            t.fetch = next;
            next += step == 0 ? 0 : t.depth * (32 << step);
            tiles[r][step](&t);
            t.a += r * t.ld_a;
            if (t.sum) t.sum += r * t.ld_out;
            if (t.out) t.out += r * t.ld_out;
            if (t.chain) t.chain += r * PANEL;
            if (t.prior) t.prior += r * t.ld_prior;
            if (t.add) t.add += r * t.ld_add;
        }
    }
}

/* One block of depth of one panel. chain: STRIP_ROWS x 64 floats. */
static void run_block(const struct tile *block, int64_t rows, float *chain) {
    int64_t strip = rows <= STRIP_ROWS && pass_count(rows) > 1 ? STRIP_DEPTH : block->depth;
    for (int64_t k = 0; k < block->depth; k += strip) {
        struct tile t = *block;
        t.a += k * UNIT, t.b += k * PANEL, t.depth = min_of(strip, block->depth - k);
        if (k > 0) t.chain = chain;
        if (k + strip < block->depth) {
            t.sum = chain, t.out = NULL, t.ld_out = PANEL, t.rest = 0;
            t.prior = NULL, t.bias = NULL, t.add = NULL;
        }
        run_strip(&t, rows);
    }
}

/* The last panel, where it is narrower than 64 columns: from the full sums to the columns that exist. */
static void finish_columns(const struct product *p, const float *sum, int64_t row, int64_t column,
                           int64_t rows) {
    for (int64_t r = 0; r < rows; r++, sum += PANEL) {
        FOR_LANES(p->cols - column, i, k) {
            v16 y = v_load_n(sum + i, (int)k);
            if (p->bias) y = v_add(y, v_load_n(p->bias + column + i, (int)k));
            if (p->add) y = v_add(y, e_load_n(p->add + (row + r) * p->ld_add + column + i, (int)k));
            if (p->sum)
                v_store_n(p->sum + (row + r) * p->ld_out + column + i, y, (int)k);
            else
                e_store_n(p->out + (row + r) * p->ld_out + column + i, y, (int)k);
        }
    }
}

void ELEM_NAME(cpu_product_part)(const struct product *p, int64_t first_row, int64_t end_row,
                                 int64_t first_panel, int64_t end_panel) {
    float sum[BLOCK_ROWS * PANEL] __attribute__((aligned(64)));
    float chain[STRIP_ROWS * PANEL] __attribute__((aligned(64)));
    int64_t rows = end_row - first_row;
    for (int64_t panel = first_panel; panel < end_panel; panel++) {
        int64_t column = panel * PANEL, at = first_row * p->ld_out + column;
        int whole = p->cols - column >= PANEL;
        const float *prior = p->prior ? p->prior + first_row * p->ld_prior + column : NULL;
        int64_t ld_prior = p->ld_prior;
        if (prior && !whole) {
            for (int64_t r = 0; r < rows; r++)
                memcpy(sum + r * PANEL, prior + r * ld_prior, (size_t)(p->cols - column) * sizeof *sum);
            prior = sum, ld_prior = PANEL;
        }
        for (int64_t k = 0; k < p->depth; k += p->block) {
            struct tile t = {.a = p->a + first_row * p->ld_a + k,
                             .b = p->panels + panel * p->panel_stride + k / UNIT * PANEL,
                             .prior = prior,
                             .sum = sum,
                             .ld_a = p->ld_a,
                             .ld_prior = ld_prior,
                             .ld_out = PANEL,
                             .depth = units_of(min_of(p->block, p->depth - k)),
                             .rest = (int)(min_of(p->block, p->depth - k) % UNIT)};
            if (whole && k + p->block >= p->depth) {
                t.sum = p->sum ? p->sum + at : NULL, t.out = p->out ? p->out + at : NULL;
                t.ld_out = p->ld_out;
                if (p->bias) t.bias = p->bias + column;
                if (p->add) t.add = p->add + first_row * p->ld_add + column, t.ld_add = p->ld_add;
            }
            run_block(&t, rows, chain);
            prior = sum, ld_prior = PANEL;
        }
        if (!whole) finish_columns(p, sum, first_row, column, rows);
    }
}

/* Many rows are split among threads by blocks of rows, few by panels. */
void ELEM_NAME(cpu_product)(const device *dev, const struct product *p) {
    if (p->rows <= 0 || p->cols <= 0) return;
    int n_thread = threads_for(dev, p->rows * p->cols * p->depth / 16);
    int64_t n_panel = (p->cols + PANEL - 1) / PANEL, n_block = (p->rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
    int64_t height = min_of(BLOCK_ROWS, round_up((p->rows + n_block - 1) / n_block, TILE_ROWS));
    int64_t n_group = n_thread == 1 ? 1 : min_of(n_panel, (4 * n_thread + n_block - 1) / n_block);
    int64_t width = (n_panel + n_group - 1) / n_group;
    n_group = (n_panel + width - 1) / width;
#pragma omp parallel for num_threads(n_thread) schedule(dynamic) if (n_thread > 1)
    for (int64_t i = 0; i < n_block * n_group; i++) {
        flush_denormals();
        int64_t row = i / n_group * height, end_row = min_of(row + height, p->rows);
        int64_t panel = i % n_group * width, end_panel = min_of(panel + width, n_panel);
        if (row < end_row) ELEM_NAME(cpu_product_part)(p, row, end_row, panel, end_panel);
    }
}
