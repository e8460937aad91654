/* Ops that go row by row: norms, activations, rope, residuals, embeddings, gathers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/op_harness.h"

/* A part of the rows 0 .. m-1. */
typedef struct span {
    int first, n;
} span;

static span draw_span(harness *h, int m) {
    span s = {.first = harness_between(h, 0, m - 1)};
    s.n = harness_between(h, 1, m - s.first);
    return s;
}

static vec vec_span(vec v, span s) { return (vec){v.data + s.first, s.n}; }
static ivec ivec_span(ivec v, span s) { return (ivec){v.data + s.first, s.n}; }
static lvec lvec_span(lvec v, span s) { return (lvec){v.data + s.first, s.n}; }
static mat mat_span(mat m, span s) { return mat_rows(m, s.first, s.n); }

static int draw_rows(harness *h) { return PICK(h, 1, 2, 7, 33, 129, 200); }
static int draw_cols(harness *h) { return PICK(h, 1, 5, 16, 33, 64, 127, 300, 768); }

/* ---- norms ---- */

static void norm_case(harness *h) {
    int m = draw_rows(h), d = draw_cols(h), bias = PICK(h, 0, 1);
    struct op_norm o = {.y = harness_output(h, m, d),
                        .x = harness_mat_scaled(h, m, d, 3),
                        .gain = harness_vec(h, d),
                        .bias = bias ? harness_vec(h, d) : (vec){0},
                        .rstd = harness_vec_output(h, m),
                        .kind = h->seed % 2 ? NORM_RMS : NORM_LAYER,
                        .eps = 1e-5f,
                        .offset = (float)PICK(h, 0, 1)};
    if (o.kind == NORM_LAYER) o.mean = harness_vec_output(h, m);
    RUN(h, norm, &o);
    mat y = harness_read(h, "y", o.y);
    vec rstd = harness_read_vec(h, "rstd", o.rstd), mean = {0};
    if (o.mean.data) mean = harness_read_vec(h, "mean", o.mean);

    span part = draw_span(h, m);
    struct op_norm alone = o;
    alone.x = mat_span(o.x, part), alone.y = harness_output(h, part.n, d);
    alone.mean = alone.rstd = (vec){0};
    RUN(h, norm, &alone);
    harness_same_rows(h, "y", harness_read(h, "y alone", alone.y), 0, y, part.first, part.n);

    if (!h->first) return;
    harness_to_host(h, OP_norm, &o);
    struct reference_norm want = reference_norm(&o);
    harness_expect(h, "y", y, want.y, 1e-6);
    harness_expect_vec(h, "rstd", rstd, want.rstd, 1e-6);
    if (mean.data)
        harness_expect_vec(h, "mean", mean, want.mean, 1e-6);
    else
        wide_free(want.mean);
}
OP_TEST_TYPES(norm, 16)

