#include "datasets/label/label.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "datasets/label/commands.h"

static const struct command {
    const char *name;
    status (*run)(int argc, char **argv, error *err);
    const char *help;
} commands[] = {
    {"import", label_import, "run directories and files of rankings into the store"},
    {"add-labeller", label_add_labeller, "somebody who ranks"},
    {"tasks", label_tasks, "make a round's tasks from its answers; close a round"},
    {"rank", label_rank_command, "rank answers at this terminal"},
    {"simulate", label_simulate_command, "let a rule, a model or a command rank"},
    {"snapshot", label_snapshot, "freeze rankings into a file for the reward model"},
    {"export", label_export, "write all rankings that count as JSONL"},
    {"stats", label_stats, "how much there is, who agrees with whom"},
    {"fsck", label_fsck, "check every promise that the store makes"},
    {"lineage", label_lineage, "from a weight to its rankings, from a ranking to the weights"},
};
enum { N_COMMAND = sizeof commands / sizeof *commands };

static void print_usage(FILE *out) {
    fprintf(out, "usage: rlhf label COMMAND --db FILE ... (rlhf label COMMAND --help tells more)\n\n");
    for (int i = 0; i < N_COMMAND; i++) fprintf(out, "  %-13s %s\n", commands[i].name, commands[i].help);
}

status label_main(int argc, char **argv, error *err) {
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0))
        return print_usage(stdout), STATUS_OK;
    for (int i = 0; argc >= 2 && i < N_COMMAND; i++)
        if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1, err);
    print_usage(stderr);
    if (argc < 2) return error_set(err, STATUS_USAGE, "label: a command is needed");
    return error_set(err, STATUS_USAGE, "label: no command \"%s\"", argv[1]);
}

typedef struct store_work {
    const char *const *db;
    store_mode mode;
    command_work *work;
    void *options;
} store_work;

static status open_and_work(const command_line *line, void *context, error *err) {
    const store_work *w = context;
    store *s = NULL;
    TRY(need_argument(line, "--db", *w->db, err));
    /* A mistyped name makes no store: only what brings something into it does. */
    if (!line->makes_store && !path_exists(*w->db))
        return error_set(err, STATUS_DATA, "%s: there is no such store", *w->db);
    TRY(store_open(*w->db, w->mode, &s, err));
    status result = w->work(s, line, w->options, err);
    store_close(s);
    return result;
}

status run_command(command_line *line, int argc, char **argv, const char *const *db, store_mode mode,
                   command_work *work, void *options, error *err) {
    store_work w = {db, mode, work, options};
    return run_with_arguments(line, argc, argv, open_and_work, &w, err);
}
