/* rlhf/speech: a model's answer printed while it is sampled: whole characters only, printable
   (core/base/printable.h), also into a pipe; sampled bytes as they are come from `rlhf generate`. */
#ifndef RLHF_RLHF_SPEECH_H
#define RLHF_RLHF_SPEECH_H

#include <stdio.h>

#include "core/text/tokenizer.h"

typedef struct speech {
    const tokenizer *tok;
    FILE *out;
    buffer pending; /* bytes of a character whose rest has not come */
    buffer shown;
    int begun; /* white space before the answer is not shown */
} speech;

/* Prints what became readable with this token. Special tokens are left out. STATUS_FAILED: it cannot be
   written. */
status speech_token(speech *s, int32_t token, error *err);
/* Prints what is left and ends the line; the speech is ready for the next answer. */
status speech_end(speech *s, error *err);
void speech_free(speech *s);

#endif
