/* datasets/label/simulate: labellers that are no people: a judge's score, noise on it, and ranks from what
 * comes out.
 */
#ifndef RLHF_LABEL_SIMULATE_H
#define RLHF_LABEL_SIMULATE_H

#include <stdint.h>

#include "core/base/error.h"
#include "datasets/judge/judge.h"
#include "datasets/store/store.h"

typedef struct label_simulate_options {
    int64_t labeller; /* of a kind that is not human */
    int64_t round;    /* -1: all open rounds */
    double noise;     /* scale of the Gumbel noise on each score, >= 0; then P(a before b) is that of
                         Bradley-Terry */
    double flip;      /* probability that two neighbours in the order change places, in [0, 1] */
    double tie;       /* neighbours whose scores differ by at most this tie, >= 0 */
    uint64_t seed;
    int64_t limit; /* at most so many rankings; 0: all that are open */
} label_simulate_options;

/* Ranks what is open for this labeller, in the order of hand-out, a batch in each transaction; so a kill
   loses no more than one batch, and going on gives the rankings that an undisturbed run gives. Everything
   random is a counter: RANDOM_LABELLER keyed by (seed, round), sequence id = task, position = labeller, block
   = slot; word 0: noise, word 1: flips. *n: rankings added, also when it fails. STATUS_FAILED: a score that
   is not finite, with task and slot. STATUS_INTERRUPTED: asked to stop, between batches. */
status label_simulate(store *s, judge *by, const label_simulate_options *options, int64_t *n, error *err);

/* Ranks from scores as above; score[n] is overwritten with the noisy ones. task and labeller are the
 * counter's. */
void label_ranks_from_scores(const label_simulate_options *options, int64_t round, int64_t task, int n,
                             float *score, int *rank);

#endif
