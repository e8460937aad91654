#include "datasets/order.h"

#include <stdlib.h>

static void shuffle(order *o) {
    random_permutation(random_make_key(o->seed, o->purpose, (uint32_t)o->round, (uint32_t)o->epoch), o->n,
                       o->permutation);
}

status order_create(int n, uint64_t seed, random_purpose purpose, int round, order *out, error *err) {
    *out = (order){.n = n, .seed = seed, .purpose = purpose, .round = round};
    out->permutation = malloc(sizeof *out->permutation * (size_t)n);
    if (!out->permutation) return error_memory(err, "an order of examples");
    shuffle(out);
    return STATUS_OK;
}

void order_free(order *o) {
    free(o->permutation);
    *o = (order){0};
}

void order_seek(order *o, int epoch, int next) {
    o->epoch = epoch;
    o->next = next;
    shuffle(o);
}

int order_next(order *o) {
    if (o->next == o->n) order_seek(o, o->epoch + 1, 0);
    return o->permutation[o->next++];
}
