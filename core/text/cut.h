/* core/text/cut: text cut into words, within which alone BPE merges (Hugging Face's pre-tokenizers). */
#ifndef RLHF_TEXT_CUT_H
#define RLHF_TEXT_CUT_H

#include "core/base/error.h"
#include "core/text/pattern.h"
#include "core/text/traced.h"

/* The pattern of GPT-2, which is also what "ByteLevel" stands for in tokenizer.json. */
extern const char cut_gpt2_pattern[];

/* What becomes of the matches of a pattern; what lies between them always stays. */
typedef enum cut_behavior {
    CUT_ISOLATED,             /* pieces of their own */
    CUT_REMOVED,              /* nothing */
    CUT_MERGED_WITH_PREVIOUS, /* the end of the piece before, */
    CUT_MERGED_WITH_NEXT,     /* the beginning of the piece behind, unless that is a match, too */
    CUT_CONTIGUOUS,           /* neighbouring matches are one piece */
} cut_behavior;

typedef enum cut_prefix { PREFIX_NEVER, PREFIX_FIRST, PREFIX_ALWAYS } cut_prefix;

/* One pre-tokenizer. First each space becomes the mark, if there is one to replace it; then the mark (or a
   space) is put before a piece that does not begin with it; then the piece is cut. */
typedef struct cut_step {
    char *mark; /* NULL: nothing is rewritten */
    int replaces_space;
    cut_prefix prefix;
    pattern *pattern; /* NULL: nothing is cut */
    cut_behavior behavior;
    int invert; /* what lies between the matches counts as the matches */
} cut_step;

typedef struct cut_steps {
    cut_step *step; /* [n], each applied to the pieces of the one before it */
    int n;
} cut_steps;

/* Where a text stands, which decides over the prefix. */
typedef enum text_place {
    PLACE_FIRST,        /* nothing is before it */
    PLACE_BEHIND_TOKEN, /* a control token is */
    PLACE_BEHIND_TEXT,  /* it goes on in the middle of a text: no prefix */
    PLACE_CUT,          /* inside: pieces that an earlier step has cut off */
} text_place;

/* GPT-2's way, which is what new tokenizers are trained for. *out: cut_free_steps. */
status cut_gpt2_steps(cut_steps *out, error *err);
void cut_free_steps(cut_steps *steps);

/* The scratch of one thread. */
typedef struct cutter {
    const cut_steps *steps;
    pattern_scratch *scratch;
    traced *rewritten; /* [n], by step */
    stretch whole;     /* the text that is cut */
} cutter;

/* On failure, too, cut_end releases it. */
status cut_begin(cutter *c, const cut_steps *steps, error *err);
void cut_end(cutter *c);

/* Calls visit for each word of the text, in order; none is empty. Runs of bytes that are not UTF-8 are
   words as they are. Ends with the first status of visit that is not OK; STATUS_DATA when a pattern exceeds
   its match limit. */
typedef status (*cut_visit)(void *context, stretch word, error *err);
status cut_each(cutter *c, stretch text, text_place place, cut_visit visit, void *context, error *err);

#endif
