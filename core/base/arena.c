#include "core/base/arena.h"

void *arena_take(arena *a, size_t count, size_t size) {
    size_t bytes;
    if (a->used == SIZE_MAX || __builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2 ||
        a->used > SIZE_MAX / 2) {
        a->used = SIZE_MAX;
        return NULL;
    }
    size_t start = a->used;
    bytes = (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (a->base && bytes > a->size - start) {
        a->used = SIZE_MAX;
        return NULL;
    }
    a->used = start + bytes;
    return a->base ? a->base + start : NULL;
}
