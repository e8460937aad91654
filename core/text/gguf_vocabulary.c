#include "core/text/gguf_vocabulary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/utf8.h"
#include "core/text/maps.h"
#include "core/text/tokenizer.h"

static status check_keys(const gguf *g, error *err) {
    static const char prefix[] = GGUF_TOKENIZER("");
    static const char *const known[] = {"model",         "pre",           "tokens",           "token_type",
                                        "scores",        "merges",        "token_type_count", "add_bos_token",
                                        "add_eos_token", "add_sep_token", "add_space_prefix", NULL};
    for (int i = 0; i < gguf_n_key(g); i++) {
        const char *key = gguf_key(g, i), *name = key + sizeof prefix - 1, *tail = "_token_id";
        size_t len = strlen(key);
        if (strncmp(key, prefix, sizeof prefix - 1) != 0) continue;
        if (strcmp(key + len - strlen(tail), tail) == 0) continue;
        const char *const *k = known;
        while (*k && strcmp(name, *k) != 0) k++;
        if (!*k)
            return error_set(err, STATUS_DATA,
                             "%s: metadata \"%s\" is not known: what it asks for might change ids",
                             gguf_path(g), key);
    }
    return STATUS_OK;
}

int gguf_text_is_utf8(gguf_text text) {
    for (size_t at = 0, step; at < text.len; at += step)
        if (utf8_read(text.data + at, text.len - at, &step) < 0) return 0;
    return 1;
}

static status bad_token(const gguf_vocabulary *v, int i, const char *what, error *err) {
    buffer name = {0};
    buffer_json_string(&name, v->token[i].data, v->token[i].len < 80 ? v->token[i].len : 80);
    status s = buffer_check(&name, err);
    if (s == STATUS_OK)
        s = error_set(err, STATUS_DATA, "%s: token %d, %s, %s", gguf_path(v->file), i, name.data, what);
    buffer_free(&name);
    return s;
}

static status read_tokens(gguf_vocabulary *v, gguf_array tokens, error *err) {
    bytes_map seen = {0};
    status s = STATUS_OK;
    for (int i = 0; i < v->n && s == STATUS_OK; i++) {
        gguf_text t = v->token[i] = gguf_next_text(&tokens);
        if (!gguf_text_is_utf8(t))
            s = bad_token(v, i, "is not UTF-8", err);
        else if (bytes_map_get(&seen, t.data, t.len) >= 0)
            s = bad_token(v, i, "stands twice", err);
        else if (!bytes_map_add(&seen, t.data, t.len, i))
            s = error_memory(err, "a vocabulary");
    }
    bytes_map_free(&seen);
    return s;
}

static status read_types(gguf_vocabulary *v, error *err) {
    static const char key[] = GGUF_TOKENIZER("token_type");
    gguf_array types;
    for (int i = 0; i < v->n; i++) v->type[i] = GGUF_TOKEN_NORMAL;
    if (!gguf_has(v->file, key)) return STATUS_OK;
    TRY(gguf_get_int32s(v->file, key, &types, err));
    if (types.n != (size_t)v->n)
        return error_set(err, STATUS_DATA, "%s: metadata \"%s\" has %zu elements, there are %d tokens",
                         gguf_path(v->file), key, types.n, v->n);
    for (int i = 0; i < v->n; i++) {
        int32_t type = gguf_next_int32(&types);
        if (type < GGUF_TOKEN_NORMAL || type > GGUF_TOKEN_BYTE)
            return bad_token(v, i, "has an unknown type", err);
        v->type[i] = (gguf_token_type)type;
    }
    return STATUS_OK;
}

status gguf_vocabulary_id(const gguf *g, const char *role, int *out, error *err) {
    char key[64];
    gguf_array tokens;
    int64_t id;
    *out = -1;
    snprintf(key, sizeof key, GGUF_TOKENIZER("%.20s_token_id"), role);
    if (!gguf_has(g, key)) return STATUS_OK;
    TRY(gguf_get_texts(g, GGUF_TOKENIZER("tokens"), &tokens, err));
    TRY(gguf_get_int(g, key, 0, (int64_t)tokens.n - 1, &id, err));
    *out = (int)id;
    return STATUS_OK;
}

/* A token with a role is no piece of text: a plain one is refused, and one that is left out as unused. */
static status read_role(const gguf_vocabulary *v, const char *role, int *out, error *err) {
    char what[80];
    TRY(gguf_vocabulary_id(v->file, role, out, err));
    if (*out < 0) return STATUS_OK;
    gguf_token_type type = v->type[*out];
    if (type == GGUF_TOKEN_CONTROL || type == GGUF_TOKEN_UNKNOWN || type == GGUF_TOKEN_USER_DEFINED)
        return STATUS_OK;
    snprintf(what, sizeof what, "is %.20s_token_id, and its type says that it is %s", role,
             type == GGUF_TOKEN_UNUSED ? "unused" : "text");
    return bad_token(v, *out, what, err);
}

status gguf_vocabulary_read(const gguf *g, gguf_vocabulary *v, error *err) {
    gguf_array tokens;
    *v = (gguf_vocabulary){.file = g};
    TRY(check_keys(g, err));
    TRY(gguf_get_texts(g, GGUF_TOKENIZER("tokens"), &tokens, err));
    if (tokens.n == 0 || tokens.n > TOKENIZER_MAX_VOCAB)
        return error_set(err, STATUS_DATA, "%s: %zu tokens, from 1 to %d are read", gguf_path(g), tokens.n,
                         TOKENIZER_MAX_VOCAB);
    v->n = (int)tokens.n;
    v->token = calloc(tokens.n, sizeof *v->token);
    v->type = calloc(tokens.n, sizeof *v->type);
    if (!v->token || !v->type) return error_memory(err, "a vocabulary");
    TRY(read_tokens(v, tokens, err));
    TRY(read_types(v, err));
    TRY(read_role(v, "bos", &v->bos, err));
    TRY(read_role(v, "eos", &v->eos, err));
    TRY(read_role(v, "unknown", &v->unk, err));
    return read_role(v, "padding", &v->pad, err);
}

void gguf_vocabulary_free(gguf_vocabulary *v) {
    free(v->token);
    free(v->type);
    *v = (gguf_vocabulary){0};
}
