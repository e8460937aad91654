/* reward/accuracy: how well scores agree with rankings, over the pairs (w better than l) of any number of
   elements. Ties in the ranking are no pairs here, whatever the loss does with them. */
#ifndef RLHF_REWARD_ACCURACY_H
#define RLHF_REWARD_ACCURACY_H

#include <stdint.h>

enum { REWARD_GAPS = 8 };  /* gaps in rank told apart: 1, 2, ..., 8 and more */
enum { REWARD_BINS = 10 }; /* of the calibration, equal widths over predicted chances 0.5 .. 1 */

/* Counts over all pairs added so far; start from {0}. */
struct reward_accuracy {
    int64_t n_pair, n_right; /* right: r_w > r_l. Equal scores are wrong, and so is NaN */
    double margin;           /* sum of r_w - r_l */
    int64_t gap_pair[REWARD_GAPS], gap_right[REWARD_GAPS]; /* [g]: pairs whose ranks differ by g + 1 */
    int64_t bin_pair[REWARD_BINS];
    double bin_predicted[REWARD_BINS]; /* sum of sigmoid(|r_w - r_l|): the chance given to the higher score */
    double bin_right[REWARD_BINS];     /* how often the higher score was the better answer; 1/2 when equal */
};

/* score, rank: k each (rank 1 = best). */
void reward_accuracy_add(struct reward_accuracy *counts, int k, const float *score, const int32_t *rank);

/* All NaN where there is no pair. */
double reward_accuracy_share(const struct reward_accuracy *counts);
double reward_accuracy_margin(const struct reward_accuracy *counts);          /* mean r_w - r_l */
double reward_accuracy_at_gap(const struct reward_accuracy *counts, int gap); /* gap 1 .. REWARD_GAPS */
/* Expected calibration error of sigmoid(difference): sum over bins of (n_bin / n) |predicted - right|, means.
 */
double reward_accuracy_calibration_error(const struct reward_accuracy *counts);

#endif
