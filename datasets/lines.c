#include "datasets/lines.h"

#include <stdio.h>
#include <string.h>

#include "core/base/json.h"
#include "core/files/line_reader.h"

status bad_lines_add(bad_lines *bad, error *err) {
    if (bad->kept) buffer_append(bad->kept, err->message, strlen(err->message) + 1);
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

static status visit_text(const char *text, size_t len, const char *place, line_visit *visit, void *context,
                         error *err) {
    json_t *root;
    TRY(parse_json_object(text, len, place, &root, err));
    status s = visit(context, root, place, err);
    json_decref(root);
    return s;
}

static status visit_lines(line_reader *r, bad_lines *bad, line_visit *visit, void *context, error *err) {
    const char *text;
    size_t len;
    bool more;
    TRY(line_reader_next(r, &text, &len, &more, err));
    while (more) {
        status s = visit_text(text, len, line_reader_place(r), visit, context, err);
        if (s == STATUS_DATA) s = bad_lines_add(bad, err);
        TRY(s);
        TRY(line_reader_next(r, &text, &len, &more, err));
    }
    return STATUS_OK;
}

status lines_each(const char *path, bad_lines *bad, line_visit *visit, void *context, error *err) {
    line_reader r;
    TRY(line_reader_open(&r, path, err));
    status s = visit_lines(&r, bad, visit, context, err);
    line_reader_close(&r);
    return s;
}

status lines_read_all(const char *path, size_t limit, buffer *out, error *err) {
    line_reader r;
    TRY(line_reader_open(&r, path, err));
    status s = line_reader_rest(&r, limit, out, err);
    line_reader_close(&r);
    return s;
}

int lines_is_text_file(const char *path) {
    size_t n = strlen(path);
    return (n > 4 && strcmp(path + n - 4, ".txt") == 0) || (n > 7 && strcmp(path + n - 7, ".txt.gz") == 0);
}
