/* core/model/placed: where the tensors of a family's files lie among a model's parameters. */
#ifndef RLHF_MODEL_PLACED_H
#define RLHF_MODEL_PLACED_H

#include "core/model/family.h"
#include "core/model/internal.h"

typedef struct placed {
    const family_tensor *how;
    int layer;     /* 0 where there is no %d in its name */
    char name[96]; /* in the files */
    const param *p;
    int first, n; /* rows of the matrix; of a vector, elements */
    int transposed;
    int n_dim;
    int64_t shape[2]; /* as stored */
} placed;

/* The parameter of a name; NULL: there is none. */
const param *weights_find_param(const weights *w, const char *name);

/* All tensors of the model in the table's order, layers inside. *out is malloc'd. */
status placed_list(const weights *w, placed **out, int *n, error *err);

int64_t placed_count(const placed *t); /* elements */
int64_t placed_largest(const placed *t, int n);
/* Where the placed part of the parameter starts among the flat's floats. */
int64_t placed_offset(const placed *t);

/* to [cols, rows] = from [rows, cols] transposed */
void placed_transpose(const float *from, int rows, int cols, float *to);

#endif
