/* The reference's gradients against central differences of the reference's own forward functions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/reference.h"

enum { MAX_VALUES = 4096 };

/* A pool of random operands. */
typedef struct pool {
    float value[MAX_VALUES];
    int used;
} pool;

static pool pool_of(uint64_t seed) {
    pool p = {.used = 0};
    random_normal(random_make_key(seed, RANDOM_TEST, 0, 0), MAX_VALUES, p.value);
    return p;
}

static float *take(pool *p, int n) {
    assert_true(p->used + n <= MAX_VALUES);
    p->used += n;
    return p->value + p->used - n;
}

static mat take_mat(pool *p, int rows, int cols) { return mat_of(take(p, rows * cols), rows, cols); }
static vec take_vec(pool *p, int n) { return (vec){take(p, n), n}; }

/* sum of weight x y; frees y */
static double weighted(wide y, const float *weight) {
    double sum = 0;
    for (int64_t i = 0; i < (int64_t)y.rows * y.cols; i++) sum += (double)weight[i] * y.value[i];
    wide_free(y);
    return sum;
}

typedef double loss_function(const void *context);

/* gradient holds what a += started from (0 where it did not); frees nothing. */
static void check_gradient(const char *what, float *x, const float *before, wide gradient,
                           loss_function *loss, const void *context) {
    for (int64_t i = 0; i < (int64_t)gradient.rows * gradient.cols; i++) {
        float keep = x[i], above = keep + 1e-3f, below = keep - 1e-3f;
        x[i] = above;
        double up = loss(context);
        x[i] = below;
        double down = loss(context);
        x[i] = keep;
        double want = (up - down) / ((double)above - (double)below) + (before ? (double)before[i] : 0);
        if (!(fabs(gradient.value[i] - want) <= 3e-5 * (1 + gradient.magnitude[i])))
            fail_msg("%s[%lld]: %.9g, by differences %.9g", what, (long long)i, gradient.value[i], want);
        assert_true(fabs(gradient.value[i]) <= gradient.magnitude[i] * (1 + 1e-12));
    }
}

/* ---- linear ---- */

struct linear_case {
    struct op_linear forward;
    const float *dy;
};

static double linear_loss(const void *context) {
    const struct linear_case *c = context;
    return weighted(reference_linear(&c->forward), c->dy);
}

static void test_linear(void **state) {
    (void)state;
    pool p = pool_of(1);
    mat dy = take_mat(&p, 5, 7), dw = take_mat(&p, 7, 3);
    vec db = take_vec(&p, 7);
    struct op_linear o = {.y = {.rows = 5, .cols = 7},
                          .x = take_mat(&p, 5, 3),
                          .w = {.w = take_mat(&p, 7, 3)},
                          .bias = take_vec(&p, 7),
                          .add = take_mat(&p, 5, 7)};
    struct linear_case c = {o, dy.data};
    wide dx = reference_linear_dx(&(struct op_linear_dx){.dx = {.rows = 5, .cols = 3}, .dy = dy, .w = o.w});
    struct reference_linear_dw g =
        reference_linear_dw(&(struct op_linear_dw){.dw = dw, .dy = dy, .x = o.x, .db = db});
    check_gradient("dx", o.x.data, NULL, dx, linear_loss, &c);
    check_gradient("dw", o.w.w.data, dw.data, g.dw, linear_loss, &c);
    check_gradient("db", o.bias.data, db.data, g.db, linear_loss, &c);
    wide_free(dx), wide_free(g.dw), wide_free(g.db);
}

/* ---- norm ---- */

struct norm_case {
    struct op_norm forward;
    const float *dy;
};

static double norm_loss(const void *context) {
    const struct norm_case *c = context;
    struct reference_norm n = reference_norm(&c->forward);
    wide_free(n.mean), wide_free(n.rstd);
    return weighted(n.y, c->dy);
}

static void check_norm(norm_kind kind) {
    enum { M = 4, D = 11 };
    pool p = pool_of(2);
    float mean[M], rstd[M];
    mat dy = take_mat(&p, M, D), dx = take_mat(&p, M, D);
    struct op_norm o = {.y = {.rows = M, .cols = D},
                        .x = take_mat(&p, M, D),
                        .gain = take_vec(&p, D),
                        .kind = kind,
                        .eps = 1e-5f};
    if (kind == NORM_LAYER) o.bias = take_vec(&p, D);
    struct norm_case c = {o, dy.data};
    struct reference_norm kept = reference_norm(&o);
    for (int r = 0; r < M; r++) mean[r] = (float)kept.mean.value[r], rstd[r] = (float)kept.rstd.value[r];
    wide_free(kept.y), wide_free(kept.mean), wide_free(kept.rstd);
    vec dgain = take_vec(&p, D), dbias = take_vec(&p, D);
    struct reference_norm_dx g = reference_norm_dx(&(struct op_norm_dx){.dx = dx,
                                                                        .dy = dy,
                                                                        .x = o.x,
                                                                        .gain = o.gain,
                                                                        .dgain = dgain,
                                                                        .dbias = dbias,
                                                                        .mean = {mean, M},
                                                                        .rstd = {rstd, M},
                                                                        .kind = kind});
    check_gradient("dx", o.x.data, dx.data, g.dx, norm_loss, &c);
    check_gradient("dgain", o.gain.data, dgain.data, g.dgain, norm_loss, &c);
    if (o.bias.data) check_gradient("dbias", o.bias.data, dbias.data, g.dbias, norm_loss, &c);
    wide_free(g.dx), wide_free(g.dgain), wide_free(g.dbias);
}

