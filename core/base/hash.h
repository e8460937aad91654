/* core/base/hash: SHA-256 by libmd; artifacts, snapshots and imports are named by it. */
#ifndef RLHF_BASE_HASH_H
#define RLHF_BASE_HASH_H

#include <sha2.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

enum { HASH_BYTES = 32 };

typedef struct hash {
    uint8_t byte[HASH_BYTES];
} hash;

hash hash_bytes(const void *data, size_t len);
/* The same in pieces. */
typedef struct hash_stream {
    SHA2_CTX context;
} hash_stream;
void hash_begin(hash_stream *s);
void hash_add(hash_stream *s, const void *data, size_t len);
hash hash_end(hash_stream *s);
/* Hash and length of a file, read in pieces. STATUS_DATA when it cannot be read. */
status hash_file(const char *path, hash *out, uint64_t *bytes, error *err);
/* Lower-case hexadecimal, 64 digits and a zero byte. */
void hash_hex(const hash *h, char out[2 * HASH_BYTES + 1]);
/* 0 when text is not 64 hexadecimal digits. */
int hash_parse(const char *text, hash *out);
int hash_equal(const hash *a, const hash *b);

#endif
