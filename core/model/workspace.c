/* The activations of one forward: where they lie, and taking over a batch. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/internal.h"

static mat take_typed(dtype type, arena *a, int rows, int cols) {
    return mat_typed(type, arena_take(a, (size_t)rows * (size_t)cols, dtype_size(type)), rows, cols);
}
/* An activation. */
static mat take_mat(const model_config *c, arena *a, int rows, int cols) {
    return take_typed(c->compute, a, rows, cols);
}
static vec take_vec(arena *a, int64_t n) { return (vec){ARENA_TAKE(a, float, n), n}; }
static ivec take_ivec(arena *a, int n) { return (ivec){ARENA_TAKE(a, int32_t, n), n}; }
static lvec take_lvec(arena *a, int n) { return (lvec){ARENA_TAKE(a, uint64_t, n), n}; }

static layer_saved take_saved(const model_config *c, const limits *l, arena *a) {
    int t = l->max_token, d = c->d_model, heads = c->n_head + c->n_kv_head;
    layer_saved saved = {
        .norm1 = take_mat(c, a, t, d),
        .qkv = take_mat(c, a, t, model_qkv_width(c)),
        .att = take_mat(c, a, t, c->n_head * c->head_dim),
        .lse = take_typed(TYPE_F32, a, t, c->n_head),
        .mid = take_mat(c, a, t, d),
        .norm2 = take_mat(c, a, t, d),
        .up = take_mat(c, a, t, model_up_width(c)),
        .act = take_mat(c, a, t, c->d_ff),
        .mean1 = take_vec(a, t),
        .rstd1 = take_vec(a, t),
        .mean2 = take_vec(a, t),
        .rstd2 = take_vec(a, t),
    };
    if (c->qk_norm && l->backward) {
        saved.qk = take_mat(c, a, t, heads * c->head_dim);
        saved.qk_rstd = take_typed(TYPE_F32, a, t, heads);
    }
    return saved;
}

/* Of a site with all of its matrices adapted. */
static mat take_low(const workspace *ws, arena *a) {
    const model_config *c = &ws->config;
    if (!c->lora_rank) return (mat){0};
    return take_mat(c, a, ws->limits.max_token, ADAPTER_MOST_PARTS * c->lora_rank);
}

static void take_states(workspace *ws, arena *a) {
    const model_config *c = &ws->config;
    const limits *l = &ws->limits;
    int n_layer = c->n_layer, own = l->backward && l->keep == KEEP_ALL;
    mat two[2];
    for (int i = 0; i <= n_layer; i++) {
        if (l->backward || i < 2) two[i % 2] = take_mat(c, a, l->max_token, c->d_model);
        if (ws->x) ws->x[i] = two[i % 2];
    }
    layer_saved saved = {0};
    for (int i = 0; i < n_layer; i++) {
        if (own || i == 0) {
            saved = take_saved(c, l, a);
            for (int s = 0; s < ADAPTER_SITES; s++) saved.low[s] = take_low(ws, a);
        }
        if (ws->saved) ws->saved[i] = saved;
    }
    ws->branch = take_mat(c, a, l->max_token, c->d_model);
}

static void take_integers(workspace *ws, arena *a) {
    const limits *l = &ws->limits;
    ws->token = take_ivec(a, l->max_token);
    ws->position = take_ivec(a, l->max_token);
    ws->order = take_ivec(a, l->max_token);
    ws->position_order = take_ivec(a, l->max_token);
    ws->start = take_ivec(a, l->max_seq + 1);
    ws->slot = take_ivec(a, l->max_seq);
    ws->cached = take_ivec(a, l->max_seq);
    ws->row_pos = take_ivec(a, l->max_row);
    ws->row_target = take_ivec(a, l->max_row);
    ws->row_position = take_ivec(a, l->max_row);
    ws->sampled = take_ivec(a, l->max_row);
    ws->sequence = take_lvec(a, l->max_token);
    ws->row_sequence = take_lvec(a, l->max_row);
}

static void take_backward(workspace *ws, arena *a) {
    const model_config *c = &ws->config;
    int t = ws->limits.max_token, r = ws->limits.max_row, d = c->d_model;
    ws->dlogprob = take_vec(a, r);
    ws->dentropy = take_vec(a, r);
    ws->dscore = take_vec(a, r);
    ws->dx = take_mat(c, a, t, d);
    ws->dn = take_mat(c, a, t, d);
    ws->dqkv = take_mat(c, a, t, model_qkv_width(c));
    ws->datt = take_mat(c, a, t, c->n_head * c->head_dim);
    ws->dup = take_mat(c, a, t, model_up_width(c));
    ws->dact = take_mat(c, a, t, c->d_ff);
    ws->dhidden = take_mat(c, a, r, d);
    ws->drow = take_mat(c, a, r, d);
    ws->dlow = take_low(ws, a);
}

