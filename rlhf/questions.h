/* rlhf/questions: multiple-choice questions as files have them, and drawing examples for a few-shot prompt.
 */
#ifndef RLHF_RLHF_QUESTIONS_H
#define RLHF_RLHF_QUESTIONS_H

#include "core/base/hash.h"
#include "datasets/lines.h"

enum { QUESTION_CHOICES_MAX = 256 };

typedef struct question {
    json_t *root;         /* the line: owns the texts below */
    char *place;          /* "FILE:LINE" */
    const char *context;  /* may be empty */
    const char *subject;  /* NULL: none */
    const json_t *choice; /* array of texts, none empty */
    int n_choice, label;  /* 2 to QUESTION_CHOICES_MAX; the right one */
    hash same;            /* of context and choices: questions with one hash are the same question */
} question;

typedef struct questions {
    int n;
    question *list;
} questions;

/* Reads JSON lines {"context","choices":[...],"label","subject"?}; other keys are not looked at. STATUS_DATA
   also when no question is left. *out: questions_free. */
status questions_load(const char *path, bad_lines *bad, questions *out, error *err);
void questions_free(questions *q);

static inline const char *question_choice(const question *q, int i) {
    return json_string_value(json_array_get(q->choice, (size_t)i));
}

/* Draws n different examples for a question: none that is the same question, and only those of its subject
   where it has one. The draw is a counter's: it depends on seed, id, pool and question, and the first k
   examples of n are those of a draw of k. out: n indices into the pool. scratch: pool->n. STATUS_DATA: the
   pool has fewer than n. */
status questions_draw(const questions *pool, const question *asked, uint64_t seed, uint64_t id, int n,
                      int32_t *scratch, int32_t *out, error *err);

/* Which questions a limit leaves, chosen by the seed so that a file sorted by subject still gives all of
   them. out: min(limit, n) indices in ascending order. limit 0: all. scratch: n. Returns how many. */
int questions_choose(int n, int limit, uint64_t seed, int32_t *scratch, int32_t *out);

#endif
