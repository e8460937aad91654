/* Continuous batching: what an answer is does not depend on what else is in flight, how, or in what memory;
   its log-probabilities are those that training computes; its tokens have the distribution that they should.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/generate/generate.h"
#include "tests/support/model_cases.h"

enum { PROMPTS = 16, K = 4, ANSWERS = PROMPTS * K, MOST = 40, END = 3 };

typedef struct answer {
    int n, finished, times; /* times: it was handed over */
    int32_t token[MOST];
    float logprob[MOST];
} answer;

/* A model, prompts and the answers that were sampled one at a time. */
typedef struct scene {
    device *dev;
    model_config c;
    model *m;
    int32_t token[PROMPTS][150];
    generate_prompt prompt[PROMPTS];
    generate_options how;
    answer want[ANSWERS], got[ANSWERS];
} scene;

static void open_scene(scene *s, device *dev, int which) {
    memset(s, 0, sizeof *s);
    s->dev = dev;
    s->c = case_config(which);
    s->m = case_model(dev, &s->c, 21, 0);
    random_key key = random_make_key(5, RANDOM_TEST, 0, 0);
    for (int i = 0; i < PROMPTS; i++) {
        int n = 1 + (i * 37) % 150; /* 1 to 150: up to three pages; some fill a page exactly */
        if (i == 5) n = 64;
        if (i == 6) n = 128;
        for (int t = 0; t < n; t++)
            s->token[i][t] = (int32_t)random_below(key, (uint64_t)i, (uint32_t)t, (uint64_t)s->c.n_vocab);
        s->prompt[i] =
            (generate_prompt){.token = s->token[i], .n_token = n, .seq_id = 1000 + (uint64_t)i * K};
    }
    s->how = (generate_options){
        .how = {.temperature = 0.9f, .top_p = 1, .key = random_make_key(5, RANDOM_SAMPLE, 0, 1)},
        .n_answer = K,
        .max_tokens = MOST,
        .end_token = END};
}

static void close_scene(scene *s) { model_free(s->m); }

/* Where answer k of a prompt belongs: by its sequence id. */
static status keep(void *context, const generate_answer *a, error *err) {
    scene *s = context;
    (void)err;
    answer *out = &s->got[a->prompt * s->how.n_answer + a->sample];
    out->times++;
    out->n = a->n_token;
    out->finished = a->finished;
    assert_in_range(a->n_token, 1, MOST);
    memcpy(out->token, a->token, sizeof *a->token * (size_t)a->n_token);
    memcpy(out->logprob, a->logprob, sizeof *a->logprob * (size_t)a->n_token);
    return STATUS_OK;
}

/* What is lent to a run, for one size of cache. */
typedef struct lent {
    workspace *ws;
    kv_cache *kv;
    generator *g;
    limits limits;
} lent;

static lent lend(scene *s, limits l) {
    lent out = {.limits = l};
    OK(workspace_create(s->dev, &s->c, &l, &out.ws, err));
    OK(kv_create(s->dev, &s->c, &l, &out.kv, err));
    OK(generator_create(&l, MOST, &out.g, err));
    return out;
}

static void give_back(lent *l) {
    generator_free(l->g);
    kv_free(l->kv);
    workspace_free(l->ws);
}

static status try_run(scene *s, lent *l, const generate_prompt *prompt, int n, error *err) {
    memset(s->got, 0, sizeof s->got);
    status code = generate_run(l->g, s->m, l->ws, l->kv, prompt, n, &s->how, keep, s, err);
    assert_int_equal(kv_free_slots(l->kv), l->limits.n_slot);
    assert_int_equal(kv_free_pages(l->kv), l->limits.n_page);
    return code;
}

static void run(scene *s, limits l, const generate_prompt *prompt, int n) {
    lent lent = lend(s, l);
    OK(try_run(s, &lent, prompt, n, err));
    give_back(&lent);
}

static void expect_answer(const scene *s, const char *what, const answer *got, const answer *want) {
    assert_int_equal(got->times, 1);
    if (got->n != want->n) fail_msg("%s: an answer of %d tokens, alone of %d", what, got->n, want->n);
    assert_int_equal(got->finished, want->finished);
    assert_memory_equal(got->token, want->token, sizeof *got->token * (size_t)got->n);
    case_same(what, s->dev, got->logprob, want->logprob, got->n);
}

