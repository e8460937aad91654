/* The list of parameters, in the order in which they lie in the flat arrays, and what they are called. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/adapter.h"
#include "core/model/internal.h"

/* A matrix that products read, and nothing else. */
static int is_product(const char *name) {
    int layer;
    adapter_site site;
    return strcmp(name, "head.weight") == 0 || adapter_find_site(name, &layer, &site);
}

weight *weights_find_packs(weights *w, const param *p) {
    int layer;
    adapter_site site;
    if (strcmp(p->name, "head.weight") == 0) return &w->head;
    if (!adapter_find_site(p->name, &layer, &site)) return NULL;
    layer_params *l = &w->layer[layer];
    return site == ADAPTER_QKV   ? &l->qkv
           : site == ADAPTER_OUT ? &l->out
           : site == ADAPTER_UP  ? &l->up
                                 : &l->down;
}

int64_t weights_largest_packed(const weights *w) {
    int64_t most = 0;
    for (int i = 0; i < w->flat.n_param; i++)
        if (w->flat.param[i].offset < 0 && w->flat.param[i].count > most) most = w->flat.param[i].count;
    return most;
}

static void add_param(weights *w, const char *name, int rows, int cols, int decays) {
    flat_add_param(&w->flat, w->params, name, rows, cols, decays, !(w->packed && is_product(name)));
}

static void add_layer_param(weights *w, int l, const char *name, int rows, int cols) {
    char full[48];
    snprintf(full, sizeof full, "layer.%d.%s", l, name);
    add_param(w, full, rows, cols, rows > 1);
}

static void add_all(weights *w) {
    const model_config *c = &w->config;
    int d = c->d_model, qkv = model_qkv_width(c), att = c->n_head * c->head_dim, up = model_up_width(c);
    int norm_bias = c->norm == NORM_LAYER;
    w->flat.n_param = 0;
    w->flat.count = 0;
    add_param(w, "token.weight", c->vocab_size, d, 1);
    if (c->position == POSITION_LEARNED) add_param(w, "position.weight", c->context, d, 1);
    for (int l = 0; l < c->n_layer; l++) {
        add_layer_param(w, l, "norm1.weight", 1, d);
        if (norm_bias) add_layer_param(w, l, "norm1.bias", 1, d);
        add_layer_param(w, l, "qkv.weight", qkv, d);
        if (c->qkv_bias) add_layer_param(w, l, "qkv.bias", 1, qkv);
        if (c->qk_norm) add_layer_param(w, l, "q_norm.weight", 1, c->head_dim);
        if (c->qk_norm) add_layer_param(w, l, "k_norm.weight", 1, c->head_dim);
        add_layer_param(w, l, "out.weight", d, att);
        if (c->out_bias) add_layer_param(w, l, "out.bias", 1, d);
        add_layer_param(w, l, "norm2.weight", 1, d);
        if (norm_bias) add_layer_param(w, l, "norm2.bias", 1, d);
        add_layer_param(w, l, "up.weight", up, d);
        if (c->mlp_bias) add_layer_param(w, l, "up.bias", 1, up);
        add_layer_param(w, l, "down.weight", d, c->d_ff);
        if (c->mlp_bias) add_layer_param(w, l, "down.bias", 1, d);
    }
    add_param(w, "norm.weight", 1, d, 0);
    if (norm_bias) add_param(w, "norm.bias", 1, d, 0);
    if (c->language_head && !c->tied) add_param(w, "head.weight", c->vocab_size, d, 1);
    if (c->n_score) add_param(w, "score.weight", 1, d, 1);
    if (c->score_bias) add_param(w, "score.bias", 1, 1, 0);
}

status weights_list_params(weights *w, error *err) {
    w->params = NULL;
    add_all(w);
    w->params = calloc((size_t)w->flat.n_param, sizeof *w->params);
    w->layer = calloc((size_t)w->config.n_layer, sizeof *w->layer);
    if (!w->params || !w->layer) return error_memory(err, "a list of parameters");
    add_all(w);
    w->flat.param = w->params;
    return STATUS_OK;
}

int64_t model_count_parameters(const model_config *config) {
    weights w = {.config = *config};
    add_all(&w);
    return w.flat.count;
}

/* Walks the list in the same order as add_all and hands out the places. */
typedef struct cursor {
    const weights *w;
    int next;
} cursor;

static mat next_mat(cursor *c) {
    const param *p = &c->w->params[c->next++];
    return mat_of(flat_place(&c->w->flat, p), p->rows, p->cols);
}

static vec next_vec(cursor *c, int present) {
    if (!present) return (vec){0};
    const param *p = &c->w->params[c->next++];
    return (vec){flat_place(&c->w->flat, p), p->count};
}

void weights_bind_params(weights *w) {
    const model_config *c = &w->config;
    int norm_bias = c->norm == NORM_LAYER;
    cursor at = {w, 0};
    w->token_table = next_mat(&at);
    if (c->position == POSITION_LEARNED) w->position_table = next_mat(&at);
    for (int l = 0; l < c->n_layer; l++) {
        layer_params *p = &w->layer[l];
        p->norm1_gain = next_vec(&at, 1);
        p->norm1_bias = next_vec(&at, norm_bias);
        p->qkv.w = next_mat(&at);
        p->qkv_bias = next_vec(&at, c->qkv_bias);
        p->q_norm = next_vec(&at, c->qk_norm);
        p->k_norm = next_vec(&at, c->qk_norm);
        p->out.w = next_mat(&at);
        p->out_bias = next_vec(&at, c->out_bias);
        p->norm2_gain = next_vec(&at, 1);
        p->norm2_bias = next_vec(&at, norm_bias);
        p->up.w = next_mat(&at);
        p->up_bias = next_vec(&at, c->mlp_bias);
        p->down.w = next_mat(&at);
        p->down_bias = next_vec(&at, c->mlp_bias);
    }
    w->norm_gain = next_vec(&at, 1);
    w->norm_bias = next_vec(&at, norm_bias);
    if (c->language_head) w->head.w = c->tied ? w->token_table : next_mat(&at);
    w->score = next_vec(&at, c->n_score);
    w->score_bias = next_vec(&at, c->score_bias);
}
