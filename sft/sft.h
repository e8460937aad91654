/* sft: pre-training and supervised fine-tuning: config -> examples -> loss -> loop. */
#ifndef RLHF_SFT_SFT_H
#define RLHF_SFT_SFT_H

#include "datasets/session.h"

/* Fine-tuning as c->sft says, and pre-training as c->pretrain does, in the run directory c->run: trains,
   validates, answers prompts, keeps the best, and ends with model/. STATUS_OK also when it was finished
   before; STATUS_INTERRUPTED after a signal's checkpoint. */
status sft_run(const struct config *c, const stage_options *options, error *err);
status pretrain_run(const struct config *c, const stage_options *options, error *err);

#endif
