/* core/files/line_reader: text files, gzipped or not, line by line or whole. */
#ifndef RLHF_FILES_LINE_READER_H
#define RLHF_FILES_LINE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buffer.h"
#include "core/base/error.h"

enum { LINE_READER_LIMIT = 1 << 28 }; /* bytes of one line: beyond this it is no line of text */

typedef struct line_reader {
    void *file; /* zlib's */
    char *path;
    buffer chunk, line, where;
    size_t used; /* of chunk */
    int64_t number;
    bool ended;
} line_reader;

/* STATUS_DATA: missing, a directory, or unreadable. */
status line_reader_open(line_reader *r, const char *path, error *err);
/* The next line that is not blank, without its end and, at the start of the file, without a byte-order mark;
   a zero byte stands behind it. *more false: there is none. text is the reader's until the next call.
   STATUS_DATA "PATH:NUMBER: ...": a damaged or cut gzip file, a line over the limit. */
status line_reader_next(line_reader *r, const char **text, size_t *len, bool *more, error *err);
/* "path:number" of the last line, the reader's until the next call. */
const char *line_reader_place(const line_reader *r);
/* What was not read yet, into out (replaced), a zero byte behind it. STATUS_DATA: as above, or more than
   limit bytes. */
status line_reader_rest(line_reader *r, size_t limit, buffer *out, error *err);
void line_reader_close(line_reader *r);

#endif
