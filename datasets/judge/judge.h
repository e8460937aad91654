/* datasets/judge: a score, or a ranking, for answers: by a rule, by a reward model, or by an external
   command. PPO, the simulated labeller and the evaluation share it. */
#ifndef RLHF_JUDGE_JUDGE_H
#define RLHF_JUDGE_JUDGE_H

#include <stdint.h>

#include "core/base/buffer.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/ops/ops.h"

typedef struct judge judge;

typedef struct judge_item {
    const char *prompt;    /* a text, or NULL */
    const char *messages;  /* a chat as canonical JSON, or NULL */
    const char *reference; /* the answer that the prompt's line brings, or NULL */
    text_span answer;
    int finished; /* 0: cut */
    const int32_t
        *token; /* [n_token] the answer's ids as they were sampled, end token included; NULL: unknown */
    int n_token;
    const hash *tokenizer; /* of those ids: a model with another tokenizer, or NULL, encodes the text */
} judge_item;

/* A rule by name: "demo" (datasets/demo/rule.h) or "final_number" (datasets/judge/final_number.h).
   STATUS_USAGE for another. */
status judge_open_rule(const char *name, judge **out, error *err);
/* A reward model's directory: score = (raw - reward_mean) / reward_std. system: the system prompt of chats
   without one, as in its training; NULL: none. compute: what it computes in. dev and system stay the
   caller's. */
status judge_open_model(device *dev, const char *directory, const char *system, dtype compute, judge **out,
                        error *err);
/* One process for the whole run, `sh -c command`, JSON lines in and out; its stderr is appended to log_path
   (NULL: ours). ranker: it gets {"prompt"|"messages","answers"} and answers {"ranks":[...]}; else
   {"prompt"|"messages","answer","finish","reference"?} and a number. timeout_s: seconds that one line may
   take. */
status judge_open_command(const char *command, double timeout_s, int ranker, const char *log_path,
                          judge **out, error *err);
void judge_close(judge *j);
int judge_is_ranker(const judge *j);

/* score[i] of each of n items. STATUS_FAILED: the command died, hung or did not answer a finite number;
   STATUS_DATA: a rule that does not know the prompt, an item too long for the model. */
status judge_score(judge *j, const judge_item *items, int n, float *score, error *err);
/* ranks[i] >= 1, equal: tied, of n answers to one prompt, by a ranker. */
status judge_rank(judge *j, const char *prompt, const char *messages, const text_span *answers, int n,
                  int *ranks, error *err);
/* Nothing more is asked. STATUS_FAILED: the command wrote more lines than it was asked questions, so that its
   answers may stand at the wrong ones; or it ended, within a second, by a signal or another exit code than 0.
   One that goes on is no failure: judge_close ends it. */
status judge_finish(judge *j, error *err);

#endif
