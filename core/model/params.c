/* The list of parameters, in the order in which they lie in the flat arrays, and what they are called. */
#include <stdio.h>
#include <stdlib.h>

#include "core/model/internal.h"

/* Appends one parameter; while counting (m->params NULL) only the numbers grow. Each starts on a vector's
 * boundary. */
static void add_param(model *m, const char *name, int rows, int cols, int decays) {
    int64_t count = (int64_t)rows * cols;
    if (m->params) {
        param *p = &m->params[m->flat.n_param];
        *p = (param){.rows = rows, .cols = cols, .offset = m->flat.count, .count = count, .decays = decays};
        snprintf(p->name, sizeof p->name, "%s", name);
    }
    m->flat.n_param++;
    m->flat.count += (count + 15) / 16 * 16;
}

static void add_layer_param(model *m, int l, const char *name, int rows, int cols) {
    char full[48];
    snprintf(full, sizeof full, "layer.%d.%s", l, name);
    add_param(m, full, rows, cols, rows > 1);
}

static void add_all(model *m) {
    const model_config *c = &m->config;
    int d = c->d_model, qkv = model_qkv_width(c), att = c->n_head * c->head_dim, up = model_up_width(c);
    int norm_bias = c->norm == NORM_LAYER;
    m->flat.n_param = 0;
    m->flat.count = 0;
    add_param(m, "token.weight", c->vocab_size, d, 1);
    if (c->position == POSITION_LEARNED) add_param(m, "position.weight", c->context, d, 1);
    for (int l = 0; l < c->n_layer; l++) {
        add_layer_param(m, l, "norm1.weight", 1, d);
        if (norm_bias) add_layer_param(m, l, "norm1.bias", 1, d);
        add_layer_param(m, l, "qkv.weight", qkv, d);
        if (c->attention_bias) add_layer_param(m, l, "qkv.bias", 1, qkv);
        add_layer_param(m, l, "out.weight", d, att);
        if (c->attention_bias) add_layer_param(m, l, "out.bias", 1, d);
        add_layer_param(m, l, "norm2.weight", 1, d);
        if (norm_bias) add_layer_param(m, l, "norm2.bias", 1, d);
        add_layer_param(m, l, "up.weight", up, d);
        if (c->mlp_bias) add_layer_param(m, l, "up.bias", 1, up);
        add_layer_param(m, l, "down.weight", d, c->d_ff);
        if (c->mlp_bias) add_layer_param(m, l, "down.bias", 1, d);
    }
    add_param(m, "norm.weight", 1, d, 0);
    if (norm_bias) add_param(m, "norm.bias", 1, d, 0);
    if (c->language_head && !c->tied) add_param(m, "head.weight", c->vocab_size, d, 1);
    if (c->n_score) add_param(m, "score.weight", 1, d, 1);
    if (c->score_bias) add_param(m, "score.bias", 1, 1, 0);
}

status model_list_params(model *m, error *err) {
    m->params = NULL;
    add_all(m);
    m->params = calloc((size_t)m->flat.n_param, sizeof *m->params);
    m->layer = calloc((size_t)m->config.n_layer, sizeof *m->layer);
    if (!m->params || !m->layer) return error_memory(err, "a model's parameter list");
    add_all(m);
    m->flat.param = m->params;
    return STATUS_OK;
}

int64_t model_count_parameters(const model_config *config) {
    model m = {.config = *config};
    add_all(&m);
    return m.flat.count;
}

/* Walks the list in the same order as add_all and hands out the places. */
typedef struct cursor {
    const model *m;
    int next;
} cursor;

static mat next_mat(cursor *c) {
    const param *p = &c->m->params[c->next++];
    return mat_of(c->m->flat.master + p->offset, p->rows, p->cols);
}

static vec next_vec(cursor *c, int present) {
    if (!present) return (vec){0};
    const param *p = &c->m->params[c->next++];
    return (vec){c->m->flat.master + p->offset, p->count};
}

void model_bind_params(model *m) {
    const model_config *c = &m->config;
    int norm_bias = c->norm == NORM_LAYER;
    cursor at = {m, 0};
    m->token_table = next_mat(&at);
    if (c->position == POSITION_LEARNED) m->position_table = next_mat(&at);
    for (int l = 0; l < c->n_layer; l++) {
        layer_params *p = &m->layer[l];
        p->norm1_gain = next_vec(&at, 1);
        p->norm1_bias = next_vec(&at, norm_bias);
        p->qkv.w = next_mat(&at);
        p->qkv_bias = next_vec(&at, c->attention_bias);
        p->out.w = next_mat(&at);
        p->out_bias = next_vec(&at, c->attention_bias);
        p->norm2_gain = next_vec(&at, 1);
        p->norm2_bias = next_vec(&at, norm_bias);
        p->up.w = next_mat(&at);
        p->up_bias = next_vec(&at, c->mlp_bias);
        p->down.w = next_mat(&at);
        p->down_bias = next_vec(&at, c->mlp_bias);
    }
    m->norm_gain = next_vec(&at, 1);
    m->norm_bias = next_vec(&at, norm_bias);
    if (c->language_head) m->head.w = c->tied ? m->token_table : next_mat(&at);
    m->score = next_vec(&at, c->n_score);
    m->score_bias = next_vec(&at, c->score_bias);
}
