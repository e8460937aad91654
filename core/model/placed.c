#include "core/model/placed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const param *weights_find_param(const weights *w, const char *name) {
    for (int i = 0; i < w->flat.n_param; i++)
        if (strcmp(w->flat.param[i].name, name) == 0) return &w->flat.param[i];
    return NULL;
}

/* The format comes from family.c's own tables. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int place_tensor(const weights *w, const family_tensor *t, int layer, placed *out) {
    char ours[64];
    out->how = t;
    out->layer = layer;
    snprintf(out->name, sizeof out->name, t->theirs, layer);
    snprintf(ours, sizeof ours, t->ours, layer);
    out->p = weights_find_param(w, ours);
    if (!out->p) return 0;
    int is_vector = strstr(ours, "norm") || strstr(ours, ".bias");
    family_part_rows(&w->config, t->part, is_vector ? out->p->cols : out->p->rows, &out->first, &out->n);
    out->transposed = t->transposed;
    out->n_dim = is_vector ? 1 : 2;
    out->shape[0] = t->transposed ? out->p->cols : out->n;
    out->shape[1] = t->transposed ? out->n : out->p->cols;
    return 1;
}
#pragma GCC diagnostic pop

status placed_list(const weights *w, placed **out, int *n, error *err) {
    int most = 0;
    for (const family_tensor *t = family_of(w->config.family)->tensors; t->theirs; t++)
        most += w->config.n_layer;
    *n = 0;
    *out = calloc((size_t)most, sizeof **out);
    if (!*out) return error_memory(err, "a list of tensors");
    for (const family_tensor *t = family_of(w->config.family)->tensors; t->theirs; t++)
        for (int l = 0; l < (strstr(t->theirs, "%d") ? w->config.n_layer : 1); l++)
            if (place_tensor(w, t, l, &(*out)[*n])) (*n)++;
    return STATUS_OK;
}

int64_t placed_count(const placed *t) { return t->shape[0] * (t->n_dim == 2 ? t->shape[1] : 1); }

int64_t placed_offset(const placed *t) {
    return t->p->offset + (t->n_dim == 1 ? t->first : (int64_t)t->first * t->p->cols);
}

void placed_transpose(const float *from, int rows, int cols, float *to) {
    for (int r0 = 0; r0 < rows; r0 += 16)
        for (int c = 0; c < cols; c++)
            for (int r = r0; r < rows && r < r0 + 16; r++)
                to[(size_t)c * (size_t)rows + (size_t)r] = from[(size_t)r * (size_t)cols + (size_t)c];
}

int64_t placed_largest(const placed *t, int n) {
    int64_t most = 1;
    for (int i = 0; i < n; i++)
        if (placed_count(&t[i]) > most) most = placed_count(&t[i]);
    return most;
}
