/* config.json as Hugging Face's GPT2Config, LlamaConfig and its descendants write it: read. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/model/adapter.h"
#include "core/model/config.h"
#include "core/model/config_reader.h"
#include "core/model/family.h"

enum { CONFIG_LIMIT = 1 << 20 };

static status read_gpt2(const config_reader *r, model_config *c) {
    static const char *const gelu[] = {"gelu_new", "gelu_pytorch_tanh", NULL};
    int scaled;
    TRY(config_expect_text(r, "activation_function", gelu));
    TRY(config_bool(r, "scale_attn_weights", 1, &scaled));
    if (!scaled) return config_refuse(r, "scale_attn_weights", "false");
    TRY(config_int(r, "n_embd", -1, &c->d_model));
    TRY(config_int(r, "n_layer", -1, &c->n_layer));
    TRY(config_int(r, "n_head", -1, &c->n_head));
    TRY(config_int(r, "n_positions", -1, &c->context));
    TRY(config_int(r, "n_inner", c->d_model < INT_MAX / 4 ? 4 * c->d_model : 0, &c->d_ff));
    TRY(config_float(r, "layer_norm_epsilon", 1e-5, &c->norm_eps));
    c->n_kv_head = c->n_head;
    c->head_dim = c->n_head > 0 ? c->d_model / c->n_head : 0;
    if (c->head_dim * c->n_head != c->d_model)
        return error_set(r->err, STATUS_DATA, "%s: n_embd %d is not a multiple of n_head %d", r->place,
                         c->d_model, c->n_head);
    return STATUS_OK;
}

/* ---- rope: in keys of their own, with the scaling in rope_scaling, or all in rope_parameters ---- */

static status read_scaling(const config_reader *r, rope_scaling *s) {
    static const char *const known[] = {"default", "linear", "llama3", NULL};
    const char *key = config_value(r, "rope_type") ? "rope_type" : "type";
    config_value(r, "type");
    TRY(config_expect_text(r, key, known));
    const char *type = json_string_value(json_object_get(r->object, key));
    rope_scaling read = {0};
    TRY(config_float(r, "factor", 0, &read.factor));
    TRY(config_float(r, "low_freq_factor", 0, &read.low_freq_factor));
    TRY(config_float(r, "high_freq_factor", 0, &read.high_freq_factor));
    TRY(config_int(r, "original_max_position_embeddings", 0, &read.original_context));
    if (type && strcmp(type, "linear") == 0) *s = (rope_scaling){.kind = ROPE_LINEAR, .factor = read.factor};
    if (type && strcmp(type, "llama3") == 0) {
        *s = read;
        s->kind = ROPE_LLAMA3;
    }
    return STATUS_OK;
}

static status read_rope_object(const json_t *object, const char *place, model_config *c, error *err) {
    config_reader r;
    status s = config_reader_open(&r, object, place, err);
    if (s == STATUS_OK) s = config_float(&r, "rope_theta", (double)c->rope_theta, &c->rope_theta);
    if (s == STATUS_OK) s = config_expect_number(&r, "partial_rotary_factor", 1);
    if (s == STATUS_OK) s = read_scaling(&r, &c->rope_scaling);
    if (s == STATUS_OK) s = config_refuse_unread(&r);
    config_reader_close(&r);
    return s;
}

static status read_rope(const config_reader *r, model_config *c) {
    static const char *const keys[] = {"rope_scaling", "rope_parameters", NULL};
    TRY(config_float(r, "rope_theta", (double)c->rope_theta, &c->rope_theta));
    TRY(config_expect_number(r, "partial_rotary_factor", 1));
    for (const char *const *key = keys; *key; key++) {
        const json_t *object = config_value(r, *key);
        if (!object) continue;
        if (!json_is_object(object))
            return error_set(r->err, STATUS_DATA, "%s: \"%s\" must be an object, not %s", r->place, *key,
                             json_kind(object));
        char place[512];
        snprintf(place, sizeof place, "%.480s: %s", r->place, *key);
        TRY(read_rope_object(object, place, c, r->err));
    }
    return STATUS_OK;
}

/* ---- the window: of all layers, or of none ---- */

