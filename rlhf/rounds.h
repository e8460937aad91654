/* rlhf/rounds: the whole pipeline in one directory: tokenizer, pre-training, SFT, then rounds of sample ->
   collect -> reward
   -> ppo -> evaluate. The files present say where it is: every part is begun again and finds what it has
   done. */
#ifndef RLHF_RLHF_ROUNDS_H
#define RLHF_RLHF_ROUNDS_H

#include "configs/schema.h"
#include "core/base/run.h"
#include "datasets/judge/judge.h"
#include "datasets/session.h"
#include "datasets/store/store.h"

typedef struct rounds {
    const struct config *c;
    run *run;
    logger *log;
    store *store;
    char **text; /* [n_text] paths that live as long as this */
    int n_text;
    const char *tokenizer, *sft; /* directories */
} rounds;

/* A path below the rounds directory, kept until the end. NULL when out of memory. */
const char *rounds_path(rounds *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *rounds_model(rounds *r,
                         int round); /* the policy that a round ended with; round 0: the SFT model */

/* A copy of the config for a part that runs in DIRECTORY/`part`. STATUS_FAILED when out of memory. */
status rounds_part(rounds *r, const char *part, struct config *out, error *err);

/* Whether the round's reward model was begun: its snapshot is frozen, sampling and collecting are over. */
int rounds_is_frozen(rounds *r, int round);
/* The judge that a section names; *out NULL where it names none. */
status rounds_open_judge(rounds *r, const struct config_judge *c, device *dev, judge **out, error *err);

/* Keys, rules and, for a new run, files: what would fail only after hours. Before the directory is made.
   STATUS_USAGE, STATUS_DATA. */
status rounds_check_config(const struct config *c, error *err);
/* The data of the stages behind pre-training can be read, and the prompts to train and to evaluate on leave
   room for answers. They are counted in tokens of the tokenizer that is there, or of one trained as the
   rounds will, in memory. STATUS_DATA. */
status rounds_check_data(const struct config *c, logger *log, error *err);
/* Both, as a run would that is begun now: for a plan. */
status rounds_check_all(const struct config *c, error *err);

/* The directory of the tokenizer that the config names or that its first model brings; NULL: one is trained.
 */
const char *rounds_given_tokenizer(const struct config *c);
const char *rounds_template(const struct config *c); /* the chat template that it is trained with */
/* Files that it is trained on. The strings are the config's; free(file). */
struct rounds_texts {
    const char **file;
    int n;
};
status rounds_find_texts(const struct config *c, struct rounds_texts *out, error *err);

/* Samples the answers of the round and puts them into the store; makes its tasks. */
status rounds_sample(rounds *r, int round, error *err);
/* Simulated labellers rank at once; people are waited for: STATUS_WAITING. Then freezes the snapshot. */
status rounds_collect(rounds *r, int round, error *err);
/* Answers the held-out prompts with a model (NULL: its path found no memory) of the part ("sft", "round-01")
   into PART/evaluate. round 0: no reward model, and what others are compared with. */
status rounds_evaluate(rounds *r, const char *part, const char *model, int round, error *err);
/* summary.json from the evaluations. */
status rounds_summarise(rounds *r, error *err);

#endif
