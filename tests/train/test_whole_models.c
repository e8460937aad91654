/* What whole models compute - values, gradients, ten training steps, 64 sampled answers - is the same on
   every device, to the last bit, and the same as yesterday: tests/golden/model_hashes.json holds its hashes.
   After a change of the arithmetic that was meant, that file takes what the failing test prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/hash.h"
#include "core/generate/generate.h"
#include "core/train/optimizer.h"
#include "tests/support/golden.h"
#include "tests/support/model_cases.h"

static const int lengths[] = {130, 1, 64, 7};
enum { N_SEQ = 4, TOKENS = 202 };

typedef struct scene {
    model_config c;
    device *dev;
    model *m;
    workspace *ws;
    float temperature;
    case_batch cb;
    case_values want, got;
} scene;

static forward_options options_of(const scene *s, int for_backward) {
    return (forward_options){.temperature = s->temperature, .for_backward = for_backward};
}

static void open_scene(scene *s, device *dev, int which) {
    memset(s, 0, sizeof *s);
    s->c = case_config(which);
    s->dev = dev;
    s->temperature = which % 2 ? 0.7f : 1;
    s->m = case_model(dev, &s->c, (uint64_t)which, 1);
    s->ws = case_workspace(dev, &s->c, 1, KEEP_ALL);
    case_draw(&s->cb, &s->c, (uint64_t)which, N_SEQ, lengths);
    forward_options o = options_of(s, 1);
    case_forward(s->m, s->ws, &s->cb.b, &o, &s->want);
}

static void close_scene(scene *s) {
    workspace_free(s->ws);
    model_free(s->m);
}

enum { SAMPLED = 64, ANSWER = 24 };

/* What one model does, in bytes. */
typedef struct deeds {
    const char *name;
    int which;
    float *logprobs, *gradients, *trained; /* [n_float], [count], [count]; of the first device */
    int64_t count;
    int32_t answers[SAMPLED][ANSWER];
    float answer_logprobs[SAMPLED][ANSWER];
    int have;
} deeds;

static void backward(model *m, workspace *ws, const case_batch *cb, const forward_options *o, int fused,
                     case_values *v) {
    const model_config *c = model_get_config(m);
    row_values values = case_read(v, c), at_once = {.logprob = v->logprob, .entropy = v->entropy};
    row_grads g = case_grads(cb, c);
    OK(model_forward(m, ws, &cb->b, o, err));
    if (!fused) OK(model_read(m, ws, &values, err));
    OK(model_backward(m, ws, &g, fused ? &at_once : NULL, err));
}

/* The gradient of a batch added to that of another: kept whole, recomputed, values read before or on the way.
 */
static float *check_gradients(scene *s, const case_batch *other) {
    float *first = NULL;
    forward_options o = options_of(s, 1);
    o.dropout = 0.1f;
    o.dropout_key = random_make_key(1, RANDOM_DROPOUT, 0, 0);
    for (int i = 0; i < 4; i++) {
        int fused = i % 2 && s->c.language_head;
        workspace *ws = case_workspace(s->dev, &s->c, 1, i / 2 ? KEEP_LAYER_INPUT : KEEP_ALL);
        case_values *v = calloc(1, sizeof *v);
        model_zero_grad(s->m);
        backward(s->m, ws, other, &o, fused, v);
        backward(s->m, ws, &s->cb, &o, fused, v);
        float *g = case_gradients(s->m);
        if (first) {
            case_same("a gradient, recomputed or with values", s->dev, g, first, model_flat(s->m)->count);
            free(g);
        } else {
            first = g;
        }
        free(v);
        workspace_free(ws);
    }
    return first;
}

static float *train(scene *s, const case_batch *other) {
    struct optimizer_options how = {
        .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = 0.1f, .clip = 1, .ema = 0.9f};
    optimizer *o;
    forward_options f = options_of(s, 1);
    f.dropout = 0.1f;
    OK(optimizer_create(s->dev, model_flat(s->m), &how, &o, err));
    for (int step = 0; step < 10; step++) {
        double norm;
        f.dropout_key = random_make_key(1, RANDOM_DROPOUT, 0, (uint32_t)step);
        model_zero_grad(s->m);
        backward(s->m, s->ws, step % 2 ? other : &s->cb, &f, step % 3 == 0 && s->c.language_head, &s->got);
        if (step % 4 == 0) backward(s->m, s->ws, other, &f, 0, &s->got);
        OK(optimizer_step(o, 1e-3 * (step + 1), &norm, err));
        model_changed(s->m);
    }
    optimizer_free(o);
    return case_parameters(s->m);
}

static status keep_answer(void *context, const generate_answer *a, error *err) {
    deeds *d = context;
    (void)err;
    int i = a->prompt * 4 + a->sample;
    memcpy(d->answers[i], a->token, sizeof *a->token * (size_t)a->n_token);
    memcpy(d->answer_logprobs[i], a->logprob, sizeof *a->logprob * (size_t)a->n_token);
    return STATUS_OK;
}

static void sample(scene *s, deeds *d) {
    generate_prompt prompts[SAMPLED / 4];
    for (int i = 0; i < SAMPLED / 4; i++)
        prompts[i] =
            (generate_prompt){.token = s->cb.token + 6 * i, .n_token = 1 + 7 * i, .seq_id = (uint64_t)i * 4};
    generate_options how = {
        .how = {.temperature = s->temperature, .top_p = 1, .key = random_make_key(3, RANDOM_SAMPLE, 0, 0)},
        .n_answer = 4,
        .max_tokens = ANSWER,
        .end_token = 0};
    limits l = generator_limits(9, 4, 160, 50);
    workspace *ws;
    kv_cache *kv;
    generator *g;
    OK(workspace_create(s->dev, &s->c, &l, &ws, err));
    OK(kv_create(s->dev, &s->c, &l, &kv, err));
    OK(generator_create(&l, ANSWER, &g, err));
    OK(generate_run(g, s->m, ws, kv, prompts, SAMPLED / 4, &how, keep_answer, d, err));
    generator_free(g);
    kv_free(kv);
    workspace_free(ws);
}

