/* datasets/token_file: tokenised examples one behind the other, in memory or in a file of the cache. */
#ifndef RLHF_DATASETS_TOKEN_FILE_H
#define RLHF_DATASETS_TOKEN_FILE_H

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/mapping.h"
#include "datasets/example.h"

/* One example: n ids, then n bytes, 1 where the token is to be learned, filled up to a multiple of 4. */
typedef struct token_record {
    int32_t n, n_target, split;
    int32_t token[];
} token_record;

static inline const uint8_t *token_record_targets(const token_record *r) {
    return (const uint8_t *)(r->token + r->n);
}
static inline size_t token_record_bytes(int64_t n) {
    return sizeof(token_record) + 4 * (size_t)n + ((size_t)n + 3) / 4 * 4;
}

enum { SPLITS = SPLIT_TEST + 1 };

/* What was read of one file of examples. */
typedef struct token_file {
    const uint8_t *record; /* [bytes] */
    size_t bytes;
    uint64_t n_of_split[SPLITS], n_read; /* records; examples, bad ones left out */
    text_span bad;                       /* messages of bad lines, each ended by a zero byte (of a file) */
    buffer memory;                       /* one of them holds the records */
    mapping mapped;
} token_file;

/* ---- writing ---- */

typedef struct token_writer {
    buffer memory;
    file_writer *file; /* NULL: memory */
    hash_stream sum;
    buffer record;
    uint64_t bytes, n_of_split[SPLITS], n_read;
} token_writer;

/* file: one that was begun, which stays the caller's; NULL: into memory. */
void token_writer_begin(token_writer *w, file_writer *file);
/* Adds an example of n tokens, target[i] 0 or 1. The first token is never learned: no state stands before it.
 */
status token_writer_add(token_writer *w, const int32_t *token, const int32_t *target, int64_t n,
                        split_kind split, error *err);
/* What was written to memory; the writer is empty then. */
status token_writer_take(token_writer *w, token_file *out, error *err);
/* The file's end: what lines were bad, whose file it is (key), and a checksum of it all. */
status token_writer_finish(token_writer *w, const hash *key, const buffer *bad, error *err);
void token_writer_free(token_writer *w);

/* ---- reading ---- */

/* Maps a file that token_writer_finish wrote under this key. Everything is checked: its length, its key, its
   checksum, and that every id is below n_vocab. STATUS_DATA "PATH: what is wrong". */
status token_file_open(const char *path, const hash *key, int n_vocab, token_file *out, error *err);
/* Gives the pages of a mapped file that were read back to the system, which reads them again when wanted. */
void token_file_release(const token_file *f);
void token_file_close(token_file *f);

#endif
