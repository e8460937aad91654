/* reward/normalise: the zero and the unit of a reward model's scores. score = (raw - reward_mean) /
   reward_std; both stand in the model's config.json and are fitted after training: the mean so that
   demonstrations score 0 on average [InstructGPT], the spread so that samples have standard deviation 1
   [Ziegler et al. 2019]. */
#ifndef RLHF_REWARD_NORMALISE_H
#define RLHF_REWARD_NORMALISE_H

#include <stdint.h>

#include "core/base/error.h"

enum reward_normalise {
    REWARD_NORMALISE_NONE,     /* 0 and 1 */
    REWARD_NORMALISE_MEAN,     /* the scores' mean, and 1 */
    REWARD_NORMALISE_MEAN_STD, /* the scores' mean and standard deviation (biased) */
};

/* score: n raw scores. Writes both figures, or neither: STATUS_DATA when there are no scores to fit on, or
   all are equal and a spread is wanted; STATUS_FAILED when one is not finite. */
status reward_normalise_fit(enum reward_normalise what, int64_t n, const float *score, float *reward_mean,
                            float *reward_std, error *err);

#endif