/* Each answer for itself, with one sequence in flight: K prompts with one answer each for a prompt with K. */
static void sample_alone(scene *s) {
    generate_options how = s->how;
    s->how.n_answer = 1;
    lent l = lend(s, generator_limits(1, 1, s->c.context, s->c.context));
    for (int i = 0; i < PROMPTS; i++)
        for (int k = 0; k < K; k++) {
            generate_prompt p = s->prompt[i];
            p.seq_id += (uint64_t)k;
            OK(try_run(s, &l, &p, 1, err));
            assert_int_equal(s->got[0].times, 1);
            s->want[i * K + k] = s->got[0];
        }
    give_back(&l);
    s->how = how;
}

static void expect_all(scene *s, const char *what) {
    for (int i = 0; i < ANSWERS; i++) expect_answer(s, what, &s->got[i], &s->want[i]);
}

static void sample_together(scene *s) {
    int context = s->c.context;
    run(s, generator_limits(64, K, context, 700), s->prompt, PROMPTS);
    expect_all(s, "all at once");
    run(s, generator_limits(K, K, context, context), s->prompt, PROMPTS);
    expect_all(s, "a prompt at a time");
    run(s, generator_limits(7, K, context, 33), s->prompt, PROMPTS);
    expect_all(s, "prefilled in chunks of 33");
    run(s, generator_limits(13, K, context, 1), s->prompt, PROMPTS);
    expect_all(s, "prefilled a token at a time");
    limits tight = generator_limits(12, K, context, 100);
    tight.n_page = 13; /* a prompt of 150 tokens with 4 answers of 40 takes 3 + 3 x 1 */
    run(s, tight, s->prompt, PROMPTS);
    expect_all(s, "with few pages");
}

/* The prompts from the last to the first; then each prompt K times with one answer each. */
static void sample_otherwise(scene *s) {
    generate_prompt other[ANSWERS];
    for (int i = 0; i < PROMPTS; i++) other[i] = s->prompt[PROMPTS - 1 - i];
    run(s, generator_limits(10, K, s->c.context, 90), other, PROMPTS);
    for (int i = 0; i < ANSWERS; i++)
        expect_answer(s, "in another order", &s->got[i], &s->want[(PROMPTS - 1 - i / K) * K + i % K]);
    for (int i = 0; i < ANSWERS; i++) {
        other[i] = s->prompt[i / K];
        other[i].seq_id += (uint64_t)(i % K);
    }
    s->how.n_answer = 1;
    run(s, generator_limits(9, 1, s->c.context, 90), other, ANSWERS);
    expect_all(s, "without forks");
    s->how.n_answer = K;
}

/* Training's forward over prompt and answer gives the very log-probabilities. */
static void train_on_answers(scene *s) {
    static case_values v;
    workspace *ws = case_workspace(s->dev, &s->c, 0, KEEP_ALL);
    forward_options o = {.temperature = s->how.how.temperature};
    for (int i = 0; i < ANSWERS; i++) {
        const answer *a = &s->want[i];
        const generate_prompt *p = &s->prompt[i / K];
        int32_t token[200], row_pos[MOST], start[2] = {0, p->n_token + a->n - 1};
        memcpy(token, p->token, sizeof *token * (size_t)p->n_token);
        memcpy(token + p->n_token, a->token, sizeof *token * (size_t)a->n);
        for (int t = 0; t < a->n; t++) row_pos[t] = p->n_token - 1 + t;
        batch b = {start[1], 1, a->n, token, start, &p->seq_id, row_pos, a->token};
        case_forward(s->m, ws, &b, &o, &v);
        case_same("logprob in training", s->dev, v.logprob, a->logprob, a->n);
    }
    workspace_free(ws);
}

static void test_sixty_four_answers(void **state) {
    (void)state;
    static scene s;
    static const int which[] = {CASE_GPT2, CASE_LLAMA};
    for (int i = 0; i < 2; i++) {
        device *dev = case_device(DEVICE_CPU, 2, NULL);
        open_scene(&s, dev, which[i]);
        sample_alone(&s);
        int finished = 0, cut = 0;
        for (int a = 0; a < ANSWERS; a++) {
            finished += s.want[a].finished;
            cut += s.want[a].n == MOST;
            assert_int_equal(s.want[a].finished, s.want[a].token[s.want[a].n - 1] == END);
        }
        assert_true(finished > 0 && cut > 0);
        sample_together(&s);
        sample_otherwise(&s);
        train_on_answers(&s);
        close_scene(&s);
        device_close(dev);
    }
}

