/* ppo: the policy improved against a reward: config -> rollouts -> advantages -> objective -> loop. */
#ifndef RLHF_PPO_PPO_H
#define RLHF_PPO_PPO_H

#include "datasets/sequences.h"
#include "datasets/session.h"

/* Runs c->ppo in the run directory c->run and ends with policy/, value/ and, with ema, policy-ema/. STATUS_OK
   also when it was finished before; STATUS_INTERRUPTED after a signal's checkpoint. */
status ppo_run(const struct config *c, const stage_options *options, error *err);

/* What the keys must be together, before anything is opened; ppo_run begins with it. STATUS_USAGE. */
status ppo_check_keys(const struct config *c, error *err);

/* The texts of PPO-ptx, c->ptx, cut at c->ptx_length. As sequences_load. */
status ppo_load_ptx(session *s, const struct config_ppo *c, sequence_data *out, error *err);

#endif
