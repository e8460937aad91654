#include "core/text/piece_merges.h"

#include <stdlib.h>

#include "core/text/maps.h"

typedef struct candidate {
    piece_merge merge;
    int32_t made;
    float score;
    int left_chars, right_chars;
} candidate;

typedef struct candidates {
    candidate *data; /* [len] */
    size_t len, capacity;
} candidates;

static int push(candidates *list, candidate one) {
    if (list->len == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 1024;
        candidate *more = realloc(list->data, capacity * sizeof *more);
        if (!more) return 0;
        list->data = more;
        list->capacity = capacity;
    }
    list->data[list->len++] = one;
    return 1;
}

static int is_inside_character(char byte) { return ((unsigned char)byte & 0xc0) == 0x80; }

static int count_characters(const char *text, size_t len) {
    int n = 0;
    for (size_t i = 0; i < len; i++) n += !is_inside_character(text[i]);
    return n;
}

/* Every way to make a piece of two others. 0 when out of memory. */
static int split(const scored_piece *pieces, int32_t made, const bytes_map *numbers, candidates *list) {
    const scored_piece *p = &pieces[made];
    for (size_t at = 1; at < p->len; at++) {
        if (is_inside_character(p->text[at])) continue;
        int32_t left = bytes_map_get(numbers, p->text, at);
        int32_t right = left < 0 ? -1 : bytes_map_get(numbers, p->text + at, p->len - at);
        if (right < 0) continue;
        candidate one = {{left, right},
                         made,
                         p->score,
                         count_characters(p->text, at),
                         count_characters(p->text + at, p->len - at)};
        if (!push(list, one)) return 0;
    }
    return 1;
}

static int compare(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->left_chars != y->left_chars) return x->left_chars > y->left_chars ? -1 : 1;
    if (x->right_chars != y->right_chars) return x->right_chars > y->right_chars ? -1 : 1;
    return (x->made > y->made) - (x->made < y->made);
}

static int find_all(const scored_piece *pieces, int n, bytes_map *numbers, candidates *list) {
    for (int i = 0; i < n; i++)
        if (pieces[i].merges && !bytes_map_add(numbers, pieces[i].text, pieces[i].len, i)) return 0;
    for (int i = 0; i < n; i++)
        if (pieces[i].merges && !split(pieces, i, numbers, list)) return 0;
    return 1;
}

status piece_merges(const scored_piece *pieces, int n, piece_merge **out, size_t *n_merge, error *err) {
    bytes_map numbers = {0};
    candidates list = {0};
    int found = find_all(pieces, n, &numbers, &list);
    *n_merge = list.len;
    *out = found ? malloc((list.len + 1) * sizeof **out) : NULL;
    if (*out) {
        if (list.len) qsort(list.data, list.len, sizeof *list.data, compare);
        for (size_t i = 0; i < list.len; i++) (*out)[i] = list.data[i].merge;
    }
    bytes_map_free(&numbers);
    free(list.data);
    return *out ? STATUS_OK : error_memory(err, "a vocabulary's merges");
}
