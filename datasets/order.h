/* datasets/order: a fresh keyed permutation of the examples each epoch, and where a run is in it. */
#ifndef RLHF_DATASETS_ORDER_H
#define RLHF_DATASETS_ORDER_H

#include "core/base/error.h"
#include "core/base/random.h"

typedef struct order {
    int n;
    uint64_t seed;
    random_purpose purpose;
    int round;
    int32_t *permutation; /* of this epoch */
    int epoch, next;      /* the cursor: all that a checkpoint needs */
} order;

status order_create(int n, uint64_t seed, random_purpose purpose, int round, order *out, error *err);
void order_free(order *o);
/* The next example; begins a new epoch when the last one is used up. */
int order_next(order *o);
/* Goes to a cursor that a checkpoint kept; next may be n (an epoch that has just ended). */
void order_seek(order *o, int epoch, int next);

#endif
