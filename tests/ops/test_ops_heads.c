/* The vocabulary head, the score head and sampling: against the reference, and what is sampled against what
   is trained, to the last bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/op_harness.h"

/* Rows of states, a head's weight whose rows beyond n_vocab would win every softmax, and room to work in. */
typedef struct head {
    int m, d, n_vocab;
    float temperature;
    mat hidden;
    weight w;
    vec scratch;
} head;

static head head_of(harness *h, int m, int d, int n_vocab, int backward) {
    static const float temperatures[] = {1, 1, 0.7f, 1.3f};
    int rows = n_vocab + PICK(h, 0, 1, 14, 63);
    float *w = harness_memory(h, sizeof(float) * (size_t)rows * (size_t)d);
    harness_normal(h, (int64_t)rows * d, w);
    for (int i = 0; i < rows * d; i++) w[i] *= i < n_vocab * d ? 2 / sqrtf((float)d) : 1e3f;
    head out = {.m = m, .d = d, .n_vocab = n_vocab, .temperature = temperatures[harness_between(h, 0, 3)]};
    out.hidden = harness_mat(h, m, d);
    out.w = harness_weight_of(h, harness_param_of(h, rows, d, w), backward);
    out.scratch = harness_scratch(
        h, (struct scratch_need){.max_row = m, .width = d, .vocab = rows, .backward = backward});
    return out;
}

static head draw_head(harness *h, int backward) {
    int n_vocab = PICK(h, 1, 50, 64, 100, 256, 257, 511, 700, 1000), d = PICK(h, 8, 33, 64, 128);
    int m = n_vocab > 260 ? PICK(h, 1, 3, 60) : PICK(h, 1, 2, 65, 200, 530);
    return head_of(h, m, d, n_vocab, backward);
}

/* ---- log-probabilities and their gradient ---- */

static struct op_vocab vocab_of(harness *h, const head *x, ivec target) {
    return (struct op_vocab){.hidden = x->hidden,
                             .w = x->w,
                             .n_vocab = x->n_vocab,
                             .temperature = x->temperature,
                             .target = target,
                             .logprob = target.data ? harness_vec_output(h, x->m) : (vec){0},
                             .entropy = harness_vec_output(h, x->m),
                             .lse = harness_vec_output(h, x->m),
                             .scratch = x->scratch};
}

static mat row_of(vec v) { return mat_of(v.data, (int)v.n, 1); }

static void vocab_case(harness *h) {
    head x = draw_head(h, 0);
    struct op_vocab o = vocab_of(h, &x, PICK(h, 0, 1, 1) ? harness_indices(h, x.m, x.n_vocab) : (ivec){0});
    if (PICK(h, 0, 0, 1)) o.entropy = (vec){0};
    RUN(h, vocab, &o);
    vec lse = harness_read_vec(h, "lse", o.lse), logprob = {0}, entropy = {0};
    if (o.logprob.data) logprob = harness_read_vec(h, "logprob", o.logprob);
    if (o.entropy.data) entropy = harness_read_vec(h, "entropy", o.entropy);

    int first = harness_between(h, 0, x.m - 1), n = harness_between(h, 1, x.m - first);
    head part = x;
    part.hidden = mat_rows(x.hidden, first, n), part.m = n;
    ivec target = o.target.data ? (ivec){o.target.data + first, n} : (ivec){0};
    struct op_vocab alone = vocab_of(h, &part, target);
    RUN(h, vocab, &alone);
    harness_same_rows(h, "lse", row_of(lse), first, row_of(harness_read_vec(h, "lse alone", alone.lse)), 0,
                      n);
    if (logprob.data)
        harness_same_rows(h, "logprob", row_of(logprob), first,
                          row_of(harness_read_vec(h, "logprob alone", alone.logprob)), 0, n);
    if (entropy.data)
        harness_same_rows(h, "entropy", row_of(entropy), first,
                          row_of(harness_read_vec(h, "entropy alone", alone.entropy)), 0, n);

    if (!h->first) return;
    harness_to_host(h, OP_vocab, &o);
    struct reference_vocab want = reference_vocab(&o);
    harness_expect_vec(h, "lse", lse, want.lse, 4e-7);
    if (logprob.data) harness_expect_vec(h, "logprob", logprob, want.logprob, 4e-7);
    if (entropy.data)
        harness_expect_vec(h, "entropy", entropy, want.entropy, 4e-7);
    else
        wide_free(want.entropy);
}
OP_TEST_TYPES(vocab, 20)

