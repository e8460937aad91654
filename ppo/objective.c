#include "ppo/objective.h"

#include <math.h>

static double clip(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

void ppo_policy_loss(const struct ppo_objective *how, int n_token, const float *logprob,
                     const float *logprob_old, const float *advantage, double weight, float *dlogprob,
                     struct ppo_policy_sums *sums) {
    for (int t = 0; t < n_token; t++) {
        double delta = (double)logprob[t] - logprob_old[t], ratio = exp(delta);
        double plain = -advantage[t] * ratio;
        double held = -advantage[t] * clip(ratio, 1.0 - how->clip_low, 1.0 + how->clip_high);
        int clipped = held > plain; /* only where the ratio is out of bounds, and there d held = 0 */
        dlogprob[t] = clipped ? 0 : (float)(weight * plain); /* d ratio / d logprob = ratio */
        sums->loss += weight * (clipped ? held : plain);
        sums->ratio += ratio;
        if (ratio > sums->ratio_max) sums->ratio_max = ratio;
        sums->delta_squared += delta * delta;
        sums->n_clipped += clipped;
    }
    sums->n_token += n_token;
}

void ppo_value_loss(const struct ppo_objective *how, int n_token, const float *value, const float *value_old,
                    const float *value_target, double weight, float *dvalue, struct ppo_value_sums *sums) {
    double scale = weight * how->vf_coef, reach = how->value_clip > 0 ? how->value_clip : INFINITY;
    for (int t = 0; t < n_token; t++) {
        double v = value[t], old = value_old[t], miss = v - value_target[t];
        double held_miss = clip(v, old - reach, old + reach) - value_target[t];
        int clipped = held_miss * held_miss > miss * miss;
        dvalue[t] = clipped ? 0 : (float)(scale * miss);
        sums->loss += scale * 0.5 * (clipped ? held_miss * held_miss : miss * miss);
        sums->n_clipped += clipped;
    }
    sums->n_token += n_token;
}

void ppo_ptx_gradient(int n_row, int64_t n_target, float ptx_coef, float *dlogprob) {
    float each = n_target > 0 ? (float)(-ptx_coef / (double)n_target) : 0;
    for (int r = 0; r < n_row; r++) dlogprob[r] = each;
}
