/* core/generate: continuous batching. Answers to many prompts are sampled with as many sequences in flight as
   the cache has slots; a prompt is prefilled once and forked into its answers; a slot is refilled as soon as
   its answer ends. What an answer is does not depend on any of that: its bytes follow from its prompt, its
   sequence id and the sampling key. */
#ifndef RLHF_GENERATE_GENERATE_H
#define RLHF_GENERATE_GENERATE_H

#include "core/model/model.h"

typedef struct generate_prompt {
    const int32_t *token; /* [n_token], n_token >= 1 */
    int n_token;
    uint64_t seq_id; /* of answer 0; answer k has seq_id + k */
} generate_prompt;

typedef struct generate_options {
    sampling how;
    int n_answer;   /* per prompt; at most the cache's slots */
    int max_tokens; /* of an answer, its end token included; also cut where the context ends */
    int end_token;
} generate_options;

typedef struct generate_answer {
    int prompt, sample;    /* index into prompts, 0 .. n_answer - 1 */
    const int32_t *token;  /* [n_token], the end token included when it was chosen; valid during the call */
    const float *logprob;  /* [n_token] */
    int n_token, finished; /* finished: ended with the end token, not cut */
} generate_answer;

/* Called once for each answer, in the order in which they end. */
typedef status generate_done(void *context, const generate_answer *answer, error *err);

typedef struct generator generator; /* host buffers, made once for one size of cache */

/* max_tokens: the most that options will ask for. limits: those of the workspace and cache that will be lent.
 */
status generator_create(const limits *limits, int max_tokens, generator **out, error *err);
void generator_free(generator *g);
void generator_plan(const limits *limits, int max_tokens, const char *owner, memory_plan *plan);

/* Limits of a workspace and cache that keep n_slot sequences of at most max_len tokens in flight, with
   n_answer answers a prompt: prefills up to max_token tokens a step (at least n_slot + 1). */
limits generator_limits(int n_slot, int n_answer, int max_len, int max_token);

/* STATUS_DATA: a prompt that leaves no room in the context, by its number. STATUS_TOO_LARGE: the cache cannot
   hold even one prompt with its answers. The cache is empty again at the end, also after an error. */
status generate_run(generator *g, const model *m, workspace *ws, kv_cache *kv, const generate_prompt *prompts,
                    int n, const generate_options *options, generate_done *done, void *context, error *err);

#endif
