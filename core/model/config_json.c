/* config.json, as Hugging Face's GPT2Config and LlamaConfig write it. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/model/adapter.h"
#include "core/model/config.h"

enum { CONFIG_LIMIT = 1 << 20 };

typedef struct reader {
    const json_t *root;
    const char *place;
    error *err;
} reader;

/* Integers with a default where the key may be missing or null (fallback >= 0). */
static status read_int(const reader *r, const char *key, int fallback, int *out) {
    const json_t *value = json_object_get(r->root, key);
    long long n;
    if ((!value || json_is_null(value)) && fallback >= 0) {
        *out = fallback;
        return STATUS_OK;
    }
    TRY(json_field_int(r->root, key, r->place, -1, 1 << 30, &n, r->err));
    *out = (int)n;
    return STATUS_OK;
}

static status read_float(const reader *r, const char *key, double fallback, float *out) {
    double x = fallback;
    const json_t *value = json_object_get(r->root, key);
    if (value && !json_is_null(value)) TRY(json_field_number(r->root, key, r->place, &x, r->err));
    *out = (float)x;
    return STATUS_OK;
}

static status read_bool(const reader *r, const char *key, int fallback, int *out) {
    const json_t *value = json_object_get(r->root, key);
    *out = fallback;
    if (!value || json_is_null(value)) return STATUS_OK;
    if (!json_is_boolean(value))
        return error_set(r->err, STATUS_DATA, "%s: \"%s\" must be true or false, not %s", r->place, key,
                         json_kind(value));
    *out = json_is_true(value);
    return STATUS_OK;
}

/* Refuses a text that is there and not among the accepted ones. */
static status expect_text(const reader *r, const char *key, const char *const *accepted) {
    const json_t *value = json_object_get(r->root, key);
    if (!value || json_is_null(value)) return STATUS_OK;
    const char *text = json_string_value(value);
    for (; text && *accepted; accepted++)
        if (strcmp(text, *accepted) == 0) return STATUS_OK;
    return error_set(r->err, STATUS_DATA, "%s: \"%s\" is \"%s\", which this program cannot compute", r->place,
                     key, text ? text : json_kind(value));
}

static status expect_absent(const reader *r, const char *key) {
    const json_t *value = json_object_get(r->root, key);
    if (!value || json_is_null(value) || json_is_false(value)) return STATUS_OK;
    return error_set(r->err, STATUS_DATA, "%s: \"%s\" is set, which this program cannot compute", r->place,
                     key);
}

static status read_gpt2(const reader *r, model_config *c) {
    static const char *const gelu[] = {"gelu_new", "gelu_pytorch_tanh", NULL};
    int scaled;
    TRY(expect_text(r, "activation_function", gelu));
    TRY(expect_absent(r, "scale_attn_by_inverse_layer_idx"));
    TRY(read_bool(r, "scale_attn_weights", 1, &scaled));
    if (!scaled)
        return error_set(r->err, STATUS_DATA,
                         "%s: \"scale_attn_weights\" is false, which this program cannot "
                         "compute",
                         r->place);
    TRY(read_int(r, "n_embd", -1, &c->d_model));
    TRY(read_int(r, "n_layer", -1, &c->n_layer));
    TRY(read_int(r, "n_head", -1, &c->n_head));
    TRY(read_int(r, "n_positions", -1, &c->context));
    TRY(read_int(r, "n_inner", c->d_model < INT_MAX / 4 ? 4 * c->d_model : 0, &c->d_ff));
    TRY(read_float(r, "layer_norm_epsilon", 1e-5, &c->norm_eps));
    c->n_kv_head = c->n_head;
    c->head_dim = c->n_head > 0 ? c->d_model / c->n_head : 0;
    if (c->head_dim * c->n_head != c->d_model)
        return error_set(r->err, STATUS_DATA, "%s: n_embd %d is not a multiple of n_head %d", r->place,
                         c->d_model, c->n_head);
    return read_bool(r, "tie_word_embeddings", 1, &c->tied);
}

