/* rlhf/choice_tokens: multiple-choice questions as token ids: a context that the choices share, and what each
   choice adds to it.

   Where a choice begins is decided as lm-evaluation-harness does: blanks at the end of the context belong to
   the choice; context and choice are encoded as one text; the choice's ids are those behind as many ids as
   the context alone has. What the tokenizer puts before a text (a bos, or nothing) stands before the context,
   also of one that is cut; a context that would be empty is an end-of-text. */
#ifndef RLHF_RLHF_CHOICE_TOKENS_H
#define RLHF_RLHF_CHOICE_TOKENS_H

#include "core/text/tokenizer.h"
#include "rlhf/question_form.h"

typedef struct choice_question {
    int64_t start; /* into token: the context's ids, then those of choice 0, 1, ... */
    int n_context, n_choice;
    int first; /* of its choices: index into length and bytes */
} choice_question;

typedef struct choice_tokens {
    int n, n_choice; /* questions; choices of all of them */
    choice_question *question;
    int *length, *bytes; /* [n_choice] tokens, and bytes of the text as it is scored */
    int32_t *example;    /* [n x shots] indices into the pool */
    ints token;
    int n_cut; /* questions whose context was cut from the left */
    int longest_context, longest_choice, most_choices;
} choice_tokens;

/* How questions become prompts. */
typedef struct choice_setting {
    const question_form *form;
    const questions *pool; /* of examples */
    int shots;             /* examples of a prompt */
    uint64_t seed;
} choice_setting;

/* Encodes questions asked->list[index[i]], i < n; their counters count by index. What is fed for a choice,
   its last token left out, has at most `context` tokens: the context is cut from the left, the same for all
   choices of a question. end_of_text: stands for an empty context. STATUS_DATA "FILE:LINE: ...": a
   choice that is longer than the context, or without a token of its own. *out: choice_tokens_free. */
status choice_tokens_encode(const tokenizer *tok, int end_of_text, int context, const choice_setting *how,
                            const questions *asked, const int32_t *index, int n, choice_tokens *out,
                            error *err);
void choice_tokens_free(choice_tokens *t);

#endif
