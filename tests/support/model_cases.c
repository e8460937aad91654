#include "tests/support/model_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/sanitized.h"

/* ---- devices ---- */

device *case_device(enum device_kind kind, int threads, const char *isa) {
    device *dev = NULL;
    error err;
    if (isa) setenv("RLHF_ISA", isa, 1);
    status s = kind == DEVICE_CPU ? device_open_cpu(threads, &dev, &err)
                                  : device_open_far(threads, kind == DEVICE_QUEUED, &dev, &err);
    if (isa) unsetenv("RLHF_ISA");
    if (s == STATUS_OK) return dev;
    if (!isa) fail_msg("%s", err.message);
    print_message("skipped: %s (%s)\n", isa, err.message);
    return NULL;
}

void case_each_device(device_visit *visit, void *context) {
    static const struct {
        enum device_kind kind;
        int threads;
        const char *isa;
    } device_of[] = {
        {DEVICE_CPU, 1, "avx512bf16"}, {DEVICE_CPU, 2, "avx512bf16"}, {DEVICE_CPU, 3, "avx512bf16"},
        {DEVICE_CPU, 8, "avx512bf16"}, {DEVICE_CPU, 2, "avx512"},     {DEVICE_CPU, 3, "avx512"},
        {DEVICE_CPU, 1, "avx2"},       {DEVICE_CPU, 3, "avx2"},       {DEVICE_CPU, 8, "avx2"},
        {DEVICE_FAR, 2, NULL},         {DEVICE_QUEUED, 2, NULL}};
    for (size_t i = 0; i < sizeof device_of / sizeof *device_of; i++) {
        /* Sanitizers look at memory, not at bytes. */
        if (SANITIZED && device_of[i].threads != 3 && device_of[i].kind != DEVICE_QUEUED) continue;
        device *dev = case_device(device_of[i].kind, device_of[i].threads, device_of[i].isa);
        if (!dev) continue;
        visit(dev, context);
        device_close(dev);
    }
}

/* ---- models ---- */

static const char *const names[CASES] = {
    "gpt2",
    "llama",
    "gpt2, heads of 8",
    "llama, heads of 64, tied, attention biases",
    "LayerNorm, RoPE, GELU, grouped, no biases, untied",
    "RMSNorm, learned, SwiGLU, biases, narrow heads",
    "LayerNorm, learned, SwiGLU, one key head, untied",
    "RMSNorm, RoPE, GELU, only a score",
    "mistral, a window, linear rope",
    "qwen2, rope of Llama 3.1",
    "qwen3",
    "gemma",
};

const char *case_name(int which) {
    static char bf16[CASES][80];
    if (which < CASES) return names[which];
    snprintf(bf16[which - CASES], sizeof *bf16, "%s, bf16", names[which - CASES]);
    return bf16[which - CASES];
}

static void set_heads(model_config *c, int d_model, int n_head, int n_kv_head, int head_dim, int d_ff) {
    c->d_model = d_model;
    c->n_head = n_head;
    c->n_kv_head = n_kv_head;
    c->head_dim = head_dim;
    c->d_ff = d_ff;
}

model_config case_config(int which) {
    static const model_family family[CASES] = {FAMILY_GPT2,    FAMILY_LLAMA, FAMILY_GPT2,  FAMILY_LLAMA,
                                               FAMILY_GPT2,    FAMILY_LLAMA, FAMILY_GPT2,  FAMILY_LLAMA,
                                               FAMILY_MISTRAL, FAMILY_QWEN2, FAMILY_QWEN3, FAMILY_GEMMA};
    model_config c = model_config_of_family(family[which % CASES]);
    c.compute = which < CASES ? TYPE_F32 : TYPE_BF16;
    c.vocab_size = 300; /* two tiles of the head, and rows behind the tokenizer's ids */
    c.n_vocab = 290;
    c.context = 200; /* four pages */
    c.n_layer = 2;
    c.n_score = 1;
    set_heads(&c, 64, 4, 4, 16, 100);
    switch (which % CASES) {
    case CASE_GPT2:
        c.n_layer = 3;
        c.score_bias = 1;
        break;
    case CASE_LLAMA:
        c.n_layer = 3;
        c.n_kv_head = 2;
        break;
    case CASE_GPT2_HEADS_8:
        set_heads(&c, 40, 5, 5, 8, 160);
        break;
    case CASE_LLAMA_HEADS_64:
        set_heads(&c, 96, 3, 1, 64, 130);
        c.tied = c.qkv_bias = c.out_bias = c.score_bias = 1;
        break;
    case 4:
        set_heads(&c, 72, 6, 3, 16, 90);
        c.position = POSITION_ROPE;
        c.qkv_bias = c.out_bias = c.mlp_bias = c.tied = 0;
        break;
    case 5:
        set_heads(&c, 56, 2, 2, 16, 77);
        c.position = POSITION_LEARNED;
        c.qkv_bias = c.out_bias = c.mlp_bias = c.tied = 1;
        break;
    case 6:
        set_heads(&c, 48, 4, 1, 8, 61);
        c.activation = ACTIVATION_SWIGLU;
        c.mlp_bias = c.tied = 0;
        break;
    case CASE_SCORE:
        c.activation = ACTIVATION_GELU;
        c.mlp_bias = c.score_bias = 1;
        c.language_head = 0;
        break;
    case CASE_MISTRAL:
        c.n_kv_head = 2;
        c.window = 70;
        c.rope_scaling = (rope_scaling){ROPE_LINEAR, 2.5f, 0, 0, 0};
        break;
    case CASE_QWEN2:
        set_heads(&c, 48, 3, 1, 32, 90);
        c.rope_scaling = (rope_scaling){ROPE_LLAMA3, 8, 1, 4, 64};
        break;
    case CASE_QWEN3:
        set_heads(&c, 56, 4, 2, 24, 100);
        c.tied = c.score_bias = 1;
        break;
    case CASE_GEMMA:
        set_heads(&c, 40, 3, 1, 16, 70);
        break;
    default:
        fail_msg("no case %d", which);
    }
    return c;
}

