/* core/model/config: the shape of one decoder-only transformer, and its config.json as Hugging Face writes
 * it. */
#ifndef RLHF_MODEL_CONFIG_H
#define RLHF_MODEL_CONFIG_H

#include "core/base/error.h"
#include "core/files/safetensors.h"
#include "core/ops/ops.h"

typedef enum model_family {
    FAMILY_GPT2,
    FAMILY_LLAMA,
    FAMILY_MISTRAL,
    FAMILY_QWEN2,
    FAMILY_QWEN3,
    FAMILY_GEMMA
} model_family;
typedef enum position_kind { POSITION_LEARNED, POSITION_ROPE } position_kind;
typedef enum activation_kind { ACTIVATION_GELU, ACTIVATION_SWIGLU, ACTIVATION_GEGLU } activation_kind;

/* How the frequencies of rope were changed for a longer context than that of the first training. LINEAR: all
   divided by factor (Chen et al. 2023). LLAMA3: those of long waves divided, those of short ones kept,
   between them a mixture (Llama 3.1). */
typedef enum rope_scaling_kind { ROPE_UNSCALED, ROPE_LINEAR, ROPE_LLAMA3 } rope_scaling_kind;
typedef struct rope_scaling {
    rope_scaling_kind kind;
    float factor;                            /* LINEAR, LLAMA3 */
    float low_freq_factor, high_freq_factor; /* LLAMA3, as the next */
    int original_context;
} rope_scaling;

typedef struct model_config {
    model_family family; /* whose names and transposes the files use */
    int vocab_size;      /* rows of the token embedding */
    int n_vocab;         /* ids that the softmax runs over: up to the tokenizer's largest; <= vocab_size */
    int context;         /* longest sequence */
    int d_model, n_layer, n_head, n_kv_head, head_dim, d_ff;
    norm_kind norm;
    float norm_eps;
    int gain_from_one; /* norms multiply by 1 + gain */
    position_kind position;
    float rope_theta;
    rope_scaling rope_scaling;
    int window;  /* a token attends to itself and the window - 1 before it; 0: to all before it */
    int qk_norm; /* queries and keys go through an RMS norm, head by head, before rope */
    activation_kind activation;
    int qkv_bias, out_bias, mlp_bias;
    int scaled_embedding; /* the embedded tokens are multiplied by sqrt(d_model) */
    int tied;             /* the language head is the token embedding, unscaled */
    int language_head;    /* 0: a model that only scores has none */
    int n_score;          /* 0 or 1 scalar head on the final-normed state */
    int score_bias;       /* value models have one, reward models none */
    float reward_mean,
        reward_std; /* score = (raw - mean) / std; 0 and 1 unless a reward model was normalised */
    int bos_token, eos_token, pad_token; /* -1: none */
    dtype compute; /* type of activations, cached keys and values, and the copies of weights that products
                      read; a choice of the run, not of the files */
    int lora_rank; /* of the model's adapter, 0: none; of a workspace's shape: the largest it serves */
} model_config;

/* The family's usual choices for everything but the sizes, which are left 0. */
model_config model_config_of_family(model_family family);
/* The biases that the family has, or none of them. */
void model_config_set_bias(model_config *config, int bias);

/* STATUS_USAGE naming the value when a shape makes no sense (heads that do not divide, head_dim >
   SHAPE_MOST_HEAD_DIM, odd head_dim with rope, sizes that overflow), or the family's files cannot express it
   and for_files is set. */
status model_config_check(const model_config *config, int for_files, error *err);

/* Whether a model or an adapter is there: STATUS_DATA tells that it is not, and where a run directory is
   named which model in it is meant. */
status model_check_directory(const char *directory, error *err);
/* DIRECTORY/config.json of the families' model types. Everything else (a type, an activation, a scaling of
   rope, a key that might change what is computed) is refused by name: STATUS_DATA. n_vocab is set to
   vocab_size; the caller lowers it to the tokenizer's. */
status model_config_load(const char *directory, model_config *out, error *err);
/* stored: what model.safetensors beside it holds, F32, F16 or BF16. */
status model_config_save(const model_config *config, tensor_dtype stored, const char *directory, error *err);

/* One can be read as another's start. */
int model_config_same_body(const model_config *a, const model_config *b);
/* They can use each other's workspaces and caches: the same body, computed in the same type. */
int model_config_can_lend(const model_config *a, const model_config *b);

typedef enum model_pass { PASS_FORWARD, PASS_STEP } model_pass; /* a step: forward and backward */
/* Floating-point operations per token: 2 N forward, N the parameters of the products (embeddings that are
   only looked up not counted), twice that backward, or once where an adapter is trained and they are frozen
   (its own products, some percent, are not counted); and attention over sequences of mean length `length`.
   rows: share of tokens that are read by the language head. */
double model_flops_per_token(const model_config *config, model_pass pass, double length, double rows);

#endif