/* Reads what the forward kept, or computes it in the same pass: the same bytes. */
static void vocab_dx_case(harness *h) {
    head x = draw_head(h, 1);
    struct op_vocab forward = vocab_of(h, &x, harness_indices(h, x.m, x.n_vocab));
    RUN(h, vocab, &forward);
    int frozen = PICK(h, 0, 0, 1), entropy = PICK(h, 0, 1);
    float *zeros = harness_memory(h, sizeof(float) * (size_t)x.w.w.rows * (size_t)x.d);
    struct op_vocab_dx o = {.dhidden = harness_output(h, x.m, x.d),
                            .dw = frozen ? (mat){0} : harness_param(h, x.w.w.rows, x.d),
                            .hidden = x.hidden,
                            .w = x.w,
                            .n_vocab = x.n_vocab,
                            .temperature = x.temperature,
                            .target = forward.target,
                            .lse = forward.lse,
                            .entropy = forward.entropy,
                            .dlogprob = harness_vec(h, x.m),
                            .dentropy = entropy ? harness_vec(h, x.m) : (vec){0},
                            .scratch = x.scratch};
    struct op_vocab_dx computed = o;
    computed.compute = 1;
    computed.dhidden = harness_output(h, x.m, x.d);
    computed.lse = harness_vec_output(h, x.m);
    computed.entropy = harness_vec_output(h, x.m);
    computed.logprob = harness_vec_output(h, x.m);
    if (!frozen) {
        computed.dw = harness_param_of(h, x.w.w.rows, x.d, zeros);
        harness_copy_rows(h, computed.dw, 0, o.dw, 0, x.w.w.rows);
    }
    RUN(h, vocab_dx, &computed);
    RUN(h, vocab_dx, &o);

    mat dhidden = harness_read(h, "dhidden", o.dhidden), dw = {0};
    harness_same_rows(h, "dhidden", harness_read(h, "dhidden computed", computed.dhidden), 0, dhidden, 0,
                      x.m);
    harness_same_rows(h, "lse", row_of(harness_read_vec(h, "lse computed", computed.lse)), 0,
                      row_of(harness_read_vec(h, "lse", forward.lse)), 0, x.m);
    harness_same_rows(h, "entropy", row_of(harness_read_vec(h, "entropy computed", computed.entropy)), 0,
                      row_of(harness_read_vec(h, "entropy", forward.entropy)), 0, x.m);
    harness_same_rows(h, "logprob", row_of(harness_read_vec(h, "logprob computed", computed.logprob)), 0,
                      row_of(harness_read_vec(h, "logprob", forward.logprob)), 0, x.m);
    if (!frozen) {
        dw = harness_read(h, "dw", o.dw);
        harness_same_rows(h, "dw", harness_read(h, "dw computed", computed.dw), 0, dw, 0, dw.rows);
    }

    int first = harness_between(h, 0, x.m - 1), n = harness_between(h, 1, x.m - first);
    struct op_vocab_dx alone = o;
    alone.dhidden = harness_output(h, n, x.d), alone.hidden = mat_rows(o.hidden, first, n),
    alone.dw = (mat){0};
    alone.target = (ivec){o.target.data + first, n};
    alone.lse = (vec){o.lse.data + first, n}, alone.entropy = (vec){o.entropy.data + first, n};
    alone.dlogprob = (vec){o.dlogprob.data + first, n};
    if (entropy) alone.dentropy = (vec){o.dentropy.data + first, n};
    RUN(h, vocab_dx, &alone);
    harness_same_rows(h, "dhidden", dhidden, first, harness_read(h, "dhidden alone", alone.dhidden), 0, n);

    if (!h->first) return;
    harness_to_host(h, OP_vocab_dx, &o);
    struct reference_vocab_dx want = reference_vocab_dx(&o);
    double tolerance = harness_tolerance(h, 1e-6, 1. / 256); /* the logits' gradient is rounded */
    harness_expect(h, "dhidden", dhidden, want.dhidden, tolerance);
    if (!frozen) harness_expect(h, "dw", dw, want.dw, tolerance);
}
OP_TEST_TYPES(vocab_dx, 20)

