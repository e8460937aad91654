/* core/model/from_gguf_names: what GGUF calls the tensors that are our parameters: the same in all
   architectures. */
#ifndef RLHF_MODEL_FROM_GGUF_NAMES_H
#define RLHF_MODEL_FROM_GGUF_NAMES_H

#include "core/model/family.h"

enum { GGUF_NAME_SIZE = 96 };

#define GGUF_ROPE_DIVISORS "rope_freqs.weight"

/* ours and part as in a family_tensor. 0 when GGUF has no such tensor (score heads). */
int gguf_tensor_name(const char *ours, int part, int layer, char name[GGUF_NAME_SIZE]);

#endif
