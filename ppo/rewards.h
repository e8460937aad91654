/* ppo/rewards: from an answer's score and its log-probabilities to one reward per token (InstructGPT eq. 2,
   per token as in Ziegler et al. 2019). In this order: score -> end rule -> clip -> KL -> add -> optional
   whitening (ppo/advantages.h). */
#ifndef RLHF_PPO_REWARDS_H
#define RLHF_PPO_REWARDS_H

#include <stdint.h>

enum ppo_unfinished { /* an answer that reached the token limit without its end token */
                      PPO_UNFINISHED_REPLACE,  /* gets unfinished_score instead of its own (-1 in [Ziegler,
                                                  N+]) */
                      PPO_UNFINISHED_SUBTRACT, /* gets its own minus |unfinished_score| (TRL)
                                                */
                      PPO_UNFINISHED_KEEP,     /* keeps its own (Stiennon et al. 2020) */
};
struct ppo_score_rule {
    enum ppo_unfinished unfinished;
    float unfinished_score;
    float clip; /* cut to [-clip, clip]; 0: off */
};

/* What is added at the last token: the score after the end rule and the clip, in that order. NaN stays NaN.
 */
float ppo_score(const struct ppo_score_rule *rule, float score, int finished);

/* r_t = -kl_coef k_t, k_t = log pi_old(y_t) - log pi_ref(y_t) (the k1 estimator); the score is added at the
   last token. logprob, logprob_ref: n_token floats, one per answer token, end token included. reward: n_token
   floats, written. An answer without tokens cannot be: n_token >= 1. */
void ppo_rewards(int n_token, const float *logprob, const float *logprob_ref, float score, double kl_coef,
                 float *reward);

/* KL(pi_old || pi_ref) summed over answer tokens by two estimators (Schulman 2020, "Approximating KL
   divergence"); start from {0}. Both unbiased; k3 has no negative terms and less variance. Divide by answers
   for a KL per answer (what the controller wants of k1), by tokens for one per token. */
struct ppo_kl {
    double k1; /* k */
    double k3; /* exp(-k) - 1 + k */
};
void ppo_kl_add(struct ppo_kl *sum, int n_token, const float *logprob, const float *logprob_ref);

#endif
