/* ppo/objective: what PPO's updates minimise (Schulman et al. 2017, eq. 7; InstructGPT eq. 2), as functions
   of the answer tokens' log-probabilities and values. A minibatch may come in any number of calls, one per
   micro-batch or one per answer.

   weight is what each token of the call counts in the minibatch's mean. For `aggregate: token-mean` it is
   1/N, N the answer tokens of the whole minibatch over all micro-batches and ranks; other means are other
   weights, the same for all tokens of one answer. */
#ifndef RLHF_PPO_OBJECTIVE_H
#define RLHF_PPO_OBJECTIVE_H

#include <stdint.h>

struct ppo_objective {
    float clip_low, clip_high; /* the ratio is held in [1 - clip_low, 1 + clip_high]; 0.2 both */
    float value_clip;          /* eps_v; 0: off */
    float vf_coef;
};

/* Sums over all tokens added so far; start from {0}. Means are divided by n_token. */
struct ppo_policy_sums {
    int64_t n_token;
    double loss;      /* already weighted: the sum is the minibatch's policy loss */
    double ratio;     /* sum of pi_new / pi_old */
    double ratio_max; /* largest */
    double
        delta_squared; /* sum of (log pi_new - log pi_old)^2: approximate KL of the update = half its mean */
    int64_t n_clipped; /* tokens whose clipped term is the larger one: they have no gradient */
};

/* loss = sum of weight max(-A ratio, -A clip(ratio, 1 - clip_low, 1 + clip_high)), ratio = exp(logprob -
   logprob_old). All arrays n_token floats; dlogprob = d loss / d logprob, written. Without an update in
   between (logprob == logprob_old) the ratio is exactly 1. NaN anywhere makes the loss NaN. */
void ppo_policy_loss(const struct ppo_objective *how, int n_token, const float *logprob,
                     const float *logprob_old, const float *advantage, double weight, float *dlogprob,
                     struct ppo_policy_sums *sums);

struct ppo_value_sums {
    int64_t n_token;
    double loss;       /* weighted, with vf_coef */
    int64_t n_clipped; /* tokens whose clipped term is the larger one */
};

/* loss = vf_coef / 2 sum of weight max((V - R)^2, (clip(V, V_old - eps_v, V_old + eps_v) - R)^2). All arrays
   n_token floats; dvalue = d loss / d value, written. */
void ppo_value_loss(const struct ppo_objective *how, int n_token, const float *value, const float *value_old,
                    const float *value_target, double weight, float *dvalue, struct ppo_value_sums *sums);

/* PPO-ptx: the pre-training loss that is added to the policy's, ptx_coef x -(1/n_target) sum of log p,
   n_target all target rows of the minibatch. dlogprob: n_row floats, written (0 when n_target is 0). Linear
   in log p, so known before the forward. */
void ppo_ptx_gradient(int n_row, int64_t n_target, float ptx_coef, float *dlogprob);

#endif
