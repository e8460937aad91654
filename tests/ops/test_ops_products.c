/* Matrix products: against the reference, and to the last bit against the order of additions that ops.h
   promises. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/op_harness.h"

static int draw_rows(harness *h) { return PICK(h, 1, 2, 5, 6, 7, 64, 193, 200); }
static int draw_width(harness *h) { return PICK(h, 1, 3, 16, 63, 64, 65, 129, 260); }

/* A depth around the blocks of 512 and 1024; deep products are kept small. */
static int draw_depth(harness *h, int m, int n) {
    int depth = PICK(h, 1, 7, 64, 100, 511, 512, 513, 1024, 1025, 2050);
    return (int64_t)m * n * depth > 4000000 ? PICK(h, 33, 100) : depth;
}

/* ---- against the reference ---- */

static void linear_case(harness *h) {
    int m = draw_rows(h), n = draw_width(h), k = draw_depth(h, m, n), bias = PICK(h, 0, 1),
        add = PICK(h, 0, 1, 2);
    struct op_linear o = {.y = harness_output(h, m, n),
                          .x = harness_mat(h, m, k),
                          .w = harness_weight(h, n, k, 0),
                          .bias = bias ? harness_vec(h, n) : (vec){0},
                          .add = add ? harness_mat(h, m, n) : mat_of(NULL, 0, 0)};
    if (add == 2) o.y = o.add; /* in place, as an adapter adds to its layer */
    int first = harness_between(h, 0, m - 1), count = harness_between(h, 1, m - first);
    struct op_linear alone = o;
    alone.y = harness_output(h, count, n), alone.x = mat_rows(o.x, first, count);
    alone.add = mat_rows(o.add, first, count);
    RUN(h, linear, &alone);
    RUN(h, linear, &o);
    mat y = harness_read(h, "y", o.y);
    harness_same_rows(h, "y", harness_read(h, "y alone", alone.y), 0, y, first, count);
    if (!h->first) return;
    harness_to_host(h, OP_linear, &o);
    harness_expect(h, "y", y, reference_linear(&o), 1e-6);
}
OP_TEST_TYPES(linear, 40)

static void linear_dx_case(harness *h) {
    int m = draw_rows(h), k = draw_width(h), n = draw_depth(h, m, k);
    int add = PICK(h, 0, 1, 2);
    struct op_linear_dx o = {.dx = harness_output(h, m, k),
                             .dy = harness_mat(h, m, n),
                             .w = harness_weight(h, n, k, 1),
                             .add = add ? harness_mat(h, m, k) : mat_of(NULL, 0, 0)};
    if (add == 2) o.dx = o.add; /* in place, as an adapter adds to its layer */
    int first = harness_between(h, 0, m - 1), count = harness_between(h, 1, m - first);
    struct op_linear_dx alone = o;
    alone.dx = harness_output(h, count, k), alone.dy = mat_rows(o.dy, first, count);
    alone.add = mat_rows(o.add, first, count);
    RUN(h, linear_dx, &alone);
    RUN(h, linear_dx, &o);
    mat dx = harness_read(h, "dx", o.dx);
    harness_same_rows(h, "dx", harness_read(h, "dx alone", alone.dx), 0, dx, first, count);
    if (!h->first) return;
    harness_to_host(h, OP_linear_dx, &o);
    harness_expect(h, "dx", dx, reference_linear_dx(&o), 1e-6);
}
OP_TEST_TYPES(linear_dx, 24)

static struct op_linear_dw draw_linear_dw(harness *h) {
    int n = draw_width(h), k = draw_width(h), m = PICK(h, 1, 5, 64, 200, 511, 513, 1100, 2500);
    if ((int64_t)m * n * k > 8000000) m = 100;
    return (struct op_linear_dw){
        .dw = harness_param(h, n, k),
        .dy = harness_mat(h, m, n),
        .x = harness_mat(h, m, k),
        .db = PICK(h, 0, 1) ? harness_vec(h, n) : (vec){0},
        .scratch = harness_scratch(
            h, (struct scratch_need){.max_token = m, .max_cols = n > k ? n : k, .backward = 1})};
}

