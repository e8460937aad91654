#include "datasets/texts.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 1 << 30 };

static status add_text(texts *t, const char *text, size_t len, error *err) {
    if (len == 0) return STATUS_OK;
    if ((t->n & (t->n - 1)) == 0) {
        tokenizer_text *entry = realloc(t->entry, sizeof *entry * (t->n ? 2 * t->n : 1));
        if (!entry) return error_memory(err, "texts");
        t->entry = entry;
    }
    char *copy = malloc(len);
    if (!copy) return error_memory(err, "texts");
    memcpy(copy, text, len);
    t->entry[t->n++] = (tokenizer_text){copy, len};
    return STATUS_OK;
}

/* A string, or the strings of a list, or the contents of messages, or the texts of a tree of them. */
static status add_value(texts *t, const json_t *value, error *err) {
    size_t i;
    const json_t *item;
    if (json_is_string(value)) return add_text(t, json_string_value(value), json_string_length(value), err);
    if (json_is_object(value)) {
        TRY(add_value(t, json_object_get(value, "content"), err));
        TRY(add_value(t, json_object_get(value, "text"), err));
        return add_value(t, json_object_get(value, "replies"), err);
    }
    if (json_is_array(value)) json_array_foreach(value, i, item) TRY(add_value(t, item, err));
    return STATUS_OK;
}

static status visit_line(void *context, json_t *line, const char *place, error *err) {
    static const char *const key[] = {"text",    "prompt", "completion", "messages",
                                      "answers", "chosen", "rejected"};
    (void)place;
    for (size_t i = 0; i < sizeof key / sizeof *key; i++)
        TRY(add_value(context, json_object_get(line, key[i]), err));
    return STATUS_OK;
}

static status load_documents(texts *t, const char *path, const char *separator, error *err) {
    buffer b = {0};
    size_t skip = separator ? strlen(separator) : 0;
    status s = lines_read_all(path, TEXT_LIMIT, &b, err);
    const char *at = b.data, *end = b.data + b.len;
    while (s == STATUS_OK && at && at < end) {
        const char *cut = skip ? memmem(at, (size_t)(end - at), separator, skip) : NULL;
        s = add_text(t, at, (size_t)((cut ? cut : end) - at), err);
        at = cut ? cut + skip : end;
    }
    buffer_free(&b);
    return s;
}

status texts_load(const char *const *files, int n_file, const char *separator, bad_lines *bad, texts *out,
                  error *err) {
    *out = (texts){0};
    status s = STATUS_OK;
    for (int i = 0; i < n_file && s == STATUS_OK; i++)
        s = lines_is_text_file(files[i]) ? load_documents(out, files[i], separator, err)
                                         : lines_each(files[i], bad, visit_line, out, err);
    if (s == STATUS_OK && out->n == 0)
        s = error_set(err, STATUS_DATA, "%s: no text", n_file ? files[0] : "no file");
    if (s != STATUS_OK) texts_free(out);
    return s;
}

void texts_free(texts *t) {
    for (size_t i = 0; i < t->n; i++) free((char *)t->entry[i].text);
    free(t->entry);
    *t = (texts){0};
}
