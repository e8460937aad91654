/* sft/samples: held-out prompts answered while training goes on, for a person to read in log.txt. */
#ifndef RLHF_SFT_SAMPLES_H
#define RLHF_SFT_SAMPLES_H

#include "datasets/answers.h"
#include "sft/data.h"

typedef struct sft_samples {
    sampler sampler; /* empty when there is nothing to answer */
    answers answers;
    ints prompt; /* the prompts' ids, one behind the other */
} sft_samples;

/* The first sample_count held-out examples (training ones where nothing is held out): each up to its first
   target, a document up to its 8th token. With sample_every 0 nothing is made. */
status sft_samples_open(session *s, const struct config_sft *c, const sft_data *d, const model_config *shape,
                        sft_samples *out, error *err);
status sft_samples_plan(session *s, const struct config_sft *c, const model_config *shape, memory_plan *plan,
                        error *err);
void sft_samples_close(sft_samples *x);
/* Samples at temperature 1 and logs prompt and answer. */
status sft_samples_show(sft_samples *x, session *s, const model *m, uint64_t seed, int64_t step, error *err);

#endif
