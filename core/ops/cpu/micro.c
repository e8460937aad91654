#include "core/ops/cpu/micro.h"

#include "core/ops/cpu/bf16.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Vectors of columns in a tile: AVX-512 holds 6 x 64 sums in registers, AVX2 6 x 16, and both wider tiles of
   fewer rows, which read memory in longer runs. */
#ifdef ISA_avx512
#define MICRO_VECS(rows) ((rows) <= 2 ? 8 : 4)
#else
#define MICRO_VECS(rows) ((rows) == 1 ? 4 : (rows) <= 3 ? 2 : 1)
#endif
/* Of so many vectors of a row one cache line is fetched ahead: the processor's own prefetchers bring the
   others, and more would fill the buffers that loads need. */
enum { MICRO_VECS_MAX = 8, FETCH_VECS = 4 };

/* What a kernel is made for: a as it is or transposed, b of f32 or bf16. */
typedef enum form { ROWS, TRANSPOSED, ROWS_BF16 } form;

/* Columns [column, column + 16 vecs) of the product; lanes < 16: only so many of a single vector. */
ALWAYS_INLINE void micro_tile(const struct micro *p, int column, const int rows, const int vecs, int lanes,
                              const form form) {
    const int transposed = form == TRANSPOSED, size = form == ROWS_BF16 ? 2 : 4;
    v16 sum[MICRO_ROWS * MICRO_VECS_MAX]; /* flat, so that clang also keeps it in registers */
    float *out = p->out + column;
    const float *a = p->a;
    const char *b = (const char *)p->b + column * size;
    int64_t ld_a = p->ld_a, ld_b = p->ld_b * size, ld_out = p->ld_out;
    intptr_t ahead = p->next ? (intptr_t)p->next - (intptr_t)p->b : 0;
    UNROLL for (int i = 0; i < rows * vecs; i++) {
        sum[i] = p->continued ? v_load_n(out + i / vecs * ld_out + i % vecs * LANES, lanes) : v_set(0);
    }
    for (int k = 0; k < p->depth; k++, a += transposed ? ld_a : 1, b += ld_b) {
        v16 column_of_b[MICRO_VECS_MAX];
        UNROLL for (int j = 0; j < vecs && !transposed; j += FETCH_VECS)
            _mm_prefetch((const char *)((intptr_t)(b + j * LANES * size) + ahead), _MM_HINT_T1);
        UNROLL for (int j = 0; j < vecs; j++) {
            const void *at = b + j * LANES * size;
            column_of_b[j] = form == ROWS_BF16 ? v_load_bf16_n(at, lanes) : v_load_n(at, lanes);
        }
        UNROLL for (int i = 0; i < rows * vecs; i++) {
            v16 x = v_set(a[transposed ? i / vecs : i / vecs * ld_a]);
            sum[i] = v_fma(x, column_of_b[i % vecs], sum[i]);
        }
    }
    UNROLL for (int i = 0; i < rows * vecs; i++)
        v_store_n(out + i / vecs * ld_out + i % vecs * LANES, sum[i], lanes);
}

#define PASS(vecs)                                                                                           \
    for (; vecs <= MICRO_VECS(rows) && column + LANES * vecs <= p->cols; column += LANES * vecs)             \
        micro_tile(p, column, rows, vecs, LANES, form);

/* All columns: widest tiles first. */
ALWAYS_INLINE void micro_rows(const struct micro *p, const int rows, const form form) {
    int column = 0;
    PASS(8)
    PASS(4)
    PASS(3)
    PASS(2)
    PASS(1)
    if (column < p->cols) micro_tile(p, column, rows, 1, p->cols - column, form);
}

#define MICRO(rows)                                                                                          \
    static void micro_##rows(const struct micro *p) { micro_rows(p, rows, ROWS); }                           \
    static void micro_t_##rows(const struct micro *p) { micro_rows(p, rows, TRANSPOSED); }                   \
    static void micro_bf16_##rows(const struct micro *p) { micro_rows(p, rows, ROWS_BF16); }
MICRO(1)
MICRO(2)
MICRO(3)
MICRO(4)
MICRO(5)
MICRO(6)

typedef void micro_kernel(const struct micro *p);

void ISA_NAME(micro_product)(const struct micro *p) {
    static micro_kernel *const kernels[][MICRO_ROWS] = {
        [TYPE_F32] = {micro_1, micro_2, micro_3, micro_4, micro_5, micro_6},
        [TYPE_BF16] = {micro_bf16_1, micro_bf16_2, micro_bf16_3, micro_bf16_4, micro_bf16_5, micro_bf16_6}};
    kernels[p->type][p->rows - 1](p);
}

void ISA_NAME(micro_product_t)(const struct micro *p) {
    static micro_kernel *const kernels[] = {micro_t_1, micro_t_2, micro_t_3, micro_t_4, micro_t_5, micro_t_6};
    kernels[p->rows - 1](p);
}