static int ends_with(const char *text, const char *tail) {
    size_t n = strlen(text), k = strlen(tail);
    return n >= k && strcmp(text + n - k, tail) == 0;
}

static void draw_param(const param *p, random_key key, float *value) {
    double scale = 0.3, middle = 0;
    if (p->rows == 1 && strstr(p->name, "norm") && ends_with(p->name, ".weight")) middle = 1;
    if (p->rows > 1 && strncmp(p->name, "layer.", 6) == 0) scale = 1.0 / __builtin_sqrt(p->cols);
    random_normal(key, (size_t)p->count, value);
    for (int64_t j = 0; j < p->count; j++) value[j] = (float)(middle + scale * value[j]);
}

model *case_model(device *dev, const model_config *config, uint64_t seed, int trained) {
    model *m;
    OK(model_init(dev, config, seed, trained, &m, err));
    const flat *f = model_flat(m);
    float *value = calloc((size_t)f->count, sizeof *value);
    assert_non_null(value);
    for (int i = 0; i < f->n_param; i++)
        draw_param(&f->param[i], random_make_key(seed, RANDOM_TEST, 1, (uint32_t)i),
                   value + f->param[i].offset);
    case_set_parameters(m, value);
    free(value);
    return m;
}

model *case_adapted(device *dev, const model_config *config, uint64_t seed, int trained,
                    const char *directory) {
    static const lora_options how = {.rank = CASE_RANK, .alpha = 5};
    model_config body = *config;
    model *base, *m;
    body.n_score = body.score_bias = 0;
    body.language_head = 1;
    base = case_model(dev, &body, seed, 0);
    OK(model_save(base, NULL, directory, err));
    model_free(base);
    model_options o = {.trained = trained,
                       .language_head = config->language_head,
                       .n_score = config->n_score,
                       .score_bias = config->score_bias,
                       .n_vocab = config->n_vocab,
                       .compute = config->compute,
                       .seed = seed,
                       .lora = &how};
    OK(model_load(dev, directory, &o, &m, err));
    const flat *f = model_flat(m);
    float *value = calloc((size_t)f->count, sizeof *value);
    assert_non_null(value);
    for (int i = 0; i < f->n_param; i++)
        random_normal(random_make_key(seed, RANDOM_TEST, 2, (uint32_t)i), (size_t)f->param[i].count,
                      value + f->param[i].offset);
    for (int64_t i = 0; i < f->count; i++) value[i] *= 0.1f;
    case_set_parameters(m, value);
    free(value);
    return m;
}

void case_set_parameters(model *m, const float *values) {
    device *dev = model_device(m);
    const flat *f = model_flat(m);
    dev->ops->upload(dev, f->master, values, sizeof *values * (size_t)f->count);
    model_changed(m);
    OK(dev->ops->sync(dev, err));
}

static float *download(const model *m, const float *from) {
    device *dev = model_device(m);
    size_t bytes = sizeof *from * (size_t)model_flat(m)->count;
    float *host = malloc(bytes);
    assert_non_null(host);
    OK(dev->ops->download(dev, host, from, bytes, err));
    return host;
}

float *case_parameters(const model *m) { return download(m, model_flat(m)->master); }
float *case_gradients(const model *m) { return download(m, model_flat(m)->grad); }

model_config case_tiny(model_family family) {
    model_config c = model_config_of_family(family);
    c.vocab_size = c.n_vocab = 3;
    c.context = 2;
    c.n_layer = 1;
    c.d_ff = 3;
    c.d_model = 4;
    c.n_head = c.n_kv_head = 2;
    c.head_dim = 2;
    if (family != FAMILY_GPT2) c.n_kv_head = 1;
    return c;
}

