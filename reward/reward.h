/* reward: the reward model: config -> rankings -> loss -> loop -> normalisation. */
#ifndef RLHF_REWARD_REWARD_H
#define RLHF_REWARD_REWARD_H

#include "datasets/session.h"

/* Trains c->reward in the run directory c->run and ends with model/, whose config.json holds reward_mean and
   reward_std. STATUS_OK also when it was finished before; STATUS_INTERRUPTED after a signal's checkpoint;
   STATUS_DATA when there is no pair to learn from. */
status reward_run(const struct config *c, const stage_options *options, error *err);

#endif
