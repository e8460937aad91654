/* core/text/words: text cut into words by a regular expression (PCRE2); BPE merges within a word only. */
#ifndef RLHF_TEXT_WORDS_H
#define RLHF_TEXT_WORDS_H

#include <stddef.h>

#include "core/base/error.h"

/* The pattern of GPT-2, which is also what "ByteLevel" stands for in tokenizer.json. */
extern const char words_gpt2_pattern[];

typedef struct word_pattern word_pattern;

/* A pattern as Hugging Face's tokenizers understand it: \s is Unicode's White_Space. STATUS_DATA "PLACE:
   pattern: why (at offset n)". *out: word_pattern_free. It is const: any number of threads may use it. */
status word_pattern_compile(const char *pattern, const char *place, word_pattern **out, error *err);
void word_pattern_free(word_pattern *p);

/* Calls visit for each word of the text in order; together they are the whole text. Matches of the pattern
   are words, and so is what lies between them, and each run of bytes that are not UTF-8. Ends with the first
   status of visit that is not OK; STATUS_DATA when the pattern exceeds its match limit. */
typedef status (*word_visit)(void *context, const char *word, size_t len, error *err);
status words_each(const word_pattern *p, const char *text, size_t len, word_visit visit, void *context,
                  error *err);

#endif
