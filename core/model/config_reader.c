#include "core/model/config_reader.h"

#include <string.h>

#include "core/base/buffer.h"

status config_reader_open(config_reader *r, const json_t *value, const char *place, error *err) {
    *r = (config_reader){.object = value, .place = place, .err = err};
    if (!json_is_object(value)) return error_set(err, STATUS_DATA, "%s: not an object", place);
    r->unread = json_copy((json_t *)value);
    return r->unread ? STATUS_OK : error_memory(err, "a config.json");
}

void config_reader_close(config_reader *r) { json_decref(r->unread); }

const json_t *config_value(const config_reader *r, const char *key) {
    const json_t *value = json_object_get(r->object, key);
    json_object_del(r->unread, key);
    return json_is_null(value) ? NULL : value;
}

status config_int(const config_reader *r, const char *key, int fallback, int *out) {
    long long n = fallback;
    if (config_value(r, key) || fallback < 0)
        TRY(json_field_int(r->object, key, r->place, -1, 1 << 30, &n, r->err));
    *out = (int)n;
    return STATUS_OK;
}

status config_float(const config_reader *r, const char *key, double fallback, float *out) {
    double x = fallback;
    if (config_value(r, key)) TRY(json_field_number(r->object, key, r->place, &x, r->err));
    *out = (float)x;
    return STATUS_OK;
}

status config_bool(const config_reader *r, const char *key, int fallback, int *out) {
    const json_t *value = config_value(r, key);
    *out = fallback;
    if (!value) return STATUS_OK;
    if (!json_is_boolean(value))
        return error_set(r->err, STATUS_DATA, "%s: \"%s\" must be true or false, not %s", r->place, key,
                         json_kind(value));
    *out = json_is_true(value);
    return STATUS_OK;
}

status config_id(const config_reader *r, const char *key, int *out) {
    const json_t *value = config_value(r, key);
    if (json_is_array(value)) value = json_array_get(value, 0);
    if (!value) return STATUS_OK;
    json_int_t id = json_integer_value(value);
    if (!json_is_integer(value) || id < -1 || id > 1 << 30)
        return error_set(r->err, STATUS_DATA, "%s: \"%s\" must be an id, or a list of ids", r->place, key);
    *out = (int)id;
    return STATUS_OK;
}

status config_refuse(const config_reader *r, const char *key, const char *value) {
    return error_set(r->err, STATUS_DATA, "%s: \"%s\" is %s, which this program cannot compute", r->place,
                     key, value);
}

/* The value as it stands in the file, or its kind where that is long. size > 40. */
static void print_value(const json_t *value, char *text, size_t size) {
    size_t n = json_dumpb(value, text, size - 1, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    if (n == 0 || n > size - 1)
        snprintf(text, size, "%s", json_kind(value));
    else
        text[n] = 0;
}

static status refuse_value(const config_reader *r, const char *key, const json_t *value) {
    char text[80];
    print_value(value, text, sizeof text);
    return config_refuse(r, key, text);
}

status config_expect_text(const config_reader *r, const char *key, const char *const *accepted) {
    const json_t *value = config_value(r, key);
    const char *text = json_string_value(value);
    if (!value) return STATUS_OK;
    for (; text && *accepted; accepted++)
        if (strcmp(text, *accepted) == 0) return STATUS_OK;
    return refuse_value(r, key, value);
}

status config_expect_number(const config_reader *r, const char *key, double accepted) {
    const json_t *value = config_value(r, key);
    if (!value || (json_is_number(value) && json_number_value(value) == accepted)) return STATUS_OK;
    return refuse_value(r, key, value);
}

/* ---- keys that change nothing ---- */

static const char *const HARMLESS[] = {
    /* names and kinds of files */
    "architectures", "auto_map", "custom_pipelines", "dtype", "model_type", "name_or_path", "tokenizer_class",
    "torch_dtype", "transformers_version", "transformers.js_config", "unsloth_fixed", "unsloth_version",
    /* how a program runs it */
    "attn_implementation", "cache_implementation", "chunk_size_feed_forward", "gradient_checkpointing",
    "output_attentions", "output_hidden_states", "output_past", "pretraining_tp", "return_dict",
    "tf_legacy_loss", "torchscript", "use_bfloat16", "use_cache",
    /* how it was trained, and what for */
    "finetuning_task", "id2label", "initializer_range", "is_decoder", "is_llama_config", "label2id",
    "max_sequence_length", "model_max_length", "n_ctx", "n_special", "predict_special_tokens", "problem_type",
    "reorder_and_upcast_attn", "task_specific_params",
    /* how text is sampled from it */
    "bad_words_ids", "begin_suppress_tokens", "diversity_penalty", "do_sample", "early_stopping",
    "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty", "length_penalty", "max_length",
    "max_new_tokens", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams",
    "num_return_sequences", "output_scores", "prefix", "remove_invalid_values", "repetition_penalty",
    "return_dict_in_generate", "suppress_tokens", "temperature", "top_k", "top_p", "typical_p", NULL};

static int ends_with(const char *text, const char *tail) {
    size_t n = strlen(text), k = strlen(tail);
    return n >= k && strcmp(text + n - k, tail) == 0;
}

static int is_harmless(const char *key) {
    if (key[0] == '_' || strncmp(key, "summary_", 8) == 0) return 1;
    if (ends_with(key, "dropout") || ends_with(key, "_pdrop") || ends_with(key, "_token_id")) return 1;
    for (const char *const *known = HARMLESS; *known; known++)
        if (strcmp(key, *known) == 0) return 1;
    return 0;
}

static int is_off(const json_t *value) {
    if (json_is_null(value) || json_is_false(value)) return 1;
    return (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

status config_refuse_unread(const config_reader *r) {
    const char *key;
    json_t *value;
    json_object_foreach(r->unread, key, value) {
        if (is_off(value) || is_harmless(key)) continue;
        char text[80];
        print_value(value, text, sizeof text);
        return error_set(r->err, STATUS_DATA,
                         "%s: \"%.80s\" is %s, which this program does not know; if it changes nothing of "
                         "what the model computes, take it out of the file",
                         r->place, key, text);
    }
    return STATUS_OK;
}