/* Later files keep rope_theta in an object, beside the kind of scaling. */
static status read_rope(const reader *r, model_config *c) {
    static const char *const none[] = {"default", NULL};
    reader inner = {json_object_get(r->root, "rope_parameters"), r->place, r->err};
    TRY(expect_absent(r, "rope_scaling"));
    if (!inner.root || json_is_null(inner.root)) return read_float(r, "rope_theta", 10000, &c->rope_theta);
    if (!json_is_object(inner.root))
        return error_set(r->err, STATUS_DATA, "%s: \"rope_parameters\" must be an object, not %s", r->place,
                         json_kind(inner.root));
    TRY(expect_text(&inner, "rope_type", none));
    return read_float(&inner, "rope_theta", 10000, &c->rope_theta);
}

static status read_llama(const reader *r, model_config *c) {
    static const char *const silu[] = {"silu", "swish", NULL};
    TRY(expect_text(r, "hidden_act", silu));
    TRY(read_int(r, "hidden_size", -1, &c->d_model));
    TRY(read_int(r, "num_hidden_layers", -1, &c->n_layer));
    TRY(read_int(r, "num_attention_heads", -1, &c->n_head));
    TRY(read_int(r, "num_key_value_heads", c->n_head, &c->n_kv_head));
    TRY(read_int(r, "head_dim", c->n_head > 0 ? c->d_model / c->n_head : 0, &c->head_dim));
    TRY(read_int(r, "max_position_embeddings", -1, &c->context));
    TRY(read_int(r, "intermediate_size", -1, &c->d_ff));
    TRY(read_float(r, "rms_norm_eps", 1e-6, &c->norm_eps));
    TRY(read_rope(r, c));
    TRY(read_bool(r, "attention_bias", 0, &c->attention_bias));
    TRY(read_bool(r, "mlp_bias", 0, &c->mlp_bias));
    return read_bool(r, "tie_word_embeddings", 0, &c->tied);
}

/* "...ForSequenceClassification" has a scalar head and no language head. */
static status read_heads(const reader *r, model_config *c) {
    const char *architecture =
        json_string_value(json_array_get(json_object_get(r->root, "architectures"), 0));
    int labels = 1, scores = architecture && strstr(architecture, "ForSequenceClassification") != NULL;
    if (scores) {
        const json_t *names = json_object_get(r->root, "id2label");
        TRY(read_int(r, "num_labels", json_is_object(names) ? (int)json_object_size(names) : 2, &labels));
        if (labels != 1)
            return error_set(r->err, STATUS_DATA, "%s: a classifier of %d labels; a reward model has 1",
                             r->place, labels);
    }
    c->language_head = !scores;
    c->n_score = scores;
    TRY(read_bool(r, "score_bias", 0, &c->score_bias));
    c->score_bias &= scores; /* a language model's score head is there when it is asked for */
    TRY(read_float(r, "reward_mean", 0, &c->reward_mean));
    TRY(read_float(r, "reward_std", 1, &c->reward_std));
    if (!(c->reward_std > 0) || !isfinite(c->reward_std) || !isfinite(c->reward_mean))
        return error_set(r->err, STATUS_DATA, "%s: reward_mean %g, reward_std %g", r->place,
                         (double)c->reward_mean, (double)c->reward_std);
    return STATUS_OK;
}

static status read_config(const reader *r, model_config *c) {
    const char *type;
    if (!json_is_object(r->root)) return error_set(r->err, STATUS_DATA, "%s: not an object", r->place);
    TRY(json_field_string(r->root, "model_type", r->place, &type, r->err));
    if (strcmp(type, "gpt2") == 0)
        *c = model_config_of_family(FAMILY_GPT2);
    else if (strcmp(type, "llama") == 0)
        *c = model_config_of_family(FAMILY_LLAMA);
    else
        return error_set(r->err, STATUS_DATA, "%s: model_type \"%s\" is not known; gpt2 and llama are",
                         r->place, type);
    TRY(read_int(r, "vocab_size", -1, &c->vocab_size));
    c->n_vocab = c->vocab_size;
    TRY(c->family == FAMILY_GPT2 ? read_gpt2(r, c) : read_llama(r, c));
    if (json_is_integer(json_object_get(r->root, "bos_token_id")))
        TRY(read_int(r, "bos_token_id", -1, &c->bos_token));
    if (json_is_integer(json_object_get(r->root, "eos_token_id")))
        TRY(read_int(r, "eos_token_id", -1, &c->eos_token));
    TRY(read_heads(r, c));
    if (model_config_check(c, 1, r->err) != STATUS_OK) {
        error_context(r->err, "%s", r->place);
        return r->err ? (r->err->code = STATUS_DATA) : STATUS_DATA;
    }
    return STATUS_OK;
}

