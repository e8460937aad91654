/* core/text/tokenizer_gguf: the tokenizer of a GGUF file. */
#ifndef RLHF_TEXT_TOKENIZER_GGUF_H
#define RLHF_TEXT_TOKENIZER_GGUF_H

#include "core/base/error.h"
#include "core/files/gguf.h"
#include "core/text/tokenizer.h"

/* As its tokenizer.json would tell it, so that tokenizer_save writes what other programs read: byte-level
   BPE with the split patterns gpt-2, smollm, llama-bpe and qwen2, and SentencePiece vocabularies, whose
   merges follow from the scores. The chat template is kept; tokens of the type "unused" are left out.
   STATUS_DATA "FILE: ..." for anything else, by name. *out: tokenizer_free. */
status tokenizer_from_gguf(const gguf *file, tokenizer **out, error *err);

#endif
