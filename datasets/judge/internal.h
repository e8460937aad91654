/* datasets/judge/internal: one struct of functions per kind of judge. */
#ifndef RLHF_JUDGE_INTERNAL_H
#define RLHF_JUDGE_INTERNAL_H

#include "core/base/hash.h"
#include "datasets/judge/judge.h"

struct judge {
    status (*score)(judge *, const judge_item *items, int n, float *score, error *err);
    status (*rank)(judge *, const char *prompt, const char *messages, const text_span *answers, int n,
                   int *ranks, error *err); /* NULL: it scores */
    status (*finish)(judge *, error *err);  /* NULL: nothing to check */
    void (*close)(judge *);
};

#endif
