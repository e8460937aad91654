/* Backward: gradients of rows to gradients of parameters, in the mirrored order of forward.c. */
#include "core/model/adapter.h"
#include "core/model/internal.h"

/* Of a matrix without gaps. Zero is all bits 0 in any type; the arena's next piece begins behind a whole
 * float.
 */
static void zero(device *dev, mat m) {
    size_t bytes = (size_t)m.rows * (size_t)m.cols * dtype_size(m.type);
    op(dev, fill, .y = {m.data, (int64_t)(bytes + 3) / 4}, .value = 0);
}

/* The gradient that enters a branch through its dropout; without dropout it is dx itself. */
static mat branch_grad(const workspace *ws, mat dx, int site) {
    if (!(ws->options.dropout > 0)) return dx;
    mat out = mat_rows(ws->branch, 0, dx.rows);
    op(ws->dev, add, .out = out, .b = dx, .dropout = ws->options.dropout, .key = ws->options.dropout_key,
       .site = site, .sequence = {ws->sequence.data, dx.rows}, .position = {ws->position.data, dx.rows});
    return out;
}

static void linear_backward(const model *m, workspace *ws, const weight *w, vec bias, mat x, mat dy, mat dx) {
    if (m->w->use == WEIGHTS_TRAINED)
        op(ws->dev, linear_dw, .dw = flat_mat_grad(&m->w->flat, w->w), .dy = dy, .x = x,
           .db = flat_vec_grad(&m->w->flat, bias), .scratch = ws->scratch);
    op(ws->dev, linear_dx, .dx = dx, .dy = dy, .w = *w);
}

/* What an adapter of the same product adds to dx. */
static void low_backward(const model *m, workspace *ws, int l, adapter_site site, const layer_saved *s, mat x,
                         mat dy, mat dx) {
    adapter_backward(m->adapter, l, site, x, s->low[site], dy, ws->dlow, dx, ws->scratch);
}

/* The gradient of what is attended to that of the product before it, in place. */
static void place_queries_and_keys_backward(const model *m, workspace *ws, int l, const layer_saved *s,
                                            mat dqkv) {
    const model_config *c = &m->config;
    const layer_params *p = &m->w->layer[l];
    int q = c->n_head * c->head_dim, k = c->n_kv_head * c->head_dim;
    if (c->position == POSITION_ROPE)
        op(ws->dev, rope, .x = dqkv, .cosine = m->w->cosine, .sine = m->w->sine,
           .position = {ws->position.data, dqkv.rows}, .n_rotated = c->n_head + c->n_kv_head,
           .head_dim = c->head_dim, .inverse = 1);
    if (!c->qk_norm) return;
    mat dq = mat_columns(dqkv, 0, q), dk = mat_columns(dqkv, q, k);
    op(ws->dev, head_norm_dx, .dx = dq, .dy = dq, .x = mat_columns(s->qk, 0, q),
       .rstd = mat_columns(s->qk_rstd, 0, c->n_head), .gain = p->q_norm,
       .dgain = flat_vec_grad(&m->w->flat, p->q_norm), .n_head = c->n_head);
    op(ws->dev, head_norm_dx, .dx = dk, .dy = dk, .x = mat_columns(s->qk, q, k),
       .rstd = mat_columns(s->qk_rstd, c->n_head, c->n_kv_head), .gain = p->k_norm,
       .dgain = flat_vec_grad(&m->w->flat, p->k_norm), .n_head = c->n_kv_head);
}