/* A head whose logits lie hundreds apart stays finite, and is certain. */
static void certain_case(harness *h) {
    head x = head_of(h, 20, 64, 300, 1);
    x.temperature = 0.01f;
    struct op_vocab o = vocab_of(h, &x, harness_indices(h, x.m, x.n_vocab));
    RUN(h, vocab, &o);
    vec logprob = harness_read_vec(h, "logprob", o.logprob),
        entropy = harness_read_vec(h, "entropy", o.entropy);
    for (int r = 0; r < x.m; r++) {
        if (!(logprob.data[r] <= 0 && logprob.data[r] > -1e5f))
            harness_fail(h, "logprob[%d] is %g", r, (double)logprob.data[r]);
        if (!(entropy.data[r] > -1e-4f && entropy.data[r] < 2))
            harness_fail(h, "entropy[%d] is %g", r, (double)entropy.data[r]);
    }
    if (!h->first) return;
    harness_to_host(h, OP_vocab, &o);
    struct reference_vocab want = reference_vocab(&o);
    wide_free(want.lse), wide_free(want.entropy);
    harness_expect_vec(h, "logprob", logprob, want.logprob, 4e-7);
}
OP_TEST_TYPES(certain, 4)

static void score_case(harness *h) {
    int m = PICK(h, 1, 7, 200, 600), d = PICK(h, 1, 15, 64, 257), bias = PICK(h, 0, 1);
    struct op_score o = {.score = harness_vec_output(h, m),
                         .w = harness_vec(h, d),
                         .bias = bias ? harness_vec(h, 1) : (vec){0},
                         .hidden = harness_mat(h, m, d)};
    struct op_score_dx back = {.dhidden = harness_mat(h, m, d),
                               .hidden = o.hidden,
                               .dw = harness_vec(h, d),
                               .dbias = bias ? harness_vec(h, 1) : (vec){0},
                               .w = o.w,
                               .dscore = harness_vec(h, m)};
    RUN(h, score, &o);
    RUN(h, score_dx, &back);
    vec score = harness_read_vec(h, "score", o.score), dw = harness_read_vec(h, "dw", back.dw), dbias = {0};
    if (bias) dbias = harness_read_vec(h, "dbias", back.dbias);
    mat dhidden = harness_read(h, "dhidden", back.dhidden);

    int first = harness_between(h, 0, m - 1), n = harness_between(h, 1, m - first);
    vec alone = harness_vec_output(h, n);
    op(h->dev, score, .score = alone, .w = o.w, .bias = o.bias, .hidden = mat_rows(o.hidden, first, n));
    harness_same_rows(h, "score", row_of(score), first, row_of(harness_read_vec(h, "score alone", alone)), 0,
                      n);
    if (!h->first) return;
    harness_to_host(h, OP_score, &o);
    harness_to_host(h, OP_score_dx, &back);
    struct reference_score_dx want = reference_score_dx(&back);
    harness_expect_vec(h, "score", score, reference_score(&o), 1e-6);
    harness_expect(h, "dhidden", dhidden, want.dhidden, 1e-6);
    harness_expect_vec(h, "dw", dw, want.dw, 1e-6);
    if (bias) harness_expect_vec(h, "dbias", dbias, want.dbias, 1e-6);
}
OP_TEST_TYPES(score, 12)

