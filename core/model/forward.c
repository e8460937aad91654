/* Forward: tokens to states to rows. A block's backward stands in backward.c in the mirrored order. */
#include "core/model/adapter.h"
#include "core/model/internal.h"

/* Dropout's places: 0 the embedding, then two in each block. */
static int dropout_site(int l, int mlp) { return 1 + 2 * l + mlp; }

/* out = residual + dropout(branch) */
static void add_residual(const workspace *ws, mat out, mat residual, mat branch, int site) {
    int n = ws->b.n_token;
    op(ws->dev, add, .out = out, .a = residual, .b = branch, .dropout = ws->options.dropout,
       .key = ws->options.dropout_key, .site = site, .sequence = {ws->sequence.data, n},
       .position = {ws->position.data, n});
}

static void attend(const model *m, workspace *ws, int l, const layer_saved *s, const kv_cache *kv) {
    struct attention_shape shape = model_attention_shape(&m->config);
    int n_seq = ws->b.n_seq;
    ivec start = {ws->start.data, n_seq + 1}, slot = {ws->slot.data, n_seq},
         cached = {ws->cached.data, n_seq};
    if (!kv) {
        op(ws->dev, attention, .out = s->att, .lse = s->lse, .qkv = s->qkv, .start = start,
           .max_len = ws->max_len, .shape = shape, .scratch = ws->scratch);
        return;
    }
    op(ws->dev, kv_write, .pages = kv->pages[l], .qkv = s->qkv, .start = start, .slot = slot,
       .cached = cached, .page_table = kv->page_table, .table_width = kv->table_width, .shape = shape);
    op(ws->dev, attention_paged, .out = s->att, .qkv = s->qkv, .pages = kv->pages[l], .start = start,
       .slot = slot, .cached = cached, .page_table = kv->page_table, .table_width = kv->table_width,
       .shape = shape);
}

/* q and k, as they came from their product, to what is attended: the norm of each head, then rope. */
static void place_queries_and_keys(const model *m, workspace *ws, int l, const layer_saved *s) {
    const model_config *c = &m->config;
    const layer_params *p = &m->w->layer[l];
    int q = c->n_head * c->head_dim, k = c->n_kv_head * c->head_dim;
    if (c->qk_norm) {
        mat out = mat_columns(s->qkv, 0, q + k), in = out;
        if (s->qk.data) {
            in = s->qk;
            op(ws->dev, add, .out = in, .b = out);
        }
        op(ws->dev, head_norm, .y = mat_columns(out, 0, q), .x = mat_columns(in, 0, q), .gain = p->q_norm,
           .rstd = mat_columns(s->qk_rstd, 0, c->n_head), .n_head = c->n_head, .eps = c->norm_eps);
        op(ws->dev, head_norm, .y = mat_columns(out, q, k), .x = mat_columns(in, q, k), .gain = p->k_norm,
           .rstd = mat_columns(s->qk_rstd, c->n_head, c->n_kv_head), .n_head = c->n_kv_head,
           .eps = c->norm_eps);
    }
    if (c->position == POSITION_ROPE)
        op(ws->dev, rope, .x = s->qkv, .cosine = m->w->cosine, .sine = m->w->sine,
           .position = {ws->position.data, s->qkv.rows}, .n_rotated = c->n_head + c->n_kv_head,
           .head_dim = c->head_dim);
}