static void norm_dx_case(harness *h) {
    int m = PICK(h, 1, 3, 50, 200, 513, 1100), d = m > 200 ? 40 : draw_cols(h), frozen = PICK(h, 0, 0, 1);
    norm_kind kind = h->seed % 2 ? NORM_RMS : NORM_LAYER;
    mat x = harness_mat(h, m, d), y = harness_output(h, m, d);
    vec gain = harness_vec(h, d), rstd = harness_vec_output(h, m), mean = {0};
    if (kind == NORM_LAYER) mean = harness_vec_output(h, m);
    op(h->dev, norm, .y = y, .x = x, .gain = gain, .mean = mean, .rstd = rstd, .kind = kind, .eps = 1e-6f);
    struct op_norm_dx o = {.dx = harness_mat(h, m, d),
                           .dy = harness_mat(h, m, d),
                           .x = x,
                           .gain = gain,
                           .mean = mean,
                           .rstd = rstd,
                           .kind = kind,
                           .offset = (float)PICK(h, 0, 1)};
    if (!frozen) o.dgain = harness_vec(h, d);
    if (!frozen && kind == NORM_LAYER) o.dbias = harness_vec(h, d);
    if (mean.data) harness_keep(h, mat_of(mean.data, 1, m));
    harness_keep(h, mat_of(rstd.data, 1, m));

    span part = draw_span(h, m);
    struct op_norm_dx alone = o;
    alone.dx = harness_output(h, part.n, d);
    harness_copy_rows(h, alone.dx, 0, o.dx, part.first, part.n);
    alone.dy = mat_span(o.dy, part), alone.x = mat_span(o.x, part), alone.rstd = vec_span(o.rstd, part);
    if (mean.data) alone.mean = vec_span(o.mean, part);
    alone.dgain = alone.dbias = (vec){0};

    RUN(h, norm_dx, &alone);
    RUN(h, norm_dx, &o);
    mat dx = harness_read(h, "dx", o.dx);
    harness_same_rows(h, "dx", harness_read(h, "dx alone", alone.dx), 0, dx, part.first, part.n);
    vec dgain = o.dgain.data ? harness_read_vec(h, "dgain", o.dgain) : (vec){0};
    vec dbias = o.dbias.data ? harness_read_vec(h, "dbias", o.dbias) : (vec){0};
    if (!h->first) return;
    harness_to_host(h, OP_norm_dx, &o);
    struct reference_norm_dx want = reference_norm_dx(&o);
    harness_expect(h, "dx", dx, want.dx, 1e-6);
    if (dgain.data) harness_expect_vec(h, "dgain", dgain, want.dgain, 1e-6);
    if (dbias.data) harness_expect_vec(h, "dbias", dbias, want.dbias, 1e-6);
}
OP_TEST_TYPES(norm_dx, 16)

static void head_norm_case(harness *h) {
    int m = draw_rows(h), n_head = PICK(h, 1, 2, 3, 9), d = PICK(h, 4, 16, 24, 64, 80, 128, 256);
    mat x = harness_mat_scaled(h, m, n_head * d + 5, 3);
    x.cols = n_head * d; /* the first columns of wider rows, as q in qkv */
    struct op_head_norm o = {.y = PICK(h, 0, 1) ? x : harness_output(h, m, n_head * d),
                             .x = x,
                             .gain = harness_vec(h, d),
                             .rstd = harness_param_output(h, m, n_head),
                             .n_head = n_head,
                             .eps = 1e-6f};
    span part = draw_span(h, m);
    struct op_head_norm alone = o;
    alone.x = mat_span(o.x, part), alone.y = harness_output(h, part.n, n_head * d), alone.rstd = (mat){0};
    RUN(h, head_norm, &alone);
    RUN(h, head_norm, &o);
    mat y = harness_read(h, "y", o.y), rstd = harness_read(h, "rstd", o.rstd);
    harness_same_rows(h, "y", harness_read(h, "y alone", alone.y), 0, y, part.first, part.n);
    if (!h->first) return;
    harness_to_host(h, OP_head_norm, &o);
    struct reference_head_norm want = reference_head_norm(&o);
    harness_expect(h, "y", y, want.y, 1e-6);
    harness_expect(h, "rstd", rstd, want.rstd, 1e-6);
}
OP_TEST_TYPES(head_norm, 16)

