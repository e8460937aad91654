/* core/model/internal: what a model, a workspace and a cache are made of. For core/model alone. */
#ifndef RLHF_MODEL_INTERNAL_H
#define RLHF_MODEL_INTERNAL_H

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/model/flat.h"
#include "core/model/model.h"

typedef struct adapter adapter; /* core/model/adapter.h */

/* One block's parameters. Absent ones have data NULL. qkv rows are [q | k | v], up rows are [gate | up] with
 * SwiGLU and GeGLU. */
typedef struct layer_params {
    vec norm1_gain, norm1_bias, norm2_gain, norm2_bias;
    weight qkv, out, up, down;
    vec qkv_bias, out_bias, up_bias, down_bias;
    vec q_norm, k_norm; /* gains, [head_dim] */
} layer_params;

/* FROZEN: forward alone. PASSED: gradients go through them, to an adapter. TRAINED: gradients of their own.
 */
typedef enum weights_use { WEIGHTS_FROZEN, WEIGHTS_PASSED, WEIGHTS_TRAINED } weights_use;

/* The parameters of a body with its heads and the copies of them that products read. Frozen ones may serve
   several models. */
typedef struct weights {
    int users; /* models */
    device *dev;
    model_config config; /* heads: those that lie here */
    flat flat;
    param *params;
    weights_use use;
    int packed;      /* the matrices that products read lie in their packs alone; their offsets are -1 */
    char *directory; /* that they were read from; NULL: made here */
    hash sha256;     /* of it, once has_hash */
    int has_hash;
    void *memory; /* everything below lies in it */
    mat token_table, position_table;
    weight head; /* packs of the language head; w is token_table when tied */
    layer_params *layer;
    vec norm_gain, norm_bias, score, score_bias;
    mat cosine, sine; /* rope, [context, head_dim / 2] */
} weights;

struct model {
    device *dev;
    model_config config;
    weights *w;
    adapter *adapter; /* NULL: none */
    uint64_t version; /* counts model_changed */
};

/* The products of a block that an adapter can add to. */
typedef enum adapter_site { ADAPTER_QKV, ADAPTER_OUT, ADAPTER_UP, ADAPTER_DOWN, ADAPTER_SITES } adapter_site;
/* How many of the family's matrices can lie side by side at a site: q, k and v. */
enum { ADAPTER_MOST_PARTS = 3 };

/* Activations of one block that backward needs, in the order they are made. */
typedef struct layer_saved {
    mat norm1, qkv, att, lse, mid, norm2, up, act; /* mid: after the attention's residual */
    vec mean1, rstd1, mean2, rstd2;
    mat low[ADAPTER_SITES]; /* an adapter's A x, scaled */
    mat qk, qk_rstd;        /* q and k before their norm; absent without one, or without backward */
} layer_saved;

struct workspace {
    device *dev;
    model_config config;
    limits limits;
    void *memory;
    /* device */
    ivec token, position, start, slot, cached, order, position_order, row_pos, row_target, row_position,
        sampled;
    lvec sequence, row_sequence;
    mat *x; /* [n_layer + 1] states between blocks; without backward the entries alternate between two */
    layer_saved *saved; /* [n_layer]; all the same memory when they are recomputed or not kept */
    mat branch;         /* a block's output before its residual */
    mat row_x, hidden;  /* [n_row, d] gathered states and their final norm */
    vec row_mean, row_rstd, logprob, entropy, lse, score;
    vec dlogprob, dentropy, dscore; /* backward only, as all that follows */
    mat dx, dn, dqkv, datt, dup, dact, dhidden, drow, dlow;
    vec scratch;
    /* host */
    void *host;
    int32_t *h_token, *h_position, *h_start, *h_slot, *h_cached, *h_order, *h_position_order, *h_row_pos,
        *h_row_target, *h_row_position, *h_count;
    uint64_t *h_sequence, *h_row_sequence;
    /* the forward that it holds */
    const model *owner; /* NULL: none */
    uint64_t version;
    batch b; /* counts only; its pointers are the host copies above */
    forward_options options;
    int max_len, has_targets, has_lse, extended;
};

