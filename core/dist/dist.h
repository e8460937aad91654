/* core/dist: the ranks that train together, and the sums between them. One process is the only implementation
   yet; MPI and NCCL will be others behind the same functions. Stages know none of this: gradients are summed
   in the optimizer's step. */
#ifndef RLHF_DIST_DIST_H
#define RLHF_DIST_DIST_H

#include <stdint.h>

#include "core/base/error.h"
#include "core/ops/ops.h"

typedef struct dist dist;

/* This process alone: rank 0 of 1. */
status dist_open_single(dist **out, error *err);
void dist_close(dist *d); /* NULL is allowed */

int dist_rank(const dist *d); /* 0 .. size - 1 */
int dist_size(const dist *d);

/* Adds the n floats of every rank's device memory in the order of the ranks, in place: afterwards all ranks
   hold the same bytes. STATUS_FAILED: a rank is gone. */
status dist_sum(dist *d, device *dev, float *x, int64_t n, error *err);

#endif
