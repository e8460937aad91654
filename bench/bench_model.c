/* Whole models with random weights at published shapes, in f32 and in bf16: training steps, of everything or
   of an adapter, prompts and decoding, each beside what the machine allows.
   Usage: bench_model [THREADS] [f32 | bf16] [gpt2 | smollm2]; default all threads, types and shapes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/limits.h"
#include "core/base/file.h"
#include "core/model/model.h"
#include "core/train/optimizer.h"

enum { TOKENS = 1024, PROMPT = 512, MOST = 64, COUNTS = 4, REPEAT = 3, STEPS = 8, RANK = 16 };

/* What is measured of a shape. */
typedef struct subject {
    const char *word, *name; /* on the command line, in print */
    model_config config;
    int cached;        /* tokens before those that are decoded */
    int count[COUNTS]; /* sequences that decode together */
    int adapted;       /* an adapter is trained too */
} subject;

static subject gpt2_124m(void) {
    subject s = {"gpt2", "GPT-2 124M", model_config_of_family(FAMILY_GPT2), 511, {1, 8, 32, 64}, 0};
    model_config *c = &s.config;
    c->vocab_size = c->n_vocab = 50257;
    c->context = 1024;
    c->d_model = 768;
    c->n_layer = c->n_head = c->n_kv_head = 12;
    c->head_dim = 64;
    c->d_ff = 3072;
    return s;
}

static subject smollm2_135m(void) {
    subject s = {"smollm2", "SmolLM2-135M", model_config_of_family(FAMILY_LLAMA), 128, {1, 8, 16, 32}, 1};
    model_config *c = &s.config;
    c->vocab_size = c->n_vocab = 49152;
    c->context = 1024;
    c->d_model = 576;
    c->n_layer = 30;
    c->n_head = 9;
    c->n_kv_head = 3;
    c->head_dim = 64;
    c->d_ff = 1536;
    c->tied = 1;
    return s;
}

/* What the machine allows to the type of the moment. */
typedef struct bounds {
    double flops, read; /* per second */
} bounds;

static int fail(const error *err) {
    fprintf(stderr, "bench_model: %s\n", err->message);
    return 1;
}

static int32_t make_token(const model_config *c, int i) {
    return (int32_t)((unsigned)i * 2654435761u % (unsigned)c->n_vocab);
}

/* Weights in products, of blocks and of the head. */
static double block_weights(const model_config *c) {
    double att = (double)c->n_head * c->head_dim, qkv = att + 2.0 * c->n_kv_head * c->head_dim;
    double up = (c->activation == ACTIVATION_GELU ? 1.0 : 2.0) * c->d_ff;
    return c->n_layer * ((double)c->d_model * (qkv + att + up + c->d_ff));
}
static double head_weights(const model_config *c) { return (double)c->d_model * c->vocab_size; }

/* ---- training ---- */

typedef struct training {
    model *m;
    workspace *ws;
    optimizer *o;
    int32_t token[TOKENS], start[TOKENS + 1], row[TOKENS], target[TOKENS];
    uint64_t id[TOKENS];
    float grad[TOKENS], logprob[TOKENS];
    double adapter; /* floats of the adapter that is trained; 0: everything is */
} training;

/* Rows of `length` tokens each, all of them targets but the first. */
static batch make_batch(training *t, int length) {
    batch b = {TOKENS, TOKENS / length, 0, t->token, t->start, t->id, t->row, t->target};
    for (int i = 0; i < TOKENS; i++) t->token[i] = make_token(model_get_config(t->m), i);
    for (int s = 0; s <= b.n_seq; s++) t->start[s] = s * length;
    for (int s = 0; s < b.n_seq; s++) {
        t->id[s] = (uint64_t)s;
        for (int i = t->start[s]; i + 1 < t->start[s + 1]; i++) {
            t->row[b.n_row] = i;
            t->target[b.n_row++] = t->token[i + 1];
        }
    }
    for (int r = 0; r < b.n_row; r++) t->grad[r] = -1.0f / (float)b.n_row;
    return b;
}

static status train_step(training *t, const batch *b, error *err) {
    forward_options how = {.temperature = 1, .for_backward = 1};
    row_values values = {.logprob = t->logprob};
    model_zero_grad(t->m);
    TRY(model_forward(t->m, t->ws, b, &how, err));
    TRY(model_backward(t->m, t->ws, &(row_grads){.logprob = t->grad}, &values, err));
    TRY(optimizer_step(t->o, 1e-5, NULL, err));
    model_changed(t->m);
    return STATUS_OK;
}

static double step_flops(const training *t, int length, double rows) {
    const model_config *c = model_get_config(t->m);
    return TOKENS * (model_flops_per_token(c, PASS_STEP, length, rows) + 6 * t->adapter);
}