model *case_numbered(device *dev, const model_config *c) {
    model *m;
    OK(model_init(dev, c, 1, 0, &m, err));
    const flat *f = model_flat(m);
    float *value = calloc((size_t)f->count, sizeof *value);
    for (int i = 0; i < f->n_param; i++)
        for (int j = 0; j < f->param[i].count; j++) value[f->param[i].offset + j] = (float)i + (float)j / 100;
    case_set_parameters(m, value);
    free(value);
    return m;
}

/* ---- batches ---- */

static int below(uint64_t seed, int what, int i, int n) {
    return (int)random_below(random_make_key(seed, RANDOM_TEST, 2, (uint32_t)what), (uint64_t)i, 0,
                             (uint64_t)n);
}

static void add_row(case_batch *cb, const model_config *c, uint64_t seed, int row_pos) {
    int r = cb->b.n_row++;
    cb->row_pos[r] = row_pos;
    cb->row_target[r] = below(seed, 0, r, c->n_vocab);
    cb->dlogprob[r] = (float)(below(seed, 1, r, 21) - 10) / 50;
    cb->dentropy[r] = (float)(below(seed, 2, r, 21) - 10) / 50;
    cb->dscore[r] = (float)(below(seed, 3, r, 21) - 10) / 50;
}

void case_draw(case_batch *cb, const model_config *c, uint64_t seed, int n_seq, const int *length) {
    cb->b = (batch){.n_seq = n_seq,
                    .token = cb->token,
                    .seq_start = cb->seq_start,
                    .seq_id = cb->seq_id,
                    .row_pos = cb->row_pos,
                    .row_target = cb->row_target};
    cb->seq_start[0] = 0;
    for (int s = 0; s < n_seq; s++) {
        cb->seq_start[s + 1] = cb->seq_start[s] + length[s];
        cb->seq_id[s] = random_below(random_make_key(seed, RANDOM_TEST, 3, 0), (uint64_t)s, 0, UINT64_MAX);
    }
    cb->b.n_token = cb->seq_start[n_seq];
    assert_true(n_seq <= CASE_SEQS && cb->b.n_token <= CASE_TOKENS);
    for (int i = 0; i < cb->b.n_token; i++) {
        cb->token[i] = below(seed, 4, i, c->vocab_size);
        add_row(cb, c, seed, i);
    }
}

void case_draw_rows(case_batch *cb, const model_config *c, uint64_t seed, int n_row) {
    cb->b.n_row = 0;
    /* Each row is at a token behind the last row's, or, one time in four, at the same. */
    for (int r = 0, at = 0; r < n_row; r++) {
        int left = cb->b.n_token - 1 - at, steps = left / (n_row - r) + 1;
        if (r == 0)
            at = below(seed, 5, r, steps);
        else if (left > 0 && below(seed, 6, r, 4) > 0)
            at += 1 + below(seed, 5, r, steps < left ? steps : left);
        add_row(cb, c, seed, at);
    }
}

row_grads case_grads(const case_batch *cb, const model_config *c) {
    row_grads g = {.score = c->n_score ? cb->dscore : NULL};
    if (c->language_head) g.logprob = cb->dlogprob, g.entropy = cb->dentropy;
    return g;
}

limits case_limits(const model_config *c, int backward, keep_kind keep) {
    return (limits){.max_token = CASE_TOKENS,
                    .max_row = CASE_TOKENS,
                    .max_seq = CASE_SEQS,
                    .max_len = c->context,
                    .backward = backward,
                    .keep = keep,
                    .n_slot = CASE_SEQS,
                    .n_page = 48};
}

workspace *case_workspace(device *dev, const model_config *c, int backward, keep_kind keep) {
    limits l = case_limits(c, backward, keep);
    model_config shape = *c;
    workspace *ws;
    shape.lora_rank = CASE_RANK; /* serves adapted models too */
    OK(workspace_create(dev, &shape, &l, &ws, err));
    return ws;
}

/* ---- values ---- */

row_values case_read(case_values *v, const model_config *c) {
    row_values values = {.score = c->n_score ? v->score : NULL};
    if (c->language_head) values.logprob = v->logprob, values.entropy = v->entropy;
    return values;
}

void case_forward(const model *m, workspace *ws, const batch *b, const forward_options *o, case_values *out) {
    row_values values = case_read(out, model_get_config(m));
    OK(model_forward(m, ws, b, o, err));
    OK(model_read(m, ws, &values, err));
}

void case_same(const char *what, const device *dev, const void *got, const void *want, int64_t n) {
    const float *a = got, *b = want;
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s, %s: number %lld of %lld is %.9g, not %.9g", what, dev->name, (long long)i,
                     (long long)n, (double)a[i], (double)b[i]);
}
