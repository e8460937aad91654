/* Ops on long vectors: the optimizer's step, sums of squares, moving averages. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/support/op_harness.h"

static int draw_length(harness *h) { return PICK(h, 1, 15, 16, 17, 1000, 16384, 16385, 100003); }

static void adamw_case(harness *h) {
    int n = draw_length(h), step = PICK(h, 1, 2, 1000);
    const float beta1 = 0.9f, beta2 = PICK(h, 0, 1) ? 0.95f : 0.999f;
    float *v = harness_memory(h, (size_t)n * sizeof *v);
    harness_normal(h, n, v);
    for (int i = 0; i < n; i++) v[i] = i % 50 ? v[i] * v[i] : 0;
    struct op_adamw o = {.p = harness_vec(h, n),
                         .g = harness_vec(h, n),
                         .m = harness_vec(h, n),
                         .v = harness_vec_of(h, n, v),
                         .lr = 1e-3f,
                         .beta1 = beta1,
                         .beta2 = beta2,
                         .eps = PICK(h, 0, 1) ? 1e-8f : 1e-5f,
                         .decay = PICK(h, 0, 1) ? 0.1f : 0,
                         .scale = PICK(h, 0, 1) ? 1 : 0.37f,
                         .c1 = (float)(1 - pow(beta1, step)),
                         .c2 = (float)(1 - pow(beta2, step)),
                         .tf1 = (int)h->seed % 2};
    RUN(h, adamw, &o);
    vec p = harness_read_vec(h, "p", o.p), m = harness_read_vec(h, "m", o.m);
    vec second = harness_read_vec(h, "v", o.v), g = harness_read_vec(h, "g", o.g);
    if (!h->first) return;
    harness_to_host(h, OP_adamw, &o);
    struct reference_adamw want = reference_adamw(&o);
    harness_expect_vec(h, "p", p, want.p, 4e-7);
    harness_expect_vec(h, "m", m, want.m, 3e-7);
    harness_expect_vec(h, "v", second, want.v, 4e-7);
    for (int i = 0; i < n; i++) assert_true(g.data[i] == o.g.data[i]);
}
OP_TEST(adamw, 16)

/* The first step of either form moves by lr along the sign of the gradient, whatever its size. */
static void first_step_case(harness *h) {
    const float gradient[] = {1e-3f, -5, 1e4f, 0};
    for (int tf1 = 0; tf1 < 2; tf1++) {
        vec p = harness_vec_of(h, 4, (float[]){0, 0, 0, 0}), m = harness_vec_of(h, 4, (float[]){0, 0, 0, 0});
        vec v = harness_vec_of(h, 4, (float[]){0, 0, 0, 0}), g = harness_vec_of(h, 4, gradient);
        op(h->dev, adamw, .p = p, .g = g, .m = m, .v = v, .lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.999f,
           .eps = 1e-10f, .scale = 1, .c1 = 1 - 0.9f, .c2 = 1 - 0.999f, .tf1 = tf1);
        vec got = harness_read_vec(h, "p", p);
        const float want[] = {-0.01f, 0.01f, -0.01f, 0};
        for (int i = 0; i < 4; i++)
            if (!(fabsf(got.data[i] - want[i]) < 1e-6f))
                harness_fail(h, "p[%d] is %g", i, (double)got.data[i]);
    }
}
OP_TEST(first_step, 1)

static void sumsq_case(harness *h) {
    int n = PICK(h, 1, 17, SUMSQ_CHUNK, SUMSQ_CHUNK + 1, 5 * SUMSQ_CHUNK - 3);
    struct op_sumsq o = {.x = harness_vec(h, n),
                         .partial = harness_vec_output(h, (n + SUMSQ_CHUNK - 1) / SUMSQ_CHUNK)};
    RUN(h, sumsq, &o);
    vec partial = harness_read_vec(h, "partial", o.partial);
    if (!h->first) return;
    harness_to_host(h, OP_sumsq, &o);
    harness_expect_vec(h, "partial", partial, reference_sumsq(&o), 1e-6);
}
OP_TEST(sumsq, 6)

static void axpby_case(harness *h) {
    int n = draw_length(h);
    struct op_axpby o = {.x = harness_vec(h, n), .a = -0.3f, .b = h->seed % 2 ? 1.7f : 0};
    o.y = o.b == 0 ? harness_vec_output(h, n) : harness_vec(h, n); /* b = 0 never reads y: it may be NaN */
    RUN(h, axpby, &o);
    vec y = harness_read_vec(h, "y", o.y);
    if (!h->first) return;
    harness_to_host(h, OP_axpby, &o);
    harness_expect_vec(h, "y", y, reference_axpby(&o), 2e-7);
}
OP_TEST(axpby, 8)

static void lerp_case(harness *h) {
    int n = draw_length(h);
    struct op_lerp o = {.y = harness_vec(h, n), .x = harness_vec(h, n), .t = PICK(h, 0, 1) ? 0.01f : 1};
    RUN(h, lerp, &o);
    vec y = harness_read_vec(h, "y", o.y);
    if (!h->first) return;
    harness_to_host(h, OP_lerp, &o);
    harness_expect_vec(h, "y", y, reference_lerp(&o), 2e-7);
}
OP_TEST(lerp, 8)

static void fill_case(harness *h) {
    int n = draw_length(h);
    vec y = harness_vec_output(h, n);
    op(h->dev, fill, .y = y, .value = -2.5f);
    vec got = harness_read_vec(h, "y", y);
    for (int i = 0; i < n; i++) assert_true(got.data[i] == -2.5f);
}
OP_TEST(fill, 8)

static void denormals_case(harness *h) {
    enum { N = 100000 };
    float *tiny = harness_memory(h, N * sizeof *tiny);
    harness_normal(h, N, tiny);
    for (int i = 0; i < N; i++) tiny[i] *= 1e-38f;
    vec x = harness_vec_of(h, N, tiny), y = harness_vec_of(h, N, tiny), m = harness_vec_of(h, N, tiny);
    vec v = harness_vec_of(h, N, tiny);
    op(h->dev, axpby, .y = y, .x = x, .a = 0.5f, .b = 0.25f);
    harness_read_vec(h, "axpby", y);
    op(h->dev, lerp, .y = y, .x = x, .t = 0.5f);
    harness_read_vec(h, "lerp", y);
    op(h->dev, axpby, .y = v, .x = v, .a = 0);
    op(h->dev, adamw, .p = y, .g = x, .m = m, .v = v, .lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1,
       .scale = 1, .c1 = 1, .c2 = 1);
    harness_read_vec(h, "adamw's p", y);
    harness_read_vec(h, "adamw's m", m);
}
OP_TEST(denormals, 1)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adamw),     cmocka_unit_test(test_first_step), cmocka_unit_test(test_sumsq),
        cmocka_unit_test(test_axpby),     cmocka_unit_test(test_lerp),       cmocka_unit_test(test_fill),
        cmocka_unit_test(test_denormals),
    };
    return cmocka_run_group_tests_name("ops: vectors", tests, harness_setup, harness_teardown);
}
