/* rlhf/generate: K answers a prompt into a run directory (answers.jsonl, lineage.json), for the command and
 * for rounds. */
#ifndef RLHF_RLHF_GENERATE_H
#define RLHF_RLHF_GENERATE_H

#include "datasets/answers.h"

/* How an answer line is made richer: appends fields ("\"score\":1.5,\"gold\":2") for answers [0, a->n_prompt
   k) of a; called once with all of them before any line is written. extra[i] is empty at the call. */
typedef status generate_extra(void *context, session *s, run *r, const prompts *p,
                              const int32_t *prompt_index, const answers *a, buffer *extra, error *err);

/* How many answers each prompt gets, where they differ: changes samples[p->n], which are job.samples. */
typedef status generate_counts(void *context, const prompts *p, int32_t *samples, error *err);

typedef struct generate_job {
    const char *kind; /* of the run: "sample", "generate", "evaluate" */
    int round, resume;
    const char *model;
    const char *const *prompts;
    int n_prompts; /* files */
    split_kind split;
    int samples;             /* answers a prompt */
    generate_counts *counts; /* NULL: so many for each */
    sampling how;            /* without key */
    random_purpose purpose;  /* of the key: RANDOM_SAMPLE, RANDOM_SAMPLE_SFT or RANDOM_EVALUATE */
    int max_tokens, slots;
    generate_extra *extra;       /* NULL: none */
    void *context;               /* of both */
    const char *const *sections; /* of the config that the run keeps */
} generate_job;

/* The job of the config's generate section. */
generate_job generate_job_of(const struct config *c);

/* Runs the job in the run directory c->run. STATUS_OK also when it was finished before. An answer's bytes
   follow from model, prompt, (seed, purpose, round) and its sequence id, prompt x samples + k, samples being
   the most that a prompt gets. A run that was interrupted or killed goes on behind the answers that it had.
 */
status generate_into(const struct config *c, const generate_job *job, logger *log, error *err);

#endif
