/* core/base/signal: SIGINT and SIGTERM ask a program to stop after a checkpoint; a second one kills it. */
#ifndef RLHF_BASE_SIGNAL_H
#define RLHF_BASE_SIGNAL_H

#include <stdbool.h>

/* Installs the handlers, and ignores SIGPIPE and SIGXFSZ so that writes report errors instead. Call once in
 * main. */
void signal_install(void);
/* True after the first SIGINT or SIGTERM: finish the step, write a checkpoint, return STATUS_INTERRUPTED. */
bool signal_stop_requested(void);

#endif
