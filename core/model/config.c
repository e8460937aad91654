#include "core/model/config.h"

#include <limits.h>
#include <math.h>

#include "core/base/shape_limits.h"

model_config model_config_of_family(model_family family) {
    model_config c = {.family = family,
                      .language_head = 1,
                      .reward_std = 1,
                      .bos_token = -1,
                      .eos_token = -1,
                      .norm = NORM_LAYER,
                      .norm_eps = 1e-5f,
                      .position = POSITION_LEARNED,
                      .rope_theta = 10000,
                      .activation = ACTIVATION_GELU,
                      .attention_bias = 1,
                      .mlp_bias = 1,
                      .tied = 1};
    if (family == FAMILY_LLAMA) {
        c.norm = NORM_RMS;
        c.position = POSITION_ROPE;
        c.activation = ACTIVATION_SWIGLU;
        c.attention_bias = c.mlp_bias = c.tied = 0;
    }
    return c;
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
    model_config usual = model_config_of_family(c->family);
    const char *family = c->family == FAMILY_GPT2 ? "gpt2" : "llama";
    const char *what = c->norm != usual.norm               ? "this norm"
                       : c->position != usual.position     ? "these positions"
                       : c->activation != usual.activation ? "this activation"
                                                           : NULL;
    if (c->family == FAMILY_GPT2) {
        if (!c->attention_bias || !c->mlp_bias) what = "products without bias";
        if (c->n_kv_head != c->n_head) what = "grouped heads";
        if (c->n_head * c->head_dim != c->d_model) what = "heads that do not make up d_model";
    }
    if (!what) return STATUS_OK;
    return error_set(err, STATUS_USAGE, "model: files of family %s cannot have %s; choose another family",
                     family, what);
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
    if (c->n_score < 0 || c->n_score > 1 || (c->score_bias && !c->n_score))
        return error_set(err, STATUS_USAGE, "model: n_score is %d, must be 0 or 1", c->n_score);
    /* Sizes are bounded above, so these products fit 64 bits; a matrix must fit an int each way and in
     * elements. */
    int64_t widest = (int64_t)(c->n_head + 2 * c->n_kv_head) * c->head_dim;
    if (widest > INT_MAX / 64)
        return error_set(err, STATUS_USAGE, "model: %d heads of %d are too wide", c->n_head, c->head_dim);
    return for_files ? check_family(c, err) : STATUS_OK;
}

int model_config_same_body(const model_config *a, const model_config *b) {
    return a->vocab_size == b->vocab_size && a->context == b->context && a->d_model == b->d_model &&
           a->n_layer == b->n_layer && a->n_head == b->n_head && a->n_kv_head == b->n_kv_head &&
           a->head_dim == b->head_dim && a->d_ff == b->d_ff && a->norm == b->norm &&
           a->norm_eps == b->norm_eps && a->position == b->position && a->rope_theta == b->rope_theta &&
           a->activation == b->activation && a->attention_bias == b->attention_bias &&
           a->mlp_bias == b->mlp_bias && a->tied == b->tied;
}

double model_flops_per_token(const model_config *c, double length, double rows) {
    double d = c->d_model, qkv = (c->n_head + 2.0 * c->n_kv_head) * c->head_dim,
           att = (double)c->n_head * c->head_dim;
    double up = (c->activation == ACTIVATION_SWIGLU ? 2.0 : 1.0) * c->d_ff;
    double block = d * (qkv + att + up + c->d_ff), head = c->language_head ? rows * d * c->vocab_size : 0;
    /* Scores and their sum over values, forward (2 products) and backward (5), over half the square of the
     * length. */
    double attention = c->n_layer * (2.0 + 5.0) * 2.0 * att * (length + 1) / 2;
    return 6.0 * (c->n_layer * block + head) + attention;
}
