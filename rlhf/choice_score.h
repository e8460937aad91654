/* rlhf/choice_score: the log-probabilities of choices. A question's context is read once, into the cache of
   keys and values, and forked into its choices; many questions go through the model together. */
#ifndef RLHF_RLHF_CHOICE_SCORE_H
#define RLHF_RLHF_CHOICE_SCORE_H

#include "core/base/log.h"
#include "core/model/model.h"
#include "rlhf/choice_tokens.h"

/* logprob[i]: the sum over choice i's tokens of log p(token | context, those before), t->n_choice of them:
   the bytes that `rlhf eval logprobs` gives, added in f64. Memory is taken once, for the longest of t; how
   much does not grow with the number of questions. what: the progress line's, in questions.
   STATUS_INTERRUPTED after a signal. */
status choice_score(const model *m, const choice_tokens *t, const char *what, logger *log, double *logprob,
                    error *err);

#endif
