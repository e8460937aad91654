/* datasets/sequences: what pre-training and fine-tuning learn from: token sequences with targets. */
#ifndef RLHF_DATASETS_SEQUENCES_H
#define RLHF_DATASETS_SEQUENCES_H

#include "datasets/token_file.h"

typedef struct sequence {
    const int32_t *token; /* [n] */
    int n, n_target;
} sequence;
/* [n] 1: the token is to be learned. */
static inline const uint8_t *sequence_targets(const sequence *s) {
    return (const uint8_t *)(s->token + s->n);
}

typedef struct sequences {
    int n;
    sequence *entry; /* [n], file by file */
    int *n_of_file;  /* [files] how many are of each */
    int64_t n_token, n_target;
    int shortest, longest, most_targets; /* tokens, targets of one sequence */
} sequences;

typedef struct sequence_data {
    sequences train, valid; /* valid may be empty */
    token_file *file;       /* [n_file] what their tokens lie in */
    int n_file;
} sequence_data;

/* Reads files of examples (datasets/tokenise.h), from the cache where there is one. `valid` files are what is
   validated on and all of train trains; without them each example's split decides. STATUS_DATA as
   token_cache_read, and when there is nothing to train on. */
status sequences_load(const data_options *o, loss_kind loss, const char *const *train, int n_train,
                      const char *const *valid, int n_valid, sequence_data *out, error *err);
void sequences_free(sequence_data *d);

/* Bytes that the sequences take in memory; those of the cache lie in files. */
size_t sequences_bytes(const sequence_data *d);
/* Gives what was read of the cache's files back to the system, so that memory stays flat; the tokens are read
   again when they are wanted. Allocates nothing. */
void sequences_release(const sequence_data *d);

#endif