/* dx: gradient of the block's output, becomes that of its input x_in. */
static void layer_backward(const model *m, workspace *ws, int l, mat x_in, const layer_saved *s, mat dx) {
    device *dev = ws->dev;
    const model_config *c = &m->config;
    const layer_params *p = &m->w->layer[l];
    int n = dx.rows;
    mat dn = mat_rows(ws->dn, 0, n), dact = mat_rows(ws->dact, 0, n), dup = mat_rows(ws->dup, 0, n);
    mat datt = mat_rows(ws->datt, 0, n), dqkv = mat_rows(ws->dqkv, 0, n);

    mat dbranch = branch_grad(ws, dx, 2 + 2 * l);
    linear_backward(m, ws, &p->down, p->down_bias, s->act, dbranch, dact);
    low_backward(m, ws, l, ADAPTER_DOWN, s, s->act, dbranch, dact);
    if (c->activation == ACTIVATION_GELU)
        op(dev, gelu_dx, .dx = dup, .dy = dact, .x = s->up);
    else
        op(dev, glu_dx, .dx = dup, .dy = dact, .x = s->up, .kind = model_glu_kind(c));
    linear_backward(m, ws, &p->up, p->up_bias, s->norm2, dup, dn);
    low_backward(m, ws, l, ADAPTER_UP, s, s->norm2, dup, dn);
    op(dev, norm_dx, .dx = dx, .dy = dn, .x = s->mid, .gain = p->norm2_gain,
       .dgain = flat_vec_grad(&m->w->flat, p->norm2_gain), .dbias = flat_vec_grad(&m->w->flat, p->norm2_bias),
       .mean = s->mean2, .rstd = s->rstd2, .kind = c->norm, .offset = model_gain_offset(c));

    dbranch = branch_grad(ws, dx, 1 + 2 * l);
    linear_backward(m, ws, &p->out, p->out_bias, s->att, dbranch, datt);
    low_backward(m, ws, l, ADAPTER_OUT, s, s->att, dbranch, datt);
    op(dev, attention_dx, .dqkv = dqkv, .dout = datt, .out = s->att, .lse = s->lse, .qkv = s->qkv,
       .start = {ws->start.data, ws->b.n_seq + 1}, .max_len = ws->max_len, .shape = model_attention_shape(c),
       .scratch = ws->scratch);
    place_queries_and_keys_backward(m, ws, l, s, dqkv);
    linear_backward(m, ws, &p->qkv, p->qkv_bias, s->norm1, dqkv, dn);
    low_backward(m, ws, l, ADAPTER_QKV, s, s->norm1, dqkv, dn);
    op(dev, norm_dx, .dx = dx, .dy = dn, .x = x_in, .gain = p->norm1_gain,
       .dgain = flat_vec_grad(&m->w->flat, p->norm1_gain), .dbias = flat_vec_grad(&m->w->flat, p->norm1_bias),
       .mean = s->mean1, .rstd = s->rstd1, .kind = c->norm, .offset = model_gain_offset(c));
}

/* Gradients of the rows' values to the gradient of their gathered states, in ws->drow. */
static void heads_backward(const model *m, workspace *ws, const row_grads *grads, int compute) {
    device *dev = ws->dev;
    int n = ws->b.n_row;
    size_t bytes = sizeof(float) * (size_t)n;
    mat hidden = mat_rows(ws->hidden, 0, n), dhidden = mat_rows(ws->dhidden, 0, n),
        drow = mat_rows(ws->drow, 0, n);
    if (grads->logprob || grads->entropy) {
        if (grads->logprob)
            dev->ops->upload(dev, ws->dlogprob.data, grads->logprob, bytes);
        else
            op(dev, fill, .y = {ws->dlogprob.data, n}, .value = 0);
        if (grads->entropy) dev->ops->upload(dev, ws->dentropy.data, grads->entropy, bytes);
        op(dev, vocab_dx, .dhidden = dhidden, .dw = flat_mat_grad(&m->w->flat, m->w->head.w),
           .hidden = hidden, .w = m->w->head, .n_vocab = m->config.n_vocab,
           .temperature = ws->options.temperature, .target = {ws->row_target.data, n},
           .logprob = {ws->logprob.data, n}, .entropy = {ws->entropy.data, n}, .lse = {ws->lse.data, n},
           .dlogprob = {ws->dlogprob.data, n}, .dentropy = {grads->entropy ? ws->dentropy.data : NULL, n},
           .compute = compute, .scratch = ws->scratch);
    } else {
        zero(dev, dhidden);
    }
    if (grads->score) {
        dev->ops->upload(dev, ws->dscore.data, grads->score, bytes);
        op(dev, score_dx, .dhidden = dhidden, .hidden = hidden,
           .dw = flat_vec_grad(model_flat(m), model_score_weight(m)),
           .dbias = flat_vec_grad(model_flat(m), model_score_bias(m)), .w = model_score_weight(m),
           .dscore = {ws->dscore.data, n});
    }
    zero(dev, drow);
    op(dev, norm_dx, .dx = drow, .dy = dhidden, .x = mat_rows(ws->row_x, 0, n), .gain = m->w->norm_gain,
       .dgain = flat_vec_grad(&m->w->flat, m->w->norm_gain),
       .dbias = flat_vec_grad(&m->w->flat, m->w->norm_bias), .mean = {ws->row_mean.data, n},
       .rstd = {ws->row_rstd.data, n}, .kind = m->config.norm, .offset = model_gain_offset(&m->config));
}

