/* datasets/lines: reading JSONL files object by object, plain or .gz, and counting the lines that are bad. */
#ifndef RLHF_DATASETS_LINES_H
#define RLHF_DATASETS_LINES_H

#include <jansson.h>

#include "core/base/buffer.h"
#include "core/base/error.h"
#include "core/base/log.h"

/* Lines that could not be used. Each is reported with its place; more than `most` of them end the reading.
   One counter serves all files of a stage. */
typedef struct bad_lines {
    int n, most;
    int quiet;    /* counted, not reported */
    logger *log;  /* NULL: stderr */
    buffer *kept; /* NULL, or every message is added to it, with its zero byte */
} bad_lines;

/* Called with the object of one line and its place "FILE:LINE". STATUS_DATA: the line is bad and the error
   says why; any other failure ends the reading. */
typedef status line_visit(void *context, json_t *root, const char *place, error *err);

/* Visits every line of the file that is not blank. STATUS_DATA: the file is missing or unreadable, or there
   are more bad lines (no JSON objects among them) than bad->most: the last one's message and how many there
   were. */
status lines_each(const char *path, bad_lines *bad, line_visit *visit, void *context, error *err);

/* The whole file, unzipped, at most limit bytes. */
status lines_read_all(const char *path, size_t limit, buffer *out, error *err);

/* .txt or .txt.gz: documents; everything else is read as JSON lines. */
int lines_is_text_file(const char *path);

/* Counts and reports one bad thing. STATUS_OK while there are not too many. */
status bad_lines_add(bad_lines *bad, error *err);

#endif