static status time_steps(training *t, const char *what, int length, const bounds *most, error *err) {
    batch b = make_batch(t, length);
    double best = 1e9, flops = step_flops(t, length, (double)b.n_row / TOKENS);
    for (int k = 0; k < REPEAT; k++) {
        double started = bench_seconds();
        TRY(train_step(t, &b, err));
        double seconds = bench_seconds() - started;
        if (seconds < best) best = seconds;
    }
    printf("%s, %2d sequences of %4d  %8.1f tokens/s  %7.1f GFLOP/s  share of peak %.2f\n", what,
           TOKENS / length, length, TOKENS / best, flops / best * 1e-9, flops / best / most->flops);
    return STATUS_OK;
}

static status bench_training(model *m, const char *what, const bounds *most, error *err) {
    static const int lengths[] = {64, 256, 1024};
    struct optimizer_options how = {.beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .clip = 1};
    limits l = {.max_token = TOKENS, .max_row = TOKENS, .max_seq = TOKENS, .max_len = TOKENS, .backward = 1};
    training *t = calloc(1, sizeof *t);
    if (!t) return error_memory(err, "a batch");
    t->m = m;
    if (model_lora(m)) t->adapter = (double)model_flat(m)->count;
    status s = workspace_create(model_device(m), model_get_config(m), &l, &t->ws, err);
    if (s == STATUS_OK) s = optimizer_create(model_device(m), model_flat(m), &how, &t->o, err);
    for (int i = 0; i < 3 && s == STATUS_OK; i++) s = time_steps(t, what, lengths[i], most, err);
    optimizer_free(t->o);
    workspace_free(t->ws);
    free(t);
    return s;
}

/* An adapter at every matrix, over the weights that `whole` has, saved for that. */
static status bench_adapter(const model *whole, const bounds *most, error *err) {
    static const lora_options how = {.rank = RANK, .alpha = 2 * RANK};
    char directory[] = "/tmp/bench-XXXXXX";
    model_options o = {.trained = 1,
                       .language_head = 1,
                       .compute = model_get_config(whole)->compute,
                       .seed = 1,
                       .lora = &how};
    model *m = NULL;
    if (!mkdtemp(directory)) return error_set(err, STATUS_FAILED, "no directory beside %s", directory);
    status s = model_save(whole, NULL, directory, err);
    if (s == STATUS_OK) s = model_load(model_device(whole), directory, &o, &m, err);
    if (s == STATUS_OK) s = bench_training(m, "adapter's step", most, err);
    model_free(m);
    error ignored;
    path_remove_tree(directory, &ignored);
    return s;
}

/* ---- prompts and decoding ---- */

/* The sequence's first n tokens in a slot of its own. */
static status prefill(const model *m, workspace *ws, kv_cache *kv, int sequence, int n, int32_t *slot,
                      error *err) {
    int32_t start[2] = {0, n}, token[PROMPT];
    uint64_t id = (uint64_t)sequence;
    for (int i = 0; i < n; i++) token[i] = make_token(model_get_config(m), i + sequence);
    batch b = {.n_token = n, .n_seq = 1, .token = token, .seq_start = start, .seq_id = &id};
    *slot = kv_open(kv, id, n + 16);
    return model_extend(m, ws, kv, &b, slot, 1, err);
}

static status bench_prompt(const model *m, workspace *ws, kv_cache *kv, const bounds *most, error *err) {
    double best = 1e9;
    for (int k = 0; k < REPEAT; k++) {
        int32_t slot;
        kv_clear(kv);
        double started = bench_seconds();
        TRY(prefill(m, ws, kv, k, PROMPT, &slot, err));
        TRY(model_device(m)->ops->sync(model_device(m), err));
        double seconds = bench_seconds() - started;
        if (seconds < best) best = seconds;
    }
    printf("prompt of %d tokens  %8.1f tokens/s  share of peak %.2f\n", PROMPT, PROMPT / best,
           PROMPT * model_flops_per_token(model_get_config(m), PASS_FORWARD, PROMPT, 0) / best / most->flops);
    return STATUS_OK;
}

/* Seconds of one step of n sequences. */
static status decode(const model *m, workspace *ws, kv_cache *kv, int n, int32_t *slot, double *seconds,
                     error *err) {
    int32_t token[MOST], start[MOST + 1], row[MOST];
    uint64_t id[MOST];
    float logprob[MOST];
    sampling how = {.temperature = 1, .top_p = 1};
    batch b = {n, n, n, token, start, id, row, NULL};
    for (int s = 0; s <= n; s++) start[s] = s;
    for (int s = 0; s < n; s++) {
        token[s] = row[s] = s;
        id[s] = (uint64_t)s;
    }
    *seconds = 1e9;
    for (int k = 0; k < STEPS; k++) {
        double started = bench_seconds();
        TRY(model_extend(m, ws, kv, &b, slot, 1, err));
        TRY(model_sample(m, ws, id, &how, token, logprob, err));
        double now = bench_seconds() - started;
        if (now < *seconds) *seconds = now;
    }
    return STATUS_OK;
}

