#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/utf8.h"
#include "core/text/bpe.h"

/* A word begins as symbols: its bytes, or its characters. Again and again the pair of neighbours whose
   merge has the lowest rank is merged, the leftmost of equals. Short words look for it each time; in long
   ones neighbours are a linked list and candidates a heap, so a word of n symbols takes O(n log n). */

enum { SHORT = 32 };
enum { WHOLE_UNKNOWN, WHOLE_YES, WHOLE_NO };

typedef struct place {
    int32_t id;         /* -1: swallowed by the symbol to the left */
    int32_t left, next; /* the neighbours; -1: none */
    int32_t rank;       /* of the merge with the next one; -1: they do not merge */
} place;

void bpe_scratch_free(bpe_scratch *s) {
    free(s->id);
    free(s->end);
    free(s->places);
    free(s->heap);
    *s = (bpe_scratch){0};
}

static status reserve(bpe_scratch *s, size_t n, error *err) {
    if (n <= s->capacity) return STATUS_OK;
    size_t capacity = n < 256 ? 256 : n;
    free(s->id);
    free(s->end);
    s->id = malloc(capacity * sizeof *s->id);
    s->end = malloc(capacity * sizeof *s->end);
    s->capacity = s->id && s->end ? capacity : 0;
    return s->capacity ? STATUS_OK : error_memory(err, "a word");
}

static status reserve_long(bpe_scratch *s, size_t n, error *err) {
    if (n <= s->long_capacity) return STATUS_OK;
    free(s->places);
    free(s->heap);
    s->places = malloc(n * sizeof *s->places);
    s->heap = malloc(3 * n * sizeof *s->heap);
    s->long_capacity = s->places && s->heap ? n : 0;
    return s->long_capacity ? STATUS_OK : error_memory(err, "a word");
}

/* ---------------------------------------------------------------------------------------------- symbols */

static void add_symbol(const bpe *b, bpe_scratch *s, size_t *n, int32_t id, size_t end) {
    if (id < 0) id = b->unknown;
    if (b->fuse_unknown && *n > 0 && id == b->unknown && s->id[*n - 1] == id) --*n;
    s->id[*n] = id;
    s->end[(*n)++] = (int32_t)end;
}

static status byte_symbols(const bpe *b, bpe_scratch *s, stretch word, size_t *n, error *err) {
    for (size_t i = 0; i < word.len; i++) {
        int32_t id = b->byte_token[(uint8_t)word.text[i]];
        if (id < 0 && b->unknown < 0)
            return error_set(err, STATUS_DATA, "the tokenizer has no token for byte 0x%02x",
                             (uint8_t)word.text[i]);
        add_symbol(b, s, n, id, i + 1);
    }
    return STATUS_OK;
}

/* The token of the character at i; -1: it has none. */
static int32_t character_token(const bpe *b, stretch word, size_t i, size_t *step) {
    uint8_t first = (uint8_t)word.text[i];
    *step = 1;
    if (first < 0x80) return b->ascii[first];
    return utf8_read(word.text + i, word.len - i, step) < 0 ? -1 : bpe_find(b, word.text + i, *step);
}

static status refuse(stretch word, size_t i, error *err) {
    size_t step;
    int32_t c = utf8_read(word.text + i, word.len - i, &step);
    if (c < 0)
        return error_set(err, STATUS_DATA, "the tokenizer has no token for byte 0x%02x",
                         (uint8_t)word.text[i]);
    return error_set(err, STATUS_DATA, "the tokenizer has no token for U+%04X", (unsigned)c);
}

