/* datasets/label: collecting rankings: the commands over the store, people at a terminal, simulated
 * labellers. */
#ifndef RLHF_LABEL_LABEL_H
#define RLHF_LABEL_LABEL_H

#include "core/base/error.h"

/* rlhf label COMMAND --db FILE ...: argv[0] is "label", argv[1] the command. Prints results on standard
   output, what it does on standard error. STATUS_USAGE with the usage in the message for a bad command line.
 */
status label_main(int argc, char **argv, error *err);

#endif
