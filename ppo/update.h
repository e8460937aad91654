/* ppo/update: the epochs of minibatches that improve policy and value on one rollout. */
#ifndef RLHF_PPO_UPDATE_H
#define RLHF_PPO_UPDATE_H

#include "datasets/sequences.h"
#include "ppo/objective.h"
#include "ppo/rollout.h"

/* Means over the updates of an iteration. */
typedef struct update_figures {
    int n_update;
    struct ppo_policy_sums policy;
    struct ppo_value_sums value;
    double entropy;                                             /* sum over policy.n_token tokens */
    double grad_norm, value_grad_norm, ptx_grad_norm, ptx_loss; /* sums over updates */
    double mismatch; /* largest |sampled - trained log-probability| of the tokens seen before the first step:
                        must be 0 */
    double flops;    /* floating-point operations of all updates */
} update_figures;

/* What one minibatch did, for a trace. */
typedef struct minibatch_record {
    int number, n;                /* counted through all epochs from 0; answers in it */
    const int32_t *index;         /* [n] */
    const float *logprob, *value; /* its answer tokens in that order, before its step */
    int n_token;
    double policy_loss, value_loss, grad_norm;
} minibatch_record;
typedef status minibatch_done(void *context, const minibatch_record *record, error *err);

typedef struct updater {
    const rollout_context *x;
    struct ppo_objective how;
    int32_t *permutation;     /* [n answers] */
    float *logprob, *value;   /* of a minibatch's answer tokens */
    float *entropy, *grad;    /* rows of a micro-batch */
    const sequence_data *ptx; /* NULL: no pre-training loss is mixed in */
    order *ptx_order;
    int32_t *ptx_index; /* of a minibatch */
    int most_ptx;
} updater;

status updater_create(const rollout_context *x, int n_answer, int most_rows, const sequence_data *ptx,
                      order *ptx_order, updater *out, error *err);
void updater_free(updater *u);

/* E epochs of M minibatches, each a fresh permutation keyed by (seed, round, iteration, epoch); old
   log-probabilities and values stay fixed. done: called after each minibatch, or NULL. */
status update_models(updater *u, const rollout *r, int64_t iteration, double lr, double value_lr,
                     update_figures *figures, minibatch_done *done, void *context, error *err);

#endif
