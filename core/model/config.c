#include "core/model/config.h"

#include <limits.h>
#include <math.h>

#include "core/base/shape_limits.h"
#include "core/model/family.h"

model_config model_config_of_family(model_family family) { return family_of(family)->usual; }

void model_config_set_bias(model_config *c, int bias) {
    const family *f = family_of(c->family);
    c->qkv_bias = bias;
    c->out_bias = bias && !(f->usual.qkv_bias && !f->usual.out_bias);
    c->mlp_bias = bias && (f->free_mlp_bias || f->usual.mlp_bias);
}

static status check_size(const char *name, int value, int most, error *err) {
    if (value >= 1 && value <= most) return STATUS_OK;
    return error_set(err, STATUS_USAGE, "model: %s is %d, must be from 1 to %d", name, value, most);
}

static status check_sizes(const model_config *c, error *err) {
    TRY(check_size("vocab_size", c->vocab_size, SHAPE_MOST_VOCAB, err));
    TRY(check_size("n_vocab", c->n_vocab, c->vocab_size, err));
    TRY(check_size("context", c->context, SHAPE_MOST_CONTEXT, err));
    TRY(check_size("d_model", c->d_model, SHAPE_MOST_WIDTH, err));
    TRY(check_size("n_layer", c->n_layer, SHAPE_MOST_LAYERS, err));
    TRY(check_size("n_head", c->n_head, SHAPE_MOST_HEADS, err));
    TRY(check_size("n_kv_head", c->n_kv_head, c->n_head, err));
    TRY(check_size("head_dim", c->head_dim, SHAPE_MOST_HEAD_DIM, err));
    return check_size("d_ff", c->d_ff, SHAPE_MOST_MLP, err);
}

/* What the files of a family have no names for. */
static status check_family(const model_config *c, error *err) {
    const family *f = family_of(c->family);
    const model_config *usual = &f->usual;
    int same_bias = c->qkv_bias == usual->qkv_bias && c->out_bias == usual->out_bias;
    int any_bias = f->free_attention_bias && c->qkv_bias == c->out_bias;
    int gpt2 = c->family == FAMILY_GPT2;
    const struct {
        int differs;
        const char *what;
    } lacks[] = {
        {c->norm != usual->norm || c->gain_from_one != usual->gain_from_one, "this norm"},
        {c->position != usual->position, "these positions"},
        {c->activation != usual->activation, "this activation"},
        {c->qk_norm != usual->qk_norm, "this norm of queries and keys, or its lack"},
        {c->scaled_embedding != usual->scaled_embedding, "this scale of the embedding"},
        {!same_bias && !any_bias, "these biases of attention"},
        {c->mlp_bias != usual->mlp_bias && !f->free_mlp_bias, "these biases of the MLP"},
        {c->window > 0 && f->window == WINDOW_NEVER, "a window"},
        {gpt2 && c->n_kv_head != c->n_head, "grouped heads"},
        {gpt2 && c->n_head * c->head_dim != c->d_model, "heads that do not make up d_model"},
    };
    for (size_t i = 0; i < sizeof lacks / sizeof *lacks; i++)
        if (lacks[i].differs)
            return error_set(err, STATUS_USAGE,
                             "model: files of family %s cannot have %s; choose another family", f->model_type,
                             lacks[i].what);
    return STATUS_OK;
}

static status check_scaling(const rope_scaling *s, error *err) {
    if (s->kind == ROPE_UNSCALED) return STATUS_OK;
    if (!(s->factor >= 1 && s->factor < INFINITY))
        return error_set(err, STATUS_USAGE, "model: rope's factor is %g, must be at least 1 and finite",
                         (double)s->factor);
    if (s->kind != ROPE_LLAMA3) return STATUS_OK;
    if (!(s->low_freq_factor > 0 && s->low_freq_factor < s->high_freq_factor &&
          s->high_freq_factor < INFINITY))
        return error_set(
            err, STATUS_USAGE,
            "model: rope's low_freq_factor is %g, high_freq_factor %g; the first must be > 0 and "
            "below the second",
            (double)s->low_freq_factor, (double)s->high_freq_factor);
    return check_size("rope's original context", s->original_context, 1 << 24, err);
}

