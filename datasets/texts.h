/* datasets/texts: the plain texts in data files, for training a tokenizer. */
#ifndef RLHF_DATASETS_TEXTS_H
#define RLHF_DATASETS_TEXTS_H

#include "core/text/tokenizer.h"
#include "datasets/lines.h"

typedef struct texts {
    size_t n;
    tokenizer_text *entry; /* [n], each malloc'd */
} texts;

/* .txt files whole (cut at the separator where there is one); of JSONL lines every text that a model could
   read: "text", "prompt", "completion", message contents, "answers", "chosen", "rejected". STATUS_DATA also
   when nothing is found. */
status texts_load(const char *const *files, int n_file, const char *separator, bad_lines *bad, texts *out,
                  error *err);
void texts_free(texts *t);

#endif