static void on_device(device *dev, void *context) {
    static scene s;
    const scene *first = context;
    open_scene(&s, dev, CASE_LLAMA);
    memcpy(s.want, first->want, sizeof s.want);
    run(&s, generator_limits(11, K, s.c.context, 70), s.prompt, PROMPTS);
    expect_all(&s, "on another device");
    close_scene(&s);
}

static void test_on_every_device(void **state) {
    (void)state;
    static scene s;
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    open_scene(&s, dev, CASE_LLAMA);
    sample_alone(&s);
    case_each_device(on_device, &s);
    close_scene(&s);
    device_close(dev);
}

/* ---- options ---- */

/* Greedy: the same whatever the key; each token the one of the highest logit, which training says it is. */
static void test_greedy(void **state) {
    (void)state;
    static scene s;
    static answer first[ANSWERS];
    device *dev = case_device(DEVICE_CPU, 2, NULL);
    open_scene(&s, dev, CASE_GPT2);
    s.how.how.greedy = 1;
    run(&s, generator_limits(8, K, s.c.context, 100), s.prompt, PROMPTS);
    memcpy(first, s.got, sizeof first);
    s.how.how.key = random_make_key(99, RANDOM_SAMPLE, 0, 0);
    run(&s, generator_limits(16, K, s.c.context, 60), s.prompt, PROMPTS);
    for (int i = 0; i < ANSWERS; i++) {
        expect_answer(&s, "greedy", &s.got[i], &first[i]);
        expect_answer(&s, "answers of one prompt", &s.got[i], &first[i / K * K]);
    }
    /* top-k of 1 leaves only that token as well. */
    s.how.how.greedy = 0;
    s.how.how.top_k = 1;
    run(&s, generator_limits(16, K, s.c.context, 60), s.prompt, PROMPTS);
    for (int i = 0; i < ANSWERS; i++) expect_answer(&s, "top-k of 1", &s.got[i], &first[i]);
    close_scene(&s);
    device_close(dev);
}

/* A distribution that is known: the score of each row is fixed by hand through the tables. */
static void set_logits(scene *s, const float *logit) {
    const flat *f = model_flat(s->m);
    float *value = case_parameters(s->m);
    for (int i = 0; i < f->n_param; i++) {
        const param *p = &f->param[i];
        float *v = value + p->offset;
        if (strncmp(p->name, "layer.", 6) == 0) memset(v, 0, sizeof *v * (size_t)p->count);
        if (strcmp(p->name, "norm.weight") == 0) memset(v, 0, sizeof *v * (size_t)p->count);
        if (strcmp(p->name, "norm.bias") == 0)
            for (int64_t j = 0; j < p->count; j++) v[j] = j == 0;
        if (strcmp(p->name, "token.weight") == 0)
            for (int r = 0; r < p->rows; r++) v[(int64_t)r * p->cols] = r < s->c.n_vocab ? logit[r] : 0;
    }
    case_set_parameters(s->m, value);
    free(value);
}

static void test_end_token_first_and_one_token(void **state) {
    (void)state;
    static scene s;
    float logit[300] = {0};
    device *dev = case_device(DEVICE_CPU, 2, NULL);
    open_scene(&s, dev, CASE_GPT2);
    logit[END] = 100;
    set_logits(&s, logit);
    run(&s, generator_limits(6, K, s.c.context, 80), s.prompt, PROMPTS);
    for (int i = 0; i < ANSWERS; i++) {
        assert_int_equal(s.got[i].times, 1);
        assert_int_equal(s.got[i].n, 1);
        assert_int_equal(s.got[i].token[0], END);
        assert_true(s.got[i].finished && s.got[i].logprob[0] == 0);
    }
    logit[END] = -100;
    set_logits(&s, logit);
    s.how.max_tokens = 1;
    run(&s, generator_limits(6, K, s.c.context, 80), s.prompt, PROMPTS);
    for (int i = 0; i < ANSWERS; i++) {
        assert_int_equal(s.got[i].n, 1);
        assert_false(s.got[i].finished);
        assert_int_not_equal(s.got[i].token[0], END);
    }
    close_scene(&s);
    device_close(dev);
}

/* The context ends an answer: 196 tokens leave room for 4 of the 40. */
static void test_the_context_cuts(void **state) {
    (void)state;
    static scene s;
    float logit[300] = {0};
    int32_t token[200];
    device *dev = case_device(DEVICE_CPU, 2, NULL);
    open_scene(&s, dev, CASE_GPT2);
    logit[END] = -100;
    set_logits(&s, logit);
    for (int t = 0; t < 200; t++) token[t] = t % 50;
    for (int n = 196; n < 200; n++) {
        generate_prompt p = {.token = token, .n_token = n, .seq_id = 1};
        run(&s, generator_limits(5, K, s.c.context, 80), &p, 1);
        for (int k = 0; k < K; k++) assert_int_equal(s.got[k].n, 200 - n);
    }
    close_scene(&s);
    device_close(dev);
}

