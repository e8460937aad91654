/* datasets/prompts: prompts to be answered. */
#ifndef RLHF_DATASETS_PROMPTS_H
#define RLHF_DATASETS_PROMPTS_H

#include "datasets/example.h"

typedef struct prompt_entry {
    int64_t start; /* into prompts.token */
    int n_token;
    prompt_text prompt;
    split_kind split;
} prompt_entry;

typedef struct prompts {
    int n, longest;
    prompt_entry *entry;
    ints token;
} prompts;

/* Lines with "prompt" (a string or messages) or "messages"; other fields are left alone, so files of
   demonstrations and rankings serve too (HH pairs do not). A chat's closing assistant turn is not part of its
   prompt. Only those of `split` are kept. Two lines with the same prompt are one prompt; how many were passed
   over is logged. A prompt of more than o->max_length tokens is a bad line. STATUS_DATA also when nothing is
   left. */
status prompts_load(const data_options *o, split_kind split, const char *const *files, int n_file,
                    prompts *out, error *err);
void prompts_free(prompts *p);

static inline const int32_t *prompt_tokens(const prompts *p, int i) {
    return p->token.data + p->entry[i].start;
}
/* Appends "prompt":"..." or "messages":[...]. */
void prompt_json(const prompt_entry *e, buffer *out);

#endif
