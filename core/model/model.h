/* core/model: one decoder-only transformer over ragged batches. It knows tokens, states and gradients, and no
   loss.

   forward  (model, batch)  -> states kept in a workspace
   read     (model, rows)   -> logprob, entropy, score of each row, on the host
   backward (model, d logprob, d entropy, d score)   gradients accumulate

   Model (parameters and heads), workspace (activations of one forward) and cache (keys and values of
   sequences that grow) are separate things: a workspace is lent to any model of the same body. */
#ifndef RLHF_MODEL_MODEL_H
#define RLHF_MODEL_MODEL_H

#include "core/base/plan.h"
#include "core/model/config.h"
#include "core/ops/ops.h"

typedef struct model model;
typedef struct workspace workspace;
typedef struct kv_cache kv_cache;

/* Recomputation in backward: the same bytes each way. */
typedef enum keep_kind { KEEP_ALL, KEEP_LAYER_INPUT } keep_kind;

/* The memory plan is exact for these; a batch beyond them is STATUS_TOO_LARGE. */
typedef struct limits {
    int max_token, max_row, max_seq, max_len; /* per call */
    int backward;                             /* 0: nothing is saved, backward is refused */
    keep_kind keep;
    int n_slot, n_page; /* a cache's sequences and pages of KV_PAGE positions */
} limits;

/* A ragged pack. No pad token, no mask. Position of token i = i - seq_start[s] (+ cached length in
   model_extend). A ROW is a state that is read: the state AFTER token[row_pos[r]], where row_target[r] is (to
   be) chosen. The log-probability of answer token t is the row at t - 1; its value is the same row; a reward
   is the row at the last token. */
typedef struct batch {
    int n_token, n_seq, n_row;
    const int32_t *token;      /* [n_token] */
    const int32_t *seq_start;  /* [n_seq + 1], strictly increasing, 0 .. n_token */
    const uint64_t *seq_id;    /* [n_seq] names the sequence for counters, not its place in the batch */
    const int32_t *row_pos;    /* [n_row] index into token, non-decreasing */
    const int32_t *row_target; /* [n_row] token id; NULL when only scores are read or a token is sampled */
} batch;

/* z = logits / temperature, p = softmax z over the first n_vocab ids. NULL: not wanted and not computed.
 * [n_row] each. */
typedef struct row_values {
    float *logprob, *entropy, *score;
} row_values;
/* d loss / d each, already divided by the loss's count. [n_row] each. */
typedef struct row_grads {
    const float *logprob, *entropy, *score;
} row_grads;

typedef struct forward_options {
    float temperature; /* > 0 */
    float dropout;     /* residual and embedding dropout, 0 = off */
    random_key dropout_key;
    int for_backward;
} forward_options;

typedef struct sampling {
    float temperature;
    int greedy, top_k; /* top_k 0: off */
    float top_p;       /* 1: off */
    random_key key;
} sampling;

/* ---- parameters, for optimizer, checkpoint and collectives ---- */
typedef struct param {
    char name[48];  /* "layer.3.qkv.weight" */
    int rows, cols; /* a vector has 1 row */
    int64_t offset, count;
    int decays; /* matrices and embeddings do; norms and biases do not */
} param;
/* Device memory at the same offsets, never dereferenced by callers. */
typedef struct flat {
    int n_param;
    const param *param;
    int64_t count;
    float *master, *grad; /* [count]; grad NULL when the model is not trained */
} flat;

/* ---- making ---- */
/* Low-rank adaptation (LoRA, Hu et al. 2021): a targeted matrix W acts as W + (alpha / rank) B A; the weights
   are frozen, A, B and a score head are what is trained. */
enum { LORA_TARGETS = 8, LORA_MOST_RANK = 256 };
typedef struct lora_options {
    int rank;
    float alpha;
    int n_target;
    const char *const *target; /* PEFT's names, ends of the matrices' names ("q_proj"); none: all matrices */
} lora_options;

/* How a directory is read: trained, and with which heads (config.language_head, n_score, score_bias are
   overridden when
   >= 0). A score head that the directory lacks is drawn N(0, 1 / (d + 1)) from (seed, round). */
typedef struct model_options {
    int trained;
    int language_head, n_score, score_bias; /* -1: as the directory has them */
    int n_vocab;                            /* 0: vocab_size */
    dtype compute;                          /* of activations and products; parameters are f32 */
    uint64_t seed;
    int round;
    const lora_options *lora; /* adapt it: a fresh adapter, or the directory's own, which must agree. NULL: an
                                 adapter that is there is used, but not trained */
    const model *share;       /* its frozen weights are used again if they came from the same directory, or
                                 one of the same hash; NULL: none */
} model_options;

/* A model directory, or an adapter's as PEFT writes them: its weights are those of the directory that it
   names. STATUS_DATA: missing or unreadable files, missing, unknown or wrongly shaped tensors, each by name.
   STATUS_USAGE: an adapter that would be trained without or with other `lora`. */
status model_load(device *dev, const char *directory, const model_options *options, model **out, error *err);
/* N(0, 0.02), positions 0.01, residual projections / sqrt(2 n_layer), biases 0, gains 1 (GPT-2, Radford et
 * al. 2019). */
status model_init(device *dev, const model_config *config, uint64_t seed, int trained, model **out,
                  error *err);
