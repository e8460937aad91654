#include "core/base/hash.h"

#include <errno.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>

hash hash_bytes(const void *data, size_t len) {
    hash out;
    SHA2_CTX context;
    SHA256Init(&context);
    SHA256Update(&context, data, len);
    SHA256Final(out.byte, &context);
    return out;
}

status hash_file(const char *path, hash *out, uint64_t *bytes, error *err) {
    FILE *f = fopen(path, "rb");
    if (!f) return error_set(err, STATUS_DATA, "%s: %s", path, strerror(errno));
    SHA2_CTX context;
    SHA256Init(&context);
    char piece[65536];
    size_t n;
    *bytes = 0;
    while ((n = fread(piece, 1, sizeof piece, f)) > 0) {
        SHA256Update(&context, (const uint8_t *)piece, n);
        *bytes += n;
    }
    int failed = ferror(f);
    fclose(f);
    if (failed) return error_set(err, STATUS_DATA, "%s: cannot read", path);
    SHA256Final(out->byte, &context);
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
