/* core/text/piece_merges: the merges of a SentencePiece vocabulary, which its files leave out: a pair of
   pieces may merge when what they make is a piece too, the piece with the best score first. */
#ifndef RLHF_TEXT_PIECE_MERGES_H
#define RLHF_TEXT_PIECE_MERGES_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

enum { PIECE_MAX_BYTES = 512 };

typedef struct scored_piece {
    const char *text; /* UTF-8, at most PIECE_MAX_BYTES */
    size_t len;
    float score; /* not NaN */
    int merges;  /* 0: no part and no result of a merge (control tokens, bytes) */
} scored_piece;

typedef struct piece_merge {
    int32_t left, right; /* pieces */
} piece_merge;

/* All merges in their order: by score, then the longer left part, the longer right part (in characters),
   the number of the piece that is made; as Hugging Face's converters have them. pieces [n], their texts
   differ. out [n_merge] is malloc'd. */
status piece_merges(const scored_piece *pieces, int n, piece_merge **out, size_t *n_merge, error *err);

#endif
