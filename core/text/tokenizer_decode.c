#include <string.h>

#include "core/text/tokenizer_parts.h"

static int is_token(const tokenizer *t, int32_t id) {
    return id >= 0 && id < t->vocab && t->tokens[id].kind != TOKEN_NONE;
}

int tokenizer_is_special(const tokenizer *t, int32_t id) {
    return is_token(t, id) && t->tokens[id].kind == TOKEN_SPECIAL;
}

int tokenizer_special(const tokenizer *t, const char *name) {
    const added_token *found = added_find(&t->names, name);
    return found ? found->id : -1;
}

const char *tokenizer_token_bytes(const tokenizer *t, int32_t id, size_t *len) {
    *len = is_token(t, id) ? t->tokens[id].bytes_len : 0;
    return is_token(t, id) ? t->pool.data + t->tokens[id].bytes : NULL;
}

/* Metaspace's decoder leaves the marks of the first token out. */
static void append_first(const tokenizer *t, const token *one, buffer *out) {
    const char *name = t->pool.data + one->name, *end = name + one->name_len, *mark = t->decoding.replaced;
    size_t n = strlen(mark);
    const char *found = memmem(name, one->name_len, mark, n);
    if (!found) buffer_append(out, t->pool.data + one->bytes, one->bytes_len);
    while (found) {
        buffer_append(out, name, (size_t)(found - name));
        name = found + n;
        found = memmem(name, (size_t)(end - name), mark, n);
        if (!found) buffer_append(out, name, (size_t)(end - name));
    }
}

/* Takes at most n spaces off the text that begins at from. */
static void strip(buffer *out, size_t from, int n) {
    size_t spaces = 0;
    while (n-- > 0 && from + spaces < out->len && out->data[from + spaces] == ' ') spaces++;
    if (!spaces) return;
    memmove(out->data + from, out->data + from + spaces, out->len - from - spaces + 1);
    out->len -= spaces;
}

status tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n, int show_special, buffer *out,
                        error *err) {
    size_t before = out->len;
    int is_first = 1;
    for (size_t i = 0; i < n; i++) {
        if (!is_token(t, ids[i]))
            return error_set(err, STATUS_DATA, "token %d: the tokenizer has no such id (it has %d)", ids[i],
                             t->vocab);
        const token *one = &t->tokens[ids[i]];
        if (!show_special && one->kind == TOKEN_SPECIAL) continue;
        if (is_first && t->decoding.drops_first_spaces)
            append_first(t, one, out);
        else
            buffer_append(out, t->pool.data + one->bytes, one->bytes_len);
        is_first = 0;
    }
    TRY(buffer_check(out, err));
    strip(out, before, t->decoding.strip);
    return STATUS_OK;
}
