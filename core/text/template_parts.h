/* core/text/template_parts: the table of chat templates, for the files that use it. */
#ifndef RLHF_TEXT_TEMPLATE_PARTS_H
#define RLHF_TEXT_TEMPLATE_PARTS_H

#include "core/text/template.h"

typedef enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, N_ROLE } role;

/* Texts of a template are scripts: control tokens in them are found by their names, and these stand for the
   names that the tokenizer has for them. */
#define BOS "\1"
#define EOS "\2"

enum { TEMPLATE_MOST = 8 };

typedef struct turn {
    const char *before, *behind; /* of the content */
} turn;

struct chat_template {
    const char *name;
    const char *needs[TEMPLATE_MOST]; /* control tokens of its scripts */
    const char *bos, *eos;            /* what they are called where tokenizer_config.json does not say */
    const char *end;                  /* of an answer: the control token that ends it, or EOS */
    const char *begin;                /* before the first turn */
    int begins_as_texts;              /* with what the tokenizer puts before a text */
    const char *between;              /* before every turn but the first */
    turn system, user;
    const char *head; /* opens an assistant's turn */
    turn answer;      /* around an answer's text, before its end token */
    turn folded;      /* around a system prompt that stands in the first user's message; {0}: it is a turn */
    const char *without_system; /* says why there can be none, or NULL */
    const char *system_default; /* the system prompt of a chat that has none, or NULL */
    const char *preface;        /* before the content of a system prompt in front */
    int trims;                  /* roles whose contents lose the white space around them: bits 1 << role */
    int alternates;             /* user and assistant must take turns */
    int text_is_turn;           /* a text prompt is a user's turn, not ids as they are */

    /* How its Jinja text is known: by what must and must not stand in it. */
    const char *has[TEMPLATE_MOST], *lacks[TEMPLATE_MOST];
    const char *jinja;
};

extern const chat_template template_table[];
extern const int template_n;

/* The bos token's name in this tokenizer; NULL where the template has none. */
const char *template_bos_of(const chat_template *t, const tokenizer *tok);
/* STATUS_DATA when the tokenizer lacks one of the template's control tokens. */
status template_check(const chat_template *t, const tokenizer *tok, error *err);
status template_lacks(const chat_template *t, const char *token, error *err);

#endif
