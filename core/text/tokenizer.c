#include "core/text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/text/tokenizer_parts.h"

enum { MAX_FILE = 1 << 28 };

void tokenizer_free(tokenizer *t) {
    if (!t) return;
    buffer_free(&t->json);
    buffer_free(&t->config_text);
    json_decref(t->config);
    buffer_free(&t->jinja);
    free(t->tokens);
    buffer_free(&t->pool);
    ints_free(&t->added);
    added_free(&t->names);
    added_free(&t->raw);
    added_free(&t->normalized);
    normalizers_free(&t->normalizers);
    cut_free_steps(&t->steps);
    bpe_free(&t->bpe);
    free(t->decoding.replaced);
    free(t->decoding.by);
    ints_free(&t->before);
    ints_free(&t->behind);
    free(t);
}

/* A file of the directory, if it is there. */
static status read_beside(const char *directory, const char *name, buffer *out, int *found, error *err) {
    char *path = path_join(directory, name);
    if (!path) return error_memory(err, "a path");
    *found = path_exists(path);
    status s = *found ? file_read(path, MAX_FILE, out, err) : STATUS_OK;
    free(path);
    return s;
}

/* "add_bos_token" and "add_eos_token" replace what the post-processor does, as in transformers. */
static status read_added_around(tokenizer *t, const char *place, error *err) {
    static const struct {
        const char *key, *token;
    } around[] = {{"add_bos_token", "bos_token"}, {"add_eos_token", "eos_token"}};
    ints *lists[] = {&t->before, &t->behind};
    if (!json_is_boolean(json_object_get(t->config, around[0].key)) &&
        !json_is_boolean(json_object_get(t->config, around[1].key)))
        return STATUS_OK;
    for (int i = 0; i < 2; i++) {
        const char *name = tokenizer_named(t, around[i].token);
        ints_clear(lists[i]);
        if (!json_is_true(json_object_get(t->config, around[i].key)) || !name) continue;
        int id = tokenizer_special(t, name);
        if (id < 0)
            return error_set(err, STATUS_DATA,
                             "%s/tokenizer_config.json: %s: the tokenizer has no token %.80s", place,
                             around[i].token, name);
        ints_push(lists[i], id);
        TRY(ints_check(lists[i], err));
    }
    return STATUS_OK;
}

static status load_config(tokenizer *t, const char *directory, error *err) {
    static const char name[] = "tokenizer_config.json";
    int found;
    TRY(read_beside(directory, "chat_template.jinja", &t->jinja, &t->has_jinja, err));
    TRY(read_beside(directory, name, &t->config_text, &found, err));
    if (!found) return STATUS_OK;
    char *path = path_join(directory, name);
    if (!path) return error_memory(err, "a path");
    status s =
        parse_json(t->config_text.data ? t->config_text.data : "", t->config_text.len, path, &t->config, err);
    if (s == STATUS_OK && !json_is_object(t->config))
        s = error_set(err, STATUS_DATA, "%s: must be an object", path);
    free(path);
    return s == STATUS_OK ? read_added_around(t, directory, err) : s;
}

status tokenizer_load(const char *path, tokenizer **out, error *err) {
    *out = NULL;
    int is_directory = path_is_directory(path);
    char *file = is_directory ? path_join(path, "tokenizer.json") : strdup(path);
    char *directory = is_directory ? strdup(path) : path_directory(path);
    buffer json = {0};
    status s = file && directory ? file_read(file, MAX_FILE, &json, err) : error_memory(err, "a path");
    if (s == STATUS_OK) s = tokenizer_parse(json.data ? json.data : "", json.len, file, out, err);
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

hash tokenizer_hash(const tokenizer *t) { return hash_bytes(t->json.data, t->json.len); }

const ints *tokenizer_before(const tokenizer *t) { return &t->before; }
const ints *tokenizer_behind(const tokenizer *t) { return &t->behind; }

/* A string, or an object with "content". */
const char *tokenizer_named(const tokenizer *t, const char *key) {
    const json_t *value = json_object_get(t->config, key);
    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

const char *tokenizer_template_name(const tokenizer *t) {
    return json_string_value(json_object_get(t->config, "rlhf_template"));
}

/* Of several ({"name", "template"} each) the one named default. */
static const char *default_of(const json_t *list) {
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item) {
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name && strcmp(name, "default") == 0) return json_string_value(json_object_get(item, "template"));
    }
    return NULL;
}

const char *tokenizer_chat_template(const tokenizer *t) {
    const json_t *value = json_object_get(t->config, "chat_template");
    if (t->has_jinja) return t->jinja.data ? t->jinja.data : "";
    return json_is_array(value) ? default_of(value) : json_string_value(value);
}
