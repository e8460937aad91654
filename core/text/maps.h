/* core/text/maps: two hash tables of the tokenizer: from a pair of ids, and from a string of bytes, to a
   number. */
#ifndef RLHF_TEXT_MAPS_H
#define RLHF_TEXT_MAPS_H

#include <stddef.h>
#include <stdint.h>

/* Mixes the bytes of a text; the low bits are good for a table. */
uint64_t hash_text(const char *text, size_t len);

typedef struct pair_slot {
    int32_t left, right; /* left -1: free */
    int32_t value;
} pair_slot;

typedef struct pair_map {
    pair_slot *slots; /* [capacity], a power of two, at most half full */
    size_t n, capacity;
} pair_map;

/* Ids are >= 0. Makes room for n pairs; 0 when out of memory. */
int pair_map_reserve(pair_map *m, size_t n);
/* The value of a pair, or -1. */
int32_t pair_map_get(const pair_map *m, int32_t left, int32_t right);
/* Adds a pair that is not there yet. 0 when out of memory. */
int pair_map_add(pair_map *m, int32_t left, int32_t right, int32_t value);
void pair_map_free(pair_map *m);

typedef struct bytes_slot {
    const char *key; /* NULL: free; else the caller's, which outlives the map */
    size_t len;
    int32_t value;
} bytes_slot;

typedef struct bytes_map {
    bytes_slot *slots;
    size_t n, capacity;
} bytes_map;

int32_t bytes_map_get(const bytes_map *m, const char *key, size_t len);
int bytes_map_add(bytes_map *m, const char *key, size_t len, int32_t value);
void bytes_map_free(bytes_map *m);

#endif
