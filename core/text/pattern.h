/* core/text/pattern: the regular expressions of tokenizer.json, which are Oniguruma's (Ruby syntax), run by
   PCRE2. What the two understand differently is translated, or refused by name. */
#ifndef RLHF_TEXT_PATTERN_H
#define RLHF_TEXT_PATTERN_H

#include <stddef.h>

#include "core/base/buffer.h"
#include "core/base/error.h"

typedef struct pattern pattern;

/* STATUS_DATA "PLACE: pattern: why". *out: pattern_free. It is const: any number of threads may use it. */
status pattern_compile(const char *regex, const char *place, pattern **out, error *err);
/* A pattern that matches just this text, which is not empty. */
status pattern_compile_text(const char *text, const char *place, pattern **out, error *err);
void pattern_free(pattern *p);

/* What a search needs, for any pattern, one search at a time. NULL when out of memory. */
typedef struct pattern_scratch pattern_scratch;
pattern_scratch *pattern_scratch_new(void);
void pattern_scratch_free(pattern_scratch *s);

/* All matches in a text of valid UTF-8, from left to right as Oniguruma finds them: begin with {0}, then
   each call that returns STATUS_OK with begin <= end has a match, which is empty where begin == end; the
   end is begin > end. STATUS_DATA when the pattern exceeds its match limit. */
typedef struct pattern_match {
    size_t begin, end;
    size_t next; /* where the next search starts */
    int is_any;  /* there was a match before */
} pattern_match;
status pattern_next(const pattern *p, pattern_scratch *s, const char *text, size_t len, pattern_match *match,
                    error *err);

/* The same pattern as PCRE2 writes it, appended to out. STATUS_DATA as above. */
status pattern_translate(const char *regex, const char *place, buffer *out, error *err);

#endif
