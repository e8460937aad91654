/* core/text/traced: text that is rewritten on its way to tokens, and where each of its bytes came from. */
#ifndef RLHF_TEXT_TRACED_H
#define RLHF_TEXT_TRACED_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/buffer.h"

/* The bytes [start, end) of the original text; empty where something was put in. */
typedef struct origin {
    int32_t start, end;
} origin;

/* A text, or a part of one. */
typedef struct stretch {
    const char *text;
    size_t len;
    const origin *from; /* [len]; NULL where nobody asked */
} stretch;

/* The bytes [start, end) of a stretch. */
stretch stretch_part(stretch p, size_t start, size_t end);

/* A growing text. As in buffer, a failed allocation is remembered. */
typedef struct traced {
    buffer text;
    origin *from; /* [text.len] when is_traced, else NULL */
    size_t capacity;
    int is_traced, is_long;
    size_t most; /* bytes; more are refused */
} traced;

void traced_free(traced *t);
/* Empty, memory kept, for what becomes of a text: with origins where that has them, and at most 16 times as
   long (and 4096 bytes), whatever a tokenizer's file says; traced_check refuses more. */
void traced_begin(traced *t, stretch from);
/* Bytes with their origins, or all of them with one. */
void traced_append(traced *t, stretch p);
void traced_put(traced *t, const char *text, size_t len, origin from);
/* The whole of it; good until something is appended. */
stretch traced_stretch(const traced *t);
/* Where a part of a text came from: the origins of its bytes, joined. part.len > 0, and origins are known. */
origin stretch_origin(stretch part);
/* The place before the byte at i <= p.len, for what is put in there; 0, 0 where nobody asked. */
origin stretch_place(stretch p, size_t i);
status traced_check(const traced *t, error *err);

#endif