void model_layer_forward(const model *m, workspace *ws, int l, mat x_in, const layer_saved *s, mat x_out,
                         const kv_cache *kv) {
    device *dev = ws->dev;
    const model_config *c = &m->config;
    const layer_params *p = &m->w->layer[l];
    mat branch = mat_rows(ws->branch, 0, x_in.rows);

    op(dev, norm, .y = s->norm1, .x = x_in, .gain = p->norm1_gain, .bias = p->norm1_bias, .mean = s->mean1,
       .rstd = s->rstd1, .kind = c->norm, .eps = c->norm_eps, .offset = model_gain_offset(c));
    op(dev, linear, .y = s->qkv, .x = s->norm1, .w = p->qkv, .bias = p->qkv_bias);
    adapter_forward(m->adapter, l, ADAPTER_QKV, s->norm1, s->low[ADAPTER_QKV], s->qkv);
    place_queries_and_keys(m, ws, l, s);
    attend(m, ws, l, s, kv);
    op(dev, linear, .y = branch, .x = s->att, .w = p->out, .bias = p->out_bias);
    adapter_forward(m->adapter, l, ADAPTER_OUT, s->att, s->low[ADAPTER_OUT], branch);
    add_residual(ws, s->mid, x_in, branch, dropout_site(l, 0));

    op(dev, norm, .y = s->norm2, .x = s->mid, .gain = p->norm2_gain, .bias = p->norm2_bias, .mean = s->mean2,
       .rstd = s->rstd2, .kind = c->norm, .eps = c->norm_eps, .offset = model_gain_offset(c));
    op(dev, linear, .y = s->up, .x = s->norm2, .w = p->up, .bias = p->up_bias);
    adapter_forward(m->adapter, l, ADAPTER_UP, s->norm2, s->low[ADAPTER_UP], s->up);
    if (c->activation == ACTIVATION_GELU)
        op(dev, gelu, .y = s->act, .x = s->up);
    else
        op(dev, glu, .y = s->act, .x = s->up, .kind = model_glu_kind(c));
    op(dev, linear, .y = branch, .x = s->act, .w = p->down, .bias = p->down_bias);
    adapter_forward(m->adapter, l, ADAPTER_DOWN, s->act, s->low[ADAPTER_DOWN], branch);
    add_residual(ws, x_out, s->mid, branch, dropout_site(l, 1));
}

static void run_forward(const model *m, workspace *ws, const kv_cache *kv) {
    device *dev = ws->dev;
    const model_config *c = &m->config;
    int n = ws->b.n_token, n_row = ws->b.n_row;
    mat x = mat_rows(ws->x[0], 0, n);
    op(dev, embed, .out = x, .token_table = m->w->token_table, .position_table = m->w->position_table,
       .token = {ws->token.data, n}, .position = {ws->position.data, n});
    if (c->scaled_embedding) op(dev, scale, .y = x, .x = x, .factor = model_embedding_scale(c));
    if (ws->options.dropout > 0) add_residual(ws, x, (mat){0}, x, 0);
    for (int l = 0; l < c->n_layer; l++) {
        layer_saved s = layer_saved_rows(&ws->saved[l], n);
        mat next = mat_rows(ws->x[l + 1], 0, n);
        model_layer_forward(m, ws, l, x, &s, next, kv);
        x = next;
    }
    if (!n_row) return;
    mat row_x = mat_rows(ws->row_x, 0, n_row);
    op(dev, rows_gather, .out = row_x, .x = x, .index = {ws->row_pos.data, n_row});
    op(dev, norm, .y = mat_rows(ws->hidden, 0, n_row), .x = row_x, .gain = m->w->norm_gain,
       .bias = m->w->norm_bias, .mean = {ws->row_mean.data, n_row}, .rstd = {ws->row_rstd.data, n_row},
       .kind = c->norm, .eps = c->norm_eps, .offset = model_gain_offset(c));
}

static status check_options(const workspace *ws, const forward_options *o, error *err) {
    if (!(o->temperature > 0))
        return error_set(err, STATUS_USAGE, "temperature is %g, must be > 0", (double)o->temperature);
    if (!(o->dropout >= 0 && o->dropout < 1))
        return error_set(err, STATUS_USAGE, "dropout is %g, must be in [0, 1)", (double)o->dropout);
    if (o->for_backward && !ws->limits.backward)
        return error_set(err, STATUS_FAILED, "this workspace was made without backward");
    return STATUS_OK;
}