/* ---- refusals ---- */

static status give_up(void *context, const generate_answer *a, error *err) {
    (void)a;
    return ++*(int *)context == 5 ? error_set(err, STATUS_INTERRUPTED, "enough") : STATUS_OK;
}

static void test_refusals(void **state) {
    (void)state;
    static scene s;
    int32_t token[201] = {0}, called = 0;
    device *dev = case_device(DEVICE_CPU, 2, NULL);
    open_scene(&s, dev, CASE_GPT2);
    lent l = lend(&s, generator_limits(6, K, s.c.context, 80));
    generate_prompt p[2] = {s.prompt[0], {.token = token, .n_token = 200, .seq_id = 1}};
    REFUSED(try_run(&s, &l, p, 2, err), STATUS_DATA, "prompt 1 has 200 tokens, the model's context is 200");
    assert_int_equal(s.got[0].times, 0);
    p[1].n_token = 0;
    REFUSED(try_run(&s, &l, p, 2, err), STATUS_DATA, "prompt 1 has 0 tokens");
    s.how.n_answer = 7;
    REFUSED(try_run(&s, &l, p, 1, err), STATUS_TOO_LARGE, "7 answers");
    s.how.n_answer = K;
    s.how.max_tokens = MOST + 1;
    REFUSED(try_run(&s, &l, p, 1, err), STATUS_TOO_LARGE, "41 tokens");
    s.how.max_tokens = MOST;
    token[7] = s.c.vocab_size;
    p[1].n_token = 20;
    REFUSED(try_run(&s, &l, p, 2, err), STATUS_DATA, "is id 300");
    /* An answer that the caller refuses ends the run; the cache is empty again, and good for the next. */
    error err;
    assert_int_equal(generate_run(l.g, s.m, l.ws, l.kv, s.prompt, PROMPTS, &s.how, give_up, &called, &err),
                     STATUS_INTERRUPTED);
    assert_int_equal(called, 5);
    OK(try_run(&s, &l, s.prompt, PROMPTS, err));
    for (int i = 0; i < ANSWERS; i++) assert_int_equal(s.got[i].times, 1);
    give_back(&l);

    limits small = generator_limits(6, K, s.c.context, 80);
    small.n_page = 5; /* 150 tokens and 40 more: 3 pages, and one more for each further answer */
    l = lend(&s, small);
    generate_prompt long_one = {.token = token, .n_token = 150, .seq_id = 1};
    token[7] = 0;
    REFUSED(try_run(&s, &l, &long_one, 1, err), STATUS_TOO_LARGE, "prompt 0 with 4 answers does not fit");
    give_back(&l);
    close_scene(&s);
    device_close(dev);
}

/* Weights that are not finite: no answer is handed over, and the sequence is named. */
static void test_broken_weights(void **state) {
    (void)state;
    static scene s;
    device *dev = case_device(DEVICE_CPU, 2, NULL);
    open_scene(&s, dev, CASE_GPT2);
    float *value = case_parameters(s.m);
    value[0] = NAN;
    case_set_parameters(s.m, value);
    free(value);
    lent l = lend(&s, generator_limits(6, K, s.c.context, 80));
    s.token[0][0] = 0;
    REFUSED(try_run(&s, &l, s.prompt, 1, err), STATUS_FAILED,
            "sequence 1000 (prompt 0, answer 0): the log-probability of its token 0 is");
    assert_int_equal(s.got[0].times, 0);
    give_back(&l);
    close_scene(&s);
    device_close(dev);
}

/* ---- the distribution ---- */

typedef struct counts {
    int n, of[300];
    double logprob_error;
    const double *logp;
} counts;

static status count(void *context, const generate_answer *a, error *err) {
    counts *c = context;
    (void)err;
    for (int t = 0; t < a->n_token; t++) {
        c->n++;
        c->of[a->token[t]]++;
        c->logprob_error = fmax(c->logprob_error, fabs((double)a->logprob[t] - c->logp[a->token[t]]));
    }
    return STATUS_OK;
}

/* Tokens of many answers against the softmax that they are drawn from: chi-square over the ids that are
   expected at least ten times, the others together. */
