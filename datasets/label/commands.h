/* datasets/label, inside: the commands, each with argv[0] its name. */
#ifndef RLHF_LABEL_COMMANDS_H
#define RLHF_LABEL_COMMANDS_H

#include "core/base/error.h"
#include "datasets/label/arguments.h"
#include "datasets/store/store.h"

status label_import(int argc, char **argv, error *err);
status label_export(int argc, char **argv, error *err);
status label_add_labeller(int argc, char **argv, error *err);
status label_tasks(int argc, char **argv, error *err);
status label_rank_command(int argc, char **argv, error *err);
status label_simulate_command(int argc, char **argv, error *err);
status label_snapshot(int argc, char **argv, error *err);
status label_stats(int argc, char **argv, error *err);
status label_fsck(int argc, char **argv, error *err);
status label_lineage(int argc, char **argv, error *err);

/* Reads the arguments, checks that there is a --db, opens it and does the work with it. */
typedef status command_work(store *s, const command_line *line, void *options, error *err);
status run_command(command_line *line, int argc, char **argv, const char *const *db, store_mode mode,
                   command_work *work, void *options, error *err);

#endif
