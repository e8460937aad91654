/* rlhf/choice_results: what models made of multiple-choice questions: accuracies, differences, and their
 * print. */
#ifndef RLHF_RLHF_CHOICE_RESULTS_H
#define RLHF_RLHF_CHOICE_RESULTS_H

#include "rlhf/interval.h"
#include "rlhf/questions.h"

/* How a choice's log-probability is made comparable with one of another length: not at all, or divided by its
   tokens, or by the bytes of its text. */
typedef enum choice_norm { CHOICE_RAW, CHOICE_PER_TOKEN, CHOICE_PER_BYTE, CHOICE_NORMS } choice_norm;
extern const char *const choice_norm_name[CHOICE_NORMS]; /* "raw", "per_token", "per_byte" */

/* One model with so many examples in front. */
typedef struct choice_result {
    const char *model;
    int shots, n_cut;          /* n_cut: contexts that were cut */
    char *right[CHOICE_NORMS]; /* [n] 1: the right choice has the greatest figure */
} choice_result;

typedef struct choice_results {
    const char *file, *form;
    uint64_t seed;
    int n, n_file;  /* questions asked, questions of the file */
    double chance;  /* mean of 1 / choices */
    double longest; /* accuracy of the rule "the longest text", ties share */
    int n_model, n_shots, n_result;
    choice_result *result; /* [n_result] by model, then shots */
} choice_results;

/* Fills all but the results: the questions asked are asked->list[index[i]], i < n. */
void choice_results_begin(choice_results *r, const questions *asked, const int32_t *index, int n);
/* Adds one: logprob, length and bytes of the questions' choices, one after the other; equal figures: the
   first of them is chosen. r->result has room. */
status choice_results_add(choice_results *r, const questions *asked, const int32_t *index, const char *model,
                          int shots, int n_cut, const double *logprob, const int *length, const int *bytes,
                          error *err);
void choice_results_free(choice_results *r);

interval choice_accuracy(const choice_results *r, const choice_result *of, choice_norm norm);
/* of's accuracy less that of the first model with as many shots. */
interval choice_difference(const choice_results *r, const choice_result *of, choice_norm norm);

void choice_results_table(const choice_results *r, buffer *out);
void choice_results_json(const choice_results *r, buffer *out);

#endif