static int64_t scratch_floats(const workspace *ws) {
    const model_config *c = &ws->config;
    const limits *l = &ws->limits;
    int cols = model_qkv_width(c);
    if (model_up_width(c) > cols) cols = model_up_width(c);
    if (c->n_head * c->head_dim > cols) cols = c->n_head * c->head_dim;
    if (ADAPTER_MOST_PARTS * c->lora_rank > cols) cols = ADAPTER_MOST_PARTS * c->lora_rank;
    struct scratch_need need = {
        .max_token = l->max_token,
        .max_cols = cols,
        .max_len = l->max_len,
        .head_dim = c->head_dim,
        .max_row = c->language_head ? l->max_row : 0,
        .width = c->d_model,
        .vocab = c->vocab_size,
        .backward = l->backward,
        .type = c->compute,
    };
    return ws->dev->ops->scratch(ws->dev, &need);
}

static void lay_out(workspace *ws, arena *a, const char *owner, memory_plan *plan) {
    const model_config *c = &ws->config;
    const limits *l = &ws->limits;
    size_t before = a->used;
    take_integers(ws, a);
    take_states(ws, a);
    ws->row_x = take_mat(c, a, l->max_row, c->d_model);
    ws->hidden = take_mat(c, a, l->max_row, c->d_model);
    ws->row_mean = take_vec(a, l->max_row);
    ws->row_rstd = take_vec(a, l->max_row);
    ws->logprob = take_vec(a, l->max_row);
    ws->entropy = take_vec(a, l->max_row);
    ws->lse = take_vec(a, l->max_row);
    ws->score = take_vec(a, l->max_row);
    if (plan) plan_add(plan, owner, "activations", a->used - before);
    before = a->used;
    if (l->backward) take_backward(ws, a);
    if (plan) plan_add(plan, owner, "gradients of activations", a->used - before);
    before = a->used;
    ws->scratch = take_vec(a, scratch_floats(ws));
    if (plan) plan_add(plan, owner, "scratch of products, attention and head", a->used - before);
}

static void lay_out_host(workspace *ws, arena *a) {
    const limits *l = &ws->limits;
    ws->h_token = ARENA_TAKE(a, int32_t, l->max_token);
    ws->h_position = ARENA_TAKE(a, int32_t, l->max_token);
    ws->h_order = ARENA_TAKE(a, int32_t, l->max_token);
    ws->h_position_order = ARENA_TAKE(a, int32_t, l->max_token);
    ws->h_start = ARENA_TAKE(a, int32_t, l->max_seq + 1);
    ws->h_slot = ARENA_TAKE(a, int32_t, l->max_seq);
    ws->h_cached = ARENA_TAKE(a, int32_t, l->max_seq);
    ws->h_row_pos = ARENA_TAKE(a, int32_t, l->max_row);
    ws->h_row_target = ARENA_TAKE(a, int32_t, l->max_row);
    ws->h_row_position = ARENA_TAKE(a, int32_t, l->max_row);
    int most = ws->config.vocab_size > ws->config.context ? ws->config.vocab_size : ws->config.context;
    ws->h_count = ARENA_TAKE(a, int32_t, most + 1);
    ws->h_sequence = ARENA_TAKE(a, uint64_t, l->max_token);
    ws->h_row_sequence = ARENA_TAKE(a, uint64_t, l->max_row);
}

static status check_limits(const model_config *c, const limits *l, error *err) {
    if (l->max_token < 1 || l->max_row < 1 || l->max_seq < 1 || l->max_len < 1)
        return error_set(err, STATUS_USAGE, "a workspace needs at least one token, row and sequence");
    if (c->lora_rank < 0 || c->lora_rank > LORA_MOST_RANK)
        return error_set(err, STATUS_USAGE, "a workspace for adapters of rank %d", c->lora_rank);
    if (l->max_token > INT_MAX / 64 || l->max_row > INT_MAX / 64)
        return error_set(err, STATUS_USAGE, "a workspace of %d tokens and %d rows is too large", l->max_token,
                         l->max_row);
    return model_config_check(c, 0, err);
}

status workspace_plan(device *dev, const model_config *config, const limits *limits, const char *owner,
                      memory_plan *plan, error *err) {
    TRY(check_limits(config, limits, err));
    workspace ws = {.dev = dev, .config = *config, .limits = *limits};
    arena measure = {0};
    lay_out(&ws, &measure, owner, plan);
    arena host = {0};
    lay_out_host(&ws, &host);
    plan_add(plan, owner, "batches on the host", host.used);
    return STATUS_OK;
}

