/* ppo/metrics: the figures of an iteration as a line of metrics.jsonl. All means are over real answer tokens
 * or answers. */
#ifndef RLHF_PPO_METRICS_H
#define RLHF_PPO_METRICS_H

#include "ppo/update.h"

typedef struct iteration_rates {
    double kl_coef, lr, value_lr; /* used in this iteration */
} iteration_rates;

/* The KL per answer (k1 sum) at rollout: what the controller steers by. */
double ppo_kl_per_answer(const rollout *r);

/* {"iteration":n,...}, names as docs/formats.md has them. Replaces out. */
void ppo_metrics_line(int64_t iteration, const rollout *r, const update_figures *u,
                      const iteration_rates *rates, int with_ptx, buffer *out);
/* The validation line. */
void ppo_metrics_valid_line(int64_t iteration, double score, double length, double ended, buffer *out);

#endif