status model_config_check(const model_config *c, int for_files, error *err) {
    TRY(check_sizes(c, err));
    if (c->n_head % c->n_kv_head)
        return error_set(err, STATUS_USAGE, "model: n_head %d is not a multiple of n_kv_head %d", c->n_head,
                         c->n_kv_head);
    if (c->position == POSITION_ROPE && c->head_dim % 2)
        return error_set(err, STATUS_USAGE, "model: head_dim %d must be even with rope", c->head_dim);
    if (!(c->norm_eps > 0 && c->norm_eps < INFINITY) || !(c->rope_theta > 0 && c->rope_theta < INFINITY))
        return error_set(err, STATUS_USAGE,
                         "model: norm_eps is %g, rope_theta %g; both must be > 0 and finite",
                         (double)c->norm_eps, (double)c->rope_theta);
    TRY(check_scaling(&c->rope_scaling, err));
    if (c->window < 0 || c->window > 1 << 20)
        return error_set(err, STATUS_USAGE, "model: window is %d, must be from 0 (none) to %d", c->window,
                         1 << 20);
    if (c->qk_norm && c->gain_from_one)
        return error_set(err, STATUS_USAGE, "model: norms of queries and keys have no gains from one");
    if (c->n_score < 0 || c->n_score > 1 || (c->score_bias && !c->n_score))
        return error_set(err, STATUS_USAGE, "model: n_score is %d, must be 0 or 1", c->n_score);
    /* Sizes are bounded above, so these products fit 64 bits; a matrix must fit an int each way and in
     * elements. */
    int64_t widest = (int64_t)(c->n_head + 2 * c->n_kv_head) * c->head_dim;
    if (widest > INT_MAX / 64)
        return error_set(err, STATUS_USAGE, "model: %d heads of %d are too wide", c->n_head, c->head_dim);
    return for_files ? check_family(c, err) : STATUS_OK;
}

static int same_scaling(const rope_scaling *a, const rope_scaling *b) {
    return a->kind == b->kind && a->factor == b->factor && a->low_freq_factor == b->low_freq_factor &&
           a->high_freq_factor == b->high_freq_factor && a->original_context == b->original_context;
}

int model_config_same_body(const model_config *a, const model_config *b) {
    return a->vocab_size == b->vocab_size && a->context == b->context && a->d_model == b->d_model &&
           a->n_layer == b->n_layer && a->n_head == b->n_head && a->n_kv_head == b->n_kv_head &&
           a->head_dim == b->head_dim && a->d_ff == b->d_ff && a->norm == b->norm &&
           a->norm_eps == b->norm_eps && a->gain_from_one == b->gain_from_one && a->position == b->position &&
           a->rope_theta == b->rope_theta && same_scaling(&a->rope_scaling, &b->rope_scaling) &&
           a->window == b->window && a->qk_norm == b->qk_norm && a->activation == b->activation &&
           a->qkv_bias == b->qkv_bias && a->out_bias == b->out_bias && a->mlp_bias == b->mlp_bias &&
           a->scaled_embedding == b->scaled_embedding && a->tied == b->tied;
}

int model_config_can_lend(const model_config *a, const model_config *b) {
    return model_config_same_body(a, b) && a->compute == b->compute;
}

double model_flops_per_token(const model_config *c, model_pass pass, double length, double rows) {
    double d = c->d_model, qkv = (c->n_head + 2.0 * c->n_kv_head) * c->head_dim,
           att = (double)c->n_head * c->head_dim;
    double up = (c->activation == ACTIVATION_GELU ? 1.0 : 2.0) * c->d_ff;
    double seen = (length + 1) / 2; /* keys of a token, on average */
    if (c->window > 0 && length > c->window)
        seen = ((c->window + 1.0) / 2 * c->window + (length - c->window) * c->window) / length;
    double block = d * (qkv + att + up + c->d_ff), head = c->language_head ? rows * d * c->vocab_size : 0;
    /* States, their gradients and the weights'; of attention two products forward, five backward. */
    double products = pass == PASS_FORWARD ? 1 : c->lora_rank ? 2 : 3;
    double attention = c->n_layer * 2.0 * att * seen * (pass == PASS_FORWARD ? 2 : 2 + 5);
    return 2.0 * products * (c->n_layer * block + head) + attention;
}
