#include "ppo/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/files/safetensors.h"

/* A minibatch's figures, copied. */
typedef struct kept {
    int n, n_token;
    int32_t *index;
    float *logprob, *value;
    float policy_loss, value_loss, grad_norm;
} kept;

struct trace {
    char *directory;
    int most, n_kept;
    kept *kept;
    tensor_entry *entry; /* of one file */
    char (*name)[32];
    int n_entry;
    int32_t *token, *start; /* the ragged pack of a rollout */
};

enum { FIELDS = 11, FIELDS_OF_MINIBATCH = 6 };

status trace_open(const char *directory, const struct config_ppo *c, int n_answer, trace **out, error *err) {
    *out = NULL;
    if (!directory) return STATUS_OK;
    TRY(path_make_directories(directory, err));
    trace *t = *out = calloc(1, sizeof *t);
    if (!t) return error_memory(err, "a trace");
    t->most = c->epochs * c->minibatches;
    int n_entry = FIELDS + FIELDS_OF_MINIBATCH * t->most;
    t->directory = strdup(directory);
    t->kept = calloc((size_t)t->most, sizeof *t->kept);
    t->entry = calloc((size_t)n_entry, sizeof *t->entry);
    t->name = calloc((size_t)n_entry, sizeof *t->name);
    t->start = calloc((size_t)n_answer + 1, sizeof *t->start);
    return t->directory && t->kept && t->entry && t->name && t->start ? STATUS_OK
                                                                      : error_memory(err, "a trace");
}

static void drop_kept(trace *t) {
    for (int i = 0; i < t->n_kept; i++) {
        free(t->kept[i].index);
        free(t->kept[i].logprob);
        free(t->kept[i].value);
    }
    t->n_kept = 0;
}

void trace_close(trace *t) {
    if (!t) return;
    drop_kept(t);
    free(t->directory);
    free(t->kept);
    free(t->entry);
    free(t->name);
    free(t->start);
    free(t->token);
    free(t);
}

static status save_one(const trace *t, session *s, const model *m, int64_t iteration, const char *when,
                       const char *name, error *err) {
    buffer path = {0};
    buffer_format(&path, "%s/iteration-%06lld/%s/%s", t->directory, (long long)iteration, when, name);
    status st = buffer_check(&path, err);
    if (st == STATUS_OK) st = model_save_merged(m, NULL, path.data, err);
    if (st == STATUS_OK) st = session_save_tokenizer(s, path.data, err);
    buffer_free(&path);
    return st;
}

status trace_models(trace *t, session *s, const ppo_models *m, int64_t iteration, const char *when,
                    error *err) {
    if (!t) return STATUS_OK;
    TRY(save_one(t, s, m->policy, iteration, when, "policy", err));
    return save_one(t, s, m->value, iteration, when, "value", err);
}

static void *copy(const void *from, size_t bytes) {
    void *to = malloc(bytes ? bytes : 1);
    if (to) memcpy(to, from, bytes);
    return to;
}

status trace_minibatch(void *context, const minibatch_record *record, error *err) {
    trace *t = context;
    if (!t) return STATUS_OK;
    size_t floats = sizeof(float) * (size_t)record->n_token;
    kept *k = &t->kept[t->n_kept++];
    *k = (kept){.n = record->n,
                .n_token = record->n_token,
                .index = copy(record->index, sizeof(int32_t) * (size_t)record->n),
                .logprob = copy(record->logprob, floats),
                .value = copy(record->value, floats),
                .policy_loss = (float)record->policy_loss,
                .value_loss = (float)record->value_loss,
                .grad_norm = (float)record->grad_norm};
    return k->index && k->logprob && k->value ? STATUS_OK : error_memory(err, "a trace");
}

static void add(trace *t, const char *name, int minibatch, tensor_dtype dtype, int64_t n, const void *data) {
    char *full = t->name[t->n_entry];
    if (minibatch < 0)
        snprintf(full, sizeof *t->name, "%s", name);
    else
        snprintf(full, sizeof *t->name, "%d.%s", minibatch, name);
    t->entry[t->n_entry++] =
        (tensor_entry){.name = full, .dtype = dtype, .n_dim = 1, .shape = {n}, .data = data};
}

/* All sequences one behind the other. */
static status pack_tokens(trace *t, const rollout *r, error *err) {
    for (int i = 0; i < r->n; i++) t->start[i + 1] = t->start[i] + r->n_prompt[i] + rollout_length(r, i);
    free(t->token);
    t->token = malloc(sizeof *t->token * (size_t)t->start[r->n]);
    if (!t->token) return error_memory(err, "a trace");
    for (int i = 0; i < r->n; i++)
        memcpy(t->token + t->start[i], r->token + (size_t)i * (size_t)r->width,
               sizeof *t->token * (size_t)(t->start[i + 1] - t->start[i]));
    return STATUS_OK;
}

static void add_rollout(trace *t, const rollout *r) {
    int64_t tokens = rollout_tokens(r);
    add(t, "tokens", -1, DTYPE_I32, t->start[r->n], t->token);
    add(t, "seq_start", -1, DTYPE_I32, r->n + 1, t->start);
    add(t, "prompt_len", -1, DTYPE_I32, r->n, r->n_prompt);
    add(t, "logprob_old", -1, DTYPE_F32, tokens, r->logprob);
    add(t, "logprob_ref", -1, DTYPE_F32, tokens, r->logprob_ref);
    add(t, "value_old", -1, DTYPE_F32, tokens, r->value);
    add(t, "reward", -1, DTYPE_F32, tokens, r->reward);
    add(t, "advantage", -1, DTYPE_F32, tokens, r->advantage);
    add(t, "return", -1, DTYPE_F32, tokens, r->value_target);
    add(t, "score", -1, DTYPE_F32, r->n, r->score);
}

status trace_write(trace *t, const rollout *r, int64_t iteration, error *err) {
    if (!t) return STATUS_OK;
    t->n_entry = 0;
    TRY(pack_tokens(t, r, err));
    add_rollout(t, r);
    for (int m = 0; m < t->n_kept; m++) {
        const kept *k = &t->kept[m];
        add(t, "index", m, DTYPE_I32, k->n, k->index);
        add(t, "logprob", m, DTYPE_F32, k->n_token, k->logprob);
        add(t, "value", m, DTYPE_F32, k->n_token, k->value);
        add(t, "policy_loss", m, DTYPE_F32, 1, &k->policy_loss);
        add(t, "value_loss", m, DTYPE_F32, 1, &k->value_loss);
        add(t, "grad_norm", m, DTYPE_F32, 1, &k->grad_norm);
    }
    char file[40];
    snprintf(file, sizeof file, "iteration-%06lld.safetensors", (long long)iteration);
    char *path = path_join(t->directory, file);
    status s = path ? safetensors_write(path, t->entry, t->n_entry, err) : error_memory(err, "a path");
    free(path);
    drop_kept(t);
    return s;
}
