#include "tests/support/gguf_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/files/safetensors.h"
#include "core/text/alphabet.h"

static const char *architecture(const model_config *c) {
    static const char *const names[] = {[FAMILY_GPT2] = "gpt2",
                                        [FAMILY_LLAMA] = "llama",
                                        [FAMILY_QWEN2] = "qwen2",
                                        [FAMILY_QWEN3] = "qwen3",
                                        [FAMILY_GEMMA] = "gemma"};
    return names[c->family];
}

static void put_int(gguf_file *f, const model_config *c, const char *name, int value) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", architecture(c), name);
    gguf_file_u32(f, key, (uint32_t)value);
}

static void put_float(gguf_file *f, const model_config *c, const char *name, float value) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", architecture(c), name);
    gguf_file_f32(f, key, value);
}

/* Llama 3.1's as llama.cpp's converter writes it: what each frequency is divided by. */
static void put_scaling(gguf_file *f, const model_config *c) {
    const rope_scaling *s = &c->rope_scaling;
    float divisor[128];
    if (s->kind == ROPE_LINEAR) {
        char key[96];
        snprintf(key, sizeof key, "%s.rope.scaling.type", architecture(c));
        gguf_file_text(f, key, "linear");
        put_float(f, c, "rope.scaling.factor", s->factor);
    }
    if (s->kind != ROPE_LLAMA3) return;
    for (int i = 0; i < c->head_dim / 2; i++) {
        double length = 2 * M_PI * pow((double)c->rope_theta, 2.0 * i / c->head_dim);
        double low = s->original_context / (double)s->low_freq_factor;
        double high = s->original_context / (double)s->high_freq_factor;
        double smooth = (s->original_context / length - (double)s->low_freq_factor) /
                        (double)(s->high_freq_factor - s->low_freq_factor);
        double mixed = 1 / ((1 - smooth) / (double)s->factor + smooth);
        divisor[i] = (float)(length < high ? 1 : length > low ? (double)s->factor : mixed);
    }
    const int64_t shape[1] = {c->head_dim / 2};
    gguf_file_tensor(f, "rope_freqs.weight", 0, 1, shape, divisor, (size_t)shape[0] * sizeof *divisor);
}

void gguf_file_shape(gguf_file *f, const model_config *c) {
    gguf_file_text(f, "general.architecture", architecture(c));
    gguf_file_u32(f, "general.file_type", 0);
    put_int(f, c, "block_count", c->n_layer);
    put_int(f, c, "context_length", c->context);
    put_int(f, c, "embedding_length", c->d_model);
    put_int(f, c, "feed_forward_length", c->d_ff);
    put_int(f, c, "attention.head_count", c->n_head);
    if (c->family == FAMILY_GPT2) {
        put_float(f, c, "attention.layer_norm_epsilon", c->norm_eps);
        return;
    }
    put_int(f, c, "attention.head_count_kv", c->n_kv_head);
    put_int(f, c, "attention.key_length", c->head_dim);
    put_int(f, c, "attention.value_length", c->head_dim);
    put_int(f, c, "rope.dimension_count", c->head_dim);
    put_float(f, c, "rope.freq_base", c->rope_theta);
    put_float(f, c, "attention.layer_norm_rms_epsilon", c->norm_eps);
    put_int(f, c, "vocab_size", c->vocab_size);
    put_scaling(f, c);
}

/* "model.layers.3.mlp.up_proj.weight" -> "blk.3.ffn_up.weight" */
static void rename_tensor(const char *name, char *out, size_t size) {
    static const char *const names[][2] = {
        {"wte", "token_embd"},         {"embed_tokens", "token_embd"},
        {"wpe", "position_embd"},      {"ln_f", "output_norm"},
        {"model.norm", "output_norm"}, {"lm_head", "output"},
        {"ln_1", "attn_norm"},         {"input_layernorm", "attn_norm"},
        {"attn.c_attn", "attn_qkv"},   {"attn.c_proj", "attn_output"},
        {"ln_2", "ffn_norm"},          {"post_attention_layernorm", "ffn_norm"},
        {"mlp.c_fc", "ffn_up"},        {"mlp.c_proj", "ffn_down"},
        {"q_norm", "attn_q_norm"},     {"k_norm", "attn_k_norm"},
        {"q_proj", "attn_q"},          {"k_proj", "attn_k"},
        {"v_proj", "attn_v"},          {"o_proj", "attn_output"},
        {"gate_proj", "ffn_gate"},     {"up_proj", "ffn_up"},
        {"down_proj", "ffn_down"},
    };
    const char *block = strstr(name, ".h."), *blocks = strstr(name, ".layers.");
    int layer = block ? atoi(block + 3) : blocks ? atoi(blocks + 8) : -1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *found = strstr(name, names[i][0]);
        if (!found) continue;
        const char *kind = found + strlen(names[i][0]);
        if (layer >= 0)
            snprintf(out, size, "blk.%d.%s%s", layer, names[i][1], kind);
        else
            snprintf(out, size, "%s%s", names[i][1], kind);
        return;
    }
    fail_msg("no GGUF name for %s", name);
}

