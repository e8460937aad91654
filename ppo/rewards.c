#include "ppo/rewards.h"

#include <math.h>

float ppo_score(const struct ppo_score_rule *rule, float score, int finished) {
    if (!finished && rule->unfinished == PPO_UNFINISHED_REPLACE) score = rule->unfinished_score;
    if (!finished && rule->unfinished == PPO_UNFINISHED_SUBTRACT) score -= fabsf(rule->unfinished_score);
    if (rule->clip > 0 && score > rule->clip) return rule->clip;
    if (rule->clip > 0 && score < -rule->clip) return -rule->clip;
    return score;
}

void ppo_rewards(int n_token, const float *logprob, const float *logprob_ref, float score, double kl_coef,
                 float *reward) {
    for (int t = 0; t < n_token; t++) {
        double k = (double)logprob[t] - logprob_ref[t];
        reward[t] = (float)((t == n_token - 1 ? score : 0.0) - kl_coef * k);
    }
}

void ppo_kl_add(struct ppo_kl *sum, int n_token, const float *logprob, const float *logprob_ref) {
    for (int t = 0; t < n_token; t++) {
        double k = (double)logprob[t] - logprob_ref[t];
        sum->k1 += k;
        sum->k3 += expm1(-k) + k;
    }
}