status model_forward(const model *m, workspace *ws, const batch *b, const forward_options *options,
                     error *err) {
    TRY(check_options(ws, options, err));
    TRY(workspace_take_batch(m, ws, b, NULL, NULL, err));
    ws->options = *options;
    ws->extended = 0;
    run_forward(m, ws, NULL);
    return STATUS_OK;
}

status model_read(const model *m, workspace *ws, row_values *values, error *err) {
    device *dev = ws->dev;
    int n = ws->b.n_row;
    if (ws->owner != m || ws->version != m->version)
        return error_set(err, STATUS_FAILED, "the workspace does not hold this model's forward");
    mat hidden = mat_rows(ws->hidden, 0, n);
    if (values->logprob || values->entropy) {
        if (!m->config.language_head || (values->logprob && !ws->has_targets))
            return error_set(err, STATUS_FAILED,
                             "log-probabilities need a language head and the batch's targets");
        op(dev, vocab, .hidden = hidden, .w = m->w->head, .n_vocab = m->config.n_vocab,
           .temperature = ws->options.temperature,
           .target = {ws->has_targets ? ws->row_target.data : NULL, n},
           .logprob = {ws->has_targets ? ws->logprob.data : NULL, n}, .entropy = {ws->entropy.data, n},
           .lse = {ws->lse.data, n}, .scratch = ws->scratch);
        ws->has_lse = 1;
    }
    if (values->score) {
        if (!m->config.n_score) return error_set(err, STATUS_FAILED, "the model has no score head");
        op(dev, score, .score = {ws->score.data, n}, .w = model_score_weight(m), .bias = model_score_bias(m),
           .hidden = hidden);
    }
    size_t bytes = sizeof(float) * (size_t)n;
    if (values->logprob) TRY(dev->ops->download(dev, values->logprob, ws->logprob.data, bytes, err));
    if (values->entropy) TRY(dev->ops->download(dev, values->entropy, ws->entropy.data, bytes, err));
    if (values->score) TRY(dev->ops->download(dev, values->score, ws->score.data, bytes, err));
    return dev->ops->sync(dev, err);
}

status model_extend(const model *m, workspace *ws, kv_cache *kv, const batch *b, const int32_t *slot,
                    float temperature, error *err) {
    forward_options options = {.temperature = temperature};
    TRY(check_options(ws, &options, err));
    TRY(kv_begin_extend(kv, m, b, slot, ws->h_cached, ws->limits.max_seq, err));
    TRY(workspace_take_batch(m, ws, b, slot, ws->h_cached, err));
    ws->options = options;
    ws->extended = 1;
    run_forward(m, ws, kv);
    kv_end_extend(kv, m, b, slot);
    return STATUS_OK;
}

status model_sample(const model *m, workspace *ws, const uint64_t *row_seq_id, const sampling *how,
                    int32_t *token, float *logprob, error *err) {
    device *dev = ws->dev;
    int n = ws->b.n_row;
    if (ws->owner != m || ws->version != m->version || !ws->extended || !m->config.language_head)
        return error_set(err, STATUS_FAILED, "only rows that this model has just extended can be sampled");
    for (int r = 0; r < n; r++) ws->h_row_sequence[r] = row_seq_id[r];
    dev->ops->upload(dev, ws->row_sequence.data, ws->h_row_sequence, sizeof *row_seq_id * (size_t)n);
    op(dev, sample, .token = {ws->sampled.data, n}, .logprob = {ws->logprob.data, n},
       .hidden = mat_rows(ws->hidden, 0, n), .w = m->w->head, .n_vocab = m->config.n_vocab,
       .temperature = how->temperature, .greedy = how->greedy, .top_k = how->top_k, .top_p = how->top_p,
       .key = how->key, .sequence = {ws->row_sequence.data, n}, .position = {ws->row_position.data, n},
       .scratch = ws->scratch);
    TRY(dev->ops->download(dev, token, ws->sampled.data, sizeof *token * (size_t)n, err));
    return dev->ops->download(dev, logprob, ws->logprob.data, sizeof *logprob * (size_t)n, err);
}