static double chi_square(const counts *c, int n_vocab, int *freedom) {
    double chi = 0, rest_expected = 0, rest = 0;
    *freedom = -1;
    for (int v = 0; v < n_vocab; v++) {
        double expected = exp(c->logp[v]) * c->n;
        if (expected < 10) {
            rest_expected += expected;
            rest += c->of[v];
            continue;
        }
        chi += (c->of[v] - expected) * (c->of[v] - expected) / expected;
        ++*freedom;
    }
    if (rest_expected > 10)
        chi += (rest - rest_expected) * (rest - rest_expected) / rest_expected, ++*freedom;
    return chi;
}

static void test_distribution(void **state) {
    (void)state;
    static scene s;
    float logit[300], temperature = 1.4f;
    double logp[300], sum = 0;
    device *dev = case_device(DEVICE_CPU, 2, NULL);
    open_scene(&s, dev, CASE_GPT2);
    random_normal(random_make_key(8, RANDOM_TEST, 0, 0), 300, logit);
    for (int v = 0; v < 300; v++) logit[v] = logit[v] * 1.5f;
    logit[END] = -60; /* never ends */
    set_logits(&s, logit);
    for (int v = 0; v < s.c.n_vocab; v++) sum += exp((double)logit[v] / (double)temperature);
    for (int v = 0; v < s.c.n_vocab; v++) logp[v] = (double)logit[v] / (double)temperature - log(sum);
    generate_prompt prompts[100];
    for (int i = 0; i < 100; i++)
        prompts[i] = (generate_prompt){.token = s.token[3], .n_token = 2, .seq_id = (uint64_t)i << 33};
    s.how.how.temperature = temperature;
    s.how.n_answer = 10;
    lent l = lend(&s, generator_limits(50, 10, 42, 100));
    counts c = {.logp = logp};
    OK(generate_run(l.g, s.m, l.ws, l.kv, prompts, 100, &s.how, count, &c, err));
    give_back(&l);
    assert_int_equal(c.n, 1000 * MOST);
    assert_true(c.logprob_error < 1e-5);
    for (int v = s.c.n_vocab; v < 300; v++) assert_int_equal(c.of[v], 0);
    int freedom;
    double chi = chi_square(&c, s.c.n_vocab, &freedom);
    print_message("chi-square %.1f with %d degrees of freedom\n", chi, freedom);
    assert_in_range(freedom, 100, 290);
    /* Five standard deviations either way. */
    assert_true(fabs(chi - freedom) < 5 * sqrt(2.0 * freedom));
    close_scene(&s);
    device_close(dev);
}

/* top-k and top-p cut the choice; the log-probability stays that of the full softmax. */
static void test_top_k_and_top_p(void **state) {
    (void)state;
    static scene s;
    float logit[300];
    double logp[300], sum = 0;
    device *dev = case_device(DEVICE_CPU, 2, NULL);
    open_scene(&s, dev, CASE_GPT2);
    for (int v = 0; v < 300; v++)
        logit[v] = -0.1f * (float)((v * 7) % 290); /* id 0, 83, 166 ... by falling logit */
    set_logits(&s, logit);
    for (int v = 0; v < s.c.n_vocab; v++) sum += exp((double)logit[v]);
    for (int v = 0; v < s.c.n_vocab; v++) logp[v] = (double)logit[v] - log(sum);
    s.how.how.temperature = 1;
    s.how.end_token = -1;
    for (int i = 0; i < 2; i++) {
        s.how.how.top_k = i ? 0 : 5;
        s.how.how.top_p = i ? 0.5f : 1;
        lent l = lend(&s, generator_limits(16, K, s.c.context, 300));
        counts c = {.logp = logp};
        OK(generate_run(l.g, s.m, l.ws, l.kv, s.prompt, PROMPTS, &s.how, count, &c, err));
        give_back(&l);
        assert_true(c.logprob_error < 1e-5);
        double before = 0;
        for (int rank = 0; rank < 290; rank++) {
            int v = rank * 83 % 290; /* 83 x 7 = 1 mod 290 */
            int kept = i ? before < 0.5 : rank < 5;
            if (kept != (c.of[v] > 0)) fail_msg("id %d of rank %d was chosen %d times", v, rank, c.of[v]);
            before += exp(logp[v]);
        }
    }
    close_scene(&s);
    device_close(dev);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sixty_four_answers),
        cmocka_unit_test(test_on_every_device),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_end_token_first_and_one_token),
        cmocka_unit_test(test_the_context_cuts),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_broken_weights),
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_top_k_and_top_p),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
