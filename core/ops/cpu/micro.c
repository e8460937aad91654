#include "core/ops/cpu/micro.h"

#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* AVX-512 holds 6 x 64 sums in registers. AVX2 holds 6 x 16, and wider tiles of fewer rows. */
#ifdef ISA_avx512
#define MICRO_VECS(rows) 4
#else
#define MICRO_VECS(rows) ((rows) == 1 ? 4 : (rows) == 2 ? 2 : 1)
#endif
enum { MICRO_VECS_MAX = 4 };

/* Columns [column, column + 16 vecs) of the product; lanes < 16: only so many of a single vector. */
ALWAYS_INLINE void micro_tile(const struct micro *p, int column, const int rows, const int vecs, int lanes,
                              const int transposed) {
    v16 sum[MICRO_ROWS][MICRO_VECS_MAX];
    float *out = p->out + column;
    const float *a = p->a, *b = p->b + column;
    int64_t ld_a = p->ld_a, ld_b = p->ld_b, ld_out = p->ld_out;
    int64_t ahead = p->next ? (const char *)p->next - (const char *)p->b : 0;
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < vecs; j++) sum[r][j] =
        p->continued ? v_load_n(out + r * ld_out + j * LANES, lanes) : v_set(0);
    for (int k = 0; k < p->depth; k++, a += transposed ? ld_a : 1, b += ld_b) {
        v16 column_of_b[MICRO_VECS_MAX];
        UNROLL for (int j = 0; j < vecs; j++) {
            column_of_b[j] = v_load_n(b + j * LANES, lanes);
            if (!transposed) _mm_prefetch((const char *)(b + j * LANES) + ahead, _MM_HINT_T1);
        }
        UNROLL for (int r = 0; r < rows; r++) {
            v16 x = v_set(a[transposed ? r : r * ld_a]);
            UNROLL for (int j = 0; j < vecs; j++) sum[r][j] = v_fma(x, column_of_b[j], sum[r][j]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < vecs; j++)
        v_store_n(out + r * ld_out + j * LANES, sum[r][j], lanes);
}

/* All columns: widest tiles first. */
ALWAYS_INLINE void micro_rows(const struct micro *p, const int rows, const int transposed) {
    int column = 0;
    for (; column + LANES * MICRO_VECS(rows) <= p->cols; column += LANES * MICRO_VECS(rows))
        micro_tile(p, column, rows, MICRO_VECS(rows), LANES, transposed);
    if (MICRO_VECS(rows) == 4 && column + 3 * LANES <= p->cols) {
        micro_tile(p, column, rows, 3, LANES, transposed);
        column += 3 * LANES;
    }
    if (MICRO_VECS(rows) == 4 && column + 2 * LANES <= p->cols) {
        micro_tile(p, column, rows, 2, LANES, transposed);
        column += 2 * LANES;
    }
    if (column + LANES <= p->cols) {
        micro_tile(p, column, rows, 1, LANES, transposed);
        column += LANES;
    }
    if (column < p->cols) micro_tile(p, column, rows, 1, p->cols - column, transposed);
}

#define MICRO(rows)                                                                                          \
    static void micro_##rows(const struct micro *p) { micro_rows(p, rows, 0); }                              \
    static void micro_t_##rows(const struct micro *p) { micro_rows(p, rows, 1); }
MICRO(1)
MICRO(2)
MICRO(3)
MICRO(4)
MICRO(5)
MICRO(6)

typedef void micro_kernel(const struct micro *p);

void ISA_NAME(micro_product)(const struct micro *p) {
    static micro_kernel *const kernels[] = {micro_1, micro_2, micro_3, micro_4, micro_5, micro_6};
    kernels[p->rows - 1](p);
}

void ISA_NAME(micro_product_t)(const struct micro *p) {
    static micro_kernel *const kernels[] = {micro_t_1, micro_t_2, micro_t_3, micro_t_4, micro_t_5, micro_t_6};
    kernels[p->rows - 1](p);
}
