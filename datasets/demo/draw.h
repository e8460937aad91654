/* datasets/demo/draw: choices. Each document is a sequence of its own; its n-th choice is counted by n. */
#ifndef RLHF_DEMO_DRAW_H
#define RLHF_DEMO_DRAW_H

#include <stdint.h>

#include "core/base/random.h"

typedef struct draw {
    random_key key;
    uint64_t document;
    uint32_t n; /* choices made so far */
} draw;

/* The file's number keys its documents apart from the other files'. */
draw draw_begin(uint32_t file, uint64_t document);
int draw_below(draw *d, int n);                            /* in [0, n) */
int draw_other(draw *d, int n, int not_this);              /* in [0, n) without not_this; n > 1 */
const char *draw_phrase(draw *d, const char *const *list); /* list ends with NULL and is not empty */
int draw_share(draw *d, const int *percent);               /* index into shares that sum to 100 */

#endif
