/* core/text/bpe_train: finding the merges of byte-level BPE (Sennrich et al. 2016, algorithm 1). */
#ifndef RLHF_TEXT_BPE_TRAIN_H
#define RLHF_TEXT_BPE_TRAIN_H

#include "core/base/ints.h"
#include "core/text/cut.h"
#include "core/text/tokenizer.h"

typedef struct bpe_token {
    char *bytes;
    size_t len;
} bpe_token;

/* Learns tokens until there are vocab of them, the first 256 being the bytes in the alphabet's order; left
   and right get the parts of each merge, in order (rarely two merges make the same token). tokens [vocab],
   each bytes malloc'd, also when this fails: bpe_free_tokens. *n_token: how many there are; fewer than
   vocab when no pair occurs twice any more. */
status bpe_train(const tokenizer_text *texts, size_t n, const cut_steps *words, int vocab, bpe_token *tokens,
                 int *n_token, ints *left, ints *right, error *err);
void bpe_free_tokens(bpe_token *tokens, int n);

#endif
