/* rlhf/report: what became of a rounds directory, as a page and as a table. Both read the files that the
   stages left (docs/formats.md); what is missing is left out. */
#ifndef RLHF_REPORT_H
#define RLHF_REPORT_H

#include <stdio.h>

#include "core/base/error.h"

/* Writes rounds_directory/report.html: one file that needs no other, the same bytes for the same inputs.
   STATUS_DATA: the directory is missing, or one of its files cannot be understood (file:line); STATUS_FAILED:
   it cannot be written. */
status report_write(const char *rounds_directory, error *err);

/* Prints summary.json as an aligned table, a line a stage. STATUS_DATA when it is missing or cannot be
 * understood. */
status report_print(const char *rounds_directory, FILE *out, error *err);

#endif
