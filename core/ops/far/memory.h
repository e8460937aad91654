/* core/ops/far/memory: one memory file mapped twice. Callers hold addresses of the far view, which crashes at
   once when it is touched; the ops run on the near view of the same bytes. */
#ifndef RLHF_OPS_FAR_MEMORY_H
#define RLHF_OPS_FAR_MEMORY_H

#include <stddef.h>

#include "core/base/error.h"

typedef struct far_allocation {
    size_t start, bytes; /* of what was asked for, counted from the start of the views */
    size_t begin, end;   /* with its guards, whole pages */
} far_allocation;

typedef struct far_memory {
    int file;
    char *far, *near; /* 64 GiB of addresses each; far is PROT_NONE */
    size_t used;      /* addresses are never given out twice, so use after release is found for good */
    far_allocation *allocation; /* in ascending order */
    int n, capacity;
} far_memory;

status far_memory_open(far_memory *memory, error *err);
void far_memory_close(far_memory *memory);

/* Aligned to 64 bytes and to no more; full of NaN, with guards of NaN around it. *out is a far address. */
status far_memory_allocate(far_memory *memory, size_t bytes, void **out, error *err);

/* Takes the allocation that starts at the far address out of the table: no operand may lie there any more.
   0 when there is none. The bytes stay until far_memory_discard. */
int far_memory_release(far_memory *memory, const void *address, far_allocation *released);
void far_memory_discard(far_memory *memory, const far_allocation *released);

/* The near address of a far one. */
void *far_memory_near(const far_memory *memory, const void *address);

/* STATUS_OK when the bytes lie inside one allocation, else what is wrong ("are host memory, ..."). */
status far_memory_check(const far_memory *memory, const void *address, size_t bytes, error *err);

/* STATUS_OK when nobody wrote outside an allocation. */
status far_memory_check_guards(const far_memory *memory, error *err);

#endif
