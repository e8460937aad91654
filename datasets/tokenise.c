#include "datasets/tokenise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/signal.h"
#include "datasets/store/chat.h"

enum { DOCUMENTS_LIMIT = 1 << 30 };

typedef struct reader {
    const data_options *o;
    loss_kind loss;
    token_writer *out;
    ints token, target; /* one example */
} reader;

/* A long document is several sequences, and unless its line gives one, each of them has a split of its own,
   by the hash of its ids: a book alone has a held-out part too. */
static status keep_pieces(reader *r, const example_info *info, const char *place, error *err) {
    int64_t n = (int64_t)r->token.len, most = r->o->max_length;
    for (int64_t i = 0; i < n; i += most) {
        int64_t piece = n - i < most ? n - i : most;
        hash h = hash_bytes(r->token.data + i, sizeof *r->token.data * (size_t)piece);
        split_kind split = info->split;
        if (!info->split_given) TRY(split_parse(split_of_opening(&h), place, &split, err));
        /* A piece of one token would have nothing to predict. */
        if (piece > 1)
            TRY(token_writer_add(r->out, r->token.data + i, r->target.data + i, piece, split, err));
    }
    return STATUS_OK;
}

/* Keeps the example in r->token, r->target. */
static status keep(reader *r, const example_info *info, const char *place, error *err) {
    int64_t n = (int64_t)r->token.len, most = r->o->max_length;
    int any = 0;
    r->out->n_read++;
    if (signal_stop_requested())
        return error_set(err, STATUS_INTERRUPTED, "stopped by a signal while %s was read", place);
    if (info->is_document && n > most) return keep_pieces(r, info, place, err);
    if (n > most && !r->o->cut)
        return error_set(err, STATUS_DATA,
                         "%s: %lld tokens, at most %lld fit (data.too_long: cut would cut it)", place,
                         (long long)n, (long long)most);
    if (n > most) n = most;
    for (int64_t i = 1; i < n; i++) any |= r->target.data[i];
    if (!any)
        return error_set(err, STATUS_DATA, "%s: nothing to learn: no target among its %lld tokens", place,
                         (long long)n);
    return token_writer_add(r->out, r->token.data, r->target.data, n, info->split, err);
}

static status visit_line(void *context, json_t *line, const char *place, error *err) {
    reader *r = context;
    example_info info;
    ints_clear(&r->token);
    ints_clear(&r->target);
    TRY(example_tokens(r->o, r->loss, line, place, &r->token, &r->target, &info, err));
    return keep(r, &info, place, err);
}

static status visit_document(reader *r, const char *text, size_t len, const char *place, error *err) {
    example_info info = {.is_document = 1};
    hash opening;
    TRY(prompt_opening(false, text, len, &opening, err));
    TRY(split_parse(split_of_opening(&opening), place, &info.split, err));
    ints_clear(&r->token);
    ints_clear(&r->target);
    if (example_document(r->o, text, len, &r->token, err) != STATUS_OK)
        return error_context(err, "%s", place);
    for (size_t i = 0; i < r->token.len; i++) ints_push(&r->target, 1);
    TRY(ints_check(&r->target, err));
    return keep(r, &info, place, err);
}

static int is_blank(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (!text[i] || !strchr(" \t\r\n", text[i])) return 0;
    return 1;
}

static status read_documents(reader *r, const char *path, error *err) {
    buffer text = {0};
    const char *separator = r->o->separator;
    size_t skip = separator ? strlen(separator) : 0;
    status s = lines_read_all(path, DOCUMENTS_LIMIT, &text, err);
    const char *at = text.data, *end = text.data + text.len;
    for (long number = 1; s == STATUS_OK && at && at < end; number++) {
        const char *cut = skip ? memmem(at, (size_t)(end - at), separator, skip) : NULL;
        size_t len = (size_t)((cut ? cut : end) - at);
        char place[512];
        snprintf(place, sizeof place, "%s: document %ld", path, number);
        if (!is_blank(at, len)) s = visit_document(r, at, len, place, err);
        if (s == STATUS_DATA) s = bad_lines_add(r->o->bad, err);
        at = cut ? cut + skip : end;
    }
    buffer_free(&text);
    return s;
}

status tokenise_file(const data_options *o, loss_kind loss, const char *path, token_writer *out, error *err) {
    reader r = {.o = o, .loss = loss, .out = out};
    status s = lines_is_text_file(path) ? read_documents(&r, path, err)
                                        : examples_each(path, o->bad, visit_line, &r, err);
    ints_free(&r.token);
    ints_free(&r.target);
    return s;
}