static void linear_dw_case(harness *h) {
    struct op_linear_dw o = draw_linear_dw(h);
    RUN(h, linear_dw, &o);
    mat dw = harness_read(h, "dw", o.dw);
    vec db = o.db.data ? harness_read_vec(h, "db", o.db) : (vec){0};
    if (!h->first) return;
    harness_to_host(h, OP_linear_dw, &o);
    struct reference_linear_dw want = reference_linear_dw(&o);
    harness_expect(h, "dw", dw, want.dw, 1e-6);
    if (db.data) harness_expect_vec(h, "db", db, want.db, 1e-6);
}
OP_TEST_TYPES(linear_dw, 24)

/* ---- the promised order, to the last bit ---- */

/* sum of a[i step_a] b[i step_b] in blocks of `block`, each a fused chain from 0, added in order to `start`
   (nothing: the first block starts). */
static float blocked_chain(const float *a, int64_t step_a, const float *b, int64_t step_b, int n, int block,
                           const float *start) {
    float sum = start ? *start : 0;
    for (int first = 0; first < n; first += block) {
        float chain = 0;
        for (int i = first; i < n && i < first + block; i++)
            chain = fmaf(a[i * step_a], b[i * step_b], chain);
        sum = first == 0 && !start ? chain : sum + chain;
    }
    return sum;
}

static int depth_block(int depth) { return depth <= 1024 ? 512 : 1024; }

static void same_bits(harness *h, const char *what, int r, int c, float got, float want) {
    if (memcmp(&got, &want, sizeof got) != 0)
        harness_fail(h, "%s[%d, %d] is %a, in the promised order %a", what, r, c, (double)got, (double)want);
}

static void linear_order_case(harness *h) {
    int m = PICK(h, 1, 4, 9), n = PICK(h, 1, 20, 70), k = PICK(h, 5, 512, 700, 1024, 1300, 2100);
    struct op_linear o = {
        .y = harness_output(h, m, n), .x = harness_mat(h, m, k), .w = harness_weight(h, n, k, 0)};
    RUN(h, linear, &o);
    mat y = harness_read(h, "y", o.y);
    if (!h->first) return;
    harness_to_host(h, OP_linear, &o);
    for (int r = 0; r < m; r++)
        for (int c = 0; c < n; c++)
            same_bits(h, "y", r, c, y.data[r * y.ld + c],
                      blocked_chain(o.x.data + r * o.x.ld, 1, o.w.w.data + c * o.w.w.ld, 1, k, depth_block(k),
                                    NULL));
}
OP_TEST(linear_order, 12)

static void linear_dx_order_case(harness *h) {
    int m = PICK(h, 1, 4, 9), k = PICK(h, 1, 20, 70), n = PICK(h, 5, 512, 700, 1024, 1300);
    struct op_linear_dx o = {
        .dx = harness_output(h, m, k), .dy = harness_mat(h, m, n), .w = harness_weight(h, n, k, 1)};
    RUN(h, linear_dx, &o);
    mat dx = harness_read(h, "dx", o.dx);
    if (!h->first) return;
    harness_to_host(h, OP_linear_dx, &o);
    for (int r = 0; r < m; r++)
        for (int c = 0; c < k; c++)
            same_bits(
                h, "dx", r, c, dx.data[r * dx.ld + c],
                blocked_chain(o.dy.data + r * o.dy.ld, 1, o.w.w.data + c, o.w.w.ld, n, depth_block(n), NULL));
}
OP_TEST(linear_dx_order, 12)

static void linear_dw_order_case(harness *h) {
    struct op_linear_dw o = draw_linear_dw(h);
    RUN(h, linear_dw, &o);
    mat dw = harness_read(h, "dw", o.dw);
    if (!h->first || o.dw.rows * o.dw.cols * (int64_t)o.dy.rows > 3000000) return;
    harness_to_host(h, OP_linear_dw, &o);
    for (int r = 0; r < dw.rows; r++)
        for (int c = 0; c < dw.cols; c++)
            same_bits(h, "dw", r, c, dw.data[r * dw.ld + c],
                      blocked_chain(o.dy.data + r, o.dy.ld, o.x.data + c, o.x.ld, o.dy.rows, ROW_BLOCK,
                                    &o.dw.data[r * o.dw.ld + c]));
}
OP_TEST(linear_dw_order, 16)

