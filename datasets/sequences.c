#include "datasets/sequences.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/store/chat.h"

enum { DOCUMENTS_LIMIT = 1 << 30 };

typedef struct loader {
    const data_options *o;
    loss_kind loss;
    split_kind split;
    sequences *out;
    ints token, target; /* one example */
    int64_t read;       /* examples, of any split */
} loader;

int sequence_targets(const sequences *s, int i) {
    int n = 0;
    for (int64_t t = s->start[i]; t < s->start[i + 1]; t++) n += s->target.data[t];
    return n;
}

static status add_sequence(loader *l, int64_t first, int64_t n, error *err) {
    sequences *s = l->out;
    int64_t *start = realloc(s->start, sizeof *start * ((size_t)s->n + 2));
    if (!start) return error_memory(err, "examples");
    s->start = start;
    start[0] = 0;
    ints_append(&s->token, l->token.data + first, (size_t)n);
    ints_append(&s->target, l->target.data + first, (size_t)n);
    TRY(ints_check(&s->token, err));
    TRY(ints_check(&s->target, err));
    s->target.data[s->target.len - (size_t)n] = 0; /* no state stands before the first token */
    start[++s->n] = (int64_t)s->token.len;
    int targets = sequence_targets(s, s->n - 1);
    s->n_target += targets;
    if (n > s->longest) s->longest = (int)n;
    if (targets > s->most_targets) s->most_targets = targets;
    return STATUS_OK;
}

/* A long document is several sequences, and unless its line gives one, each of them has a split of its own,
   by the hash of its ids: a book alone has a held-out part too. */
static status keep_pieces(loader *l, const example_info *info, const char *place, error *err) {
    int64_t n = (int64_t)l->token.len, most = l->o->max_length;
    for (int64_t i = 0; i < n; i += most) {
        int64_t piece = n - i < most ? n - i : most;
        hash h = hash_bytes(l->token.data + i, sizeof *l->token.data * (size_t)piece);
        split_kind split = info->split;
        if (!info->split_given) TRY(split_parse(split_of_opening(&h), place, &split, err));
        /* A piece of one token would have nothing to predict. */
        if (piece > 1 && split_is_wanted(l->split, split)) TRY(add_sequence(l, i, piece, err));
    }
    return STATUS_OK;
}

/* Keeps the example in l->token, l->target. */
static status keep(loader *l, const example_info *info, const char *place, error *err) {
    int64_t n = (int64_t)l->token.len, most = l->o->max_length;
    int any = 0;
    l->read++;
    if (info->is_document && n > most) return keep_pieces(l, info, place, err);
    /* Checked whatever the split: a line is bad once, not only when its part is read. */
    if (n > most && !l->o->cut)
        return error_set(err, STATUS_DATA,
                         "%s: %lld tokens, at most %lld fit (data.too_long: cut would cut it)", place,
                         (long long)n, (long long)most);
    if (n > most) n = most;
    for (int64_t i = 1; i < n; i++) any |= l->target.data[i];
    if (!any)
        return error_set(err, STATUS_DATA, "%s: nothing to learn: no target among its %lld tokens", place,
                         (long long)n);
    return split_is_wanted(l->split, info->split) ? add_sequence(l, 0, n, err) : STATUS_OK;
}

static status visit_line(void *context, json_t *line, const char *place, error *err) {
    loader *l = context;
    example_info info;
    ints_clear(&l->token);
    ints_clear(&l->target);
    TRY(example_tokens(l->o, l->loss, line, place, &l->token, &l->target, &info, err));
    return keep(l, &info, place, err);
}

static status visit_document(loader *l, const char *text, size_t len, const char *place, error *err) {
    example_info info = {.is_document = 1};
    hash opening;
    TRY(prompt_opening(false, text, len, &opening, err));
    TRY(split_parse(split_of_opening(&opening), place, &info.split, err));
    ints_clear(&l->token);
    ints_clear(&l->target);
    if (example_document(l->o, text, len, &l->token, err) != STATUS_OK)
        return error_context(err, "%s", place);
    for (size_t i = 0; i < l->token.len; i++) ints_push(&l->target, 1);
    TRY(ints_check(&l->target, err));
    return keep(l, &info, place, err);
}

static int is_blank(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (!text[i] || !strchr(" \t\r\n", text[i])) return 0;
    return 1;
}

static status load_documents(loader *l, const char *path, error *err) {
    buffer text = {0};
    const char *separator = l->o->separator;
    size_t skip = separator ? strlen(separator) : 0;
    status s = lines_read_all(path, DOCUMENTS_LIMIT, &text, err);
    const char *at = text.data, *end = text.data + text.len;
    for (long number = 1; s == STATUS_OK && at && at < end; number++) {
        const char *cut = skip ? memmem(at, (size_t)(end - at), separator, skip) : NULL;
        size_t len = (size_t)((cut ? cut : end) - at);
        char place[512];
        snprintf(place, sizeof place, "%s: document %ld", path, number);
        if (!is_blank(at, len)) s = visit_document(l, at, len, place, err);
        if (s == STATUS_DATA) s = bad_lines_add(l->o->bad, err);
        at = cut ? cut + skip : end;
    }
    buffer_free(&text);
    return s;
}

status sequences_load(const data_options *o, loss_kind loss, split_kind split, const char *const *files,
                      int n_file, sequences *out, error *err) {
    *out = (sequences){0};
    loader l = {.o = o, .loss = loss, .split = split, .out = out};
    status s = STATUS_OK;
    for (int i = 0; i < n_file && s == STATUS_OK; i++)
        s = lines_is_text_file(files[i]) ? load_documents(&l, files[i], err)
                                         : lines_each(files[i], o->bad, visit_line, &l, err);
    ints_free(&l.token);
    ints_free(&l.target);
    if (s == STATUS_OK && out->n == 0) s = data_nothing_left(o, "example", files, n_file, split, l.read, err);
    if (s != STATUS_OK) sequences_free(out);
    return s;
}

void sequences_free(sequences *s) {
    free(s->start);
    ints_free(&s->token);
    ints_free(&s->target);
    *s = (sequences){0};
}
