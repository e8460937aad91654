#include "core/base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void hash_begin(hash_stream *s) { SHA256Init(&s->context); }

void hash_add(hash_stream *s, const void *data, size_t len) { SHA256Update(&s->context, data, len); }

hash hash_end(hash_stream *s) {
    hash out;
    SHA256Final(out.byte, &s->context);
    return out;
}

hash hash_bytes(const void *data, size_t len) {
    hash_stream s;
    hash_begin(&s);
    hash_add(&s, data, len);
    return hash_end(&s);
}

status hash_file(const char *path, hash *out, uint64_t *bytes, error *err) {
    FILE *f = fopen(path, "rb");
    if (!f) return error_set(err, STATUS_DATA, "%s: %s", path, strerror(errno));
    hash_stream s;
    hash_begin(&s);
    char piece[65536];
    size_t n;
    *bytes = 0;
    while ((n = fread(piece, 1, sizeof piece, f)) > 0) {
        hash_add(&s, piece, n);
        *bytes += n;
    }
    int failed = ferror(f);
    fclose(f);
    if (failed) return error_set(err, STATUS_DATA, "%s: cannot read", path);
    *out = hash_end(&s);
    return STATUS_OK;
}

void hash_hex(const hash *h, char out[2 * HASH_BYTES + 1]) {
    static const char digit[] = "0123456789abcdef";
    for (int i = 0; i < HASH_BYTES; i++) {
        out[2 * i] = digit[h->byte[i] >> 4];
        out[2 * i + 1] = digit[h->byte[i] & 15];
    }
    out[2 * HASH_BYTES] = 0;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

int hash_parse(const char *text, hash *out) {
    if (strlen(text) != 2 * HASH_BYTES) return 0;
    for (int i = 0; i < HASH_BYTES; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) return 0;
        out->byte[i] = (uint8_t)(high << 4 | low);
    }
    return 1;
}

int hash_equal(const hash *a, const hash *b) { return memcmp(a->byte, b->byte, HASH_BYTES) == 0; }