static void head_norm_dx_case(harness *h) {
    int m = PICK(h, 1, 3, 50, 200, 513, 1100), n_head = PICK(h, 1, 2, 5),
        d = m > 200 ? 24 : PICK(h, 8, 80, 128);
    mat x = harness_mat(h, m, n_head * d), rstd = harness_param_output(h, m, n_head),
        dy = harness_mat(h, m, x.cols);
    vec gain = harness_vec(h, d);
    op(h->dev, head_norm, .y = harness_output(h, m, x.cols), .x = x, .gain = gain, .rstd = rstd,
       .n_head = n_head, .eps = 1e-6f);
    harness_keep(h, rstd);
    struct op_head_norm_dx o = {.dx = PICK(h, 0, 1) ? dy : harness_output(h, m, x.cols),
                                .dy = dy,
                                .x = x,
                                .rstd = rstd,
                                .gain = gain,
                                .n_head = n_head};
    if (PICK(h, 0, 1, 1)) o.dgain = harness_vec(h, d);
    span part = draw_span(h, m);
    struct op_head_norm_dx alone = o;
    alone.dx = harness_output(h, part.n, x.cols), alone.dy = mat_span(dy, part), alone.x = mat_span(x, part);
    alone.rstd = mat_span(rstd, part), alone.dgain = (vec){0};
    RUN(h, head_norm_dx, &alone);
    RUN(h, head_norm_dx, &o);
    mat dx = harness_read(h, "dx", o.dx);
    harness_same_rows(h, "dx", harness_read(h, "dx alone", alone.dx), 0, dx, part.first, part.n);
    vec dgain = o.dgain.data ? harness_read_vec(h, "dgain", o.dgain) : (vec){0};
    if (!h->first) return;
    harness_to_host(h, OP_head_norm_dx, &o);
    struct reference_head_norm_dx want = reference_head_norm_dx(&o);
    harness_expect(h, "dx", dx, want.dx, 1e-6);
    if (dgain.data) harness_expect_vec(h, "dgain", dgain, want.dgain, 1e-6);
}
OP_TEST_TYPES(head_norm_dx, 16)

/* ---- activations ---- */

static void gelu_case(harness *h) {
    int m = draw_rows(h), d = draw_cols(h);
    mat x = harness_mat_scaled(h, m, d, h->seed % 2 ? 12 : 1), dy = harness_mat(h, m, d);
    struct op_gelu o = {.y = harness_output(h, m, d), .x = x};
    struct op_gelu_dx back = {.dx = PICK(h, 0, 1) ? dy : harness_output(h, m, d), .dy = dy, .x = x};
    RUN(h, gelu, &o);
    RUN(h, gelu_dx, &back);
    mat y = harness_read(h, "y", o.y), dx = harness_read(h, "dx", back.dx);
    if (!h->first) return;
    harness_to_host(h, OP_gelu, &o);
    harness_to_host(h, OP_gelu_dx, &back);
    harness_expect(h, "y", y, reference_gelu(&o), 1e-6);
    harness_expect(h, "dx", dx, reference_gelu_dx(&back), 1e-6);
}
OP_TEST_TYPES(gelu, 12)

static void glu_case(harness *h) {
    int m = draw_rows(h), f = draw_cols(h);
    mat x = harness_mat_scaled(h, m, 2 * f, h->seed % 2 ? 12 : 1);
    glu_kind kind = PICK(h, GLU_SILU, GLU_GELU);
    struct op_glu o = {.y = harness_output(h, m, f), .x = x, .kind = kind};
    struct op_glu_dx back = {
        .dx = harness_output(h, m, 2 * f), .dy = harness_mat(h, m, f), .x = x, .kind = kind};
    RUN(h, glu, &o);
    RUN(h, glu_dx, &back);
    mat y = harness_read(h, "y", o.y), dx = harness_read(h, "dx", back.dx);
    if (!h->first) return;
    harness_to_host(h, OP_glu, &o);
    harness_to_host(h, OP_glu_dx, &back);
    harness_expect(h, "y", y, reference_glu(&o), 1e-6);
    harness_expect(h, "dx", dx, reference_glu_dx(&back), 1e-6);
}
OP_TEST_TYPES(glu, 20)

/* ---- rope ---- */

