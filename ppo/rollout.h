/* ppo/rollout: one iteration's answers and all that is known of them before the updates. */
#ifndef RLHF_PPO_ROLLOUT_H
#define RLHF_PPO_ROLLOUT_H

#include "datasets/answers.h"
#include "datasets/judge/judge.h"
#include "datasets/order.h"
#include "datasets/pack.h"
#include "ppo/controller.h"
#include "ppo/models.h"
#include "ppo/rewards.h"

/* Answer i (of n = prompts x samples_per_prompt) has its tokens at [start[i], start[i + 1]) of the per-token
   arrays, and its sequence, prompt and answer, at token + i x width. */
typedef struct rollout {
    int n, width;
    answers answers;
    int32_t *prompt_index; /* [prompts] which prompt */
    int32_t *token;        /* [n, width] */
    int *n_prompt;         /* [n] tokens of its prompt */
    int *start;            /* [n + 1] */
    float *logprob, *logprob_ref,
        *value; /* per answer token, by the policy that sampled, the reference, the value model */
    float *reward, *advantage, *value_target;
    float *raw, *score;   /* [n] by the judge; after end rule and clip */
    judge_item *item;     /* [n] for a judge by rule or command */
    buffer text;          /* the answers' texts for it, each ended by a zero byte */
    struct ppo_kl kl;     /* sums over all tokens */
    double advantage_std; /* before whitening */
    double flops;         /* floating-point operations of sampling and of reading the other models */
} rollout;

status rollout_create(const struct config_ppo *c, int longest_prompt, int context, rollout *out, error *err);
void rollout_free(rollout *r);

/* What a rollout works with. */
typedef struct rollout_context {
    session *session;
    const struct config_ppo *c;
    ppo_models *models;
    judge *judge; /* NULL: models->reward scores */
    sampler *sampler;
    workspace *ws;
    pack *pack;
    const prompts *prompts;
    order *order;
    uint64_t seed;
    int round;
} rollout_context;

/* Samples the answers of an iteration (from 1), scores them, reads reference and values, and computes rewards
   and advantages: algorithms.md, section 3, in its order. */
status rollout_collect(rollout *r, const rollout_context *x, int64_t iteration, double kl_coef, error *err);

/* Samples answers to the first prompts of x->prompts, in their order, keyed apart from those that train. */
status rollout_answer(rollout *r, const rollout_context *x, int64_t iteration, error *err);
/* Fills r->raw by the reward model or the judge. */
status rollout_score(rollout *r, const rollout_context *x, error *err);

static inline int rollout_length(const rollout *r, int i) { return r->start[i + 1] - r->start[i]; }
static inline int rollout_tokens(const rollout *r) { return r->start[r->n]; }

#endif
