/* core/base/ints: a list of int32 (token ids) that grows. A failed allocation is remembered, as in buffer. */
#ifndef RLHF_BASE_INTS_H
#define RLHF_BASE_INTS_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

typedef struct ints {
    int32_t *data; /* [len] */
    size_t len, capacity;
    int failed;
} ints;

void ints_free(ints *list);
void ints_clear(ints *list); /* keeps the memory */
void ints_push(ints *list, int32_t value);
void ints_append(ints *list, const int32_t *values, size_t n);
status ints_check(const ints *list, error *err);

#endif