status workspace_create(device *dev, const model_config *config, const limits *limits, workspace **out,
                        error *err) {
    *out = NULL;
    TRY(check_limits(config, limits, err));
    workspace *ws = calloc(1, sizeof *ws);
    if (!ws) return error_memory(err, "a workspace");
    *ws = (workspace){.dev = dev, .config = *config, .limits = *limits};
    arena measure = {0}, host = {0};
    lay_out(ws, &measure, "", NULL);
    lay_out_host(ws, &host);
    ws->x = calloc((size_t)config->n_layer + 1, sizeof *ws->x);
    ws->saved = calloc((size_t)config->n_layer, sizeof *ws->saved);
    ws->host = host.used == SIZE_MAX ? NULL : aligned_alloc(ARENA_ALIGN, host.used);
    status s = ws->x && ws->saved && ws->host ? STATUS_OK : error_memory(err, "a workspace");
    if (s == STATUS_OK) s = dev->ops->allocate(dev, measure.used, &ws->memory, err);
    if (s != STATUS_OK) {
        workspace_free(ws);
        return s;
    }
    arena a = {ws->memory, 0, measure.used}, b = {ws->host, 0, host.used};
    lay_out(ws, &a, "", NULL);
    lay_out_host(ws, &b);
    *out = ws;
    return STATUS_OK;
}

void workspace_free(workspace *ws) {
    if (!ws) return;
    if (ws->memory) ws->dev->ops->release(ws->dev, ws->memory);
    free(ws->host);
    free(ws->x);
    free(ws->saved);
    free(ws);
}

layer_saved layer_saved_rows(const layer_saved *s, int n) {
    layer_saved cut = *s;
    cut.norm1.rows = cut.qkv.rows = cut.att.rows = cut.lse.rows = n;
    cut.mid.rows = cut.norm2.rows = cut.up.rows = cut.act.rows = n;
    cut.qk.rows = cut.qk_rstd.rows = n;
    cut.mean1.n = cut.rstd1.n = cut.mean2.n = cut.rstd2.n = n;
    return cut;
}

/* ---- taking over a batch ---- */

static status check_sequences(const workspace *ws, const batch *b, const int32_t *cached, error *err) {
    const model_config *c = &ws->config;
    const limits *l = &ws->limits;
    if (b->n_token < 1 || b->n_seq < 1 || b->seq_start[0] != 0 || b->seq_start[b->n_seq] != b->n_token)
        return error_set(err, STATUS_DATA, "a batch of %d tokens in %d sequences is not one", b->n_token,
                         b->n_seq);
    if (b->n_token > l->max_token || b->n_seq > l->max_seq || b->n_row > l->max_row)
        return error_set(err, STATUS_TOO_LARGE,
                         "a batch of %d tokens, %d sequences, %d rows; planned for %d, %d, %d", b->n_token,
                         b->n_seq, b->n_row, l->max_token, l->max_seq, l->max_row);
    for (int s = 0; s < b->n_seq; s++) {
        int n = b->seq_start[s + 1] - b->seq_start[s], before = cached ? cached[s] : 0;
        if (n < 1) return error_set(err, STATUS_DATA, "sequence %d of the batch has %d tokens", s, n);
        if (n > l->max_len)
            return error_set(err, STATUS_TOO_LARGE, "sequence %d has %d tokens; planned for %d", s, n,
                             l->max_len);
        if (n > c->context - before)
            return error_set(err, STATUS_DATA, "sequence %llu has %d tokens, the model's context is %d",
                             (unsigned long long)b->seq_id[s], before + n, c->context);
    }
    return STATUS_OK;
}

static status check_ids(const workspace *ws, const batch *b, error *err) {
    const model_config *c = &ws->config;
    for (int i = 0; i < b->n_token; i++)
        if (b->token[i] < 0 || b->token[i] >= c->vocab_size)
            return error_set(err, STATUS_DATA, "token %d is id %d, the model has %d", i, b->token[i],
                             c->vocab_size);
    for (int r = 0; r < b->n_row; r++) {
        if (b->row_pos[r] < (r ? b->row_pos[r - 1] : 0) || b->row_pos[r] >= b->n_token)
            return error_set(err, STATUS_DATA, "row %d reads token %d of %d, or goes back", r, b->row_pos[r],
                             b->n_token);
        if (b->row_target && (b->row_target[r] < 0 || b->row_target[r] >= c->n_vocab))
            return error_set(err, STATUS_DATA, "row %d wants id %d, the tokenizer has %d", r,
                             b->row_target[r], c->n_vocab);
    }
    return STATUS_OK;
}