static void rope_case(harness *h) {
    enum { N_POSITION = 90 };
    int m = draw_rows(h), d = PICK(h, 8, 24, 64, 80, 128), n_rotated = PICK(h, 1, 3, 6),
        rest = PICK(h, 0, d, 5);
    float *angle = harness_memory(h, sizeof(float) * N_POSITION * (size_t)d);
    float *sine = angle + N_POSITION * d / 2;
    for (int p = 0; p < N_POSITION; p++)
        for (int i = 0; i < d / 2; i++) {
            double a = p * pow(10000, -2.0 * i / d);
            angle[p * d / 2 + i] = (float)cos(a), sine[p * d / 2 + i] = (float)sin(a);
        }
    struct op_rope o = {.x = harness_mat(h, m, n_rotated * d + rest),
                        .cosine = harness_param_of(h, N_POSITION, d / 2, angle),
                        .sine = harness_param_of(h, N_POSITION, d / 2, sine),
                        .position = harness_indices(h, m, N_POSITION),
                        .n_rotated = n_rotated,
                        .head_dim = d,
                        .inverse = PICK(h, 0, 1)};
    RUN(h, rope, &o);
    mat x = harness_read(h, "x", o.x);
    if (!h->first) return;
    harness_to_host(h, OP_rope, &o);
    harness_expect(h, "x", x, reference_rope(&o), 3e-7);
}
OP_TEST_TYPES(rope, 12)

/* ---- residuals with dropout ---- */

static void add_case(harness *h) {
    static const float rates[] = {0, 0, 0.1f, 0.5f, 0.9f};
    int m = draw_rows(h), d = draw_cols(h);
    struct op_add o = {.a = PICK(h, 0, 1, 1) ? harness_mat(h, m, d) : mat_of(NULL, 0, 0),
                       .b = harness_mat(h, m, d),
                       .dropout = rates[harness_between(h, 0, 4)],
                       .key = harness_key(h),
                       .site = harness_between(h, 0, 40)};
    if (o.dropout > 0) {
        o.sequence = harness_sequences(h, m);
        o.position = harness_indices(h, m, 5000);
    }
    int alias = PICK(h, 0, 1, 2);
    o.out = alias == 1 && o.a.data ? o.a : alias == 2 ? o.b : harness_output(h, m, d);

    span part = draw_span(h, m);
    struct op_add alone = o;
    alone.out = harness_output(h, part.n, d), alone.b = mat_span(o.b, part);
    if (o.a.data) alone.a = mat_span(o.a, part);
    if (o.dropout > 0)
        alone.sequence = lvec_span(o.sequence, part), alone.position = ivec_span(o.position, part);
    RUN(h, add, &alone);
    RUN(h, add, &o);
    mat out = harness_read(h, "out", o.out);
    harness_same_rows(h, "out", harness_read(h, "out alone", alone.out), 0, out, part.first, part.n);
    if (!h->first) return;
    harness_to_host(h, OP_add, &o);
    harness_expect(h, "out", out, reference_add(&o), 3e-7);
}
OP_TEST_TYPES(add, 20)

static void scale_case(harness *h) {
    int m = draw_rows(h), d = draw_cols(h);
    mat x = harness_mat(h, m, d);
    struct op_scale o = {.y = PICK(h, 0, 1) ? x : harness_output(h, m, d), .x = x, .factor = -1.7f};
    RUN(h, scale, &o);
    mat y = harness_read(h, "y", o.y);
    if (!h->first) return;
    harness_to_host(h, OP_scale, &o);
    harness_expect(h, "y", y, reference_scale(&o), 1e-7);
}
OP_TEST_TYPES(scale, 8)

/* ---- embeddings and gathers ---- */

static void embed_case(harness *h) {
    int m = draw_rows(h), d = draw_cols(h), n_token = PICK(h, 1, 40, 501);
    struct op_embed o = {.out = harness_output(h, m, d),
                         .token_table = harness_param(h, n_token, d),
                         .token = harness_indices(h, m, n_token)};
    if (PICK(h, 0, 1)) {
        o.position_table = harness_param(h, 33, d);
        o.position = harness_indices(h, m, 33);
    }
    RUN(h, embed, &o);
    mat out = harness_read(h, "out", o.out);
    if (!h->first) return;
    harness_to_host(h, OP_embed, &o);
    harness_expect(h, "out", out, reference_embed(&o), 6e-8);
}
OP_TEST_TYPES(embed, 10)