static status bench_count(const model *m, workspace *ws, kv_cache *kv, const subject *s, int n,
                          const bounds *most, error *err) {
    const model_config *c = model_get_config(m);
    int32_t slot[MOST];
    double seconds, size = c->compute == TYPE_BF16 ? 2 : 4;
    kv_clear(kv);
    for (int i = 0; i < n; i++) TRY(prefill(m, ws, kv, i, s->cached, &slot[i], err));
    TRY(decode(m, ws, kv, n, slot, &seconds, err));
    double cache = 2.0 * (s->cached + 1) * c->n_layer * c->n_kv_head * c->head_dim;
    double memory = size * (block_weights(c) + head_weights(c) + n * cache) / most->read;
    double compute = n * model_flops_per_token(c, PASS_FORWARD, 2 * s->cached, 1) / most->flops;
    printf("decoding, %2d sequences after %d tokens  %8.1f tokens/s  share of the memory bound %.2f, of the "
           "compute bound %.2f\n",
           n, s->cached, n / seconds, memory / seconds, compute / seconds);
    return STATUS_OK;
}

static status bench_generating(const model *m, const subject *s, const bounds *most, error *err) {
    const model_config *c = model_get_config(m);
    limits l = {.max_token = PROMPT,
                .max_row = MOST,
                .max_seq = MOST,
                .max_len = PROMPT + 16,
                .n_slot = MOST,
                .n_page = MOST * 9};
    workspace *ws = NULL;
    kv_cache *kv = NULL;
    status done = workspace_create(model_device(m), c, &l, &ws, err);
    if (done == STATUS_OK) done = kv_create(model_device(m), c, &l, &kv, err);
    if (done == STATUS_OK) done = bench_prompt(m, ws, kv, most, err);
    for (int i = 0; i < COUNTS && done == STATUS_OK; i++)
        done = bench_count(m, ws, kv, s, s->count[i], most, err);
    kv_free(kv);
    workspace_free(ws);
    return done;
}

/* ---- a shape in a type ---- */

static status bench_subject(device *dev, subject s, dtype type, double read, error *err) {
    bounds most = {device_peak_flops(dev, type), read};
    model *m;
    s.config.compute = type;
    printf("\n%s in %s; peak %.1f GFLOP/s\n", s.name, type == TYPE_BF16 ? "bf16" : "f32", most.flops * 1e-9);
    TRY(model_init(dev, &s.config, 1, 1, &m, err));
    status done = bench_training(m, "training step", &most, err);
    if (done == STATUS_OK && s.adapted) done = bench_adapter(m, &most, err);
    if (done == STATUS_OK) done = bench_generating(m, &s, &most, err);
    model_free(m);
    return done;
}

/* Whether the arguments name it, or none of the n words that they might. */
static int is_wanted(int argc, char **argv, const char *const *words, int n, int which) {
    int any = 0;
    for (int i = 1; i < argc; i++)
        for (int k = 0; k < n; k++) {
            if (strcmp(argv[i], words[k]) != 0) continue;
            if (k == which) return 1;
            any = 1;
        }
    return !any;
}

int main(int argc, char **argv) {
    static const char *const types[] = {[TYPE_F32] = "f32", [TYPE_BF16] = "bf16"};
    const subject subjects[] = {gpt2_124m(), smollm2_135m()};
    const char *const shapes[] = {subjects[0].word, subjects[1].word};
    error err;
    device *dev;
    setvbuf(stdout, NULL, _IOLBF, 0); /* a figure as soon as it is there */
    if (device_open_cpu(argc > 1 ? atoi(argv[1]) : 0, &dev, &err) != STATUS_OK) return fail(&err);
    struct machine machine = limits_measure(dev->n_thread, strstr(dev->name, "avx512") != NULL);
    printf("%s, %d threads: memory read %.1f GB/s\n", dev->name, dev->n_thread, machine.read * 1e-9);
    status s = STATUS_OK;
    for (int i = 0; i < 2; i++)
        for (int type = 0; type < 2 && s == STATUS_OK; type++)
            if (is_wanted(argc, argv, shapes, 2, i) && is_wanted(argc, argv, types, 2, type))
                s = bench_subject(dev, subjects[i], (dtype)type, machine.read, &err);
    device_close(dev);
    return s == STATUS_OK ? 0 : fail(&err);
}
