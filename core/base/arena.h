/* core/base/arena: memory cut from one block. Laying out with base NULL only measures, so that a memory plan
   and the allocation it describes are the same code and cannot disagree. */
#ifndef RLHF_BASE_ARENA_H
#define RLHF_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

enum { ARENA_ALIGN = 64 }; /* bytes: a cache line, a vector */

typedef struct arena {
    char *base;  /* NULL: measuring */
    size_t used; /* bytes handed out, each piece rounded up to ARENA_ALIGN; SIZE_MAX after an overflow */
    size_t size; /* bytes of the block; ignored while measuring */
} arena;

/* count x size bytes, aligned; NULL while measuring, and when the block or a size_t is too small (used is
   then SIZE_MAX, which callers check once at the end of a layout). */
void *arena_take(arena *a, size_t count, size_t size);

#define ARENA_TAKE(a, type, count) ((type *)arena_take((a), (size_t)(count), sizeof(type)))

#endif
