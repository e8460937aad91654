/* core/model/family: a family of published models is a table: what its config.json calls it, what its blocks
   are made of, what its files call the tensors and how they lie. CONTRIBUTING.md says how to add one. */
#ifndef RLHF_MODEL_FAMILY_H
#define RLHF_MODEL_FAMILY_H

#include "core/model/config.h"

/* One tensor of the files and the part of one of our parameters that it is. In both names %d is the layer. A
   tensor whose parameter a model does not have is not in its files. */
typedef struct family_tensor {
    const char *theirs; /* "transformer.h.%d.attn.c_attn.weight" */
    const char *ours;   /* "layer.%d.qkv.weight" */
    int transposed;     /* stored [in, out] (GPT-2's Conv1D); ours is [out, in] */
    enum { PART_ALL, PART_Q, PART_K, PART_V, PART_GATE, PART_UP } part; /* rows of a fused matrix */
} family_tensor;

/* How config.json tells of a sliding window. */
typedef enum window_keys {
    WINDOW_NEVER,
    WINDOW_BY_SIZE, /* sliding_window: null, or the size (Mistral) */
    WINDOW_BY_LAYER /* use_sliding_window, and from which layer on (Qwen) */
} window_keys;

typedef struct family {
    const char *model_type;       /* "llama" */
    const char *architecture;     /* "Llama", to which ForSequenceClassification is added */
    const char *language_model;   /* "LlamaForCausalLM" */
    const family_tensor *tensors; /* ends with theirs NULL */
    const char *prefix;           /* that some published files leave out of every name; or NULL */
    const char *const *ignored; /* tensors that files may hold and no model needs: suffixes, ends with NULL */
    model_config usual;         /* everything but the sizes, which are 0 */
    int free_attention_bias;    /* qkv_bias = out_bias may differ from the usual; */
    int free_mlp_bias;          /* so may mlp_bias */
    int head_dim;               /* where config.json does not say; 0: d_model / n_head */
    window_keys window;
} family;

const family *family_of(model_family which);
/* Of a config.json's model_type; -1: none. */
int family_named(const char *model_type);
/* "gpt2, llama and mistral", for messages. At most size bytes. */
void family_list(char *out, size_t size);

/* The rows [first, first + n) of our parameter that a part covers; n of PART_ALL is `rows`. */
void family_part_rows(const model_config *c, int part, int rows, int *first, int *n);

#endif
