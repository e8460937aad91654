/* ppo/advantages: from rewards and values to the advantages that the objective reads. */
#ifndef RLHF_PPO_ADVANTAGES_H
#define RLHF_PPO_ADVANTAGES_H

#include <stdint.h>

/* Generalised advantage estimation over the answer tokens of one episode (Schulman et al. 2016, eq. 16):
       delta_t = r_t + gamma V_{t+1} - V_t,   A_t = delta_t + gamma lambda A_{t+1},   R_t = A_t + V_t.
   reward, value: n_token floats, value[t] read where token t was chosen; the value after the last token is 0,
   also of an answer that was cut. advantage, value_target (R): n_token floats, written. gamma, lambda in [0,
   1]. Cannot fail. */
void ppo_advantages(int n_token, const float *reward, const float *value, float gamma, float lambda,
                    float *advantage, float *value_target);

/* Whitens x (n floats, all answer tokens of the iteration) in place: (x - m) rsqrt(v + 1e-8), m the mean and
   v the biased variance. keep_mean adds m back: advantages are whitened without it, rewards with it. A
   constant becomes zeros (or stays). */
void ppo_whiten(int64_t n, float *x, int keep_mean);

/* 1 - var(R - V) / var(R) over n tokens: the share of the returns' variance that the values foretold. NaN
   where the returns do not vary. */
double ppo_explained_variance(int64_t n, const float *value, const float *value_target);

#endif
