/* core/base/log: what a program says while it works: lines on stderr and in log.txt, and one progress line.
 */
#ifndef RLHF_BASE_LOG_H
#define RLHF_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Where a program writes; the caller owns it. Zero: stderr alone. */
typedef struct logger {
    FILE *file; /* log.txt; NULL: none */
    bool quiet; /* nothing on stderr */
    bool tty;   /* stderr shows a progress line that must be cleared first */
} logger;

/* One line: as it is on stderr, with date and time (UTC) in the file. Never fails: a log that cannot be
   written is no reason to stop. log may be NULL: stderr. */
void log_line(logger *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warning(logger *log, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* "warning: ..." */

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
