#include "core/model/family.h"

#include <stdio.h>
#include <string.h>

static const family_tensor GPT2[] = {
    {"transformer.wte.weight", "token.weight", 0, PART_ALL},
    {"transformer.wpe.weight", "position.weight", 0, PART_ALL},
    {"transformer.h.%d.ln_1.weight", "layer.%d.norm1.weight", 0, PART_ALL},
    {"transformer.h.%d.ln_1.bias", "layer.%d.norm1.bias", 0, PART_ALL},
    {"transformer.h.%d.attn.c_attn.weight", "layer.%d.qkv.weight", 1, PART_ALL},
    {"transformer.h.%d.attn.c_attn.bias", "layer.%d.qkv.bias", 0, PART_ALL},
    {"transformer.h.%d.attn.c_proj.weight", "layer.%d.out.weight", 1, PART_ALL},
    {"transformer.h.%d.attn.c_proj.bias", "layer.%d.out.bias", 0, PART_ALL},
    {"transformer.h.%d.ln_2.weight", "layer.%d.norm2.weight", 0, PART_ALL},
    {"transformer.h.%d.ln_2.bias", "layer.%d.norm2.bias", 0, PART_ALL},
    {"transformer.h.%d.mlp.c_fc.weight", "layer.%d.up.weight", 1, PART_ALL},
    {"transformer.h.%d.mlp.c_fc.bias", "layer.%d.up.bias", 0, PART_ALL},
    {"transformer.h.%d.mlp.c_proj.weight", "layer.%d.down.weight", 1, PART_ALL},
    {"transformer.h.%d.mlp.c_proj.bias", "layer.%d.down.bias", 0, PART_ALL},
    {"transformer.ln_f.weight", "norm.weight", 0, PART_ALL},
    {"transformer.ln_f.bias", "norm.bias", 0, PART_ALL},
    {"lm_head.weight", "head.weight", 0, PART_ALL},
    {"score.weight", "score.weight", 0, PART_ALL},
    {"score.bias", "score.bias", 0, PART_ALL},
    {NULL, NULL, 0, PART_ALL},
};

/* Llama and its descendants. */
static const family_tensor LLAMA[] = {
    {"model.embed_tokens.weight", "token.weight", 0, PART_ALL},
    {"model.layers.%d.input_layernorm.weight", "layer.%d.norm1.weight", 0, PART_ALL},
    {"model.layers.%d.self_attn.q_proj.weight", "layer.%d.qkv.weight", 0, PART_Q},
    {"model.layers.%d.self_attn.k_proj.weight", "layer.%d.qkv.weight", 0, PART_K},
    {"model.layers.%d.self_attn.v_proj.weight", "layer.%d.qkv.weight", 0, PART_V},
    {"model.layers.%d.self_attn.q_proj.bias", "layer.%d.qkv.bias", 0, PART_Q},
    {"model.layers.%d.self_attn.k_proj.bias", "layer.%d.qkv.bias", 0, PART_K},
    {"model.layers.%d.self_attn.v_proj.bias", "layer.%d.qkv.bias", 0, PART_V},
    {"model.layers.%d.self_attn.q_norm.weight", "layer.%d.q_norm.weight", 0, PART_ALL},
    {"model.layers.%d.self_attn.k_norm.weight", "layer.%d.k_norm.weight", 0, PART_ALL},
    {"model.layers.%d.self_attn.o_proj.weight", "layer.%d.out.weight", 0, PART_ALL},
    {"model.layers.%d.self_attn.o_proj.bias", "layer.%d.out.bias", 0, PART_ALL},
    {"model.layers.%d.post_attention_layernorm.weight", "layer.%d.norm2.weight", 0, PART_ALL},
    {"model.layers.%d.mlp.gate_proj.weight", "layer.%d.up.weight", 0, PART_GATE},
    {"model.layers.%d.mlp.up_proj.weight", "layer.%d.up.weight", 0, PART_UP},
    {"model.layers.%d.mlp.gate_proj.bias", "layer.%d.up.bias", 0, PART_GATE},
    {"model.layers.%d.mlp.up_proj.bias", "layer.%d.up.bias", 0, PART_UP},
    {"model.layers.%d.mlp.down_proj.weight", "layer.%d.down.weight", 0, PART_ALL},
    {"model.layers.%d.mlp.down_proj.bias", "layer.%d.down.bias", 0, PART_ALL},
    {"model.norm.weight", "norm.weight", 0, PART_ALL},
    {"lm_head.weight", "head.weight", 0, PART_ALL},
    {"score.weight", "score.weight", 0, PART_ALL},
    {"score.bias", "score.bias", 0, PART_ALL},
    {NULL, NULL, 0, PART_ALL},
};

static const char *const GPT2_IGNORED[] = {".attn.bias", ".attn.masked_bias", NULL};
static const char *const LLAMA_IGNORED[] = {".rotary_emb.inv_freq", NULL};

