#include "core/text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/utf8.h"

/* The mark that stands for a space (SentencePiece). */
static const char mark[] = "\xe2\x96\x81";
enum { MARK = 3 };

void bpe_free(bpe *b) {
    buffer_free(&b->pool);
    free(b->text);
    free(b->index);
    pair_map_free(&b->merges);
    free(b->merged);
    free(b->whole);
    *b = (bpe){0};
}

status bpe_begin(bpe *b, int vocab, error *err) {
    b->index_size = 64;
    while (b->index_size / 2 < (size_t)vocab) b->index_size *= 2;
    b->text = calloc((size_t)vocab, sizeof *b->text);
    b->index = calloc(b->index_size, sizeof *b->index);
    b->whole = calloc((size_t)vocab, sizeof *b->whole);
    return b->text && b->index && b->whole ? STATUS_OK : error_memory(err, "a vocabulary");
}

status bpe_add(bpe *b, int32_t id, const char *text, size_t len, error *err) {
    uint64_t hash = hash_text(text, len);
    size_t i = hash & (b->index_size - 1);
    while (b->index[i]) i = (i + 1) & (b->index_size - 1);
    b->index[i] = hash << 32 | ((uint32_t)id + 1);
    b->text[id] = (bpe_text){(uint32_t)b->pool.len, (uint32_t)len};
    if (len > b->longest) b->longest = len;
    buffer_append(&b->pool, text, len);
    return buffer_check(&b->pool, err);
}

int32_t bpe_find(const bpe *b, const char *text, size_t len) {
    if (len > b->longest) return -1;
    uint64_t hash = hash_text(text, len);
    for (size_t i = hash & (b->index_size - 1); b->index[i]; i = (i + 1) & (b->index_size - 1)) {
        int32_t id = (int32_t)(uint32_t)b->index[i] - 1;
        if (b->index[i] >> 32 == (uint32_t)hash && b->text[id].len == len &&
            memcmp(b->pool.data + b->text[id].start, text, len) == 0)
            return id;
    }
    return -1;
}

static int begins_with_mark(const char *text, size_t len) {
    return len >= MARK && memcmp(text, mark, MARK) == 0;
}

int bpe_add_merge(bpe *b, int32_t left, int32_t right, int32_t merged, int32_t rank) {
    const bpe_text *l = &b->text[left], *r = &b->text[right];
    const char *end = b->pool.data + l->start + l->len;
    if (begins_with_mark(b->pool.data + r->start, r->len) &&
        !(l->len >= MARK && begins_with_mark(end - MARK, MARK)))
        b->joins_marks = 1;
    b->merged[rank] = merged;
    return pair_map_add(&b->merges, left, right, rank);
}

void bpe_complete(bpe *b) {
    for (int c = 0; c < 128; c++) {
        char text = (char)c;
        b->ascii[c] = bpe_find(b, &text, 1);
    }
    if (bpe_find(b, mark, MARK) < 0) b->joins_marks = 1;
}