static status character_symbols(const bpe *b, bpe_scratch *s, stretch word, size_t *n, error *err) {
    for (size_t i = 0, step; i < word.len; i += step) {
        int32_t id = character_token(b, word, i, &step);
        if (id < 0 && b->byte_fallback) {
            for (size_t j = i; j < i + step; j++)
                add_symbol(b, s, n, b->byte_token[(uint8_t)word.text[j]], j + 1);
        } else {
            if (id < 0 && b->unknown < 0) return refuse(word, i, err);
            add_symbol(b, s, n, id, i + step);
        }
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------------------------------------- merging */

/* How many symbols are left. */
static size_t merge_short(const bpe *b, int32_t *id, int32_t *end, size_t n) {
    int32_t rank[SHORT];
    for (size_t i = 0; i + 1 < n; i++) rank[i] = pair_map_get(&b->merges, id[i], id[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if ((uint32_t)rank[i] < (uint32_t)rank[best]) best = i; /* -1 is the largest */
        if (rank[best] < 0) break;
        id[best] = b->merged[rank[best]];
        end[best] = end[best + 1];
        n--;
        for (size_t i = best + 1; i < n; i++) {
            id[i] = id[i + 1];
            end[i] = end[i + 1];
            rank[i - 1] = rank[i];
        }
        if (best + 1 < n) rank[best] = pair_map_get(&b->merges, id[best], id[best + 1]);
        if (best > 0) rank[best - 1] = pair_map_get(&b->merges, id[best - 1], id[best]);
    }
    return n;
}

static void heap_push(bpe_scratch *s, uint64_t item) {
    size_t i = s->n_heap++;
    for (; i > 0 && s->heap[(i - 1) / 2] > item; i = (i - 1) / 2) s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = item;
}

static uint64_t heap_pop(bpe_scratch *s) {
    uint64_t least = s->heap[0], last = s->heap[--s->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < s->n_heap; i = child) {
        if (child + 1 < s->n_heap && s->heap[child + 1] < s->heap[child]) child++;
        if (s->heap[child] >= last) break;
        s->heap[i] = s->heap[child];
    }
    s->heap[i] = last;
    return least;
}

/* Looks up the merge of the symbol at i with the next one. Called once for each symbol and at most twice
   for each merge, of which there are fewer: three times the number of symbols bounds the heap. */
static void consider(const bpe *b, bpe_scratch *s, int32_t i) {
    if (i < 0) return;
    place *at = &s->places[i];
    at->rank = at->next < 0 ? -1 : pair_map_get(&b->merges, at->id, s->places[at->next].id);
    if (at->rank >= 0) heap_push(s, (uint64_t)at->rank << 32 | (uint32_t)i);
}

static void merge_place(const bpe *b, bpe_scratch *s, int32_t i) {
    place *at = &s->places[i], *swallowed = &s->places[at->next];
    s->end[i] = s->end[at->next];
    at->id = b->merged[at->rank];
    at->next = swallowed->next;
    swallowed->id = -1;
    swallowed->rank = -1;
    if (at->next >= 0) s->places[at->next].left = i;
    consider(b, s, at->left);
    consider(b, s, i);
}

static status merge_long(const bpe *b, bpe_scratch *s, size_t *len, error *err) {
    TRY(reserve_long(s, *len, err));
    int32_t n = (int32_t)*len;
    for (int32_t i = 0; i < n; i++)
        s->places[i] = (place){.id = s->id[i], .left = i - 1, .next = i + 1 < n ? i + 1 : -1, .rank = -1};
    s->n_heap = 0;
    for (int32_t i = 0; i < n; i++) consider(b, s, i);
    while (s->n_heap) {
        uint64_t item = heap_pop(s);
        int32_t i = (int32_t)(uint32_t)item;
        if (s->places[i].rank == (int32_t)(item >> 32)) merge_place(b, s, i);
    }
    size_t k = 0;
    for (int32_t i = 0; i >= 0; i = s->places[i].next) {
        s->id[k] = s->places[i].id;
        s->end[k++] = s->end[i];
    }
    *len = k;
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------ words */

static void push(stretch word, size_t begin, size_t end, int32_t id, ints *out, ints *spans) {
    ints_push(out, id);
    if (!spans) return;
    origin from = stretch_origin(stretch_part(word, begin, end));
    ints_push(spans, from.start);
    ints_push(spans, from.end);
}

static status encode_merged(const bpe *b, bpe_scratch *s, stretch word, ints *out, ints *spans, error *err) {
    size_t n = 0;
    TRY(reserve(s, word.len, err));
    TRY(b->is_byte_level ? byte_symbols(b, s, word, &n, err) : character_symbols(b, s, word, &n, err));
    if (n <= SHORT)
        n = merge_short(b, s->id, s->end, n);
    else
        TRY(merge_long(b, s, &n, err));
    for (size_t i = 0, begin = 0; i < n; begin = (size_t)s->end[i++])
        push(word, begin, (size_t)s->end[i], s->id[i], out, spans);
    return STATUS_OK;
}

static status encode_word(const bpe *b, bpe_scratch *s, stretch word, ints *out, ints *spans, error *err) {
    int32_t id = bpe_find(b, word.text, word.len);
    int whole = id < 0 ? WHOLE_NO : atomic_load_explicit(&b->whole[id], memory_order_relaxed);
    if (whole == WHOLE_YES || (id >= 0 && b->ignore_merges)) {
        push(word, 0, word.len, id, out, spans);
        return STATUS_OK;
    }
    size_t before = out->len;
    TRY(encode_merged(b, s, word, out, spans, err));
    if (whole != WHOLE_UNKNOWN || out->failed) return STATUS_OK;
    whole = out->len == before + 1 && out->data[before] == id ? WHOLE_YES : WHOLE_NO;
    atomic_store_explicit(&b->whole[id], (unsigned char)whole, memory_order_relaxed);
    return STATUS_OK;
}

/* Where the word goes on behind the byte at i: before a mark that no merge joins with what is to its left. */
static size_t next_mark(stretch word, size_t i) {
    static const char mark[] = "\xe2\x96\x81";
    for (const char *at; i + 3 <= word.len; i = (size_t)(at - word.text) + 1) {
        at = memchr(word.text + i, mark[0], word.len - 2 - i);
        if (!at) break;
        if (memcmp(at, mark, 3) != 0) continue;
        if (at - word.text < 3 || memcmp(at - 3, mark, 3) != 0) return (size_t)(at - word.text);
    }
    return word.len;
}

status bpe_encode(const bpe *b, bpe_scratch *s, stretch word, ints *out, ints *spans, error *err) {
    if (b->is_byte_level || b->ignore_merges || b->joins_marks)
        return encode_word(b, s, word, out, spans, err);
    for (size_t at = 0, end; at < word.len; at = end) {
        end = next_mark(word, at + 1);
        TRY(encode_word(b, s, stretch_part(word, at, end), out, spans, err));
    }
    return STATUS_OK;
}
