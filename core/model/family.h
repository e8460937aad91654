/* core/model/family: what Hugging Face calls a family's tensors and how they lie: a table of names and
   transforms. To add a family, add a table here and its config.json to config_json.c. */
#ifndef RLHF_MODEL_FAMILY_H
#define RLHF_MODEL_FAMILY_H

#include "core/model/config.h"

/* One tensor of the files and the part of one of our parameters that it is. In both names %d is the layer. */
typedef struct family_tensor {
    const char *theirs; /* "transformer.h.%d.attn.c_attn.weight" */
    const char *ours;   /* "layer.%d.qkv.weight" */
    int transposed;     /* stored [in, out] (GPT-2's Conv1D); ours is [out, in] */
    enum { PART_ALL, PART_Q, PART_K, PART_V, PART_GATE, PART_UP } part; /* rows of a fused matrix */
} family_tensor;

/* The table ends with theirs NULL. */
const family_tensor *family_tensors(model_family family);
/* A prefix that some published files leave out of every name ("transformer."), or NULL. */
const char *family_prefix(model_family family);
/* Names of tensors that files may hold and no model needs (masks, rotary frequencies): suffixes, ended with
 * NULL. */
const char *const *family_ignored(model_family family);
/* The rows [first, first + n) of our parameter that a part covers; n of PART_ALL is `rows`. */
void family_part_rows(const model_config *c, int part, int rows, int *first, int *n);

#endif
