/* tests/support/command: a command of the front program run inside the test. */
#ifndef RLHF_TESTS_COMMAND_H
#define RLHF_TESTS_COMMAND_H

#include "core/base/buffer.h"
#include "core/base/error.h"

/* Runs command with the words, the first of which is its name; NULL ends them. What it writes to standard
   output goes into out (NULL: away), what it writes to standard error away. err gets its error. */
status run_command_line(status (*command)(int argc, char **argv, error *err), const char *const *words,
                        buffer *out, error *err);

#endif