struct head_norm_case {
    struct op_head_norm forward;
    const float *dy;
};

static double head_norm_loss(const void *context) {
    const struct head_norm_case *c = context;
    struct reference_head_norm n = reference_head_norm(&c->forward);
    wide_free(n.rstd);
    return weighted(n.y, c->dy);
}

static void check_head_norm(void) {
    enum { M = 3, HEADS = 2, D = 5 };
    pool p = pool_of(3);
    float rstd[M * HEADS];
    mat dy = take_mat(&p, M, HEADS * D);
    struct op_head_norm o = {
        .x = take_mat(&p, M, HEADS * D), .gain = take_vec(&p, D), .n_head = HEADS, .eps = 1e-5f};
    struct head_norm_case c = {o, dy.data};
    struct reference_head_norm kept = reference_head_norm(&o);
    for (int i = 0; i < M * HEADS; i++) rstd[i] = (float)kept.rstd.value[i];
    wide_free(kept.y), wide_free(kept.rstd);
    vec dgain = take_vec(&p, D);
    struct reference_head_norm_dx g = reference_head_norm_dx(&(struct op_head_norm_dx){
        .dy = dy, .x = o.x, .rstd = mat_of(rstd, M, HEADS), .gain = o.gain, .dgain = dgain, .n_head = HEADS});
    check_gradient("dx", o.x.data, NULL, g.dx, head_norm_loss, &c);
    check_gradient("dgain", o.gain.data, dgain.data, g.dgain, head_norm_loss, &c);
    wide_free(g.dx), wide_free(g.dgain);
}

static void test_norms(void **state) {
    (void)state;
    check_norm(NORM_LAYER);
    check_norm(NORM_RMS);
    check_head_norm();
}

/* ---- activations and rope ---- */

struct gelu_case {
    struct op_gelu forward;
    const float *dy;
};

static double gelu_loss(const void *context) {
    const struct gelu_case *c = context;
    return weighted(reference_gelu(&c->forward), c->dy);
}

struct glu_case {
    struct op_glu forward;
    const float *dy;
};

static double glu_loss(const void *context) {
    const struct glu_case *c = context;
    return weighted(reference_glu(&c->forward), c->dy);
}

static void test_activations(void **state) {
    (void)state;
    pool p = pool_of(3);
    mat x = take_mat(&p, 3, 12), dy = take_mat(&p, 3, 12), half = take_mat(&p, 3, 6);
    struct gelu_case gelu = {{.x = x}, dy.data};
    wide dx = reference_gelu_dx(&(struct op_gelu_dx){.dy = dy, .x = x});
    check_gradient("gelu", x.data, NULL, dx, gelu_loss, &gelu);
    wide_free(dx);
    for (glu_kind kind = GLU_SILU; kind <= GLU_GELU; kind++) {
        struct glu_case glu = {{.y = {.rows = 3, .cols = 6}, .x = x, .kind = kind}, half.data};
        dx = reference_glu_dx(
            &(struct op_glu_dx){.dx = {.rows = 3, .cols = 12}, .dy = half, .x = x, .kind = kind});
        check_gradient("glu", x.data, NULL, dx, glu_loss, &glu);
        wide_free(dx);
    }
}

struct rope_case {
    struct op_rope forward;
    const float *dy;
};

static double rope_loss(const void *context) {
    const struct rope_case *c = context;
    return weighted(reference_rope(&c->forward), c->dy);
}

static void test_rope_inverse_is_its_gradient(void **state) {
    (void)state;
    pool p = pool_of(4);
    int32_t position[3] = {4, 0, 1};
    mat dy = take_mat(&p, 3, 25);
    struct op_rope o = {.x = take_mat(&p, 3, 25),
                        .cosine = take_mat(&p, 5, 4),
                        .sine = take_mat(&p, 5, 4),
                        .position = {position, 3},
                        .n_rotated = 2,
                        .head_dim = 8};
    struct rope_case c = {o, dy.data};
    struct op_rope back = o;
    back.x = dy, back.inverse = 1;
    wide dx = reference_rope(&back);
    check_gradient("rope", o.x.data, NULL, dx, rope_loss, &c);
    wide_free(dx);
}

