/* core/text/added: tokens that stand beside the vocabulary, found in text as they are written: control
   tokens, and others that were added later. */
#ifndef RLHF_TEXT_ADDED_H
#define RLHF_TEXT_ADDED_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/text/pattern.h"
#include "core/text/traced.h"

/* Kinds of added tokens, as sets of bits. */
enum {
    ADDED_SPACE = 1,   /* white space, not special: ordinary text, which the vocabulary keeps here */
    ADDED_OTHER = 2,   /* not special either: what an assistant may write */
    ADDED_SPECIAL = 4, /* control tokens */
};

typedef struct added_token {
    const char *text; /* [len], whoever makes the set keeps it */
    size_t len;
    int32_t id;
    unsigned kind;
    int single_word;    /* found only where no letter stands beside it */
    int lstrip, rstrip; /* white space before and behind it belongs to it */
} added_token;

typedef struct added_set {
    added_token *token; /* [n], sorted by text once it is complete */
    size_t n, capacity;
    size_t first[257]; /* tokens that begin with byte b: [first[b], first[b + 1]) */
    unsigned kinds;    /* all there are */
    pattern *word;     /* a letter, where a single_word needs to know */
} added_set;

/* 0 when out of memory. */
int added_push(added_set *s, added_token token);
/* After the last push. */
status added_complete(added_set *s, error *err);
void added_free(added_set *s);

/* The token of just this text, or NULL. */
const added_token *added_find(const added_set *s, const char *text);

typedef struct added_match {
    size_t begin, end; /* white space that it swallows included */
    size_t next; /* its own end, where the search goes on: a token in that white space is found once more */
    const added_token *token;
} added_match;

/* The next token of one of the kinds at or after from: the leftmost, of those that begin there the longest.
   It swallows white space from floor on. 0 where there is none. */
int added_next(const added_set *s, const char *text, size_t len, size_t from, size_t floor, unsigned kinds,
               pattern_scratch *scratch, added_match *out);

#endif
