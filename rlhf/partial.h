/* rlhf/partial: the answers of a run that is not finished, in its file answers.partial, in the order in which
   they ended; so a run that was killed goes on where it was. */
#ifndef RLHF_RLHF_PARTIAL_H
#define RLHF_RLHF_PARTIAL_H

#include "core/base/hash.h"
#include "datasets/answers.h"

typedef struct partial {
    const char *path; /* the caller's */
    int file;         /* -1: not open */
    buffer record;
} partial;

/* Opens or makes the file. `of`: what the answers follow from; a file of something else is begun anew.
   Answers that are there are put into a, and a->there says which prompts have all theirs; *n: answers of
   those. A record that was cut or damaged, and what is behind it, is cut off. STATUS_FAILED: the disk. */
status partial_open(const char *path, const hash *of, answers *a, partial *out, int64_t *n, error *err);
/* Appends answer i of a. */
status partial_add(partial *p, const answers *a, int i, error *err);
/* Closes the file and removes it. */
status partial_remove(partial *p, error *err);
/* Closes the file, which stays. A partial that was never opened is allowed when its file is -1. */
void partial_close(partial *p);

#endif
