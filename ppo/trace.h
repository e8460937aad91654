/* ppo/trace: what an iteration computed, for others to recompute (docs/formats.md, --trace DIR;
 * tests/golden/trace.py). */
#ifndef RLHF_PPO_TRACE_H
#define RLHF_PPO_TRACE_H

#include "ppo/update.h"

typedef struct trace trace;

/* directory NULL: *out is NULL and every call below does nothing. */
status trace_open(const char *directory, const struct config_ppo *c, int n_answer, trace **out, error *err);
void trace_close(trace *t);

/* The models as they are, in iteration-000001/{before,after}/{policy,value}. */
status trace_models(trace *t, session *s, const ppo_models *m, int64_t iteration, const char *when,
                    error *err);
/* Keeps a minibatch; context is the trace (a minibatch_done). */
status trace_minibatch(void *context, const minibatch_record *record, error *err);
/* Writes iteration-000001.safetensors with the minibatches kept since the last one. */
status trace_write(trace *t, const rollout *r, int64_t iteration, error *err);

#endif
