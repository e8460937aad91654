/* core/text/tokenizer: text to token ids and back: byte pair encoding (Sennrich et al. 2016) over bytes
   (Radford et al. 2019) or, as SentencePiece has it, over characters; read from, trained into (over bytes)
   and written as Hugging Face's tokenizer.json. A tokenizer is const once it is made: any number of threads
   may use it. */
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

/* path: a tokenizer.json, or a directory that holds one; tokenizer_config.json and chat_template.jinja
   beside it are read too. Taken are BPE models with normalizers     NFC, Lowercase, Replace, Prepend
   pre-tokenizers Split (by text or regular expression, every behaviour), Digits, ByteLevel, Metaspace
   decoders ByteLevel; Metaspace; Replace, ByteFallback, Fuse, Strip post-processors ByteLevel,
   TemplateProcessing and Sequences of them, byte_fallback, unk_token, fuse_unk, ignore_merges, and added
   tokens with all their flags. Anything else that would change ids is refused by name. STATUS_DATA "FILE:
   what is wrong". *out: tokenizer_free. */
status tokenizer_load(const char *path, tokenizer **out, error *err);
/* The same from the bytes of a tokenizer.json; place stands for the file in messages. */
status tokenizer_parse(const char *json, size_t len, const char *place, tokenizer **out, error *err);
void tokenizer_free(tokenizer *t);

typedef struct tokenizer_text {
    const char *text;
    size_t len;
} tokenizer_text;

/* Trains a tokenizer of exactly vocab tokens on n texts: special tokens from id 0 on in their order, the
   256 bytes, then merges. Words are cut by GPT-2's pattern, never across texts; each merge is the most
   frequent pair of neighbours, ties go to the pair whose bytes are greater. special: names,
   TOKEN_END_OF_TEXT first by custom. The same texts give the same tokenizer, bit for bit. STATUS_USAGE when
   vocab < n_special + 256; STATUS_DATA when too few pairs occur twice to fill it, saying what can be had. */
status tokenizer_train(const tokenizer_text *texts, size_t n, int vocab, const char *const *special,
                       int n_special, tokenizer **out, error *err);

/* Writes tokenizer.json (the bytes it was read from or trained into, so that its hash stays),
   tokenizer_config.json, and chat_template.jinja where it had one that stays, into an existing directory.
   chat_template: the name of a template (core/text/template.h) to record, or NULL: as it was read. */
status tokenizer_save(const tokenizer *t, const char *chat_template, const char *directory, error *err);

/* Appends the ids of a text, without what a post-processor puts around it. All of it is ordinary text: what
   looks like a special or added token is encoded letter by letter as any other text; control ids come from
   templates alone. (Added tokens of white space are ordinary text that some vocabularies keep there.) Bytes
   that are not UTF-8 are encoded as bytes; so decode(encode(x)) == x for every x, but for what normalizers
   change and Metaspace's spaces at the beginning. STATUS_DATA: a byte or character without a token, a
   pattern that exceeds its match limit. */
status tokenizer_encode(const tokenizer *t, const char *text, size_t len, ints *out, error *err);

/* Where a text stands, and which tokens are found in it. The places matter to tokenizers that put a space
   before a text: before each that follows a control token, or only before the first. */
enum {
    TOKENIZER_BEHIND_TOKEN = 1, /* a control token is before it */
    TOKENIZER_BEHIND_TEXT = 2,  /* it goes on in the middle of a text: never a space */
    TOKENIZER_FIND_ADDED = 4,   /* added tokens that are not special are found: an assistant may write them */
    TOKENIZER_FIND_SPECIAL = 8, /* special ones are: for what programs write, never for data */
};
/* The same with flags. With both FIND flags these are the ids of Hugging Face's
   encode(add_special_tokens=False). spans, unless it is NULL, gets the bytes [start, end) of text that each
   id came from: two numbers an id; of what normalizing changed, all of the characters that it changed;
   empty for a space that was put in. */
status tokenizer_encode_as(const tokenizer *t, const char *text, size_t len, unsigned flags, ints *out,
                           ints *spans, error *err);

/* What its post-processor, or tokenizer_config.json's add_bos_token and add_eos_token, puts before and
   behind a text: mostly a bos, or nothing. The list is the tokenizer's. */
const ints *tokenizer_before(const tokenizer *t);
const ints *tokenizer_behind(const tokenizer *t);

/* Appends the bytes of n ids. Special tokens are shown by name or left out. What the tokenizer's decoder
   takes off the beginning (the space that encoding put there) is taken off; bytes that are not UTF-8 stay.
   STATUS_DATA: an id that no token has. */
status tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n, int show_special, buffer *out,
                        error *err);

int tokenizer_vocab(const tokenizer *t); /* largest id + 1: sampling and softmax run over ids below it */
/* The id of a special or other added token, or -1. */
int tokenizer_special(const tokenizer *t, const char *name);
int tokenizer_is_special(const tokenizer *t, int32_t id);
/* The bytes of a token (of a special one: its name); NULL, *len 0 for an id that none has. They live as
   long as t. */
const char *tokenizer_token_bytes(const tokenizer *t, int32_t id, size_t *len);
/* SHA-256 of tokenizer.json: the file's bytes as read, and those that tokenizer_save writes. */
hash tokenizer_hash(const tokenizer *t);
/* tokenizer_config.json's "rlhf_template", and its "chat_template" (Jinja) or chat_template.jinja, which
   comes first; NULL where there is none. */
const char *tokenizer_template_name(const tokenizer *t);
const char *tokenizer_chat_template(const tokenizer *t);
/* The name of the token that tokenizer_config.json calls "bos_token", "eos_token" ...; NULL where it has
   none. */
const char *tokenizer_named(const tokenizer *t, const char *key);

#endif