/* The same of bf16: the chain goes over pairs, the second of a pair first. A missing second one is 0. */
static float paired_chain(mat a, int row, mat b, int column, int n, int block, const float *start) {
    float sum = start ? *start : 0;
    for (int first = 0; first < n; first += block) {
        float chain = 0;
        for (int i = first; i < n && i < first + block; i += 2) {
            int odd = i + 1 < n;
            chain = fmaf(odd ? (float)at(a, row, i + 1) : 0, odd ? (float)at(b, column, i + 1) : 0, chain);
            chain = fmaf((float)at(a, row, i), (float)at(b, column, i), chain);
        }
        sum = first == 0 && !start ? chain : sum + chain;
    }
    return sum;
}

static mat transposed(harness *h, mat m) {
    mat t = mat_of(harness_memory(h, sizeof(float) * (size_t)m.rows * (size_t)m.cols), m.cols, m.rows);
    for (int r = 0; r < m.rows; r++)
        for (int c = 0; c < m.cols; c++) t.data[c * t.ld + r] = (float)at(m, r, c);
    return t;
}

static mat seen_weight(harness *h, const weight *w) {
    mat m = mat_of(harness_memory(h, sizeof(float) * (size_t)w->w.rows * (size_t)w->w.cols), w->w.rows,
                   w->w.cols);
    for (int r = 0; r < m.rows; r++)
        for (int c = 0; c < m.cols; c++) m.data[r * m.ld + c] = (float)weight_at(w, r, c);
    return m;
}

static void same_rounded(harness *h, const char *what, mat got, int r, int c, float want) {
    if (got.bf16[r * got.ld + c] != bf16_nearest(want))
        harness_fail(h, "%s[%d, %d] is %a, in the promised order %a rounded", what, r, c, at(got, r, c),
                     (double)want);
}

static void linear_pairs_case(harness *h) {
    int m = PICK(h, 1, 4, 9), n = PICK(h, 1, 20, 70), k = PICK(h, 1, 5, 512, 701, 1024, 1301, 2100);
    struct op_linear o = {
        .y = harness_output(h, m, n), .x = harness_mat(h, m, k), .w = harness_weight(h, n, k, 1)};
    struct op_linear_dx back = {.dx = harness_output(h, k < 300 ? m : 1, k), .w = o.w};
    back.dy = harness_mat(h, back.dx.rows, n);
    RUN(h, linear, &o);
    RUN(h, linear_dx, &back);
    mat y = harness_read(h, "y", o.y), dx = harness_read(h, "dx", back.dx);
    if (!h->first) return;
    harness_to_host(h, OP_linear, &o);
    harness_to_host(h, OP_linear_dx, &back);
    mat w = seen_weight(h, &o.w), w_t = transposed(h, w);
    for (int r = 0; r < m; r++)
        for (int c = 0; c < n; c++)
            same_rounded(h, "y", y, r, c, paired_chain(o.x, r, w, c, k, depth_block(k), NULL));
    for (int r = 0; r < dx.rows; r++)
        for (int c = 0; c < k; c++)
            same_rounded(h, "dx", dx, r, c, paired_chain(back.dy, r, w_t, c, n, depth_block(n), NULL));
}

static void linear_dw_pairs_case(harness *h) {
    struct op_linear_dw o = draw_linear_dw(h);
    RUN(h, linear_dw, &o);
    mat dw = harness_read(h, "dw", o.dw);
    if (!h->first || o.dw.rows * o.dw.cols * (int64_t)o.dy.rows > 3000000) return;
    harness_to_host(h, OP_linear_dw, &o);
    mat dy = transposed(h, o.dy), x = transposed(h, o.x);
    for (int r = 0; r < dw.rows; r++)
        for (int c = 0; c < dw.cols; c++)
            same_bits(h, "dw", r, c, dw.data[r * dw.ld + c],
                      paired_chain(dy, r, x, c, o.dy.rows, ROW_BLOCK, &o.dw.data[r * o.dw.ld + c]));
}

static void test_linear_pairs(void **state) {
    harness_everywhere(state, "linear_pairs", linear_pairs_case, 16, TYPE_BF16);
    harness_everywhere(state, "linear_dw_pairs", linear_dw_pairs_case, 16, TYPE_BF16);
}

