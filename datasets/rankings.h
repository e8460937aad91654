/* datasets/rankings: what a reward model learns from: prompts with ranked answers, as token ids. */
#ifndef RLHF_DATASETS_RANKINGS_H
#define RLHF_DATASETS_RANKINGS_H

#include "datasets/example.h"

enum { RANKING_ANSWERS = 9 };

typedef struct ranking {
    int n_answer, n_prompt; /* n_prompt: tokens of the prompt, which every answer's sequence begins with */
    int64_t start[RANKING_ANSWERS + 1]; /* answer a's sequence is token[start[a] .. start[a + 1]) */
    int rank[RANKING_ANSWERS];          /* 1 best, equal: tie */
    float weight;
    split_kind split;
    int round; /* -1: unknown */
} ranking;

typedef struct rankings {
    int n;
    ranking *entry;
    ints token;
    int longest;     /* tokens of one sequence */
    int most_tokens; /* tokens of one ranking's sequences together */
    int n_encoded; /* answers of a snapshot that were encoded again, since another tokenizer made their ids */
} rankings;

/* Reads every shape of datasets/store/ranking_line.h, snapshots (their very ids, where this tokenizer made
   them) included. Lines without a ranking (a verdict alone) are passed over. Only those of `split` are kept.
   A sequence of more than o->max_length tokens is a bad line. STATUS_DATA also when nothing is left. */
status rankings_load(const data_options *o, split_kind split, const char *const *files, int n_file,
                     rankings *out, error *err);
void rankings_free(rankings *r);

#endif
