#include "core/files/line_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/base/file.h"

enum { CHUNK = 256 << 10 };

status line_reader_open(line_reader *r, const char *path, error *err) {
    *r = (line_reader){0};
    if (path_is_directory(path))
        return error_set(err, STATUS_DATA, "%s: is a directory, a file is wanted", path);
    r->path = strdup(path);
    if (!r->path || !buffer_reserve(&r->chunk, CHUNK)) {
        line_reader_close(r);
        return error_memory(err, "a line reader");
    }
    errno = 0;
    r->file = gzopen(path, "rbe");
    if (r->file) return STATUS_OK;
    status result = error_set(err, STATUS_DATA, "%s: %s", path, errno ? strerror(errno) : "out of memory");
    line_reader_close(r);
    return result;
}

static status refill(line_reader *r, error *err) {
    int n = gzread(r->file, r->chunk.data, CHUNK), zlib_error;
    if (n < 0)
        return error_set(err, STATUS_DATA, "%s:%lld: cannot read: %s", r->path, (long long)r->number,
                         gzerror(r->file, &zlib_error));
    r->chunk.len = (size_t)n;
    r->used = 0;
    r->ended = n == 0;
    if (n < CHUNK && gzerror(r->file, &zlib_error) && zlib_error == Z_BUF_ERROR)
        return error_set(err, STATUS_DATA, "%s: the gzip file is cut off", r->path);
    return STATUS_OK;
}

/* Appends to r->line up to the next newline or the end of the file. *any: there was at least one byte. */
static status read_line(line_reader *r, bool *any, error *err) {
    buffer_clear(&r->line);
    *any = false;
    while (!r->ended) {
        if (r->used == r->chunk.len) {
            TRY(refill(r, err));
            continue;
        }
        const char *from = r->chunk.data + r->used;
        size_t left = r->chunk.len - r->used;
        const char *newline = memchr(from, '\n', left);
        size_t n = newline ? (size_t)(newline - from) : left;
        if (r->line.len + n > LINE_READER_LIMIT)
            return error_set(err, STATUS_DATA, "%s:%lld: the line is longer than %d bytes", r->path,
                             (long long)r->number + 1, LINE_READER_LIMIT);
        buffer_append(&r->line, from, n);
        r->used += n + (newline != NULL);
        *any = true;
        if (newline) break;
    }
    return buffer_check(&r->line, err);
}

static bool is_blank(const buffer *line) {
    for (size_t i = 0; i < line->len; i++)
        if (!line->data[i] || !strchr(" \t\r", line->data[i])) return false;
    return true;
}

status line_reader_next(line_reader *r, const char **text, size_t *len, bool *more, error *err) {
    do {
        TRY(read_line(r, more, err));
        if (!*more) return STATUS_OK;
        r->number++;
    } while (is_blank(&r->line));
    size_t skip = r->number == 1 && r->line.len >= 3 && memcmp(r->line.data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    *text = r->line.data + skip;
    *len = r->line.len - skip;
    buffer_clear(&r->where);
    buffer_format(&r->where, "%s:%lld", r->path, (long long)r->number);
    return buffer_check(&r->where, err);
}

const char *line_reader_place(const line_reader *r) { return r->where.data ? r->where.data : r->path; }

status line_reader_rest(line_reader *r, size_t limit, buffer *out, error *err) {
    buffer_clear(out);
    while (!r->ended) {
        buffer_append(out, r->chunk.data + r->used, r->chunk.len - r->used);
        if (out->len > limit) return error_set(err, STATUS_DATA, "%s: longer than %zu bytes", r->path, limit);
        TRY(refill(r, err));
    }
    buffer_append(out, "", 0);
    return buffer_check(out, err);
}

void line_reader_close(line_reader *r) {
    if (r->file) gzclose(r->file);
    free(r->path);
    buffer_free(&r->chunk);
    buffer_free(&r->line);
    buffer_free(&r->where);
    *r = (line_reader){0};
}
