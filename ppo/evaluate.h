/* ppo/evaluate: held-out prompts answered while PPO goes on. */
#ifndef RLHF_PPO_EVALUATE_H
#define RLHF_PPO_EVALUATE_H

#include "ppo/rollout.h"

typedef struct ppo_evaluation {
    rollout rollout; /* n 0: nothing is held out */
    prompts prompts;
    double score, length, ended; /* means of the last one */
} ppo_evaluation;

/* The first c->eval_prompts held-out prompts of the files. */
status ppo_evaluation_open(session *s, const struct config_ppo *c, int context, ppo_evaluation *out,
                           error *err);
void ppo_evaluation_close(ppo_evaluation *e);
/* Answers and scores them (x->prompts is not used) and logs a few. The answers follow from (seed, round,
 * iteration). */
status ppo_evaluation_run(ppo_evaluation *e, const rollout_context *x, int64_t iteration, error *err);

#endif
