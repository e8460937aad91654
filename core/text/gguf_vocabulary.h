/* core/text/gguf_vocabulary: the tokens that the metadata of a GGUF file lists, checked. */
#ifndef RLHF_TEXT_GGUF_VOCABULARY_H
#define RLHF_TEXT_GGUF_VOCABULARY_H

#include "core/files/gguf.h"

#define GGUF_TOKENIZER(name) "tokenizer.ggml." name

typedef enum gguf_token_type { /* by the file's numbers */
                               GGUF_TOKEN_NORMAL = 1,
                               GGUF_TOKEN_UNKNOWN,
                               GGUF_TOKEN_CONTROL,
                               GGUF_TOKEN_USER_DEFINED,
                               GGUF_TOKEN_UNUSED,
                               GGUF_TOKEN_BYTE,
} gguf_token_type;

typedef struct gguf_vocabulary {
    const gguf *file;
    int n;
    gguf_text *token;       /* [n], UTF-8; a byte-level one in GPT-2's letters (core/text/alphabet) */
    gguf_token_type *type;  /* [n] */
    int bos, eos, unk, pad; /* ids, -1: none */
} gguf_vocabulary;

/* STATUS_DATA "FILE: what is wrong": tokens that are not UTF-8 or stand twice, a list of another length,
   ids out of range, keys that are not known and so might change ids. v is to be freed in either case. */
status gguf_vocabulary_read(const gguf *file, gguf_vocabulary *v, error *err);
void gguf_vocabulary_free(gguf_vocabulary *v);

/* The token of a role ("eos" for tokenizer.ggml.eos_token_id); -1 where the file has none. */
status gguf_vocabulary_id(const gguf *file, const char *role, int *out, error *err);
int gguf_text_is_utf8(gguf_text text);

#endif
