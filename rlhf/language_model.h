/* rlhf/language_model: a model directory as a command line names it, opened with its tokenizer and template;
   all other settings are the defaults. */
#ifndef RLHF_RLHF_LANGUAGE_MODEL_H
#define RLHF_RLHF_LANGUAGE_MODEL_H

#include "datasets/pack.h"
#include "datasets/session.h"

typedef struct language_model {
    struct config config;
    session session; /* points to config: the struct stays where it is */
    model *model;
} language_model;

/* threads: 0 for all. dtype: what it computes in, "f32" or "bf16"; NULL for f32. template: a name, "auto", or
   NULL for auto. system: system prompt of chats without one; NULL: none. STATUS_USAGE: no such type or
   template. STATUS_DATA: no model there, or one without a language head. Close it also after a failure. */
status language_model_open(const char *directory, int threads, const char *dtype, const char *template,
                           const char *system, language_model *out, error *err);
void language_model_close(language_model *m);

/* Log-probabilities of texts that are packed until no more fit: every token of a pack's rows. */
typedef struct text_reader {
    workspace *ws;
    pack pack;
    float *logprob; /* [rows of the pack], after text_reader_read */
    int most;       /* sequences, tokens and rows that a pack holds */
} text_reader;
/* longest: tokens of one text. Close it also after a failure. */
status text_reader_open(const language_model *m, int longest, text_reader *out, error *err);
status text_reader_read(text_reader *r, const language_model *m, float temperature, error *err);
void text_reader_close(text_reader *r);

#endif
