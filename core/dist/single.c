#include <stdlib.h>

#include "core/dist/dist.h"

struct dist {
    int rank, size;
    status (*sum)(dist *, device *, float *, int64_t, error *);
};

/* The sum over one rank is what is there. */
static status sum_single(dist *d, device *dev, float *x, int64_t n, error *err) {
    (void)d, (void)dev, (void)x, (void)n, (void)err;
    return STATUS_OK;
}

status dist_open_single(dist **out, error *err) {
    *out = malloc(sizeof **out);
    if (!*out) return error_memory(err, "ranks");
    **out = (dist){.rank = 0, .size = 1, .sum = sum_single};
    return STATUS_OK;
}

void dist_close(dist *d) { free(d); }
int dist_rank(const dist *d) { return d->rank; }
int dist_size(const dist *d) { return d->size; }
status dist_sum(dist *d, device *dev, float *x, int64_t n, error *err) { return d->sum(d, dev, x, n, err); }
