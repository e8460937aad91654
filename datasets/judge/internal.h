/* datasets/judge/internal: one struct of functions per kind of judge. */
#ifndef RLHF_JUDGE_INTERNAL_H
#define RLHF_JUDGE_INTERNAL_H

#include "core/base/hash.h"
#include "datasets/judge/judge.h"

struct judge {
    status (*score)(judge *, const judge_item *items, int n, float *score, error *err);
    status (*rank)(judge *, const char *prompt, const char *messages, const char *const *answers, int n,
                   int *ranks, error *err); /* NULL: it scores */
    void (*close)(judge *);
};

#endif
