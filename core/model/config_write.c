/* config.json as Hugging Face's GPT2Config, LlamaConfig and its descendants write it: written. */
#include <stdlib.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/base/file.h"
#include "core/model/config.h"
#include "core/model/family.h"

static void put_int(buffer *b, const char *key, int value) {
    buffer_format(b, ",\n  \"%s\": %d", key, value);
}
static void put_bool(buffer *b, const char *key, int value) {
    buffer_format(b, ",\n  \"%s\": %s", key, value ? "true" : "false");
}
static void put_text(buffer *b, const char *key, const char *value) {
    buffer_format(b, ",\n  \"%s\": \"%s\"", key, value);
}
static void put_float(buffer *b, const char *key, float value) {
    buffer_format(b, ",\n  \"%s\": ", key);
    buffer_json_float(b, value);
}

static void put_gpt2(buffer *b, const model_config *c) {
    put_text(b, "activation_function", "gelu_new");
    put_int(b, "n_ctx", c->context);
    put_int(b, "n_embd", c->d_model);
    put_int(b, "n_head", c->n_head);
    put_int(b, "n_inner", c->d_ff);
    put_int(b, "n_layer", c->n_layer);
    put_int(b, "n_positions", c->context);
    put_float(b, "layer_norm_epsilon", c->norm_eps);
    for (const char *const *p = (const char *const[]){"attn_pdrop", "embd_pdrop", "resid_pdrop", NULL}; *p;
         p++)
        put_float(b, *p, 0);
}

/* Some versions of transformers want a point in these numbers. */
static void put_factor(buffer *b, const char *key, float value) {
    buffer_format(b, ", \"%s\": ", key);
    size_t start = b->len;
    buffer_json_float(b, value);
    if (b->data && !strpbrk(b->data + start, ".e")) buffer_string(b, ".0");
}

/* In the keys that transformers has read since Llama 3.1; its version 5 still does. */
static void put_rope(buffer *b, const model_config *c) {
    const rope_scaling *s = &c->rope_scaling;
    put_float(b, "rope_theta", c->rope_theta);
    if (s->kind == ROPE_UNSCALED) return;
    buffer_format(b, ",\n  \"rope_scaling\": {\"rope_type\": \"%s\"",
                  s->kind == ROPE_LINEAR ? "linear" : "llama3");
    put_factor(b, "factor", s->factor);
    if (s->kind == ROPE_LLAMA3) {
        put_factor(b, "low_freq_factor", s->low_freq_factor);
        put_factor(b, "high_freq_factor", s->high_freq_factor);
        buffer_format(b, ", \"original_max_position_embeddings\": %d", s->original_context);
    }
    buffer_string(b, "}");
}

static void put_window(buffer *b, const model_config *c, window_keys keys) {
    if (keys == WINDOW_NEVER) return;
    if (keys == WINDOW_BY_LAYER) {
        put_bool(b, "use_sliding_window", c->window > 0);
        put_int(b, "max_window_layers", c->window > 0 ? 0 : c->n_layer);
    }
    if (c->window > 0)
        put_int(b, "sliding_window", c->window);
    else
        buffer_string(b, ",\n  \"sliding_window\": null");
}

static void put_llama(buffer *b, const model_config *c) {
    const family *f = family_of(c->family);
    put_text(b, "hidden_act", c->activation == ACTIVATION_GEGLU ? "gelu_pytorch_tanh" : "silu");
    put_int(b, "hidden_size", c->d_model);
    put_int(b, "intermediate_size", c->d_ff);
    put_int(b, "max_position_embeddings", c->context);
    put_int(b, "num_attention_heads", c->n_head);
    put_int(b, "num_hidden_layers", c->n_layer);
    put_int(b, "num_key_value_heads", c->n_kv_head);
    put_int(b, "head_dim", c->head_dim);
    put_float(b, "rms_norm_eps", c->norm_eps);
    put_rope(b, c);
    put_window(b, c, f->window);
    if (f->free_attention_bias) put_bool(b, "attention_bias", c->qkv_bias);
    if (f->free_mlp_bias) put_bool(b, "mlp_bias", c->mlp_bias);
}

/* transformers' classifiers read the last token that is not the padding; ours read the end token. So an id
   that ends no sequence: it may also be what a batch is filled up with. */
static int padding(const model_config *c) {
    if (c->pad_token >= 0 && c->pad_token != c->eos_token) return c->pad_token;
    if (c->bos_token >= 0 && c->bos_token != c->eos_token) return c->bos_token;
    return c->eos_token == 0 && c->vocab_size > 1 ? 1 : 0;
}

static void put_scores(buffer *b, const model_config *c) {
    buffer_string(b, ",\n  \"id2label\": {\"0\": \"LABEL_0\"},\n  \"label2id\": {\"LABEL_0\": 0}");
    put_int(b, "num_labels", 1);
    if (c->score_bias) put_bool(b, "score_bias", 1);
    put_float(b, "reward_mean", c->reward_mean);
    put_float(b, "reward_std", c->reward_std);
}

/* PyTorch's name for what the files store. */
static const char *torch_name(tensor_dtype dtype) {
    return dtype == DTYPE_F16 ? "float16" : dtype == DTYPE_BF16 ? "bfloat16" : "float32";
}

status model_config_save(const model_config *c, tensor_dtype stored, const char *directory, error *err) {
    TRY(model_config_check(c, 1, err));
    const family *f = family_of(c->family);
    buffer b = {0};
    int classifier = c->n_score && !c->language_head, pad = classifier ? padding(c) : c->pad_token;
    if (classifier)
        buffer_format(&b, "{\n  \"architectures\": [\"%sForSequenceClassification\"]", f->architecture);
    else
        buffer_format(&b, "{\n  \"architectures\": [\"%s\"]", f->language_model);
    put_text(&b, "model_type", f->model_type);
    put_int(&b, "vocab_size", c->vocab_size);
    if (c->family == FAMILY_GPT2)
        put_gpt2(&b, c);
    else
        put_llama(&b, c);
    put_bool(&b, "tie_word_embeddings", c->tied);
    if (c->bos_token >= 0) put_int(&b, "bos_token_id", c->bos_token);
    if (c->eos_token >= 0) put_int(&b, "eos_token_id", c->eos_token);
    if (pad >= 0) put_int(&b, "pad_token_id", pad);
    if (c->n_score) put_scores(&b, c);
    put_text(&b, "torch_dtype", torch_name(stored));
    buffer_string(&b, "\n}\n");
    char *path = path_join(directory, "config.json");
    status s = path ? buffer_check(&b, err) : error_memory(err, "a path");
    if (s == STATUS_OK) s = file_write(path, b.data, b.len, err);
    free(path);
    buffer_free(&b);
    return s;
}