/* How many of the layers slide, where layer_types tells it of each; -1 where it does not. */
static status count_sliding(const config_reader *r, int n_layer, int *n) {
    const json_t *types = config_value(r, "layer_types");
    *n = -1;
    if (!types) return STATUS_OK;
    if ((int)json_array_size(types) != n_layer)
        return error_set(r->err, STATUS_DATA, "%s: \"layer_types\" must be a list of %d, one for each layer",
                         r->place, n_layer);
    *n = 0;
    for (int i = 0; i < n_layer; i++) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        if (type && strcmp(type, "sliding_attention") == 0)
            (*n)++;
        else if (!type || strcmp(type, "full_attention") != 0)
            return error_set(r->err, STATUS_DATA,
                             "%s: \"layer_types\": layer %d is \"%.40s\", which this program cannot compute",
                             r->place, i, type ? type : "no text");
    }
    return STATUS_OK;
}

static status read_window(const config_reader *r, window_keys keys, model_config *c) {
    int slides = 1, first = 0, size = 0, n = c->n_layer, n_sliding;
    if (keys == WINDOW_NEVER) return STATUS_OK;
    if (keys == WINDOW_BY_LAYER) {
        TRY(config_bool(r, "use_sliding_window", 0, &slides));
        TRY(config_int(r, "max_window_layers", 28, &first));
    }
    /* A missing key is the size of the family's first model; null is none. */
    if (!json_is_null(json_object_get(r->object, "sliding_window"))) {
        TRY(config_int(r, "sliding_window", 4096, &size));
        if (size == 0) return config_refuse(r, "sliding_window", "0");
    }
    if (!slides) size = 0;
    TRY(count_sliding(r, n, &n_sliding));
    if (n_sliding < 0) n_sliding = size == 0 || first > n ? 0 : first < 0 ? n : n - first;
    if (n_sliding != 0 && (size == 0 || n_sliding != n))
        return error_set(r->err, STATUS_DATA,
                         "%s: a window for %d of %d layers, which this program cannot compute", r->place,
                         n_sliding, n);
    if (n_sliding > 0) c->window = size;
    return STATUS_OK;
}

/* ---- Llama and its descendants ---- */

static status read_activation(const config_reader *r, activation_kind kind) {
    static const char *const silu[] = {"silu", "swish", NULL};
    /* "gelu" is what Gemma's first files say of the tanh form. */
    static const char *const gelu[] = {"gelu_pytorch_tanh", "gelu", NULL};
    TRY(config_expect_text(r, "hidden_act", kind == ACTIVATION_GEGLU ? gelu : silu));
    return config_expect_text(r, "hidden_activation", kind == ACTIVATION_GEGLU ? gelu : silu);
}

static status read_llama(const config_reader *r, model_config *c) {
    const family *f = family_of(c->family);
    TRY(read_activation(r, c->activation));
    TRY(config_int(r, "hidden_size", -1, &c->d_model));
    TRY(config_int(r, "num_hidden_layers", -1, &c->n_layer));
    TRY(config_int(r, "num_attention_heads", -1, &c->n_head));
    /* Where it is missing, Llama has all heads; the others have numbers of their own. */
    TRY(config_int(r, "num_key_value_heads", c->family == FAMILY_LLAMA ? c->n_head : -1, &c->n_kv_head));
    int head_dim = f->head_dim ? f->head_dim : c->n_head > 0 ? c->d_model / c->n_head : 0;
    TRY(config_int(r, "head_dim", head_dim, &c->head_dim));
    TRY(config_int(r, "max_position_embeddings", -1, &c->context));
    TRY(config_int(r, "intermediate_size", -1, &c->d_ff));
    TRY(config_float(r, "rms_norm_eps", 1e-6, &c->norm_eps));
    TRY(read_rope(r, c));
    TRY(read_window(r, f->window, c));
    if (f->free_mlp_bias) TRY(config_bool(r, "mlp_bias", c->mlp_bias, &c->mlp_bias));
    if (!f->free_attention_bias) return STATUS_OK;
    TRY(config_bool(r, "attention_bias", c->qkv_bias, &c->qkv_bias));
    c->out_bias = c->qkv_bias;
    return STATUS_OK;
}

/* ---- heads ---- */

