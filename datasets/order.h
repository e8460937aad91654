/* datasets/order: a fresh keyed permutation of the examples each epoch, and where a run is in it. */
#ifndef RLHF_DATASETS_ORDER_H
#define RLHF_DATASETS_ORDER_H

#include "core/base/error.h"
#include "core/base/random.h"

/* One file of a mixture. */
typedef struct order_part {
    int first, n; /* its examples */
    int weight;
    int first_place, n_place; /* its share of an epoch */
} order_part;

typedef struct order {
    int n; /* examples, and places of an epoch */
    uint64_t seed;
    random_purpose purpose;
    int round;
    int32_t *permutation; /* the examples of this epoch */
    int epoch, next;      /* the cursor: all that a checkpoint needs */
    order_part *part;     /* [n_part] of a mixture; NULL: every example once an epoch */
    int n_part;
    int32_t *scratch; /* [n + the largest part] of a mixture */
} order;

status order_create(int n, uint64_t seed, random_purpose purpose, int round, order *out, error *err);
/* A mixture of files by weight: an epoch has as many places as there are examples, shared out in proportion
   to weight[i] (whole numbers; the largest remainders take what is left over) and shuffled. Each file goes
   through its own examples in passes, in a fresh order each, one epoch going on where the last one ended: so
   within a file no example comes twice before every other came once. n_of_file[n_file] examples, each over 0,
   weights too. */
status order_create_mixture(const int *n_of_file, const int *weight, int n_file, uint64_t seed,
                            random_purpose purpose, int round, order *out, error *err);
void order_free(order *o);
size_t order_bytes(const order *o); /* in memory */
/* The next example; begins a new epoch when the last one is used up. */
int order_next(order *o);
/* Goes to a cursor that a checkpoint kept; next may be n (an epoch that has just ended). */
void order_seek(order *o, int epoch, int next);

#endif
