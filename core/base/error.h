/* core/base/error: how every room reports failure. A function that can fail returns a status and, unless it
   is STATUS_OK, has filled the error: what was wrong, where, with the offending value, and what to do about
   it. */
#ifndef RLHF_BASE_ERROR_H
#define RLHF_BASE_ERROR_H

typedef enum status {
    STATUS_OK,
    STATUS_FAILED,      /* lock, disk, memory, scorer, not finite: exit 1 */
    STATUS_USAGE,       /* bad command line or config: exit 2 */
    STATUS_DATA,        /* missing or bad data, model or checkpoint: exit 3 */
    STATUS_TOO_LARGE,   /* a batch beyond the limits that memory was planned for: exit 1 if it reaches main */
    STATUS_WAITING,     /* waiting for labels, run again later: exit 75 */
    STATUS_INTERRUPTED, /* stopped by a signal after a checkpoint was written: exit 130 */
} status;

typedef struct error {
    status code;
    char message[2048];
} error;

/* Fills the error (message cut at its end if it is too long) and returns code, so that callers write
   `return error_set(err, STATUS_DATA, "%s:%d: ...", ...)`. err may be NULL. */
status error_set(error *err, status code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the message and returns the error's code. */
status error_context(error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* STATUS_FAILED with the message "out of memory: WHAT". */
status error_memory(error *err, const char *what);

/* "NAME: message" on stderr; what the message quotes is shown printable. */
void error_print(const char *name, const error *err);

/* The exit code that a program ends with. */
int status_exit_code(status code);

/* Returns from the calling function when the call failed. Only where nothing is to be released. */
#define TRY(call)                                                                                            \
    do {                                                                                                     \
        status try_status_ = (call);                                                                         \
        if (try_status_ != STATUS_OK) return try_status_;                                                    \
    } while (0)

#endif
