/* core/ops/cpu/attention_tile: the inner code of attention, the same for training and for pages. A tile is at
   most six query rows that share a key head; it walks the pages of its sequence in ascending order with an
   online softmax (Milakov and Gimelshein 2018; Dao et al. 2022). */
#ifndef RLHF_OPS_CPU_ATTENTION_TILE_H
#define RLHF_OPS_CPU_ATTENTION_TILE_H

#include "core/ops/cpu/kv.h"
#include "core/ops/cpu/micro.h"

enum { ATTENTION_TILES = 64 }; /* tiles that walk together, at most */

/* Queries of one sequence, and its keys and values in pages. */
struct attention_queries {
    const elem *q; /* row of the first token; query head h stands at column h head_dim */
    elem *out;     /* row of the first token */
    float *lse;    /* the same, or NULL */
    int64_t ld_q, ld_out, ld_lse;
    int n_token, cached; /* token i has position cached + i */
    int group;           /* query heads of a key head */
    int head_dim;
    int window; /* 0: none */
    float scale;
    const elem *pages; /* page p: pages + (table ? table[p] : p) page_stride; its key heads in turn */
    const int32_t *table;
    int64_t page_stride;
};

/* Tiles of each key head. */
int ELEM_NAME(attention_tiles)(const struct attention_queries *s);

/* Tiles that fit one walk, in [1, ATTENTION_TILES]. */
int ELEM_NAME(attention_walk)(const struct attention_queries *s);

/* Computes tiles [first, first + n), counted over the key heads in turn; n <= attention_walk. */
void ELEM_NAME(attention_run)(const struct attention_queries *s, int first, int n);

#endif