#define USUAL                                                                                                \
    .language_head = 1, .reward_std = 1, .bos_token = -1, .eos_token = -1, .pad_token = -1,                  \
    .norm_eps = 1e-5f, .rope_theta = 10000
#define USUAL_LLAMA USUAL, .norm = NORM_RMS, .position = POSITION_ROPE

static const family FAMILIES[] = {
    [FAMILY_GPT2] = {.model_type = "gpt2",
                     .architecture = "GPT2",
                     .language_model = "GPT2LMHeadModel",
                     .tensors = GPT2,
                     .prefix = "transformer.",
                     .ignored = GPT2_IGNORED,
                     .usual = {USUAL, .family = FAMILY_GPT2, .norm = NORM_LAYER, .position = POSITION_LEARNED,
                               .activation = ACTIVATION_GELU, .qkv_bias = 1, .out_bias = 1, .mlp_bias = 1,
                               .tied = 1}},
    [FAMILY_LLAMA] = {.model_type = "llama",
                      .architecture = "Llama",
                      .language_model = "LlamaForCausalLM",
                      .tensors = LLAMA,
                      .prefix = "model.",
                      .ignored = LLAMA_IGNORED,
                      .usual = {USUAL_LLAMA, .family = FAMILY_LLAMA, .activation = ACTIVATION_SWIGLU},
                      .free_attention_bias = 1,
                      .free_mlp_bias = 1},
    [FAMILY_MISTRAL] = {.model_type = "mistral",
                        .architecture = "Mistral",
                        .language_model = "MistralForCausalLM",
                        .tensors = LLAMA,
                        .prefix = "model.",
                        .ignored = LLAMA_IGNORED,
                        .usual = {USUAL_LLAMA, .family = FAMILY_MISTRAL, .activation = ACTIVATION_SWIGLU},
                        .window = WINDOW_BY_SIZE},
    [FAMILY_QWEN2] = {.model_type = "qwen2",
                      .architecture = "Qwen2",
                      .language_model = "Qwen2ForCausalLM",
                      .tensors = LLAMA,
                      .prefix = "model.",
                      .ignored = LLAMA_IGNORED,
                      .usual = {USUAL_LLAMA, .family = FAMILY_QWEN2, .activation = ACTIVATION_SWIGLU,
                                .qkv_bias = 1},
                      .window = WINDOW_BY_LAYER},
    [FAMILY_QWEN3] = {.model_type = "qwen3",
                      .architecture = "Qwen3",
                      .language_model = "Qwen3ForCausalLM",
                      .tensors = LLAMA,
                      .prefix = "model.",
                      .ignored = LLAMA_IGNORED,
                      .usual = {USUAL_LLAMA, .family = FAMILY_QWEN3, .activation = ACTIVATION_SWIGLU,
                                .qk_norm = 1},
                      .free_attention_bias = 1,
                      .head_dim = 128,
                      .window = WINDOW_BY_LAYER},
    [FAMILY_GEMMA] = {.model_type = "gemma",
                      .architecture = "Gemma",
                      .language_model = "GemmaForCausalLM",
                      .tensors = LLAMA,
                      .prefix = "model.",
                      .ignored = LLAMA_IGNORED,
                      .usual = {USUAL_LLAMA, .family = FAMILY_GEMMA, .activation = ACTIVATION_GEGLU,
                                .gain_from_one = 1, .scaled_embedding = 1, .tied = 1},
                      .free_attention_bias = 1,
                      .head_dim = 256},
};

enum { N_FAMILY = sizeof FAMILIES / sizeof *FAMILIES };

const family *family_of(model_family which) { return &FAMILIES[which]; }

int family_named(const char *model_type) {
    for (int i = 0; i < N_FAMILY; i++)
        if (strcmp(FAMILIES[i].model_type, model_type) == 0) return i;
    return -1;
}

void family_list(char *out, size_t size) {
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < N_FAMILY && used < size; i++) {
        const char *before = i == 0 ? "" : i + 1 < N_FAMILY ? ", " : " and ";
        used += (size_t)snprintf(out + used, size - used, "%s%s", before, FAMILIES[i].model_type);
    }
}

void family_part_rows(const model_config *c, int part, int rows, int *first, int *n) {
    int q = c->n_head * c->head_dim, kv = c->n_kv_head * c->head_dim;
    *first = 0;
    *n = rows;
    switch (part) {
    case PART_Q:
        *n = q;
        break;
    case PART_K:
        *first = q, *n = kv;
        break;
    case PART_V:
        *first = q + kv, *n = kv;
        break;
    case PART_GATE:
        *n = c->d_ff;
        break;
    case PART_UP:
        *first = c->d_ff, *n = c->d_ff;
        break;
    default:
        break;
    }
}
