/* tests/support/gguf_model: a model directory of ours as the GGUF file that llama.cpp's converter would make.
 */
#ifndef RLHF_TESTS_GGUF_MODEL_H
#define RLHF_TESTS_GGUF_MODEL_H

#include "core/model/model.h"
#include "tests/support/gguf_file.h"

/* Adds the metadata that tell the shape. */
void gguf_file_shape(gguf_file *f, const model_config *config);
/* Adds all tensors of DIRECTORY/model.safetensors as F32: their GGUF names, GPT-2's matrices transposed, the
   rows of Llama's q and k in llama.cpp's order. A name that ends in `without` (NULL: none) is left out. */
void gguf_file_tensors(gguf_file *f, const model_config *config, const char *directory, const char *without);
/* Both, with all tensors. */
void gguf_file_model(gguf_file *f, const model_config *config, const char *directory);
/* Adds a byte-level tokenizer of n tokens: the 256 bytes, <|endoftext|> and others, unused from `used` on. */
void gguf_file_tokenizer(gguf_file *f, int used, int n);

#endif