/* order[]: 0 .. n-1 by id, stable. */
static void counting_sort(const int32_t *id, int n, int n_id, int32_t *count, int32_t *order) {
    memset(count, 0, sizeof *count * ((size_t)n_id + 1));
    for (int i = 0; i < n; i++) count[id[i] + 1]++;
    for (int i = 0; i < n_id; i++) count[i + 1] += count[i];
    for (int i = 0; i < n; i++) order[count[id[i]]++] = i;
}

static void upload(workspace *ws, void *to, const void *host, size_t n, size_t size) {
    if (n) ws->dev->ops->upload(ws->dev, to, host, n * size);
}

static void copy_batch(workspace *ws, const batch *b, const int32_t *slot, const int32_t *cached) {
    ws->max_len = 0;
    memcpy(ws->h_token, b->token, sizeof *b->token * (size_t)b->n_token);
    memcpy(ws->h_start, b->seq_start, sizeof *b->seq_start * ((size_t)b->n_seq + 1));
    for (int s = 0; s < b->n_seq; s++) {
        int first = b->seq_start[s], n = b->seq_start[s + 1] - first;
        ws->h_slot[s] = slot ? slot[s] : 0;
        ws->h_cached[s] = cached ? cached[s] : 0;
        if (n > ws->max_len) ws->max_len = n;
        for (int i = 0; i < n; i++) {
            ws->h_position[first + i] = ws->h_cached[s] + i;
            ws->h_sequence[first + i] = b->seq_id[s];
        }
    }
    for (int r = 0; r < b->n_row; r++) {
        ws->h_row_pos[r] = b->row_pos[r];
        ws->h_row_position[r] = ws->h_position[b->row_pos[r]] + 1;
        if (b->row_target) ws->h_row_target[r] = b->row_target[r];
    }
    ws->b = (batch){b->n_token,  b->n_seq,       b->n_row,      ws->h_token,
                    ws->h_start, ws->h_sequence, ws->h_row_pos, ws->h_row_target};
    ws->has_targets = b->row_target != NULL;
}

status workspace_take_batch(const model *m, workspace *ws, const batch *b, const int32_t *slot,
                            const int32_t *cached, error *err) {
    ws->owner = NULL;
    if (ws->dev != m->dev || !model_config_can_lend(&ws->config, &m->config))
        return error_set(err, STATUS_FAILED, "a workspace of another shape or device was lent to a model");
    if (m->config.lora_rank > ws->config.lora_rank)
        return error_set(err, STATUS_FAILED, "a workspace for rank %d was lent to an adapter of rank %d",
                         ws->config.lora_rank, m->config.lora_rank);
    TRY(check_sequences(ws, b, cached, err));
    TRY(check_ids(ws, b, err));
    /* What an earlier call queued may still read the host copies. */
    TRY(ws->dev->ops->sync(ws->dev, err));
    copy_batch(ws, b, slot, cached);
    size_t n = (size_t)b->n_token, n_seq = (size_t)b->n_seq, n_row = (size_t)b->n_row;
    upload(ws, ws->token.data, ws->h_token, n, sizeof(int32_t));
    upload(ws, ws->position.data, ws->h_position, n, sizeof(int32_t));
    upload(ws, ws->start.data, ws->h_start, n_seq + 1, sizeof(int32_t));
    upload(ws, ws->slot.data, ws->h_slot, n_seq, sizeof(int32_t));
    upload(ws, ws->cached.data, ws->h_cached, n_seq, sizeof(int32_t));
    upload(ws, ws->row_pos.data, ws->h_row_pos, n_row, sizeof(int32_t));
    upload(ws, ws->row_position.data, ws->h_row_position, n_row, sizeof(int32_t));
    if (b->row_target) upload(ws, ws->row_target.data, ws->h_row_target, n_row, sizeof(int32_t));
    upload(ws, ws->sequence.data, ws->h_sequence, n, sizeof(uint64_t));
    if (ws->limits.backward) {
        counting_sort(ws->h_token, b->n_token, ws->config.vocab_size, ws->h_count, ws->h_order);
        counting_sort(ws->h_position, b->n_token, ws->config.context, ws->h_count, ws->h_position_order);
        upload(ws, ws->order.data, ws->h_order, n, sizeof(int32_t));
        upload(ws, ws->position_order.data, ws->h_position_order, n, sizeof(int32_t));
    }
    ws->owner = m;
    ws->version = m->version;
    ws->has_lse = 0;
    return STATUS_OK;
}
