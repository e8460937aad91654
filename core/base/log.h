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

/* One line: as it is on stderr, with date and time (UTC) in the file; what it quotes is shown printable.
   Never fails: a log that cannot be written is no reason to stop. log may be NULL: stderr. */
void log_line(logger *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warning(logger *log, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* "warning: ..." */

#endif
