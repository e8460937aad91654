/* core/text/tokenizer: text to token ids and back: byte-level BPE (Sennrich et al. 2016; Radford et al.
   2019), read from, trained into and written as Hugging Face's tokenizer.json. A tokenizer is const once it
   is made: any number of threads may use it. */
#ifndef RLHF_TEXT_TOKENIZER_H
#define RLHF_TEXT_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/buffer.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/ints.h"

#define TOKEN_END_OF_TEXT "<|endoftext|>"
#define TOKEN_TURN_START  "<|im_start|>"
#define TOKEN_TURN_END    "<|im_end|>"

enum { TOKENIZER_MAX_VOCAB = 1 << 22 };

typedef struct tokenizer tokenizer;

/* path: a tokenizer.json, or a directory that holds one; a tokenizer_config.json beside it is read too. Taken
   are BPE models with a ByteLevel pre-tokenizer (its own pattern, or a Split by Regex before it), added
   tokens and the NFC normalizer. Anything else that would change ids is refused by name. STATUS_DATA "FILE:
   what is wrong". *out: tokenizer_free. */
status tokenizer_load(const char *path, tokenizer **out, error *err);
/* The same from the bytes of a tokenizer.json; place stands for the file in messages. */
status tokenizer_parse(const char *json, size_t len, const char *place, tokenizer **out, error *err);
void tokenizer_free(tokenizer *t);

typedef struct tokenizer_text {
    const char *text;
    size_t len;
} tokenizer_text;

/* Trains a tokenizer of exactly vocab tokens on n texts: special tokens from id 0 on in their order, the 256
   bytes, then merges. Words are cut by GPT-2's pattern, never across texts; each merge is the most frequent
   pair of neighbours, ties go to the pair whose bytes are greater. special: names, TOKEN_END_OF_TEXT first by
   custom. The same texts give the same tokenizer, bit for bit. STATUS_USAGE when vocab < n_special + 256;
   STATUS_DATA when too few pairs occur twice to fill it, saying what can be had. */
status tokenizer_train(const tokenizer_text *texts, size_t n, int vocab, const char *const *special,
                       int n_special, tokenizer **out, error *err);

/* Writes tokenizer.json (the bytes it was read from or trained into, so that its hash stays) and
   tokenizer_config.json into an existing directory. chat_template: the name of a template
   (core/text/template.h) to record, or NULL: as it was read. */
status tokenizer_save(const tokenizer *t, const char *chat_template, const char *directory, error *err);

/* Appends the ids of a text. All of it is ordinary text: what looks like a special or added token is encoded
   letter by letter as any other text; control ids come from templates alone. Bytes that are not UTF-8 are
   encoded as bytes; so decode(encode(x)) == x for every x (of NFC(x), where the tokenizer normalizes).
   STATUS_DATA: a byte without a token, a pattern that exceeds its match limit. */
status tokenizer_encode(const tokenizer *t, const char *text, size_t len, ints *out, error *err);

/* Appends the bytes of n ids. Special tokens are shown by name or left out. STATUS_DATA: an id that
   no token has. */
status tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n, int show_special, buffer *out,
                        error *err);

int tokenizer_vocab(const tokenizer *t); /* largest id + 1: sampling and softmax run over ids below it */
/* The id of a special or other added token, or -1. */
int tokenizer_special(const tokenizer *t, const char *name);
int tokenizer_is_special(const tokenizer *t, int32_t id);
/* The bytes of a token (of a special one: its name); NULL, *len 0 for an id that none has. They live
   as long as t. */
const char *tokenizer_token_bytes(const tokenizer *t, int32_t id, size_t *len);
/* SHA-256 of tokenizer.json: the file's bytes as read, and those that tokenizer_save writes. */
hash tokenizer_hash(const tokenizer *t);
/* tokenizer_config.json's "rlhf_template" and "chat_template" (Jinja); NULL where it has none. */
const char *tokenizer_template_name(const tokenizer *t);
const char *tokenizer_chat_template(const tokenizer *t);

#endif
