/* core/text/tokenizer_parts: what a tokenizer is made of, for the files that load, use and save one. */
#ifndef RLHF_TEXT_TOKENIZER_PARTS_H
#define RLHF_TEXT_TOKENIZER_PARTS_H

#include <stdint.h>

#include "core/base/buffer.h"
#include "core/base/json.h"
#include "core/text/maps.h"
#include "core/text/tokenizer.h"
#include "core/text/words.h"

typedef enum token_kind {
    TOKEN_NONE,     /* no token has this id */
    TOKEN_ORDINARY, /* of the vocabulary */
    TOKEN_ADDED,    /* never made from text; shown when decoded */
    TOKEN_SPECIAL,  /* never made from text; left out when decoded, unless asked for */
} token_kind;

typedef struct token {
    size_t start; /* in the pool of bytes */
    uint32_t len;
    token_kind kind;
} token;

struct tokenizer {
    buffer json;        /* tokenizer.json, byte for byte */
    buffer config_text; /* tokenizer_config.json, or empty */
    json_t *config;     /* the same parsed, or NULL */
    token *tokens;      /* [vocab], by id */
    int vocab;
    ints added;              /* ids of TOKEN_ADDED and TOKEN_SPECIAL */
    buffer pool;             /* the tokens' bytes */
    int32_t byte_token[256]; /* -1: the vocabulary lacks it */
    pair_map merges;         /* a pair of ids -> its rank, 0 first */
    int32_t *merged;         /* [rank] the id that the pair becomes */
    int n_merge;
    word_pattern *words;
    int nfc; /* text is normalized before it is cut */
};

#endif
