/* datasets/pack: ragged batches for the model, made of whole sequences, with the rows that are read. The
   shift between a token and the state that predicts it exists here and nowhere else: token i is read at the
   row after token i - 1. */
#ifndef RLHF_DATASETS_PACK_H
#define RLHF_DATASETS_PACK_H

#include "core/model/model.h"

typedef struct pack {
    batch b; /* points into the arrays below */
    limits limits;
    int32_t *token, *seq_start, *row_pos, *row_target; /* row_target is a valid id for every row */
    uint64_t *seq_id;
    void *memory;
} pack;

status pack_create(const limits *limits, pack *out, error *err);
void pack_free(pack *p);
void pack_clear(pack *p);
/* Whether a sequence of n tokens and n_row rows goes in beside what is there. */
int pack_fits(const pack *p, int n_token, int n_row);

/* Adds a sequence, n >= 1 tokens; the caller has asked pack_fits. Then its rows, in one of these ways: */
void pack_add(pack *p, uint64_t seq_id, const int32_t *token, int n);
/* a row for each token with target[i], i >= 1: it reads log p of that token; */
void pack_rows_of_targets(pack *p, const uint8_t *target);
/* a row for each token from n_prompt on (n_prompt >= 1): log p of an answer's tokens, and the values of the
   states they were chosen in; */
void pack_rows_of_answer(pack *p, int n_prompt);
/* one row at the last token: its score. */
void pack_row_of_end(pack *p);

/* Floating-point operations of a pass over what is packed (model_flops_per_token). */
double pack_flops(const pack *p, const model_config *shape, model_pass pass);

#endif
