/* rlhf report: the report of a rounds directory, written again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/lineage.h"
#include "datasets/label/arguments.h"
#include "rlhf/commands.h"
#include "rlhf/report.h"

/* Nothing is written into a directory that is not one of rounds. */
static status check_kind(const char *directory, error *err) {
    lineage l = {0};
    char *path = path_join(directory, "lineage.json");
    if (!path) return error_memory(err, "a path");
    status s = STATUS_OK;
    if (!path_exists(path))
        s = error_set(err, STATUS_DATA, "%s: is no directory of rlhf rounds (no lineage.json is in it)",
                      directory);
    else
        s = lineage_read(path, &l, err);
    if (s == STATUS_OK && (!l.kind || strcmp(l.kind, "rounds") != 0))
        s = error_set(err, STATUS_DATA, "%s: holds a run of %s; a report is of a directory of rlhf rounds",
                      directory, l.kind ? l.kind : "another kind");
    lineage_free(&l);
    free(path);
    return s;
}

static status write_and_print(const command_line *line, void *unused, error *err) {
    const char *directory = line->words[0];
    (void)unused;
    TRY(check_kind(directory, err));
    TRY(report_write(directory, err));
    char *summary = path_join(directory, "summary.json");
    status s = summary ? STATUS_OK : error_memory(err, "a path");
    if (s == STATUS_OK && path_exists(summary)) s = report_print(directory, stdout, err);
    free(summary);
    if (s == STATUS_OK) printf("%s/report.html\n", directory);
    return s;
}

status report_command(int argc, char **argv, error *err) {
    command_line line = {.command = "report",
                         .example = "runs/demo",
                         .usage = "usage: rlhf report DIRECTORY\n"
                                  "  Writes DIRECTORY/report.html from what rlhf rounds has left there so "
                                  "far, and prints summary.json as a table.",
                         .min_words = 1,
                         .max_words = 1};
    return run_with_arguments(&line, argc, argv, write_and_print, NULL, err);
}
