/* rlhf/eval_answers: the answers of a run directory, by prompt, to be judged. */
#ifndef RLHF_RLHF_EVAL_ANSWERS_H
#define RLHF_RLHF_EVAL_ANSWERS_H

#include <jansson.h>

#include "datasets/example.h"
#include "datasets/judge/judge.h"

typedef struct eval_answer {
    int prompt; /* index */
    char *text; /* [len] */
    size_t len;
    int64_t token; /* index of its first id in eval_answers.token */
    int n_token;   /* 0: the line has none */
    int finished;
} eval_answer;

typedef struct eval_prompt {
    prompt_text prompt;
    split_kind split;
    int first, n; /* its answers */
} eval_prompt;

typedef struct eval_answers {
    int n_prompt, n_answer;
    eval_prompt *prompt;
    eval_answer *answer; /* by prompt */
    float *score;        /* [n_answer] once judged */
    ints token;
    hash tokenizer; /* of the ids; all zero: unknown */
    json_t *index;  /* prompt -> its number */
} eval_answers;

/* Reads DIRECTORY/answers.jsonl, only prompts of `split`, and from lineage.json which tokenizer its ids are
   of. STATUS_DATA "FILE:LINE: what is wrong"; also when nothing is left. */
status eval_answers_load(const char *directory, split_kind split, eval_answers *out, error *err);
void eval_answers_free(eval_answers *a);

/* The number of the same prompt, -1: not there. */
int eval_answers_find(const eval_answers *a, const prompt_text *prompt);
/* Fills score. */
status eval_answers_judge(eval_answers *a, judge *by, error *err);

#endif