/* An adapter of others brings no config.json: it is that of its model, with the head of its task. */
static status load_base_config(const char *directory, model_config *out, error *err) {
    adapter_source source;
    TRY(adapter_source_read(directory, &source, err));
    status s = model_config_load(source.base, out, err);
    if (source.is_classifier) {
        out->n_score = 1;
        out->language_head = 0;
    }
    adapter_source_free(&source);
    return s;
}

status model_config_load(const char *directory, model_config *out, error *err) {
    char *path = path_join(directory, "config.json");
    if (!path) return error_memory(err, "a path");
    json_t *root = NULL;
    if (!path_exists(path) && adapter_is_directory(directory)) {
        free(path);
        return load_base_config(directory, out, err);
    }
    status s = parse_json_file(path, CONFIG_LIMIT, &root, err);
    if (s == STATUS_OK) s = read_config(&(reader){root, path, err}, out);
    json_decref(root);
    free(path);
    return s;
}

/* ---- writing ---- */

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

static void put_llama(buffer *b, const model_config *c) {
    put_text(b, "hidden_act", "silu");
    put_int(b, "hidden_size", c->d_model);
    put_int(b, "intermediate_size", c->d_ff);
    put_int(b, "max_position_embeddings", c->context);
    put_int(b, "num_attention_heads", c->n_head);
    put_int(b, "num_hidden_layers", c->n_layer);
    put_int(b, "num_key_value_heads", c->n_kv_head);
    put_int(b, "head_dim", c->head_dim);
    put_float(b, "rms_norm_eps", c->norm_eps);
    put_float(b, "rope_theta", c->rope_theta);
    put_bool(b, "attention_bias", c->attention_bias);
    put_bool(b, "mlp_bias", c->mlp_bias);
}

static void put_scores(buffer *b, const model_config *c) {
    buffer_string(b, ",\n  \"id2label\": {\"0\": \"LABEL_0\"},\n  \"label2id\": {\"LABEL_0\": 0}");
    put_int(b, "num_labels", 1);
    /* No pad_token_id: transformers' classifiers read the last token that is not it, and ours read the end
     * token. */
    if (c->score_bias) put_bool(b, "score_bias", 1);
    put_float(b, "reward_mean", c->reward_mean);
    put_float(b, "reward_std", c->reward_std);
}

status model_config_save(const model_config *c, const char *directory, error *err) {
    TRY(model_config_check(c, 1, err));
    buffer b = {0};
    int gpt2 = c->family == FAMILY_GPT2;
    buffer_format(&b, "{\n  \"architectures\": [\"%s%s\"]", gpt2 ? "GPT2" : "Llama",
                  c->n_score && !c->language_head ? "ForSequenceClassification"
                  : gpt2                          ? "LMHeadModel"
                                                  : "ForCausalLM");
    put_text(&b, "model_type", gpt2 ? "gpt2" : "llama");
    put_int(&b, "vocab_size", c->vocab_size);
    if (gpt2)
        put_gpt2(&b, c);
    else
        put_llama(&b, c);
    put_bool(&b, "tie_word_embeddings", c->tied);
    if (c->bos_token >= 0) put_int(&b, "bos_token_id", c->bos_token);
    if (c->eos_token >= 0) put_int(&b, "eos_token_id", c->eos_token);
    if (c->n_score) put_scores(&b, c);
    put_text(&b, "torch_dtype", "float32");
    buffer_string(&b, "\n}\n");
    char *path = path_join(directory, "config.json");
    status s = path ? buffer_check(&b, err) : error_memory(err, "a path");
    if (s == STATUS_OK) s = file_write(path, b.data, b.len, err);
    free(path);
    buffer_free(&b);
    return s;
}
