/* rlhf/question_form: how a multiple-choice question is put to a model that only goes on with a text.

   A form is a text with places:

   {context}   the question's context
   {subject}   its subject, with spaces for underscores
   {choices}   all its choices, a line each: "A. first", "B. second"
   {choice}    the text of the choice that is scored; the last thing in a form
   {letter}    its letter, in the place of {choice}

   \n, \t, \\ and \{ stand for a newline, a tab, a backslash and a brace. Named forms:

   continue    {context} {choice}
   question    Question: {context}\nAnswer: {choice}
   letters     {context}\n{choices}\nAnswer: {letter}

   A few-shot prompt is the preamble, each example in the same form with its right choice and the text
   `between` behind it, then the question up to its {choice} or {letter}. */
#ifndef RLHF_RLHF_QUESTION_FORM_H
#define RLHF_RLHF_QUESTION_FORM_H

#include "rlhf/questions.h"

typedef struct question_form {
    char *form, *between, *preamble; /* as they were given, the form in full */
} question_form;

/* form: a name or a text. preamble: NULL for none; of the places only {subject} may stand there, and none in
   between. STATUS_USAGE names the place or escape that is none, or that stands where it may not. *out:
   question_form_free. */
status question_form_open(const char *form, const char *between, const char *preamble, question_form *out,
                          error *err);
void question_form_free(question_form *f);

/* Appends all that stands before the choice. examples: n indices into the pool. STATUS_DATA: a question
   without the subject, or with more choices than letters, that the form asks for. */
status question_form_prompt(const question_form *f, const question *asked, const questions *pool,
                            const int32_t *examples, int n, buffer *out, error *err);
/* Appends choice i as it is scored: its text or its letter. */
void question_form_choice(const question_form *f, const question *asked, int i, buffer *out);

#endif
