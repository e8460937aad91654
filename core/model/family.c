#include "core/model/family.h"

#include <stddef.h>

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

static const family_tensor LLAMA[] = {
    {"model.embed_tokens.weight", "token.weight", 0, PART_ALL},
    {"model.layers.%d.input_layernorm.weight", "layer.%d.norm1.weight", 0, PART_ALL},
    {"model.layers.%d.self_attn.q_proj.weight", "layer.%d.qkv.weight", 0, PART_Q},
    {"model.layers.%d.self_attn.k_proj.weight", "layer.%d.qkv.weight", 0, PART_K},
    {"model.layers.%d.self_attn.v_proj.weight", "layer.%d.qkv.weight", 0, PART_V},
    {"model.layers.%d.self_attn.q_proj.bias", "layer.%d.qkv.bias", 0, PART_Q},
    {"model.layers.%d.self_attn.k_proj.bias", "layer.%d.qkv.bias", 0, PART_K},
    {"model.layers.%d.self_attn.v_proj.bias", "layer.%d.qkv.bias", 0, PART_V},
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

const family_tensor *family_tensors(model_family family) { return family == FAMILY_GPT2 ? GPT2 : LLAMA; }

const char *family_prefix(model_family family) { return family == FAMILY_GPT2 ? "transformer." : NULL; }

const char *const *family_ignored(model_family family) {
    static const char *const gpt2[] = {".attn.bias", ".attn.masked_bias", NULL};
    static const char *const llama[] = {".rotary_emb.inv_freq", NULL};
    return family == FAMILY_GPT2 ? gpt2 : llama;
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
