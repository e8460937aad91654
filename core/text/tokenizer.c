#include "core/text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/text/tokenizer_parts.h"

enum { MAX_FILE = 1 << 28 }; /* bytes; the largest published ones have 33 million */

void tokenizer_free(tokenizer *t) {
    if (!t) return;
    buffer_free(&t->json);
    buffer_free(&t->config_text);
    json_decref(t->config);
    free(t->tokens);
    ints_free(&t->added);
    buffer_free(&t->pool);
    pair_map_free(&t->merges);
    free(t->merged);
    word_pattern_free(t->words);
    free(t);
}

static status load_config(tokenizer *t, const char *directory, error *err) {
    char *path = path_join(directory, "tokenizer_config.json");
    if (!path) return error_memory(err, "a path");
    status s = STATUS_OK;
    if (path_exists(path)) {
        s = file_read(path, MAX_FILE, &t->config_text, err);
        if (s == STATUS_OK) s = parse_json(t->config_text.data, t->config_text.len, path, &t->config, err);
        if (s == STATUS_OK && !json_is_object(t->config))
            s = error_set(err, STATUS_DATA, "%s: must be an object", path);
    }
    free(path);
    return s;
}

status tokenizer_load(const char *path, tokenizer **out, error *err) {
    *out = NULL;
    int is_directory = path_is_directory(path);
    char *file = is_directory ? path_join(path, "tokenizer.json") : strdup(path);
    char *directory = is_directory ? strdup(path) : path_directory(path);
    buffer json = {0};
    status s = file && directory ? file_read(file, MAX_FILE, &json, err) : error_memory(err, "a path");
    if (s == STATUS_OK) s = tokenizer_parse(json.data, json.len, file, out, err);
    if (s == STATUS_OK) s = load_config(*out, directory, err);
    if (s != STATUS_OK) {
        tokenizer_free(*out);
        *out = NULL;
    }
    buffer_free(&json);
    free(file);
    free(directory);
    return s;
}

int tokenizer_vocab(const tokenizer *t) { return t->vocab; }

static int is_token(const tokenizer *t, int32_t id) {
    return id >= 0 && id < t->vocab && t->tokens[id].kind != TOKEN_NONE;
}

int tokenizer_is_special(const tokenizer *t, int32_t id) {
    return is_token(t, id) && t->tokens[id].kind == TOKEN_SPECIAL;
}

int tokenizer_special(const tokenizer *t, const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; i < t->added.len; i++) {
        const token *one = &t->tokens[t->added.data[i]];
        if (one->len == len && memcmp(t->pool.data + one->start, name, len) == 0) return t->added.data[i];
    }
    return -1;
}

const char *tokenizer_token_bytes(const tokenizer *t, int32_t id, size_t *len) {
    *len = is_token(t, id) ? t->tokens[id].len : 0;
    return is_token(t, id) ? t->pool.data + t->tokens[id].start : NULL;
}

status tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n, int show_special, buffer *out,
                        error *err) {
    for (size_t i = 0; i < n; i++) {
        if (!is_token(t, ids[i]))
            return error_set(err, STATUS_DATA, "token %d: the tokenizer has no such id (it has %d)", ids[i],
                             t->vocab);
        const token *one = &t->tokens[ids[i]];
        if (show_special || one->kind != TOKEN_SPECIAL)
            buffer_append(out, t->pool.data + one->start, one->len);
    }
    return buffer_check(out, err);
}

hash tokenizer_hash(const tokenizer *t) { return hash_bytes(t->json.data, t->json.len); }

const char *tokenizer_template_name(const tokenizer *t) {
    return json_string_value(json_object_get(t->config, "rlhf_template"));
}

const char *tokenizer_chat_template(const tokenizer *t) {
    return json_string_value(json_object_get(t->config, "chat_template"));
}