/* ---- sampling ---- */

static struct op_sample sample_of(harness *h, const head *x) {
    return (struct op_sample){.token = harness_indices(h, x->m, 1),
                              .logprob = harness_vec_output(h, x->m),
                              .hidden = x->hidden,
                              .w = x->w,
                              .n_vocab = x->n_vocab,
                              .temperature = x->temperature,
                              .top_p = 1,
                              .key = harness_key(h),
                              .sequence = harness_sequences(h, x->m),
                              .position = harness_indices(h, x->m, 4000),
                              .scratch = x->scratch};
}

/* The token has the highest score among those that stay, give or take rounding. o is the host's twin. */
static void check_token(harness *h, const struct op_sample *o, int row, int token) {
    struct op_sample fewer = *o, more = *o;
    if (o->top_p < 1) fewer.top_p *= 1 - 1e-5f, more.top_p *= 1 + 1e-5f;
    if (token < 0 || token >= o->n_vocab) harness_fail(h, "token %d of row %d", token, row);
    wide surely = reference_sample(&fewer, row), perhaps = reference_sample(&more, row);
    double best = -INFINITY, got = perhaps.value[token], slack = 1e-6 * perhaps.magnitude[token];
    for (int v = 0; v < o->n_vocab; v++) best = fmax(best, surely.value[v] - 1e-6 * surely.magnitude[v]);
    if (!(got >= best - slack))
        harness_fail(h, "token %d of row %d has %.9g, the best %.9g", token, row, got, best);
    wide_free(surely), wide_free(perhaps);
}

/* Each row's choice, its log-probability as the trainer would compute it, and its independence of the batch.
 */
static void sample_case(harness *h) {
    static const float top_p[] = {1, 1, 0.9f, 0.3f, 1e-4f};
    head x = draw_head(h, 0);
    struct op_sample o = sample_of(h, &x);
    o.greedy = PICK(h, 0, 0, 0, 1);
    o.top_k = PICK(h, 0, 0, 1, 5, 40);
    o.top_p = top_p[harness_between(h, 0, 4)];
    RUN(h, sample, &o);
    ivec token = harness_read_ivec(h, "token", o.token);
    vec logprob = harness_read_vec(h, "logprob", o.logprob);

    struct op_vocab trained = vocab_of(h, &x, harness_ivec(h, x.m, token.data));
    RUN(h, vocab, &trained);
    harness_same_rows(h, "logprob sampled and trained", row_of(logprob), 0,
                      row_of(harness_read_vec(h, "logprob trained", trained.logprob)), 0, x.m);

    int first = harness_between(h, 0, x.m - 1), n = harness_between(h, 1, x.m - first);
    struct op_sample alone = o;
    alone.token = harness_indices(h, n, 1), alone.logprob = (vec){0};
    alone.hidden = mat_rows(o.hidden, first, n);
    alone.sequence = (lvec){o.sequence.data + first, n}, alone.position = (ivec){o.position.data + first, n};
    RUN(h, sample, &alone);
    ivec token_alone = harness_read_ivec(h, "token alone", alone.token);
    for (int i = 0; i < n; i++)
        if (token_alone.data[i] != token.data[first + i])
            harness_fail(h, "token %d of row %d, in a smaller batch %d", token.data[first + i], first + i,
                         token_alone.data[i]);
    if (!h->first) return;
    harness_to_host(h, OP_sample, &o);
    for (int r = 0; r < x.m && r < 15; r++) check_token(h, &o, r, token.data[r]);
}
OP_TEST_TYPES(sample, 30)

