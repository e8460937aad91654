/* core/text/bpe: byte pair encoding of one word (Sennrich et al. 2016), over bytes (Radford et al. 2019) or
   over characters with bytes for those that the vocabulary lacks (SentencePiece). */
#ifndef RLHF_TEXT_BPE_H
#define RLHF_TEXT_BPE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buffer.h"
#include "core/base/error.h"
#include "core/base/ints.h"
#include "core/text/maps.h"
#include "core/text/traced.h"

typedef struct bpe_text {
    uint32_t start, len; /* in the pool; len 0: not made from text */
} bpe_text;

typedef struct bpe {
    int is_byte_level;       /* words begin as bytes; else as characters */
    int32_t byte_token[256]; /* of each byte; over characters those of byte fallback; -1: none */
    int byte_fallback;       /* over characters: the 256 are there */
    int32_t unknown;         /* the token of what has none; -1: that is an error */
    int fuse_unknown;        /* neighbours that are unknown become one token */
    int ignore_merges;       /* a word that is a token is that token, whatever the merges say */

    buffer pool;
    bpe_text *text;     /* [vocab] each token's, as it is looked for in text */
    uint64_t *index;    /* [index_size], a power of two: hash << 32 | id + 1; 0: free */
    size_t index_size;  /* at most half full */
    size_t longest;     /* text */
    int32_t ascii[128]; /* the tokens of single characters */
    pair_map merges;    /* a pair of ids -> its rank, 0 first */
    int32_t *merged;    /* [rank] the id that the pair becomes */
    int joins_marks;    /* a mark U+2581 may become part of a token that begins with another character */
    atomic_uchar
        *whole; /* [vocab] whether a word of the token's text becomes that token; found out when needed */
} bpe;

void bpe_free(bpe *b);
/* Room for the texts of vocab tokens, in place of those there are. */
status bpe_begin(bpe *b, int vocab, error *err);
/* The text of a token, which no other has. */
status bpe_add(bpe *b, int32_t id, const char *text, size_t len, error *err);
/* The token of a text, or -1. */
int32_t bpe_find(const bpe *b, const char *text, size_t len);
/* The next merge, that of rank `rank`. 0 when out of memory. */
int bpe_add_merge(bpe *b, int32_t left, int32_t right, int32_t merged, int32_t rank);
/* When all tokens and merges are there. */
void bpe_complete(bpe *b);

/* What encoding a word needs; begin with {0}. */
typedef struct bpe_scratch {
    int32_t *id, *end;    /* [capacity] symbols: their tokens, and where they end */
    struct place *places; /* [capacity] of long words */
    uint64_t *heap;       /* [3 capacity] */
    size_t capacity, long_capacity, n_heap;
} bpe_scratch;
void bpe_scratch_free(bpe_scratch *s);

/* Appends the ids of a word, which is not empty, and to spans, where that is not NULL, where each came
   from: start and end. STATUS_DATA: something without a token. The caller checks out and spans. */
status bpe_encode(const bpe *b, bpe_scratch *s, stretch word, ints *out, ints *spans, error *err);

#endif
