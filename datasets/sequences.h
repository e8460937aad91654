/* datasets/sequences: what pre-training and fine-tuning learn from: token sequences with targets. */
#ifndef RLHF_DATASETS_SEQUENCES_H
#define RLHF_DATASETS_SEQUENCES_H

#include "datasets/example.h"

typedef struct sequences {
    int n;
    int64_t *start; /* [n + 1] into token and target */
    ints token, target;
    int64_t n_target;
    int longest, most_targets; /* tokens, targets of one sequence */
} sequences;

/* Reads files of examples (JSONL, .gz too) and documents (.txt, cut at the separator). Only those of `split`
   are kept (SPLIT_ANY: all). Documents longer than max_length become several sequences,
   each with a split of its own; another example that
   is too long is a bad line, or cut at its end when o->cut. An example without a target is a bad line.
   STATUS_DATA also when nothing is left. */
status sequences_load(const data_options *o, loss_kind loss, split_kind split, const char *const *files,
                      int n_file, sequences *out, error *err);
void sequences_free(sequences *s);

static inline int sequence_length(const sequences *s, int i) { return (int)(s->start[i + 1] - s->start[i]); }
int sequence_targets(const sequences *s, int i);

#endif