/* Equal logits: greedy takes the first id; top-k keeps the lowest ids. */
static void ties_case(harness *h) {
    enum { M = 64, D = 16, N = 130 };
    head x = head_of(h, M, D, N, 0);
    const float *w = harness_host(h, x.w.w.data);
    float *copies = harness_memory(h, sizeof(float) * (size_t)x.w.w.rows * D);
    for (int v = 0; v < x.w.w.rows; v++)
        memcpy(copies + v * D, w + (v < N ? v % 3 : v) * x.w.w.ld, D * sizeof *copies);
    x.w = harness_weight_of(h, harness_param_of(h, x.w.w.rows, D, copies), 0);
    struct op_sample o = sample_of(h, &x);
    o.greedy = 1;
    RUN(h, sample, &o);
    ivec token = harness_read_ivec(h, "token", o.token);
    for (int r = 0; r < M; r++)
        if (token.data[r] > 2) harness_fail(h, "greedy took %d of equals in row %d", token.data[r], r);
    ivec greedy = token;
    o.greedy = 0, o.top_k = 2, o.temperature = 1;
    RUN(h, sample, &o);
    token = harness_read_ivec(h, "token of two", o.token);
    for (int r = 0; r < M; r++) /* the two lowest of the best third: b and b + 3 */
        if (token.data[r] != greedy.data[r] && token.data[r] != greedy.data[r] + 3)
            harness_fail(h, "top-k of equals took %d in row %d", token.data[r], r);
}
OP_TEST_TYPES(ties, 2)

/* Tokens of many draws from one distribution against softmax, cut as asked: Pearson's chi-square. */
static void distribution_case(harness *h) {
    enum { M = 6000, D = 4, N = 24 };
    static const int top_k[] = {0, 6, 0, 9};
    static const float top_p[] = {1, 1, 0.8f, 0.7f};
    float *w = harness_memory(h, sizeof(float) * N * D), *hidden = harness_memory(h, sizeof(float) * M * D);
    harness_normal(h, N * D, w);
    for (int i = 0; i < M * D; i++) hidden[i] = (i % D == 0) + 0.5f;
    head x = {.m = M, .d = D, .n_vocab = N, .temperature = 1.2f, .hidden = harness_mat_of(h, M, D, hidden)};
    x.w = harness_weight_of(h, harness_param_of(h, N, D, w), 0);
    x.scratch = harness_scratch(h, (struct scratch_need){.max_row = M, .width = D, .vocab = N});
    struct op_sample o = sample_of(h, &x);
    o.top_k = top_k[h->seed], o.top_p = top_p[h->seed];
    RUN(h, sample, &o);
    ivec token = harness_read_ivec(h, "token", o.token);
    if (!h->first) return;

    harness_to_host(h, OP_sample, &o);
    int count[N] = {0}, n_kept = 0;
    for (int r = 0; r < M; r++) count[token.data[r]]++;
    wide stays = reference_sample(&o, 0);
    double p[N], sum = 0, chi_square = 0;
    for (int v = 0; v < N; v++) {
        double z = 0;
        for (int c = 0; c < D; c++) z += (double)hidden[c] * w[v * D + c] / o.temperature;
        p[v] = stays.value[v] > -INFINITY ? exp(z) : 0;
        sum += p[v];
    }
    wide_free(stays);
    for (int v = 0; v < N; v++) {
        double expected = M * p[v] / sum;
        if (expected == 0 && count[v] > 0) harness_fail(h, "%d draws of id %d, which was cut", count[v], v);
        if (expected == 0) continue;
        n_kept++;
        chi_square += (count[v] - expected) * (count[v] - expected) / expected;
    }
    double bound = n_kept - 1 + 5 * sqrt(2.0 * n_kept);
    if (!(chi_square < bound))
        harness_fail(h, "chi-square %.1f of %d ids, bound %.1f", chi_square, n_kept, bound);
    if (o.top_k == 6 && n_kept != 6) harness_fail(h, "%d ids stay, not 6", n_kept);
}
OP_TEST_TYPES(distribution, 4)

