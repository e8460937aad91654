/* datasets/answers: sampling answers to prompts, and answers.jsonl. */
#ifndef RLHF_DATASETS_ANSWERS_H
#define RLHF_DATASETS_ANSWERS_H

#include "core/generate/generate.h"
#include "datasets/prompts.h"
#include "datasets/session.h"

/* What sampling needs of a device: a workspace, a cache and the batching's buffers. Serves any model of the
 * body. */
typedef struct sampler {
    workspace *ws;
    kv_cache *kv;
    generator *generator;
} sampler;

/* The most tokens that an answer can have: max_tokens, or the context, where it is cut. Answers are made for
   so many, and their sampler is. */
int answers_most_tokens(int max_tokens, int context);

/* slots: sequences in flight. n_answer: answers a prompt; longest: tokens of the longest prompt; max_tokens:
   of an answer, more than the context is allowed. */
status sampler_create(device *dev, const model_config *shape, int slots, int n_answer, int longest,
                      int max_tokens, sampler *out, error *err);
void sampler_free(sampler *s);
status sampler_plan(device *dev, const model_config *shape, int slots, int n_answer, int longest,
                    int max_tokens, memory_plan *plan, error *err);

/* Answers of n prompts, k each; answer a = prompt x k + sample has its tokens at a x max_tokens. */
typedef struct answers {
    int n_prompt, k, max_tokens;
    int32_t *token;          /* [n_prompt k max_tokens] */
    float *logprob;          /* the same shape */
    int *n_token;            /* [n_prompt k], the end token counted */
    int *finished;           /* [n_prompt k] */
    uint8_t *there;          /* [n_prompt] not 0: its answers are there already and are not sampled again */
    generate_prompt *prompt; /* [n_prompt], for the caller to fill before sampling */
} answers;

status answers_create(int n_prompt, int k, int max_tokens, answers *out, error *err);
void answers_free(answers *a);
static inline const int32_t *answer_tokens(const answers *a, int i) {
    return a->token + (size_t)i * (size_t)a->max_tokens;
}
static inline const float *answer_logprobs(const answers *a, int i) {
    return a->logprob + (size_t)i * (size_t)a->max_tokens;
}

/* Samples a->k answers to each of a->prompt[0 .. n_prompt) whose answers are not there. done(context, i):
   called after each answer, with its index; NULL: not. */
status answers_sample(answers *a, sampler *s, const model *m, const sampling *how, int end_token,
                      status (*done)(void *context, int i, error *err), void *context, error *err);

/* Floating-point operations of sampling them, those that were there left out: a prompt is read once for all
   its answers. */
double answers_flops(const answers *a, const model_config *shape);

/* The answer's text, special tokens left out. Appends to out. */
status answer_text(const tokenizer *tok, const answers *a, int i, buffer *out, error *err);

/* A text on one line, for a log: newlines become spaces, what else would act on a terminal is shown
   printable. STATUS_FAILED when out of memory. */
status answer_flatten(buffer *text, error *err);

/* One line of answers.jsonl for answer i of a, to prompt p, which has `samples` answers in all; extra: more
   fields
   ("\"score\":1.5") or NULL. No newline. */
status answer_line(const tokenizer *tok, const answers *a, int i, int samples, const prompt_entry *p,
                   const char *extra, buffer *out, error *err);

/* answers.jsonl (or any JSONL of {"prompt"|"messages", "text"|"completion", "tokens"?, "finish"?}) read back
   as sequences of prompt and answer. */
typedef struct answer_entry {
    prompt_text prompt;
    int64_t start;         /* into answer_list.token: prompt and answer */
    int n_prompt, n_token; /* of the prompt; of both */
    int sample, finished;
    split_kind split;
} answer_entry;
typedef struct answer_list {
    int n, longest;
    answer_entry *entry;
    ints token;
} answer_list;

/* Stored ids are taken where every id is the tokenizer's, else the text is encoded with its end token.
   STATUS_DATA as rankings_load. */
status answer_list_load(const data_options *o, split_kind split, const char *const *files, int n_file,
                        answer_list *out, error *err);
void answer_list_free(answer_list *l);

#endif
