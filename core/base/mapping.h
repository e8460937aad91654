/* core/base/mapping: a file's bytes in memory, read from the disk as they are wanted (mmap). */
#ifndef RLHF_BASE_MAPPING_H
#define RLHF_BASE_MAPPING_H

#include <stddef.h>

#include "core/base/error.h"

typedef struct mapping {
    const void *data; /* [len], read-only; NULL when the file is empty */
    size_t len;
} mapping;

/* A whole file, which must not change while it is mapped. STATUS_DATA when it is missing, unreadable or not a
   regular file. */
status mapping_open(const char *path, mapping *out, error *err);
/* Gives the pages that were read back to the system, which reads them again when they are wanted. */
void mapping_release(const mapping *m);
void mapping_close(mapping *m); /* leaves an empty one */

#endif