/* A gradient added up over two calls, cut at a block, is that of one call. */
static void linear_dw_in_pieces_case(harness *h) {
    enum { M = 2 * ROW_BLOCK + 77, N = 70, K = 33 };
    vec scratch = harness_scratch(h, (struct scratch_need){.max_token = M, .max_cols = N, .backward = 1});
    float *zeros = harness_memory(h, sizeof(float) * N * K);
    struct op_linear_dw whole = {.dw = harness_param_of(h, N, K, zeros),
                                 .dy = harness_mat(h, M, N),
                                 .x = harness_mat(h, M, K),
                                 .db = harness_vec_of(h, N, zeros),
                                 .scratch = scratch};
    struct op_linear_dw piece = whole;
    piece.dw = harness_param_of(h, N, K, zeros), piece.db = harness_vec_of(h, N, zeros);
    RUN(h, linear_dw, &whole);
    for (int first = 0; first < M; first += ROW_BLOCK) {
        int n = M - first < ROW_BLOCK ? M - first : ROW_BLOCK;
        piece.dy = mat_rows(whole.dy, first, n), piece.x = mat_rows(whole.x, first, n);
        RUN(h, linear_dw, &piece);
    }
    harness_same_rows(h, "dw", harness_read(h, "dw", whole.dw), 0, harness_read(h, "dw in pieces", piece.dw),
                      0, N);
    vec db = harness_read_vec(h, "db", whole.db), db_piece = harness_read_vec(h, "db in pieces", piece.db);
    harness_same_rows(h, "db", mat_of(db.data, 1, N), 0, mat_of(db_piece.data, 1, N), 0, 1);
}
OP_TEST_TYPES(linear_dw_in_pieces, 1)

/* ---- corners ---- */

/* A head's weight: only its first columns of a row range are asked for, as fused [q|k|v] targets are. */
static void linear_columns_case(harness *h) {
    enum { M = 37, K = 48, N = 30, FIRST = 11 };
    mat wide_y = harness_mat(h, M, 80), wide_x = harness_mat(h, M, K + 9);
    struct op_linear o = {
        .y = mat_columns(wide_y, FIRST, N), .x = mat_columns(wide_x, 5, K), .w = harness_weight(h, N, K, 0)};
    o.add = o.y;
    RUN(h, linear, &o);
    mat y = harness_read(h, "y", wide_y);
    if (!h->first) return;
    harness_to_host(h, OP_linear, &o);
    harness_expect(h, "y", mat_columns(y, FIRST, N), reference_linear(&o), 1e-6);
    mat before = wide_y;
    before.data = harness_host(h, wide_y.data);
    harness_same_rows(h, "y", mat_columns(y, 0, FIRST), 0, before, 0, M);
    harness_same_rows(h, "y", mat_columns(y, FIRST + N, 80 - FIRST - N), 0,
                      mat_columns(before, FIRST + N, 80 - FIRST - N), 0, M);
}
OP_TEST_TYPES(linear_columns, 2)

static void denormals_case(harness *h) {
    enum { M = 65, N = 70, K = 600 };
    const float tiny = 3e-20f; /* products around the smallest normal number */
    mat x = harness_mat_scaled(h, M, K, tiny), dy = harness_mat_scaled(h, M, N, tiny);
    weight w = harness_weight_of(h, harness_param_scaled(h, N, K, tiny), 1);
    mat y = harness_output(h, M, N), dx = harness_output(h, M, K);
    vec scratch = harness_scratch(h, (struct scratch_need){.max_token = M, .max_cols = K, .backward = 1});
    op(h->dev, linear, .y = y, .x = x, .w = w);
    harness_read(h, "y", y);
    op(h->dev, linear_dx, .dx = dx, .dy = dy, .w = w);
    harness_read(h, "dx", dx);
    mat dw = harness_param_scaled(h, N, K, 0);
    op(h->dev, linear_dw, .dw = dw, .dy = dy, .x = x, .scratch = scratch);
    harness_read(h, "dw", dw);
}
OP_TEST_TYPES(denormals, 2)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),          cmocka_unit_test(test_linear_dx),
        cmocka_unit_test(test_linear_dw),       cmocka_unit_test(test_linear_order),
        cmocka_unit_test(test_linear_dx_order), cmocka_unit_test(test_linear_dw_order),
        cmocka_unit_test(test_linear_pairs),    cmocka_unit_test(test_linear_dw_in_pieces),
        cmocka_unit_test(test_linear_columns),  cmocka_unit_test(test_denormals),
    };
    return cmocka_run_group_tests_name("ops: products", tests, harness_setup, harness_teardown);
}
