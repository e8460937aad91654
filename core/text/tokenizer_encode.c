#include <limits.h>
#include <stdlib.h>

#include "core/text/nfc.h"
#include "core/text/tokenizer_parts.h"

/* Byte-level BPE of one word: begin with its bytes and merge, again and again, the pair of neighbours whose
   merge has the lowest rank, the leftmost of equals. Neighbours are a linked list, candidates a heap, so a
   word of n bytes takes O(n log n). */

/* A place in the word: the token that begins there. */
typedef struct place {
    int32_t id;         /* -1: swallowed by the token to the left */
    int32_t left, next; /* places of the neighbours; -1: none */
    int32_t rank;       /* of the merge with the next one; -1: they do not merge */
} place;

typedef struct encoder {
    const tokenizer *tokenizer;
    ints *out;
    place *places;  /* [capacity] */
    uint64_t *heap; /* [2 capacity + 1] rank << 32 | place, the least first */
    size_t capacity, n_heap;
} encoder;

static status reserve(encoder *e, size_t len, error *err) {
    if (len <= e->capacity) return STATUS_OK;
    size_t capacity = len < 256 ? 256 : len;
    free(e->places);
    free(e->heap);
    e->places = malloc(capacity * sizeof *e->places);
    e->heap = malloc(3 * capacity * sizeof *e->heap);
    e->capacity = e->places && e->heap ? capacity : 0;
    return e->capacity ? STATUS_OK : error_memory(err, "a word");
}

static void heap_push(encoder *e, uint64_t item) {
    size_t i = e->n_heap++;
    for (; i > 0 && e->heap[(i - 1) / 2] > item; i = (i - 1) / 2) e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = item;
}

static uint64_t heap_pop(encoder *e) {
    uint64_t least = e->heap[0], last = e->heap[--e->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < e->n_heap; i = child) {
        if (child + 1 < e->n_heap && e->heap[child + 1] < e->heap[child]) child++;
        if (e->heap[child] >= last) break;
        e->heap[i] = e->heap[child];
    }
    e->heap[i] = last;
    return least;
}

/* Looks up the merge of the token at i with the next one. Called once for each place and at most twice for
   each merge, of which there are fewer than places: three times the word's length bounds the heap. */
static void consider(encoder *e, int32_t i) {
    if (i < 0) return;
    place *at = &e->places[i];
    at->rank = at->next < 0 ? -1 : pair_map_get(&e->tokenizer->merges, at->id, e->places[at->next].id);
    if (at->rank >= 0) heap_push(e, (uint64_t)at->rank << 32 | (uint32_t)i);
}

static void merge(encoder *e, int32_t i) {
    place *at = &e->places[i], *swallowed = &e->places[at->next];
    at->id = e->tokenizer->merged[at->rank];
    at->next = swallowed->next;
    swallowed->id = -1;
    swallowed->rank = -1;
    if (at->next >= 0) e->places[at->next].left = i;
    consider(e, at->left);
    consider(e, i);
}

static status encode_word(void *context, const char *word, size_t len, error *err) {
    encoder *e = context;
    TRY(reserve(e, len, err));
    int32_t n = (int32_t)len;
    for (int32_t i = 0; i < n; i++) {
        int32_t id = e->tokenizer->byte_token[(uint8_t)word[i]];
        if (id < 0)
            return error_set(err, STATUS_DATA, "the tokenizer has no token for byte 0x%02x",
                             (uint8_t)word[i]);
        e->places[i] = (place){.id = id, .left = i - 1, .next = i + 1 < n ? i + 1 : -1, .rank = -1};
    }
    e->n_heap = 0;
    for (int32_t i = 0; i < n; i++) consider(e, i);
    while (e->n_heap) {
        uint64_t item = heap_pop(e);
        int32_t i = (int32_t)(uint32_t)item;
        if (e->places[i].rank == (int32_t)(item >> 32)) merge(e, i);
    }
    for (int32_t i = 0; i >= 0; i = e->places[i].next) ints_push(e->out, e->places[i].id);
    return STATUS_OK;
}

status tokenizer_encode(const tokenizer *t, const char *text, size_t len, ints *out, error *err) {
    buffer normal = {0};
    size_t before = out->len;
    if (len > INT32_MAX)
        return error_set(err, STATUS_DATA, "a text of %zu bytes: at most %d are encoded at once", len,
                         INT32_MAX);
    if (t->nfc) {
        status s = nfc_normalize(text, len, &normal, err);
        if (s != STATUS_OK) {
            buffer_free(&normal);
            return s;
        }
        text = normal.data;
        len = normal.len;
    }
    encoder e = {.tokenizer = t, .out = out};
    status s = words_each(t->words, text, len, encode_word, &e, err);
    free(e.places);
    free(e.heap);
    buffer_free(&normal);
    if (s == STATUS_OK) s = ints_check(out, err);
    if (s != STATUS_OK) out->len = before;
    return s;
}
