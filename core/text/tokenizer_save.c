#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/text/template_parts.h"
#include "core/text/tokenizer_parts.h"

static int set_text(json_t *object, const char *key, const char *text) {
    return json_object_set_new(object, key, json_string(text)) == 0;
}

/* What makes transformers load tokenizer.json as it stands. */
static json_t *new_config(void) {
    json_t *config = json_object();
    if (set_text(config, "tokenizer_class", "PreTrainedTokenizerFast") &&
        json_object_set_new(config, "clean_up_tokenization_spaces", json_false()) == 0)
        return config;
    json_decref(config);
    return NULL;
}

/* The template's Jinja text, with the end token that this tokenizer has for it. malloc'd, NULL when out of
   memory. */
static char *jinja_of(const tokenizer *t, const chat_template *chosen) {
    const char *from = template_end_name(chosen), *to = template_end_of(chosen, t),
               *at = template_jinja(chosen);
    buffer out = {0};
    for (const char *found; strcmp(from, to) != 0 && (found = strstr(at, from)) != NULL;
         at = found + strlen(from)) {
        buffer_append(&out, at, (size_t)(found - at));
        buffer_string(&out, to);
    }
    buffer_string(&out, at);
    if (!out.failed) return out.data;
    buffer_free(&out);
    return NULL;
}

/* Whether the Jinja text that there is says the same: published ones know more (tools). */
static int keeps_jinja(const tokenizer *t, const chat_template *chosen) {
    const chat_template *own;
    return tokenizer_chat_template(t) && template_of(t, &own, NULL) == STATUS_OK && own == chosen;
}

static int record_template(const tokenizer *t, const chat_template *chosen, json_t *config) {
    const char *bos = template_bos_of(chosen, t);
    if (!keeps_jinja(t, chosen)) {
        char *jinja = jinja_of(t, chosen);
        int set = jinja && set_text(config, "chat_template", jinja);
        free(jinja);
        if (!set) return 0;
    }
    if (bos && tokenizer_special(t, bos) >= 0 && !set_text(config, "bos_token", bos)) return 0;
    if (template_end_token(chosen, t) >= 0 && !set_text(config, "eos_token", template_end_of(chosen, t)))
        return 0;
    return set_text(config, "rlhf_template", template_name(chosen));
}

static status print_config(const tokenizer *t, const chat_template *chosen, buffer *out, error *err) {
    json_t *config = t->config ? json_deep_copy(t->config) : new_config();
    char *text = NULL;
    if (config && (!chosen || record_template(t, chosen, config))) text = json_dumps(config, JSON_INDENT(2));
    status s = STATUS_OK;
    if (text)
        buffer_string(out, text);
    else
        s = error_memory(err, "tokenizer_config.json");
    buffer_string(out, "\n");
    free(text);
    json_decref(config);
    return s == STATUS_OK ? buffer_check(out, err) : s;
}

static status write_in(const char *directory, const char *name, const buffer *data, error *err) {
    char *path = path_join(directory, name);
    status s = path ? file_write(path, data->data, data->len, err) : error_memory(err, "a path");
    free(path);
    return s;
}

/* chat_template.jinja goes before what tokenizer_config.json says: it is written where it stays, and must
   not lie there where it does not. */
static status save_jinja(const tokenizer *t, const chat_template *chosen, const char *directory, error *err) {
    if (t->has_jinja && (!chosen || keeps_jinja(t, chosen)))
        return write_in(directory, "chat_template.jinja", &t->jinja, err);
    char *path = path_join(directory, "chat_template.jinja");
    status s = path ? path_remove_tree(path, err) : error_memory(err, "a path");
    free(path);
    return s;
}

status tokenizer_save(const tokenizer *t, const char *template, const char *directory, error *err) {
    const chat_template *chosen = NULL;
    buffer config = {0};
    if (template) TRY(template_find(template, &chosen, err));
    status s = write_in(directory, "tokenizer.json", &t->json, err);
    if (s == STATUS_OK) s = save_jinja(t, chosen, directory, err);
    if (s == STATUS_OK && !chosen && t->config)
        s = write_in(directory, "tokenizer_config.json", &t->config_text, err);
    else if (s == STATUS_OK) {
        s = print_config(t, chosen, &config, err);
        if (s == STATUS_OK) s = write_in(directory, "tokenizer_config.json", &config, err);
    }
    buffer_free(&config);
    return s;
}
