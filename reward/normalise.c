#include "reward/normalise.h"

#include <inttypes.h>
#include <math.h>

#include "core/train/moments.h"

status reward_normalise_fit(enum reward_normalise what, int64_t n, const float *score, float *reward_mean,
                            float *reward_std, error *err) {
    float mean = 0, std = 1;
    if (what != REWARD_NORMALISE_NONE) {
        if (n <= 0)
            return error_set(err, STATUS_DATA,
                             "no scores to fit reward_mean on; give reward.normalise_on answers, or set "
                             "reward.normalise: none");
        for (int64_t i = 0; i < n; i++)
            if (!isfinite(score[i]))
                return error_set(err, STATUS_FAILED,
                                 "score %" PRId64 " of %" PRId64
                                 " is %g: the reward model is broken, nothing "
                                 "was fitted",
                                 i + 1, n, score[i]);
        struct moments m = moments_of(n, score);
        mean = (float)m.mean;
        if (what == REWARD_NORMALISE_MEAN_STD) std = (float)sqrt(m.variance);
        if (!(std > 0))
            return error_set(err, STATUS_DATA,
                             "all %" PRId64
                             " scores are %g: reward_std would be 0; fit on more answers, or set "
                             "reward.normalise: mean",
                             n, mean);
    }
    *reward_mean = mean;
    *reward_std = std;
    return STATUS_OK;
}