static void same_or_kept(float **kept, const char *what, const device *dev, float *now, int64_t n) {
    if (!*kept) {
        *kept = now;
        return;
    }
    case_same(what, dev, now, *kept, n);
    free(now);
}

static void compare_deeds(device *dev, void *context) {
    static case_batch other;
    deeds *d = context;
    /* The two families go to every device, the rest to some. */
    if (d->which % CASES > CASE_LLAMA && (dev->n_thread == 1 || dev->n_thread == 8)) return;
    deeds *now = calloc(1, sizeof *now);
    scene *s = malloc(sizeof *s);
    assert_true(now && s);
    open_scene(s, dev, d->which);
    case_draw(&other, &s->c, 77, 3, (const int[]){50, 67, 3});
    case_draw_rows(&other, &s->c, 78, 40);
    d->count = model_flat(s->m)->count;
    int64_t n = s->c.language_head ? TOKENS : 0;
    float *values = calloc(3 * TOKENS, sizeof *values);
    memcpy(values, s->want.logprob, sizeof *values * (size_t)n);
    memcpy(values + n, s->want.entropy, sizeof *values * (size_t)n);
    memcpy(values + 2 * n, s->want.score, sizeof *values * TOKENS);
    same_or_kept(&d->logprobs, "values of rows", dev, values, 2 * n + TOKENS);
    if (s->c.language_head) sample(s, now);
    if (d->have) {
        assert_memory_equal(now->answers, d->answers, sizeof d->answers);
        case_same("logprobs of answers", dev, now->answer_logprobs, d->answer_logprobs, SAMPLED * ANSWER);
    } else {
        memcpy(d->answers, now->answers, sizeof d->answers);
        memcpy(d->answer_logprobs, now->answer_logprobs, sizeof d->answer_logprobs);
        d->have = 1;
    }
    same_or_kept(&d->gradients, "gradients", dev, check_gradients(s, &other), d->count);
    same_or_kept(&d->trained, "weights after 10 steps", dev, train(s, &other), d->count);
    close_scene(s);
    free(s);
    free(now);
}

static int check_hash(const json_t *golden, const deeds *d, const char *what, const void *data,
                      size_t bytes) {
    char hex[2 * HASH_BYTES + 1];
    hash h = hash_bytes(data, bytes);
    hash_hex(&h, hex);
    const char *want = json_string_value(json_object_get(json_object_get(golden, d->name), what));
    if (want && strcmp(want, hex) == 0) return 0;
    print_error("%s: %s: \"%s\", not \"%s\"\n", d->name, what, hex, want ? want : "");
    return 1;
}

static void test_whole_models(void **state) {
    (void)state;
    json_t *golden = golden_open("model_hashes");
    int wrong = 0;
    for (int which = 0; which < 2 * CASES; which++) {
        deeds *d = calloc(1, sizeof *d);
        d->name = case_name(which);
        d->which = which;
        case_each_device(compare_deeds, d);
        size_t rows = TOKENS * (which % CASES != CASE_SCORE ? 3 : 1);
        wrong += check_hash(golden, d, "values", d->logprobs, rows * sizeof(float));
        wrong += check_hash(golden, d, "gradients", d->gradients, (size_t)d->count * sizeof(float));
        wrong += check_hash(golden, d, "trained", d->trained, (size_t)d->count * sizeof(float));
        if (which % CASES != CASE_SCORE) {
            wrong += check_hash(golden, d, "answers", d->answers, sizeof d->answers);
            wrong += check_hash(golden, d, "answer_logprobs", d->answer_logprobs, sizeof d->answer_logprobs);
        }
        free(d->logprobs);
        free(d->gradients);
        free(d->trained);
        free(d);
    }
    json_decref(golden);
    assert_int_equal(wrong, 0);
}

/* A device that runs its queue late must not see the next batch in the place of this one: nothing is read
   between these steps, so nothing waits. */
static void test_batches_one_after_the_other(void **state) {
    (void)state;
    static case_batch cb[3];
    float *want = NULL;
    for (int kind = DEVICE_CPU; kind <= DEVICE_QUEUED; kind++) {
        device *dev = case_device(kind, 2, NULL);
        model_config c = case_config(CASE_GPT2);
        model *m = case_model(dev, &c, 1, 1);
        workspace *ws = case_workspace(dev, &c, 1, KEEP_ALL);
        forward_options o = {.temperature = 1, .for_backward = 1};
        model_zero_grad(m);
        for (int i = 0; i < 3; i++) {
            case_draw(&cb[i], &c, (uint64_t)i, 3 - i, (const int[]){40 + i, 7, 70});
            row_grads scores = {.score = cb[i].dscore};
            OK(model_forward(m, ws, &cb[i].b, &o, err));
            OK(model_backward(m, ws, &scores, NULL, err));
        }
        float *got = case_gradients(m);
        same_or_kept(&want, "gradients of three batches", dev, got, model_flat(m)->count);
        workspace_free(ws);
        model_free(m);
        device_close(dev);
    }
    free(want);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_models),
        cmocka_unit_test(test_batches_one_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