static void embedding_backward(const model *m, workspace *ws, mat dx) {
    mat dout = branch_grad(ws, dx, 0);
    int n = dx.rows;
    if (m->config.scaled_embedding)
        op(ws->dev, scale, .y = dout, .x = dout, .factor = model_embedding_scale(&m->config));
    op(ws->dev, embed_dw, .d_table = flat_mat_grad(&m->w->flat, m->w->token_table), .dout = dout,
       .id = {ws->token.data, n}, .order = {ws->order.data, n});
    if (m->w->position_table.data)
        op(ws->dev, embed_dw, .d_table = flat_mat_grad(&m->w->flat, m->w->position_table), .dout = dout,
           .id = {ws->position.data, n}, .order = {ws->position_order.data, n});
}

static status check(const model *m, const workspace *ws, const row_grads *grads, const row_values *values,
                    error *err) {
    if (!model_flat(m)->grad) return error_set(err, STATUS_FAILED, "a frozen model has no backward");
    if (ws->owner != m || ws->version != m->version || !ws->options.for_backward || ws->extended)
        return error_set(err, STATUS_FAILED, "the workspace does not hold this model's forward for backward");
    if ((grads->logprob || grads->entropy) && (!m->config.language_head || !ws->has_targets))
        return error_set(err, STATUS_FAILED,
                         "gradients of log-probabilities need a language head and targets");
    if ((grads->logprob || grads->entropy) && !values && !ws->has_lse)
        return error_set(err, STATUS_FAILED,
                         "backward without values needs a read of log-probabilities before it");
    if (grads->score && !m->config.n_score)
        return error_set(err, STATUS_FAILED, "the model has no score head");
    return STATUS_OK;
}

status model_backward(model *m, workspace *ws, const row_grads *grads, row_values *values, error *err) {
    TRY(check(m, ws, grads, values, err));
    device *dev = ws->dev;
    int n = ws->b.n_token, n_row = ws->b.n_row;
    heads_backward(m, ws, grads, values != NULL);
    mat dx = mat_rows(ws->dx, 0, n);
    zero(dev, dx);
    op(dev, rows_add, .x = dx, .in = mat_rows(ws->drow, 0, n_row), .index = {ws->row_pos.data, n_row});
    for (int l = m->config.n_layer - 1; l >= 0; l--) {
        layer_saved s = layer_saved_rows(&ws->saved[l], n);
        mat x_in = mat_rows(ws->x[l], 0, n);
        if (ws->limits.keep == KEEP_LAYER_INPUT)
            model_layer_forward(m, ws, l, x_in, &s, mat_rows(ws->x[l + 1], 0, n), NULL);
        layer_backward(m, ws, l, x_in, &s, dx);
    }
    if (m->w->use == WEIGHTS_TRAINED) embedding_backward(m, ws, dx);
    ws->owner = NULL;
    if (!values) return STATUS_OK;
    size_t bytes = sizeof(float) * (size_t)n_row;
    if (values->logprob) TRY(dev->ops->download(dev, values->logprob, ws->logprob.data, bytes, err));
    if (values->entropy) TRY(dev->ops->download(dev, values->entropy, ws->entropy.data, bytes, err));
    return dev->ops->sync(dev, err);
}
