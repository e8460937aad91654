/* sft/data: the examples of pre-training and fine-tuning, as the steps of a loop. */
#ifndef RLHF_SFT_DATA_H
#define RLHF_SFT_DATA_H

#include "datasets/order.h"
#include "datasets/pack.h"
#include "datasets/sequences.h"
#include "datasets/session.h"

typedef struct sft_data {
    sequence_data data;
    order order;
    int64_t steps;  /* of the whole run */
    int32_t *index; /* examples of the current step, [n_index] */
    uint64_t *id;   /* their sequence ids: epoch << 32 | example (in a mixture: place in the epoch) */
    int n_index, most_index;
    int64_t n_target; /* their targets: what the step's loss is divided by */
} sft_data;

/* Reads the files (sequences_load) and makes the order: every example once an epoch, or a mixture of the
   files by c->weights. STATUS_USAGE: weights that do not fit the files. */
status sft_data_open(session *s, const struct config_sft *c, int round, sft_data *out, error *err);
void sft_data_close(sft_data *d);

/* Draws the examples of the next step: c->batch of them, or as many as reach c->batch_tokens; the last step
   of the epochs takes what is left. */
void sft_data_step(sft_data *d, const struct config_sft *c);

/* Bytes that the data takes in memory: sequences and order. */
size_t sft_data_bytes(const sft_data *d);
/* What a workspace must hold for micro-batches of c->micro_tokens. */
limits sft_limits(const sft_data *d, const struct config_sft *c);

#endif
