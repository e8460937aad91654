/* core/base/progress: one line about a loop: where it is, its figures, tokens a second and the time left. */
#ifndef RLHF_BASE_PROGRESS_H
#define RLHF_BASE_PROGRESS_H

#include "core/base/log.h"

/* The progress of a loop of `total` steps: on a terminal one line that is rewritten at most ten times a
   second, elsewhere a plain line every 30 seconds and at the end. */
typedef struct progress {
    logger *log;
    const char *what; /* "sft", "ppo" */
    const char *unit; /* "step", "iteration" */
    int64_t total, first;
    double started, shown; /* seconds, monotonic */
    double tokens;         /* since the start */
} progress;

/* first: steps that were done before (a resumed run): time left is reckoned from this run's own steps. */
void progress_begin(progress *p, logger *log, const char *what, const char *unit, int64_t first,
                    int64_t total);
/* step: done so far. figures: "loss 2.31" or the like, may be NULL. tokens: worked through in this step. */
void progress_step(progress *p, int64_t step, int64_t tokens, const char *figures);
void progress_end(progress *p); /* clears or finishes the line */

double clock_seconds(void); /* monotonic */

#endif