static int ends_in(const char *name, const char *tail) {
    size_t n = strlen(name), k = strlen(tail);
    return n >= k && strcmp(name + n - k, tail) == 0;
}

/* Row r of a head, its first or second half's i-th, becomes row 2i or 2i + 1. */
static void permute(const float *from, int heads, int head_dim, int cols, float *to) {
    for (int h = 0; h < heads; h++)
        for (int part = 0; part < 2; part++)
            for (int i = 0; i < head_dim / 2; i++)
                memcpy(to + (size_t)(h * head_dim + 2 * i + part) * (size_t)cols,
                       from + (size_t)(h * head_dim + part * (head_dim / 2) + i) * (size_t)cols,
                       (size_t)cols * sizeof *to);
}

static void add_tensor(gguf_file *f, const model_config *c, const tensor_entry *e) {
    char name[96];
    float *x = malloc(2 * e->bytes), *y = x + e->bytes / sizeof *x;
    int64_t shape[2] = {e->shape[0], e->shape[1]};
    int cols = e->n_dim == 2 ? (int)shape[1] : 1;
    assert_non_null(x);
    memcpy(x, e->data, e->bytes);
    memcpy(y, e->data, e->bytes);
    for (int64_t i = 0; c->gain_from_one && strstr(e->name, "norm") && i < e->shape[0]; i++) y[i] += 1;
    if (c->family == FAMILY_LLAMA && strstr(e->name, "q_proj"))
        permute(x, c->n_head, c->head_dim, cols, y);
    else if (c->family == FAMILY_LLAMA && strstr(e->name, "k_proj"))
        permute(x, c->n_kv_head, c->head_dim, cols, y);
    else if (c->family == FAMILY_GPT2 && e->n_dim == 2 && strstr(e->name, ".c_")) {
        for (int64_t r = 0; r < e->shape[0]; r++)
            for (int64_t k = 0; k < cols; k++) y[k * e->shape[0] + r] = x[r * cols + k];
        shape[0] = e->shape[1];
        shape[1] = e->shape[0];
    }
    rename_tensor(e->name, name, sizeof name);
    gguf_file_tensor(f, name, 0, e->n_dim, shape, y, e->bytes);
    free(x);
}

void gguf_file_tensors(gguf_file *f, const model_config *c, const char *directory, const char *without) {
    safetensors *s;
    error err;
    if (safetensors_open(directory, &s, &err) != STATUS_OK) fail_msg("%s", err.message);
    for (int i = 0; i < safetensors_count(s); i++)
        if (!without || !ends_in(safetensors_entry(s, i)->name, without))
            add_tensor(f, c, safetensors_entry(s, i));
    safetensors_close(s);
}

void gguf_file_model(gguf_file *f, const model_config *c, const char *directory) {
    gguf_file_shape(f, c);
    gguf_file_tensors(f, c, directory, NULL);
}

static void write_letter(int i, char *out) {
    uint8_t byte = alphabet_byte(i);
    buffer letter = {0};
    alphabet_write(&letter, &byte, 1);
    strcpy(out, letter.data);
    buffer_free(&letter);
}

void gguf_file_tokenizer(gguf_file *f, int used, int n) {
    char(*text)[16] = calloc((size_t)n, sizeof *text);
    const char **tokens = calloc((size_t)n, sizeof *tokens);
    int32_t *types = calloc((size_t)n, sizeof *types);
    assert_true(text && tokens && types && n > 256);
    for (int i = 0; i < n; i++) {
        snprintf(text[i], sizeof text[i], "[%d]", i);
        tokens[i] = i == 256 ? "<|endoftext|>" : text[i];
        types[i] = i == 256 ? 3 : i < used ? 1 : 5;
        if (i < 256) write_letter(i, text[i]);
    }
    gguf_file_text(f, "tokenizer.ggml.model", "gpt2");
    gguf_file_text(f, "tokenizer.ggml.pre", "gpt-2");
    gguf_file_texts(f, "tokenizer.ggml.tokens", tokens, (size_t)n);
    gguf_file_int32s(f, "tokenizer.ggml.token_type", types, (size_t)n);
    gguf_file_texts(f, "tokenizer.ggml.merges", tokens, 0);
    gguf_file_u32(f, "tokenizer.ggml.bos_token_id", 256);
    gguf_file_u32(f, "tokenizer.ggml.eos_token_id", 256);
    free(types);
    free(tokens);
    free(text);
}
