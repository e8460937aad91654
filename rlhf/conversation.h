/* rlhf/conversation: a chat with a model whose cache stays between the turns: only new tokens are read. */
#ifndef RLHF_RLHF_CONVERSATION_H
#define RLHF_RLHF_CONVERSATION_H

#include "rlhf/language_model.h"

/* A message and the answer that was sampled, its end token included. */
typedef struct exchange {
    char *text;
    ints answer;
} exchange;

typedef struct conversation {
    const language_model *lm;
    workspace *ws;
    kv_cache *kv;
    int slot; /* -1: none */
    sampling how;
    int max_tokens;
    const char *format; /* NULL: turns of the template; else what a message becomes: a text prompt of its own,
                           with {} for the message */
    exchange *exchange; /* [n] what the model still sees; the last is being answered */
    int n;
    uint64_t asked; /* messages so far: the counter's sequence */
    ints held, ids; /* tokens in the cache; tokens of all exchanges */
    int most;       /* tokens that the current answer may have */
    int dropped;    /* exchanges that no longer fitted, at the last message */
} conversation;

/* lm must outlive it. max_tokens: of an answer. Close it also after a failure. */
status conversation_open(const language_model *lm, const sampling *how, int max_tokens, const char *format,
                         conversation *out, error *err);
void conversation_close(conversation *c);
void conversation_reset(conversation *c); /* forgets all exchanges */

/* Takes a message and reads it. Where the context has no room for it and an answer, the oldest exchanges are
   forgotten, down to half the context (c->dropped: how many). STATUS_DATA: the message alone is too long; it
   is forgotten. */
status conversation_ask(conversation *c, const char *text, error *err);
/* The next token of the answer; *done: it was the last one (end token, max_tokens, end of the context). */
status conversation_next(conversation *c, int32_t *token, int *done, error *err);
/* Closes the answer, with an end token if it was stopped before one came. */
status conversation_end(conversation *c, error *err);

#endif
