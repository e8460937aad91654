#include <limits.h>
#include <stdlib.h>

#include "core/text/tokenizer_parts.h"

/* The way of a text: added tokens are found in it; what lies between them is normalized, searched once more
   for those that are written in normalized text, cut into words, and each word encoded. */

typedef struct encoder {
    const tokenizer *t;
    ints *out, *spans;
    unsigned kinds; /* of added tokens that are looked for */
    cutter cutter;
    normalizing normalizing;
    bpe_scratch bpe;
} encoder;

static status encode_word(void *context, stretch word, error *err) {
    encoder *e = context;
    return bpe_encode(&e->t->bpe, &e->bpe, word, e->out, e->spans, err);
}

static status encode_normal(encoder *e, stretch text, text_place place, error *err) {
    return cut_each(&e->cutter, text, place, encode_word, e, err);
}

static status encode_raw(encoder *e, stretch text, text_place place, error *err);

/* Finds the tokens of a set, and hands what lies between them to `between`. */
static status find_added(encoder *e, const added_set *set, stretch text, text_place place,
                         status (*between)(encoder *, stretch, text_place, error *), error *err) {
    size_t at = 0;
    for (added_match m = {0};
         added_next(set, text.text, text.len, m.next, at, e->kinds, e->cutter.scratch, &m);) {
        if (m.begin > at) TRY(between(e, stretch_part(text, at, m.begin), place, err));
        ints_push(e->out, m.token->id);
        if (e->spans) {
            origin from = stretch_origin(stretch_part(text, m.begin, m.end));
            ints_push(e->spans, from.start);
            ints_push(e->spans, from.end);
        }
        place = PLACE_BEHIND_TOKEN;
        at = m.end;
    }
    return at < text.len ? between(e, stretch_part(text, at, text.len), place, err) : STATUS_OK;
}

static status encode_raw(encoder *e, stretch text, text_place place, error *err) {
    stretch normal;
    TRY(normalize(&e->t->normalizers, text, place, &e->normalizing, &normal, err));
    return find_added(e, &e->t->normalized, normal, place, encode_normal, err);
}

static status encode(encoder *e, stretch text, text_place place, error *err) {
    TRY(cut_begin(&e->cutter, &e->t->steps, err));
    TRY(find_added(e, &e->t->raw, text, place, encode_raw, err));
    if (e->spans) TRY(ints_check(e->spans, err));
    return ints_check(e->out, err);
}

/* Each byte comes from itself. */
static origin *identity(size_t len) {
    origin *from = malloc((len + 1) * sizeof *from);
    for (size_t i = 0; from && i < len; i++) from[i] = (origin){(int32_t)i, (int32_t)i + 1};
    return from;
}

status tokenizer_encode_as(const tokenizer *t, const char *text, size_t len, unsigned flags, ints *out,
                           ints *spans, error *err) {
    text_place place = flags & TOKENIZER_BEHIND_TEXT    ? PLACE_BEHIND_TEXT
                       : flags & TOKENIZER_BEHIND_TOKEN ? PLACE_BEHIND_TOKEN
                                                        : PLACE_FIRST;
    encoder e = {.t = t, .out = out, .spans = spans, .kinds = ADDED_SPACE};
    if (flags & TOKENIZER_FIND_ADDED) e.kinds |= ADDED_OTHER;
    if (flags & TOKENIZER_FIND_SPECIAL) e.kinds |= ADDED_SPECIAL;
    if (len > INT32_MAX)
        return error_set(err, STATUS_DATA, "a text of %zu bytes: at most %d are encoded at once", len,
                         INT32_MAX);
    size_t before = out->len, spans_before = spans ? spans->len : 0;
    origin *from = spans ? identity(len) : NULL;
    status s =
        spans && !from ? error_memory(err, "a text") : encode(&e, (stretch){text, len, from}, place, err);
    cut_end(&e.cutter);
    normalizing_end(&e.normalizing);
    bpe_scratch_free(&e.bpe);
    free(from);
    if (s != STATUS_OK) {
        out->len = before;
        if (spans) spans->len = spans_before;
    }
    return s;
}

status tokenizer_encode(const tokenizer *t, const char *text, size_t len, ints *out, error *err) {
    return tokenizer_encode_as(t, text, len, 0, out, NULL, err);
}
