#include "core/text/bpe_train.h"

#include <stdlib.h>
#include <string.h>

#include "core/text/alphabet.h"
#include "core/text/maps.h"

/* Counts are kept up to date instead of counted again: the different words lie one behind the other in lists
   of symbols, each pair of neighbours knows its count and where it stands, and a merge touches those places
   alone. The most frequent pair comes from a heap whose entries may be out of date. */

enum { N_BYTE = 256, LEAST_COUNT = 2 };

/* A place in a word: the token that begins there. */
typedef struct symbol {
    int32_t id;         /* -1: swallowed by the token to the left */
    int32_t left, next; /* places of the neighbours in the word; -1: none */
    int32_t word;
} symbol;

typedef struct pair {
    int32_t left, right;
    int64_t count;   /* occurrences in the texts */
    int32_t *places; /* [n_place] where the left one may stand: old entries remain */
    int32_t n_place, capacity;
    int changed; /* counted up since it was last put on the heap */
} pair;

typedef struct candidate {
    int64_t count; /* of the pair when this was pushed, and no less than it is now */
    int32_t pair;
} candidate;

typedef struct trainer {
    bytes_map word_index; /* a word's bytes -> its index */
    int64_t *word_count;  /* [n_word] */
    int32_t n_word, word_capacity;
    symbol *symbols; /* [n_symbol] the words, each once */
    int32_t n_symbol, symbol_capacity;

    bpe_token *tokens; /* [n_token], the caller's */
    int32_t n_token;
    bytes_map token_index; /* a token's bytes -> its id */
    int32_t byte_ids[N_BYTE];

    pair_map pair_index;
    pair *pairs;
    int32_t n_pair, pair_capacity;
    int32_t *changed; /* [n_changed] pairs to be put on the heap again */
    int32_t n_changed, changed_capacity;
    candidate *heap;
    int32_t n_heap, heap_capacity;
} trainer;

static void free_trainer(trainer *t) {
    for (int32_t i = 0; i < t->n_pair; i++) free(t->pairs[i].places);
    bytes_map_free(&t->word_index);
    free(t->word_count);
    free(t->symbols);
    bytes_map_free(&t->token_index);
    pair_map_free(&t->pair_index);
    free(t->pairs);
    free(t->changed);
    free(t->heap);
}

/* Makes room for one more of n elements. The new address, or NULL when out of memory: the old
   one then stays. */
static void *grow(void *array, int32_t n, int32_t *capacity, size_t size) {
    if (n < *capacity) return array;
    if (*capacity > INT32_MAX / 2) return NULL;
    int32_t more = *capacity ? 2 * *capacity : 16;
    void *bigger = realloc(array, (size_t)more * size);
    if (bigger) *capacity = more;
    return bigger;
}

#define PUSH(array, n, capacity, value)                                                                      \
    do {                                                                                                     \
        void *grown_ = grow((array), (n), &(capacity), sizeof *(array));                                     \
        if (!grown_) return 0;                                                                               \
        (array) = grown_;                                                                                    \
        (array)[(n)++] = (value);                                                                            \
    } while (0)

/* ------------------------------------------------------------------------------------------------ words */

static int add_word(trainer *t, const char *word, size_t len) {
    if (!bytes_map_add(&t->word_index, word, len, t->n_word)) return 0;
    for (size_t i = 0; i < len; i++) {
        int32_t place = t->n_symbol;
        symbol one = {t->byte_ids[(uint8_t)word[i]], i ? place - 1 : -1, i + 1 < len ? place + 1 : -1,
                      t->n_word};
        PUSH(t->symbols, t->n_symbol, t->symbol_capacity, one);
    }
    PUSH(t->word_count, t->n_word, t->word_capacity, 0);
    return 1;
}