/* Reads a directory that model_save wrote into a model of the same shape and heads. */
status model_restore(model *m, const char *directory, error *err);
void model_free(model *m);
/* config.json and model.safetensors, above 5 GB shards with an index (file-by-file atomic); of an adapted
   model config.json, adapter_config.json, adapter_model.safetensors and base.json, which names the weights'
   directory and its hash. parameters: NULL for the model's own, else f32 on the device at the flat's offsets
   (an average, say). Waits for the device. */
status model_save(const model *m, const float *parameters, const char *directory, error *err);
/* An adapted model as a whole one: W + (alpha / rank) B A in f32. Others as model_save. */
status model_save_merged(const model *m, const float *parameters, const char *directory, error *err);

const model_config *model_get_config(const model *m);
void model_set_reward_scale(model *m, float mean, float std); /* kept in config.json */
device *model_device(const model *m);
/* What is trained: the weights, or the adapter and the score head. Of a frozen model grad is NULL, and
   matrices whose packed copies alone are kept have the offset -1. */
const flat *model_flat(const model *m);
/* The first of its parameters that holds a number that is not finite, and that number; *name NULL: none does.
 */
status model_find_not_finite(const model *m, const char **name, float *value, error *err);
const lora_options *model_lora(const model *m); /* of its adapter, every target by name; NULL: not adapted */
/* The directory that an adapted model's weights came from; NULL: not adapted. */
const char *model_base(const model *m);
int model_shares_weights(const model *a, const model *b);
/* Whether the weights are still those that the adapter in the directory was trained over: STATUS_DATA when
   their hash (lineage.h) is another than base.json says. Other directories: STATUS_OK. */
status model_check_base(const model *m, const char *directory, error *err);
/* The weights' directory of an adapter's directory, malloc'd; NULL of any other. */
status model_find_base(const char *directory, char **out, error *err);
/* After an update: packed copies are made again. */
void model_changed(model *m);
/* A value model starts from the normalised scalar: weight / std, bias - mean / std; then mean 0, std 1. Needs
 * a bias. */
status model_fold_reward_scale(model *m, error *err);

/* Floats of a model's flat arrays: its parameters, each rounded up to whole vectors. */
int64_t model_count_parameters(const model_config *config);
/* Adds what model_init / model_load, workspace_create and kv_create will allocate. */
status model_plan(device *dev, const model_config *config, int trained, const char *owner, memory_plan *plan,
                  error *err);
/* The same of an adapter; and of the frozen weights that adapters of several models share. */
status model_plan_adapter(device *dev, const model_config *config, const lora_options *how, int trained,
                          const char *owner, memory_plan *plan, error *err);
status model_plan_base(device *dev, const model_config *config, int trained, const char *owner,
                       memory_plan *plan, error *err);
/* Floats of the adapter's flat arrays. */
status model_count_adapter(const model_config *config, const lora_options *how, int64_t *count, error *err);
status workspace_plan(device *dev, const model_config *config, const limits *limits, const char *owner,
                      memory_plan *plan, error *err);
status kv_plan(const model_config *config, const limits *limits, const char *owner, memory_plan *plan,
               error *err);

status workspace_create(device *dev, const model_config *config, const limits *limits, workspace **out,
                        error *err);
void workspace_free(workspace *ws);

/* ---- learning ---- */
/* The batch's arrays may change after the call. STATUS_DATA names a token, target or length out of range. */
status model_forward(const model *m, workspace *ws, const batch *b, const forward_options *options,
                     error *err);
/* Waits for the device. logprob wants the batch's targets. */
status model_read(const model *m, workspace *ws, row_values *values, error *err);
/* Adds to the gradients; consumes the forward in ws (same model, not changed since: checked). With values,
   logprob and entropy are computed here in ONE pass over the logits, for losses that are linear in logprob
   (SFT, ptx), whose gradient is known before the forward; then this call waits. Without, the gradients'
   arrays must not change before the next forward, read or download. */
status model_backward(model *m, workspace *ws, const row_grads *grads, row_values *values, error *err);
void model_zero_grad(model *m);

/* ---- generating ---- */
status kv_create(device *dev, const model_config *config, const limits *limits, kv_cache **out, error *err);
void kv_free(kv_cache *kv);
/* A slot for a sequence of at most max_len tokens, or -1: slots or pages short. All its pages are taken at
 * once. */
int kv_open(kv_cache *kv, uint64_t seq_id, int max_len);
/* A slot that starts as slot's sequence: shares its full pages and copies the partial one; -1: short. */
int kv_fork(kv_cache *kv, int slot, uint64_t seq_id, int max_len);
void kv_close(kv_cache *kv, int slot);
void kv_clear(kv_cache *kv); /* closes all slots */
int kv_length(const kv_cache *kv, int slot);
int kv_free_slots(const kv_cache *kv);
int kv_free_pages(const kv_cache *kv);
/* Appends the batch's sequence s to slot[s] (slots differ): prefill, a chunk, or one token. A row's bytes
   depend on its own history only. Rows may then be read or sampled. STATUS_FAILED: a cache made for another
   shape, or a sequence that another model, or an older version of this one (model_changed), began. */
status model_extend(const model *m, workspace *ws, kv_cache *kv, const batch *b, const int32_t *slot,
                    float temperature, error *err);
/* One token for each row of the last model_extend: row_seq_id[r] is the counter's sequence, the position is
   that of the token chosen (kv_length of its slot). logprob is that of the full softmax at the temperature.
   Waits. */
status model_sample(const model *m, workspace *ws, const uint64_t *row_seq_id, const sampling *how,
                    int32_t *token, float *logprob, error *err);

#endif
