/* core/train/moments: mean and spread of a list of numbers, for rewards, advantages and metrics. Sums in
   float64, ascending, two passes: a constant list has a variance of exactly 0. */
#ifndef RLHF_TRAIN_MOMENTS_H
#define RLHF_TRAIN_MOMENTS_H

#include <stdint.h>

struct moments {
    double mean, variance; /* biased: divided by n. Both NaN when n = 0 */
};

/* x: n floats. A NaN among them makes both NaN. */
struct moments moments_of(int64_t n, const float *x);

#endif
