/* rlhf report: the report of a rounds directory, written again. */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/file.h"
#include "datasets/label/arguments.h"
#include "rlhf/commands.h"
#include "rlhf/report.h"

static status write_and_print(const command_line *line, void *unused, error *err) {
    const char *directory = line->words[0];
    (void)unused;
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
