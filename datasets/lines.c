#include "datasets/lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { LINE_LIMIT = 1 << 28 }; /* bytes: beyond this it is no line of text */

status bad_lines_add(bad_lines *bad, error *err) {
    if (++bad->n > bad->most) {
        char first[sizeof err->message];
        snprintf(first, sizeof first, "%s", err->message);
        if (bad->most == 0) return STATUS_DATA;
        return error_set(err, STATUS_DATA, "%.1800s (bad line number %d; data.max_bad allows %d)", first,
                         bad->n, bad->most);
    }
    if (!bad->quiet) log_warning(bad->log, "%s (line left out)", err->message);
    return STATUS_OK;
}

static status open_file(const char *path, gzFile *out, error *err) {
    errno = 0;
    *out = gzopen(path, "rb");
    if (!*out) return error_set(err, STATUS_DATA, "%s: %s", path, errno ? strerror(errno) : "out of memory");
    return STATUS_OK;
}

static status read_error(const char *path, gzFile f, error *err) {
    int code;
    const char *why = gzerror(f, &code);
    if (code == Z_OK || code == Z_STREAM_END) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: %s", path, code == Z_ERRNO ? strerror(errno) : why);
}

/* One line into out, without its newline. 0 at the end of the file. */
static int next_line(gzFile f, buffer *out) {
    char piece[8192];
    int any = 0;
    z_off_t at = gztell(f);
    buffer_clear(out);
    while (gzgets(f, piece, sizeof piece)) {
        /* Not strlen: a zero byte, which JSON forbids, must not join this line to the next one. */
        size_t n = (size_t)(gztell(f) - at);
        at += (z_off_t)n;
        any = 1;
        int end = n > 0 && piece[n - 1] == '\n';
        buffer_append(out, piece, n - (size_t)end);
        if (end || out->len > LINE_LIMIT) break;
    }
    return any;
}

static int is_blank(const buffer *line) {
    for (size_t i = 0; i < line->len; i++)
        if (!line->data[i] || !strchr(" \t\r", line->data[i])) return 0;
    return 1;
}

static status visit_lines(const char *path, gzFile f, bad_lines *bad, line_visit *visit, void *context,
                          buffer *line, error *err) {
    char *place = malloc(strlen(path) + 24);
    if (!place) return error_memory(err, "a path");
    status s = STATUS_OK;
    for (long number = 1; s == STATUS_OK && next_line(f, line); number++) {
        s = buffer_check(line, err);
        if (s != STATUS_OK || is_blank(line)) continue;
        sprintf(place, "%s:%ld", path, number);
        if (line->len > LINE_LIMIT)
            s = error_set(err, STATUS_DATA, "%s: a line of over %d bytes", place, LINE_LIMIT);
        else
            s = visit(context, line->data, line->len, place, err);
        if (s == STATUS_DATA) s = bad_lines_add(bad, err);
    }
    free(place);
    return s == STATUS_OK ? read_error(path, f, err) : s;
}

status lines_each(const char *path, bad_lines *bad, line_visit *visit, void *context, error *err) {
    gzFile f;
    buffer line = {0};
    TRY(open_file(path, &f, err));
    status s = visit_lines(path, f, bad, visit, context, &line, err);
    gzclose(f);
    buffer_free(&line);
    return s;
}

status lines_read_all(const char *path, size_t limit, buffer *out, error *err) {
    gzFile f;
    char piece[65536];
    int n;
    buffer_clear(out);
    TRY(open_file(path, &f, err));
    while ((n = gzread(f, piece, sizeof piece)) > 0 && out->len <= limit)
        buffer_append(out, piece, (size_t)n);
    status s = read_error(path, f, err);
    gzclose(f);
    if (s == STATUS_OK && out->len > limit)
        s = error_set(err, STATUS_DATA, "%s: longer than %zu bytes", path, limit);
    buffer_append(out, "", 0);
    return s == STATUS_OK ? buffer_check(out, err) : s;
}

int lines_is_text_file(const char *path) {
    size_t n = strlen(path);
    return (n > 4 && strcmp(path + n - 4, ".txt") == 0) || (n > 7 && strcmp(path + n - 7, ".txt.gz") == 0);
}
