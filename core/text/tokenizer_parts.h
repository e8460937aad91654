/* core/text/tokenizer_parts: what a tokenizer is made of, for the files that load, use and save one. */
#ifndef RLHF_TEXT_TOKENIZER_PARTS_H
#define RLHF_TEXT_TOKENIZER_PARTS_H

#include <stdint.h>

#include "core/base/buffer.h"
#include "core/base/json.h"
#include "core/text/added.h"
#include "core/text/bpe.h"
#include "core/text/cut.h"
#include "core/text/normalize.h"
#include "core/text/tokenizer.h"

typedef enum token_kind {
    TOKEN_NONE,     /* no token has this id */
    TOKEN_ORDINARY, /* of the vocabulary */
    TOKEN_ADDED,    /* shown when decoded */
    TOKEN_SPECIAL,  /* left out when decoded, unless asked for */
} token_kind;

typedef struct token {
    uint32_t name, name_len;   /* in the pool: as tokenizer.json writes it */
    uint32_t bytes, bytes_len; /* in the pool: what it is decoded to */
    token_kind kind;
} token;

/* What decoding does beside joining the tokens' bytes. */
typedef struct decoding {
    int is_byte_level;      /* names are in ByteLevel's letters */
    int byte_fallback;      /* "<0x0A>" is a byte */
    char *replaced, *by;    /* in names, or NULL */
    int is_fused;           /* the tokens become one text */
    int strip;              /* spaces taken off the beginning, at most */
    int drops_first_spaces; /* the first token's `replaced` are left out (Metaspace) */
} decoding;

struct tokenizer {
    buffer json;        /* tokenizer.json, byte for byte */
    buffer config_text; /* tokenizer_config.json, or empty */
    json_t *config;     /* the same parsed, or NULL */
    buffer jinja;       /* chat_template.jinja, or empty */
    int has_jinja;      /* there is that file */
    token *tokens;      /* [vocab], by id */
    int vocab;
    buffer pool; /* the tokens' names and bytes */
    ints added;  /* ids of TOKEN_ADDED and TOKEN_SPECIAL */

    added_set names;           /* added tokens as they are called */
    added_set raw, normalized; /* added tokens that are looked for before and after normalizing */
    normalizers normalizers;
    cut_steps steps;
    bpe bpe;
    decoding decoding;
    ints before, behind; /* the post-processor's */
};

/* A token's id, which must be whole and leave no more holes than a padded vocabulary has. n: tokens of the
   file. */
status tokenizer_read_id(const json_t *value, const char *place, const char *name, size_t n, int *out,
                         error *err);
/* Room for ids below vocab. */
status tokenizer_grow(tokenizer *t, int vocab, error *err);
/* A new token, with what it is decoded to. */
status tokenizer_set_token(tokenizer *t, int id, const char *name, size_t len, token_kind kind, error *err);
/* The added tokens, before the vocabulary; then, when all tokens are there, how they are found in text. */
status tokenizer_read_added(tokenizer *t, const json_t *added, const json_t *vocab, size_t n,
                            const char *place, error *err);
status tokenizer_find_added(tokenizer *t, const json_t *added, error *err);

/* Reads normalizer, pre_tokenizer and decoder; then, when there are tokens, post_processor. */
status tokenizer_read_pipeline(tokenizer *t, const json_t *root, const char *place, error *err);
status tokenizer_read_post_processor(tokenizer *t, const json_t *root, const char *place, error *err);

/* "PLACE: PART: TYPE is not supported (TAKEN is)": STATUS_DATA. */
status tokenizer_refuse(const char *place, const char *part, const json_t *value, const char *taken,
                        error *err);
int json_is_absent(const json_t *value);
int json_has_type(const json_t *value, const char *type);

#endif