static status count_word(void *context, stretch word, error *err) {
    trainer *t = context;
    int32_t i = bytes_map_get(&t->word_index, word.text, word.len);
    if (i < 0) {
        i = t->n_word;
        if (!add_word(t, word.text, word.len)) return error_memory(err, "the words of the texts");
    }
    t->word_count[i]++;
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------ pairs */

static int compare_token(const trainer *t, int32_t a, int32_t b) {
    const bpe_token *p = &t->tokens[a], *q = &t->tokens[b];
    int order = memcmp(p->bytes, q->bytes, p->len < q->len ? p->len : q->len);
    return order ? order : (p->len > q->len) - (p->len < q->len);
}

/* Whether a is to be merged before b: by count, then the greater bytes of the left token, then of
   the right one. */
static int is_before(const trainer *t, candidate a, candidate b) {
    if (a.count != b.count) return a.count > b.count;
    const pair *p = &t->pairs[a.pair], *q = &t->pairs[b.pair];
    int order = compare_token(t, p->left, q->left);
    if (order == 0) order = compare_token(t, p->right, q->right);
    return order > 0;
}

static int heap_push(trainer *t, candidate one) {
    PUSH(t->heap, t->n_heap, t->heap_capacity, one);
    int32_t i = t->n_heap - 1;
    for (; i > 0 && is_before(t, one, t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = one;
    return 1;
}

static candidate heap_pop(trainer *t) {
    candidate best = t->heap[0], last = t->heap[--t->n_heap];
    int32_t i = 0;
    for (int32_t child; (child = 2 * i + 1) < t->n_heap; i = child) {
        if (child + 1 < t->n_heap && is_before(t, t->heap[child + 1], t->heap[child])) child++;
        if (!is_before(t, t->heap[child], last)) break;
        t->heap[i] = t->heap[child];
    }
    t->heap[i] = last;
    return best;
}

/* The pair at this place begins (sign 1) or ends (sign -1) to be. */
static int count_pair(trainer *t, int32_t place, int sign) {
    const symbol *s = &t->symbols[place];
    int32_t right = t->symbols[s->next].id, i = pair_map_get(&t->pair_index, s->id, right);
    if (i < 0) {
        pair one = {.left = s->id, .right = right};
        i = t->n_pair;
        PUSH(t->pairs, t->n_pair, t->pair_capacity, one);
        if (!pair_map_add(&t->pair_index, s->id, right, i)) return 0;
    }
    pair *p = &t->pairs[i];
    p->count += sign * t->word_count[s->word];
    if (sign < 0) return 1;
    PUSH(p->places, p->n_place, p->capacity, place);
    if (p->changed) return 1;
    p->changed = 1;
    PUSH(t->changed, t->n_changed, t->changed_capacity, i);
    return 1;
}

static int push_changed(trainer *t) {
    for (int32_t i = 0; i < t->n_changed; i++) {
        pair *p = &t->pairs[t->changed[i]];
        p->changed = 0;
        if (!heap_push(t, (candidate){p->count, t->changed[i]})) return 0;
    }
    t->n_changed = 0;
    return 1;
}

/* The pair to merge next, or -1 when none occurs often enough. */
static int32_t next_pair(trainer *t, int *failed) {
    while (t->n_heap) {
        candidate best = heap_pop(t);
        int64_t count = t->pairs[best.pair].count;
        if (count < LEAST_COUNT) continue;
        if (count == best.count) return best.pair;
        if (!heap_push(t, (candidate){count, best.pair})) {
            *failed = 1;
            return -1;
        }
    }
    return -1;
}

/* ------------------------------------------------------------------------------------------------ merging */

static int merge_place(trainer *t, int32_t place, int32_t id) {
    symbol *s = &t->symbols[place], *swallowed = &t->symbols[s->next];
    if (s->left >= 0 && !count_pair(t, s->left, -1)) return 0;
    if (!count_pair(t, place, -1)) return 0;
    if (swallowed->next >= 0 && !count_pair(t, s->next, -1)) return 0;
    s->id = id;
    s->next = swallowed->next;
    swallowed->id = -1;
    if (s->next >= 0) t->symbols[s->next].left = place;
    if (s->left >= 0 && !count_pair(t, s->left, 1)) return 0;
    return s->next < 0 || count_pair(t, place, 1);
}

static int compare_place(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Merges the pair wherever it stands, from left to right: of "aaa" the first two. */
static int merge_pair(trainer *t, int32_t index, int32_t id) {
    pair p = t->pairs[index];
    t->pairs[index].places = NULL; /* counting moves and grows what pairs point to */
    t->pairs[index].n_place = t->pairs[index].capacity = 0;
    int ok = 1;
    if (p.n_place) qsort(p.places, (size_t)p.n_place, sizeof *p.places, compare_place);
    for (int32_t i = 0; i < p.n_place && ok; i++) {
        const symbol *s = &t->symbols[p.places[i]];
        if (s->id == p.left && s->next >= 0 && t->symbols[s->next].id == p.right)
            ok = merge_place(t, p.places[i], id);
    }
    free(p.places);
    return ok && push_changed(t);
}

/* ------------------------------------------------------------------------------------------------ tokens */

/* Takes bytes (malloc'd or NULL) over. The id of the token, which is a new one unless the same bytes have
   come together before in another way; -1 when out of memory. */
static int32_t add_token(trainer *t, char *bytes, size_t len) {
    int32_t id = bytes ? bytes_map_get(&t->token_index, bytes, len) : -1;
    if (id >= 0 || !bytes || !bytes_map_add(&t->token_index, bytes, len, t->n_token)) {
        free(bytes);
        return id;
    }
    t->tokens[t->n_token] = (bpe_token){bytes, len};
    return t->n_token++;
}

static int32_t join_tokens(trainer *t, int32_t left, int32_t right) {
    const bpe_token *a = &t->tokens[left], *b = &t->tokens[right];
    char *bytes = malloc(a->len + b->len);
    if (bytes) {
        memcpy(bytes, a->bytes, a->len);
        memcpy(bytes + a->len, b->bytes, b->len);
    }
    return add_token(t, bytes, a->len + b->len);
}

static int add_bytes(trainer *t) {
    for (int i = 0; i < N_BYTE; i++) {
        char *bytes = malloc(1);
        if (bytes) bytes[0] = (char)alphabet_byte(i);
        if (add_token(t, bytes, 1) < 0) return 0;
        t->byte_ids[alphabet_byte(i)] = i;
    }
    return 1;
}

static int count_pairs(trainer *t) {
    for (int32_t i = 0; i < t->n_symbol; i++)
        if (t->symbols[i].next >= 0 && !count_pair(t, i, 1)) return 0;
    return push_changed(t);
}

static int find_merges(trainer *t, int vocab, ints *left, ints *right) {
    if (!count_pairs(t)) return 0;
    int failed = 0;
    for (int32_t best; t->n_token < vocab && (best = next_pair(t, &failed)) >= 0;) {
        const pair *p = &t->pairs[best];
        ints_push(left, p->left);
        ints_push(right, p->right);
        int32_t id = join_tokens(t, p->left, p->right);
        if (id < 0 || !merge_pair(t, best, id)) return 0;
    }
    return !failed && !left->failed && !right->failed;
}

void bpe_free_tokens(bpe_token *tokens, int n) {
    for (int i = 0; i < n; i++) free(tokens[i].bytes);
}

status bpe_train(const tokenizer_text *texts, size_t n, const cut_steps *words, int vocab, bpe_token *tokens,
                 int *n_token, ints *left, ints *right, error *err) {
    trainer t = {.tokens = tokens};
    cutter c;
    status s = cut_begin(&c, words, err);
    if (s == STATUS_OK && !add_bytes(&t)) s = error_memory(err, "the tokens");
    for (size_t i = 0; i < n && s == STATUS_OK; i++)
        s = cut_each(&c, (stretch){texts[i].text, texts[i].len, NULL}, PLACE_FIRST, count_word, &t, err);
    cut_end(&c);
    if (s == STATUS_OK && !find_merges(&t, vocab, left, right)) s = error_memory(err, "training a tokenizer");
    *n_token = t.n_token;
    free_trainer(&t);
    return s;
}
