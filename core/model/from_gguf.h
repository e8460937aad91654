/* core/model/from_gguf: the model in a GGUF file becomes a model directory. */
#ifndef RLHF_MODEL_FROM_GGUF_H
#define RLHF_MODEL_FROM_GGUF_H

#include "core/files/gguf.h"
#include "core/files/safetensors.h"
#include "core/model/config.h"

/* What the metadata tells of its shape, and which tensors there are (biases, a language head of its own).
   STATUS_DATA names an architecture, key or value that is not known or cannot be computed. n_vocab is
   vocab_size, the rows of the embedding. */
status model_config_from_gguf(const gguf *file, model_config *out, error *err);

/* Writes config.json and model.safetensors (large ones in shards), its elements of dtype F32, F16 or BF16,
   into a directory that is there. Blocks become f32 (core/files/gguf_dequantize), llama.cpp's order of a
   head's rows for rope becomes Hugging Face's again. One row is in memory, or one tensor where it is stored
   transposed (GPT-2). STATUS_DATA names a tensor that is missing, has another shape or is none of the
   model's; before anything is written. STATUS_INTERRUPTED: a signal asked to stop. */
status model_convert_gguf(const gguf *file, const model_config *config, tensor_dtype dtype,
                          const char *directory, error *err);

#endif
