/* datasets/label/rank: a person ranks answers at a terminal, line by line. */
#ifndef RLHF_LABEL_RANK_H
#define RLHF_LABEL_RANK_H

#include <stdint.h>
#include <stdio.h>

#include "core/base/error.h"
#include "datasets/store/store.h"

typedef struct label_rank_options {
    int64_t labeller; /* human */
    int64_t round;    /* -1: all open rounds */
    uint64_t seed;    /* of the order in which answers are shown */
    int64_t lease_ms; /* how long a task stays with somebody who has gone away */
    int in;           /* file descriptor to read from */
    FILE *out;
} label_rank_options;

/* Shows open tasks and records what is said until nothing is open, the person quits or the input ends. A
   ranking is committed before it is acknowledged. *n (may be NULL): rankings recorded, less those undone.
   STATUS_INTERRUPTED after a signal: the task in hand was handed back, everything acknowledged is recorded.
 */
status label_rank(store *s, const label_rank_options *options, int64_t *n, error *err);

/* "1 2 2 4", "1224", "1,2,2,4": n digits from 1 to 9. 0 when the text is none of these. */
int label_parse_ranks(const char *text, int n, int *rank);

#endif