/* The counter names sequence and position: another of either is another draw. */
static void counter_case(harness *h) {
    enum { M = 400, D = 4, N = 100 };
    head x = head_of(h, M, D, N, 0);
    float *zeros = harness_memory(h, sizeof(float) * M * D);
    x.hidden = harness_mat_of(h, M, D, zeros);
    struct op_sample o = sample_of(h, &x);
    uint64_t id[M];
    int32_t position[M];
    for (int r = 0; r < M; r++) id[r] = 7 + (uint64_t)(r % 2 ? r / 2 : 0), position[r] = r % 2 ? 0 : r / 2;
    o.sequence = harness_lvec(h, M, id), o.position = harness_ivec(h, M, position);
    RUN(h, sample, &o);
    ivec token = harness_read_ivec(h, "token", o.token);
    assert_int_equal(token.data[0], token.data[1]); /* sequence 7, position 0, twice */
    for (int from = 2; from < 4; from++) {
        int seen[N] = {0}, distinct = 0;
        for (int r = from; r < M; r += 2) distinct += seen[token.data[r]]++ == 0;
        if (distinct < 75) harness_fail(h, "only %d of 100 ids in 199 draws", distinct);
    }
}
OP_TEST_TYPES(counter, 1)

static void denormals_case(harness *h) {
    enum { M = 600, D = 64, N = 80 };
    head x = head_of(h, M, D, N, 1);
    x.hidden = harness_mat_scaled(h, M, D, 1e-38f);
    struct op_vocab o = vocab_of(h, &x, harness_indices(h, M, N));
    RUN(h, vocab, &o);
    mat dhidden = harness_output(h, M, D), dw = harness_param_scaled(h, x.w.w.rows, D, 1e-38f);
    float small[M];
    for (int r = 0; r < M; r++) small[r] = 1e-37f;
    vec dlogprob = harness_vec_of(h, M, small);
    op(h->dev, vocab_dx, .dhidden = dhidden, .dw = dw, .hidden = x.hidden, .w = x.w, .n_vocab = N,
       .temperature = 1, .target = o.target, .lse = o.lse, .entropy = o.entropy, .dlogprob = dlogprob,
       .scratch = x.scratch);
    harness_read(h, "dhidden", dhidden);
    harness_read(h, "dw", dw);
}
OP_TEST_TYPES(denormals, 1)

/* A case of its own: an op before it would leave the threads in the mode that is tested. */
static void score_denormals_case(harness *h) {
    enum { M = 1200, D = 64 };
    mat hidden = harness_mat_scaled(h, M, D, 1e-38f), dhidden = harness_mat_scaled(h, M, D, 1e-38f);
    vec score = harness_vec_output(h, M), w = harness_vec(h, D), dscore = harness_vec(h, M);
    vec dw = harness_vec_of(h, D, (float[D]){0});
    op(h->dev, score, .score = score, .w = w, .hidden = hidden);
    op(h->dev, score_dx, .dhidden = dhidden, .hidden = hidden, .dw = dw, .w = w, .dscore = dscore);
    harness_read_vec(h, "score", score);
    harness_read(h, "dhidden", dhidden);
    harness_read_vec(h, "dw", dw);
}
OP_TEST_TYPES(score_denormals, 1)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vocab),        cmocka_unit_test(test_vocab_dx),
        cmocka_unit_test(test_certain),      cmocka_unit_test(test_score),
        cmocka_unit_test(test_sample),       cmocka_unit_test(test_ties),
        cmocka_unit_test(test_distribution), cmocka_unit_test(test_counter),
        cmocka_unit_test(test_denormals),    cmocka_unit_test(test_score_denormals),
    };
    return cmocka_run_group_tests_name("ops: heads", tests, harness_setup, harness_teardown);
}
