/* datasets/store/line_reader: JSONL files, gzipped or not, line by line. */
#ifndef RLHF_STORE_LINE_READER_H
#define RLHF_STORE_LINE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buffer.h"
#include "core/base/error.h"

enum { LINE_READER_LIMIT = 64 << 20 }; /* bytes of one line */

typedef struct line_reader {
    void *file; /* zlib's */
    char *path;
    buffer chunk, line, where;
    size_t used; /* of chunk */
    int64_t number;
    bool ended;
} line_reader;

/* STATUS_DATA: missing or unreadable. */
status line_reader_open(line_reader *r, const char *path, error *err);
/* The next line that is not blank, without its end; *more false: there is none. text is the reader's until
   the next call. STATUS_DATA: a damaged gzip file, a line over the limit. */
status line_reader_next(line_reader *r, const char **text, size_t *len, bool *more, error *err);
/* "path:number" of the last line, the reader's until the next call. */
const char *line_reader_place(const line_reader *r);
void line_reader_close(line_reader *r);

#endif
