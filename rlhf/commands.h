/* rlhf/commands: the front command's own commands, each one file. argv[0] is the command's name; each prints
   its usage with
   --help and returns STATUS_USAGE, with the usage in the message, for a bad command line. */
#ifndef RLHF_RLHF_COMMANDS_H
#define RLHF_RLHF_COMMANDS_H

#include "core/base/error.h"

status tokenizer_command(int argc, char **argv, error *err);
status generate_command(int argc, char **argv, error *err);
status chat_command(int argc, char **argv, error *err);
status eval_command(int argc, char **argv, error *err);
status convert_command(int argc, char **argv, error *err);
status merge_command(int argc, char **argv, error *err);
status plan_command(int argc, char **argv, error *err);
status rounds_command(int argc, char **argv, error *err);
status report_command(int argc, char **argv, error *err);

#endif
