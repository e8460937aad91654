#include "core/text/maps.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 64 };

uint64_t hash_text(const char *text, size_t len) {
    uint64_t x = len * 0x9E3779B97F4A7C15u, eight = 0;
    for (; len >= sizeof eight; text += sizeof eight, len -= sizeof eight) {
        memcpy(&eight, text, sizeof eight);
        x = (x ^ eight) * 0xff51afd7ed558ccdu;
        x ^= x >> 32;
    }
    for (eight = 0; len > 0; len--) eight = eight << 8 | (uint8_t)text[len - 1];
    x = (x ^ eight) * 0xff51afd7ed558ccdu;
    return x ^ x >> 32;
}

static size_t hash_pair(int32_t left, int32_t right) {
    uint64_t x = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    return (size_t)(x ^ x >> 32);
}

/* The slot of the pair, or the free one where it belongs. */
static pair_slot *pair_place(const pair_map *m, int32_t left, int32_t right) {
    size_t i = hash_pair(left, right) & (m->capacity - 1);
    while (m->slots[i].left >= 0 && (m->slots[i].left != left || m->slots[i].right != right))
        i = (i + 1) & (m->capacity - 1);
    return &m->slots[i];
}

int pair_map_reserve(pair_map *m, size_t n) {
    if (m->capacity / 2 >= n && m->capacity) return 1;
    pair_map bigger = {.capacity = m->capacity ? m->capacity : FIRST_CAPACITY};
    while (bigger.capacity / 2 < n) bigger.capacity *= 2;
    bigger.slots = malloc(bigger.capacity * sizeof *bigger.slots);
    if (!bigger.slots) return 0;
    for (size_t i = 0; i < bigger.capacity; i++) bigger.slots[i].left = -1;
    for (size_t i = 0; i < m->capacity; i++)
        if (m->slots[i].left >= 0) *pair_place(&bigger, m->slots[i].left, m->slots[i].right) = m->slots[i];
    bigger.n = m->n;
    free(m->slots);
    *m = bigger;
    return 1;
}

int32_t pair_map_get(const pair_map *m, int32_t left, int32_t right) {
    if (!m->n) return -1;
    const pair_slot *slot = pair_place(m, left, right);
    return slot->left >= 0 ? slot->value : -1;
}

int pair_map_add(pair_map *m, int32_t left, int32_t right, int32_t value) {
    if (!pair_map_reserve(m, m->n + 1)) return 0;
    *pair_place(m, left, right) = (pair_slot){left, right, value};
    m->n++;
    return 1;
}

void pair_map_free(pair_map *m) {
    free(m->slots);
    *m = (pair_map){0};
}

static bytes_slot *bytes_place(const bytes_map *m, const char *key, size_t len) {
    size_t i = (size_t)hash_text(key, len) & (m->capacity - 1);
    while (m->slots[i].key && (m->slots[i].len != len || memcmp(m->slots[i].key, key, len) != 0))
        i = (i + 1) & (m->capacity - 1);
    return &m->slots[i];
}

int32_t bytes_map_get(const bytes_map *m, const char *key, size_t len) {
    if (!m->n) return -1;
    const bytes_slot *slot = bytes_place(m, key, len);
    return slot->key ? slot->value : -1;
}

static int bytes_map_grow(bytes_map *m) {
    bytes_map bigger = {.n = m->n, .capacity = m->capacity ? 2 * m->capacity : FIRST_CAPACITY};
    bigger.slots = calloc(bigger.capacity, sizeof *bigger.slots);
    if (!bigger.slots) return 0;
    for (size_t i = 0; i < m->capacity; i++)
        if (m->slots[i].key) *bytes_place(&bigger, m->slots[i].key, m->slots[i].len) = m->slots[i];
    free(m->slots);
    *m = bigger;
    return 1;
}

int bytes_map_add(bytes_map *m, const char *key, size_t len, int32_t value) {
    if (2 * (m->n + 1) > m->capacity && !bytes_map_grow(m)) return 0;
    *bytes_place(m, key, len) = (bytes_slot){key, len, value};
    m->n++;
    return 1;
}

void bytes_map_free(bytes_map *m) {
    free(m->slots);
    *m = (bytes_map){0};
}
