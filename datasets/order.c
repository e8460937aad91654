#include "datasets/order.h"

#include <stdlib.h>

/* ---- a mixture ---- */

/* Writes which example stands at each of a part's places of this epoch: k counts its places through all
   epochs, and so the passes through its examples. */
static void fill_places(const order *o, int which, int32_t *example, int32_t *pass_order) {
    const order_part *p = &o->part[which];
    int64_t pass = -1, first = (int64_t)o->epoch * p->n_place;
    for (int64_t k = first; k < first + p->n_place; k++) {
        if (k / p->n != pass) {
            pass = k / p->n;
            uint32_t step = (uint32_t)(pass * o->n_part + which);
            random_permutation(random_make_key(o->seed, o->purpose, (uint32_t)o->round, step), p->n,
                               pass_order);
        }
        example[p->first_place + (k - first)] = p->first + pass_order[k % p->n];
    }
}

static void shuffle_mixture(order *o) {
    int32_t *example = o->scratch, *pass_order = o->scratch + o->n;
    for (int i = 0; i < o->n_part; i++) fill_places(o, i, example, pass_order);
    random_permutation(random_make_key(o->seed, RANDOM_MIXTURE, (uint32_t)o->round, (uint32_t)o->epoch), o->n,
                       o->permutation);
    for (int i = 0; i < o->n; i++) o->permutation[i] = example[o->permutation[i]];
}

/* Shares n places out by weight. */
static void share_places(order *o) {
    int64_t sum = 0;
    int left = o->n;
    for (int i = 0; i < o->n_part; i++) sum += o->part[i].weight;
    if (sum == 0) return;
    for (int i = 0; i < o->n_part; i++)
        left -= o->part[i].n_place = (int)((int64_t)o->n * o->part[i].weight / sum);
    for (; left > 0; left--) {
        int most = 0;
        int64_t rest = -1;
        for (int i = 0; i < o->n_part; i++) {
            const order_part *p = &o->part[i];
            int64_t due = (int64_t)o->n * p->weight - (int64_t)p->n_place * sum;
            if (due > rest) rest = due, most = i;
        }
        o->part[most].n_place++;
    }
    for (int i = 0, at = 0; i < o->n_part; at += o->part[i++].n_place) o->part[i].first_place = at;
}

/* ---- both ---- */

static void shuffle(order *o) {
    if (o->part) {
        shuffle_mixture(o);
        return;
    }
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

status order_create_mixture(const int *n_of_file, const int *weight, int n_file, uint64_t seed,
                            random_purpose purpose, int round, order *out, error *err) {
    *out = (order){.seed = seed, .purpose = purpose, .round = round, .n_part = n_file};
    int largest = 0;
    out->part = calloc((size_t)n_file, sizeof *out->part);
    for (int i = 0; out->part && i < n_file; i++) {
        out->part[i] = (order_part){.first = out->n, .n = n_of_file[i], .weight = weight[i]};
        out->n += n_of_file[i];
        if (n_of_file[i] > largest) largest = n_of_file[i];
    }
    out->permutation = malloc(sizeof *out->permutation * (size_t)out->n);
    out->scratch = malloc(sizeof *out->scratch * ((size_t)out->n + (size_t)largest));
    if (!out->part || !out->permutation || !out->scratch) {
        order_free(out);
        return error_memory(err, "an order of examples");
    }
    share_places(out);
    shuffle(out);
    return STATUS_OK;
}

void order_free(order *o) {
    free(o->permutation);
    free(o->part);
    free(o->scratch);
    *o = (order){0};
}

size_t order_bytes(const order *o) {
    size_t n = (size_t)o->n;
    for (int i = 0; i < o->n_part; i++) n += (size_t)o->part[i].n; /* more than the largest */
    return sizeof *o->permutation * (o->part ? n + (size_t)o->n : n);
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