/* ---- attention ---- */

struct attention_case {
    struct op_attention forward;
    const float *dout;
};

static double attention_loss(const void *context) {
    const struct attention_case *c = context;
    struct reference_attention a = reference_attention(&c->forward);
    wide_free(a.lse);
    return weighted(a.out, c->dout);
}

static void check_attention(int window) {
    pool p = pool_of(5);
    int32_t start[3] = {0, 4, 9};
    struct attention_shape shape = {4, 2, 6, 0.4f, window};
    mat dout = take_mat(&p, 9, 24);
    struct op_attention o = {
        .out = {.rows = 9, .cols = 24}, .qkv = take_mat(&p, 9, 48), .start = {start, 3}, .shape = shape};
    struct attention_case c = {o, dout.data};
    wide dqkv = reference_attention_dx(&(struct op_attention_dx){
        .dqkv = {.rows = 9, .cols = 48}, .dout = dout, .qkv = o.qkv, .start = o.start, .shape = shape});
    check_gradient("dqkv", o.qkv.data, NULL, dqkv, attention_loss, &c);
    wide_free(dqkv);
}

static void test_attention(void **state) {
    (void)state;
    check_attention(0);
    check_attention(1);
    check_attention(3);
}

/* ---- heads ---- */

struct vocab_case {
    struct op_vocab forward;
    const float *dlogprob, *dentropy;
};

static double vocab_loss(const void *context) {
    const struct vocab_case *c = context;
    struct reference_vocab v = reference_vocab(&c->forward);
    wide_free(v.lse);
    return weighted(v.logprob, c->dlogprob) + weighted(v.entropy, c->dentropy);
}

static void test_vocab(void **state) {
    (void)state;
    pool p = pool_of(6);
    int32_t target[4] = {0, 9, 3, 3};
    vec dlogprob = take_vec(&p, 4), dentropy = take_vec(&p, 4);
    mat dw = take_mat(&p, 12, 5);
    struct op_vocab o = {.hidden = take_mat(&p, 4, 5),
                         .w = {.w = take_mat(&p, 12, 5)},
                         .n_vocab = 10,
                         .temperature = 0.7f,
                         .target = {target, 4}};
    struct vocab_case c = {o, dlogprob.data, dentropy.data};
    struct reference_vocab_dx g = reference_vocab_dx(&(struct op_vocab_dx){.dhidden = {.rows = 4, .cols = 5},
                                                                           .dw = dw,
                                                                           .hidden = o.hidden,
                                                                           .w = o.w,
                                                                           .n_vocab = 10,
                                                                           .temperature = o.temperature,
                                                                           .target = o.target,
                                                                           .dlogprob = dlogprob,
                                                                           .dentropy = dentropy});
    check_gradient("dhidden", o.hidden.data, NULL, g.dhidden, vocab_loss, &c);
    check_gradient("dw", o.w.w.data, dw.data, g.dw, vocab_loss, &c);
    wide_free(g.dhidden), wide_free(g.dw);
}

struct score_case {
    struct op_score forward;
    const float *dscore;
};

static double score_loss(const void *context) {
    const struct score_case *c = context;
    return weighted(reference_score(&c->forward), c->dscore);
}

static void test_score(void **state) {
    (void)state;
    pool p = pool_of(7);
    vec dscore = take_vec(&p, 6), dw = take_vec(&p, 5), dbias = take_vec(&p, 1);
    mat dhidden = take_mat(&p, 6, 5);
    struct op_score o = {.hidden = take_mat(&p, 6, 5), .w = take_vec(&p, 5), .bias = take_vec(&p, 1)};
    struct score_case c = {o, dscore.data};
    struct reference_score_dx g = reference_score_dx(&(struct op_score_dx){
        .dhidden = dhidden, .hidden = o.hidden, .dw = dw, .dbias = dbias, .w = o.w, .dscore = dscore});
    check_gradient("dhidden", o.hidden.data, dhidden.data, g.dhidden, score_loss, &c);
    check_gradient("dw", o.w.data, dw.data, g.dw, score_loss, &c);
    check_gradient("dbias", o.bias.data, dbias.data, g.dbias, score_loss, &c);
    wide_free(g.dhidden), wide_free(g.dw), wide_free(g.dbias);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),      cmocka_unit_test(test_norms),
        cmocka_unit_test(test_activations), cmocka_unit_test(test_rope_inverse_is_its_gradient),
        cmocka_unit_test(test_attention),   cmocka_unit_test(test_vocab),
        cmocka_unit_test(test_score),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
