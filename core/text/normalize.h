/* core/text/normalize: what a tokenizer does to a text before it is cut (Hugging Face's normalizers). */
#ifndef RLHF_TEXT_NORMALIZE_H
#define RLHF_TEXT_NORMALIZE_H

#include <stdint.h>

#include "core/base/error.h"
#include "core/text/cut.h"
#include "core/text/pattern.h"
#include "core/text/traced.h"

typedef enum normalizer_kind {
    NORMALIZER_NFC,
    NORMALIZER_LOWERCASE, /* character by character */
    NORMALIZER_REPLACE,   /* matches of the pattern by the content */
    NORMALIZER_PREPEND,   /* the content before a text that is not empty, unless it goes on in another text */
} normalizer_kind;

typedef struct normalizer {
    normalizer_kind kind;
    pattern *pattern;
    char *content;
} normalizer;

typedef struct normalizers {
    normalizer *step; /* [n], one after the other */
    int n;
} normalizers;

void normalizers_free(normalizers *n);

/* The scratch of one thread; begin with {0}. */
typedef struct normalizing {
    pattern_scratch *scratch;
    traced buffer[2];
} normalizing;
void normalizing_end(normalizing *work);

/* *out: the normalized text; it lies in work, or is the text itself where there is nothing to do. Bytes
   that are not UTF-8 stay as they are. STATUS_DATA when a pattern exceeds its match limit. */
status normalize(const normalizers *n, stretch text, text_place place, normalizing *work, stretch *out,
                 error *err);

/* The table of lower_table.c, which make_lower_table.py prints: characters first, first + step, ... last
   and their lower case, delta further on; sorted. */
typedef struct lower_run {
    int32_t first, last, step, delta;
} lower_run;
extern const lower_run lower_runs[];
extern const int lower_n_run;

#endif