/* What is rounded: ties to even, up to infinity, NaN stays NaN whatever its bits are, and so does -0. */
static void rounding_case(harness *h) {
    static const uint32_t bits[] = {0x3f800000, 0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x7f7fffff,
                                    0x7f7f7fff, 0x7f800000, 0xff800000, 0x7f800001, 0x7fffffff, 0xffffffff,
                                    0x80000000, 0x00800000, 0x80ffffff, 0xc2f6e979, 0x7fc00000};
    enum { N = sizeof bits / sizeof *bits };
    float values[N];
    memcpy(values, bits, sizeof bits);
    struct op_embed o = {.out = harness_output(h, 1, N),
                         .token_table = harness_param_of(h, 1, N, values),
                         .token = harness_indices(h, 1, 1)};
    RUN(h, embed, &o);
    mat out = harness_read(h, "out", o.out);
    for (int i = 0; i < N; i++)
        if (out.bf16[i] != bf16_nearest(values[i]))
            harness_fail(h, "%08x rounds to %04x, not %04x", bits[i], out.bf16[i], bf16_nearest(values[i]));
}

static void test_rounding(void **state) {
    harness_everywhere(state, "rounding", rounding_case, 1, TYPE_BF16);
}

static int compare_ids(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The indices of ids sorted by (id, index). */
static ivec sorted_order(harness *h, ivec id) {
    int64_t *pair = harness_memory(h, sizeof(int64_t) * (size_t)id.n);
    int32_t *order = harness_memory(h, sizeof(int32_t) * (size_t)id.n), *host = harness_host(h, id.data);
    for (int64_t i = 0; i < id.n; i++) pair[i] = ((int64_t)host[i] << 32) + i;
    qsort(pair, (size_t)id.n, sizeof *pair, compare_ids);
    for (int64_t i = 0; i < id.n; i++) order[i] = (int32_t)pair[i];
    return harness_ivec(h, id.n, order);
}

static void embed_dw_case(harness *h) {
    int m = draw_rows(h), d = draw_cols(h), n_token = PICK(h, 1, 3, 40, 501);
    struct op_embed_dw o = {.d_table = harness_param(h, n_token, d),
                            .dout = harness_mat(h, m, d),
                            .id = harness_indices(h, m, n_token)};
    o.order = sorted_order(h, o.id);
    RUN(h, embed_dw, &o);
    mat d_table = harness_read(h, "d_table", o.d_table);
    if (!h->first) return;
    harness_to_host(h, OP_embed_dw, &o);
    harness_expect(h, "d_table", d_table, reference_embed_dw(&o), 1e-6);
}
OP_TEST_TYPES(embed_dw, 10)

static void rows_case(harness *h) {
    int n = draw_rows(h), m = PICK(h, 1, 2, 50, 200), d = draw_cols(h);
    ivec index = harness_indices(h, m, n);
    const int32_t *order = harness_host(h, sorted_order(h, index).data), *id = harness_host(h, index.data);
    int32_t *rising = harness_memory(h, sizeof(int32_t) * (size_t)m);
    for (int i = 0; i < m; i++) rising[i] = id[order[i]];
    struct op_rows_gather gather = {
        .out = harness_output(h, m, d), .x = harness_mat(h, n, d), .index = index};
    struct op_rows_add add = {
        .x = harness_mat(h, n, d), .in = harness_mat(h, m, d), .index = harness_ivec(h, m, rising)};
    RUN(h, rows_gather, &gather);
    RUN(h, rows_add, &add);
    mat out = harness_read(h, "out", gather.out), x = harness_read(h, "x", add.x);
    if (!h->first) return;
    harness_to_host(h, OP_rows_gather, &gather);
    harness_to_host(h, OP_rows_add, &add);
    harness_expect(h, "out", out, reference_rows_gather(&gather), 0);
    /* Each sum is rounded. */
    harness_expect(h, "x", x, reference_rows_add(&add), harness_tolerance(h, 1e-6, 1. / 64));
}
OP_TEST_TYPES(rows, 10)

/* ---- denormals ---- */

/* They are flushed on every thread, whatever mode the thread was born with: the bytes are compared. */
static void denormals_case(harness *h) {
    enum { M = 200, D = 256 };
    const float tiny = 1e-38f;
    mat x = harness_mat_scaled(h, M, D, tiny), y = harness_mat_scaled(h, M, D, tiny);
    mat out = harness_output(h, M, D), half = harness_output(h, M, D / 2);
    mat table = harness_param_scaled(h, M, D, tiny), head_rstd = harness_param_output(h, M, 4);
    vec gain = harness_vec(h, D), rstd = harness_vec_output(h, M),
        dgain = harness_vec_of(h, D, (float[D]){0});
    op(h->dev, norm, .y = out, .x = x, .gain = gain, .rstd = rstd, .kind = NORM_RMS, .eps = 1e-5f);
    harness_read(h, "norm", out);
    op(h->dev, norm_dx, .dx = y, .dy = x, .x = x, .gain = gain, .dgain = dgain, .rstd = rstd,
       .kind = NORM_RMS);
    harness_read(h, "norm_dx", y);
    harness_read_vec(h, "norm_dx's dgain", dgain);
    op(h->dev, head_norm, .y = out, .x = x, .gain = gain, .rstd = head_rstd, .n_head = 4, .eps = 1e-5f);
    harness_read(h, "head_norm", out);
    op(h->dev, head_norm_dx, .dx = out, .dy = y, .x = x, .rstd = head_rstd, .gain = gain, .dgain = dgain,
       .n_head = 4);
    harness_read(h, "head_norm_dx", out);
    harness_read_vec(h, "head_norm_dx's dgain", dgain);
    op(h->dev, gelu, .y = out, .x = x);
    harness_read(h, "gelu", out);
    op(h->dev, gelu_dx, .dx = out, .dy = x, .x = y);
    harness_read(h, "gelu_dx", out);
    op(h->dev, glu, .y = half, .x = x);
    harness_read(h, "glu", half);
    op(h->dev, add, .out = out, .a = x, .b = y);
    harness_read(h, "add", out);
    ivec position = harness_indices(h, M, 100);
    op(h->dev, add, .out = out, .b = x, .dropout = 0.5f, .sequence = harness_sequences(h, M),
       .position = position);
    harness_read(h, "dropout", out);
    op(h->dev, scale, .y = out, .x = x, .factor = 0.25f);
    harness_read(h, "scale", out);
    op(h->dev, embed, .out = out, .token_table = table, .position_table = table, .token = position,
       .position = position);
    harness_read(h, "embed", out);
    op(h->dev, rope, .x = x, .cosine = mat_columns(table, 0, 32), .sine = mat_columns(table, 0, 32),
       .position = position, .n_rotated = 4, .head_dim = 64);
    harness_read(h, "rope", x);
    op(h->dev, rows_add, .x = out, .in = x, .index = harness_ivec(h, M, (int32_t[M]){0}));
    harness_read(h, "rows_add", out);
}
OP_TEST_TYPES(denormals, 2)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norm),      cmocka_unit_test(test_norm_dx),
        cmocka_unit_test(test_gelu),      cmocka_unit_test(test_glu),
        cmocka_unit_test(test_rope),      cmocka_unit_test(test_add),
        cmocka_unit_test(test_embed),     cmocka_unit_test(test_embed_dw),
        cmocka_unit_test(test_rows),      cmocka_unit_test(test_denormals),
        cmocka_unit_test(test_scale),     cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_head_norm), cmocka_unit_test(test_head_norm_dx),
    };
    return cmocka_run_group_tests_name("ops: rows", tests, harness_setup, harness_teardown);
}
