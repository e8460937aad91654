/* core/text/gguf_pipeline: what surrounds the merges: a GGUF file only names it, tokenizer.json spells it
   out. */
#ifndef RLHF_TEXT_GGUF_PIPELINE_H
#define RLHF_TEXT_GGUF_PIPELINE_H

#include "core/files/gguf.h"

typedef struct gguf_pipeline {
    const char *normalizer, *pre_tokenizer, *decoder; /* JSON, as in tokenizer.json */
    int ignore_merges;                                /* a word that is a token is that token */
    int byte_fallback;                                /* a SentencePiece vocabulary */
    int add_bos, add_eos;                             /* a text begins, ends with that token */
} gguf_pipeline;

/* By tokenizer.ggml.model and .pre and the switches beside them. STATUS_DATA "FILE: ..." naming what is not
   known. Nothing is to be freed. */
status gguf_pipeline_read(const gguf *file, gguf_pipeline *out, error *err);

#endif