typedef struct kv_slot {
    int open, n_page, length, max_len;
    uint64_t seq_id;
    const model *owner; /* whose keys and values it holds, in this version; NULL: none yet */
    uint64_t version;
} kv_slot;

struct kv_cache {
    device *dev;
    model_config config;
    int n_slot, n_page, table_width, n_free;
    void *memory, *host;
    mat *pages; /* [n_layer] of [n_page, 2 n_kv_head head_dim KV_PAGE] */
    ivec page_table;
    int32_t *h_table;   /* [n_slot, table_width] */
    int32_t *uses;      /* [n_page] slots that hold the page */
    int32_t *free_page; /* [n_free] a stack */
    kv_slot *slot;
    int table_changed;
};

static inline int model_qkv_width(const model_config *c) {
    return (c->n_head + 2 * c->n_kv_head) * c->head_dim;
}
static inline int model_up_width(const model_config *c) {
    return c->activation == ACTIVATION_GELU ? c->d_ff : 2 * c->d_ff;
}
static inline glu_kind model_glu_kind(const model_config *c) {
    return c->activation == ACTIVATION_GEGLU ? GLU_GELU : GLU_SILU;
}
static inline float model_gain_offset(const model_config *c) { return c->gain_from_one ? 1.0f : 0.0f; }
/* What the embedded tokens are multiplied by. */
static inline float model_embedding_scale(const model_config *c) {
    return c->scaled_embedding ? __builtin_sqrtf((float)c->d_model) : 1.0f;
}
static inline struct attention_shape model_attention_shape(const model_config *c) {
    return (struct attention_shape){c->n_head, c->n_kv_head, c->head_dim,
                                    1.0f / __builtin_sqrtf((float)c->head_dim), c->window};
}
/* model.c: a model over weights, which it takes over. */
status model_make(weights *w, const model_config *config, adapter *a, model **out, error *err);
vec model_score_weight(const model *m);
vec model_score_bias(const model *m);
/* weights.c: weights with memory and no values; then values for parameters [first, n_param); then the packs.
 */
status weights_make(device *dev, const model_config *config, weights_use use, int packed, weights **out,
                    error *err);
status weights_draw(weights *w, int first, uint64_t seed, int round, error *err);
void weights_pack(weights *w);
/* The packs that a parameter's matrix has; NULL: it has none. */
weight *weights_find_packs(weights *w, const param *p);
/* Elements of the largest matrix that lies in its packs alone; 0: none does. */
int64_t weights_largest_packed(const weights *w);
void weights_release(weights *w); /* one user less; the last one frees */
/* SHA-256 of the directory they came from (lineage.h), read once. */
status weights_hash(weights *w, hash *out, error *err);
/* params.c: the list of parameters and their offsets; weights->params is made, the pointers are bound to
 * flat.master. */
status weights_list_params(weights *w, error *err);
void weights_bind_params(weights *w);
/* files.c: the tensors alone, in shards of so many bytes. */
status model_save_shards(const model *m, const float *parameters, const char *directory, uint64_t shard_bytes,
                         error *err);
/* rope.c: radians per position of pair i of a head, base^(-2i / head_dim), scaled; fills weights->cosine and
 * sine. */
double model_rope_frequency(const model_config *c, int i);
status weights_upload_rope(weights *w, error *err);
/* forward.c: one block from x_in to x_out, filling saved; kv NULL: each sequence from position 0. */
void model_layer_forward(const model *m, workspace *ws, int l, mat x_in, const layer_saved *saved, mat x_out,
                         const kv_cache *kv);
layer_saved layer_saved_rows(const layer_saved *saved, int n_token);
/* workspace.c: takes over the batch: checks it, copies it, uploads it. cached: tokens that slots hold
 * already, or NULL. */
status workspace_take_batch(const model *m, workspace *ws, const batch *b, const int32_t *slot,
                            const int32_t *cached, error *err);

/* kv.c: checks that the slots are this model's and have room, tells what they hold, uploads a changed page
   table; then counts the tokens in. */
status kv_begin_extend(kv_cache *kv, const model *m, const batch *b, const int32_t *slot, int32_t *cached,
                       int max_seq, error *err);
void kv_end_extend(kv_cache *kv, const model *m, const batch *b, const int32_t *slot);

#endif