/* "...ForSequenceClassification" has a scalar head and no language head. */
static status read_heads(const config_reader *r, model_config *c) {
    const char *architecture = json_string_value(json_array_get(config_value(r, "architectures"), 0));
    int labels = 1, scores = architecture && strstr(architecture, "ForSequenceClassification") != NULL;
    const json_t *names = config_value(r, "id2label");
    int n_name = json_is_object(names) ? (int)json_object_size(names) : 2;
    TRY(config_int(r, "num_labels", n_name, &labels));
    if (scores && labels != 1)
        return error_set(r->err, STATUS_DATA, "%s: a classifier of %d labels; a reward model has 1", r->place,
                         labels);
    c->language_head = !scores;
    c->n_score = scores;
    TRY(config_bool(r, "score_bias", 0, &c->score_bias));
    c->score_bias &= scores; /* a language model's score head is there when it is asked for */
    TRY(config_float(r, "reward_mean", 0, &c->reward_mean));
    TRY(config_float(r, "reward_std", 1, &c->reward_std));
    if (!(c->reward_std > 0) || !isfinite(c->reward_std) || !isfinite(c->reward_mean))
        return error_set(r->err, STATUS_DATA, "%s: reward_mean %g, reward_std %g", r->place,
                         (double)c->reward_mean, (double)c->reward_std);
    return STATUS_OK;
}

static status read_family(const config_reader *r, model_config *c) {
    const char *type;
    TRY(json_field_string(r->object, "model_type", r->place, &type, r->err));
    int which = family_named(type);
    if (which < 0) {
        char known[200];
        family_list(known, sizeof known);
        return error_set(r->err, STATUS_DATA, "%s: model_type \"%.80s\" is not known; %s are", r->place, type,
                         known);
    }
    *c = model_config_of_family((model_family)which);
    return STATUS_OK;
}

static status refuse_quantized(const config_reader *r) {
    static const char *const keys[] = {"quantization_config", "quantization", NULL};
    for (const char *const *key = keys; *key; key++)
        if (config_value(r, *key))
            return error_set(r->err, STATUS_DATA,
                             "%s: the weights are quantised (\"%s\"); F32, F16 and BF16 are read", r->place,
                             *key);
    return STATUS_OK;
}

static status read_config(const config_reader *r, model_config *c) {
    TRY(read_family(r, c));
    TRY(refuse_quantized(r));
    TRY(config_int(r, "vocab_size", -1, &c->vocab_size));
    c->n_vocab = c->vocab_size;
    TRY(c->family == FAMILY_GPT2 ? read_gpt2(r, c) : read_llama(r, c));
    TRY(config_bool(r, "tie_word_embeddings", c->tied, &c->tied));
    TRY(config_id(r, "bos_token_id", &c->bos_token));
    TRY(config_id(r, "eos_token_id", &c->eos_token));
    TRY(config_id(r, "pad_token_id", &c->pad_token));
    TRY(read_heads(r, c));
    TRY(config_refuse_unread(r));
    if (model_config_check(c, 1, r->err) == STATUS_OK) return STATUS_OK;
    error_context(r->err, "%s", r->place);
    return r->err ? (r->err->code = STATUS_DATA) : STATUS_DATA;
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

/* 1, 0, or -1: no memory. */
static int holds(const char *directory, const char *name) {
    char *path = path_join(directory, name);
    int there = path ? path_exists(path) : -1;
    free(path);
    return there;
}

status model_check_directory(const char *directory, error *err) {
    static const char *const inside[] = {"config.json", "model", "policy"};
    int there[3];
    for (int i = 0; i < 3; i++)
        if ((there[i] = holds(directory, inside[i])) < 0) return error_memory(err, "a path");
    if (there[0] || adapter_is_directory(directory)) return STATUS_OK;
    for (int i = 1; i < 3; i++)
        if (there[i])
            return error_set(err, STATUS_DATA, "%s: is no model directory (no config.json); %s/%s is one",
                             directory, directory, inside[i]);
    return error_set(err, STATUS_DATA, "%s: is no model directory (no config.json)", directory);
}

status model_config_load(const char *directory, model_config *out, error *err) {
    TRY(model_check_directory(directory, err));
    char *path = path_join(directory, "config.json");
    if (!path) return error_memory(err, "a path");
    json_t *root = NULL;
    config_reader r = {0};
    if (!path_exists(path) && adapter_is_directory(directory)) {
        free(path);
        return load_base_config(directory, out, err);
    }
    status s = parse_json_file(path, CONFIG_LIMIT, &root, err);
    if (s == STATUS_OK) s = config_reader_open(&r, root, path, err);
    if (s == STATUS_OK) s = read_config(&r, out);
    config_reader_close(&r);
    json_decref(root);
    free(path);
    return s;
}
