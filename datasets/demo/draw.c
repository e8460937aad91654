#include "datasets/demo/draw.h"

enum { SEED = 1 }; /* another seed would be another data set */

draw draw_begin(uint32_t file, uint64_t document) {
    return (draw){.key = random_make_key(SEED, RANDOM_DEMO, file, 0), .document = document};
}

int draw_below(draw *d, int n) { return (int)random_below(d->key, d->document, d->n++, (uint64_t)n); }

int draw_other(draw *d, int n, int not_this) {
    int i = draw_below(d, n - 1);
    return i + (i >= not_this);
}

const char *draw_phrase(draw *d, const char *const *list) {
    int n = 0;
    while (list[n]) n++;
    return list[draw_below(d, n)];
}

int draw_share(draw *d, const int *percent) {
    int at = draw_below(d, 100), i = 0;
    while (at >= percent[i]) at -= percent[i++];
    return i;
}
