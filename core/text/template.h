/* core/text/template: how prompts, answers and chats become token ids. The one place for SFT, reward model,
   PPO, generation and chat: prompt and answer are joined as ids, never as a string that is encoded again,
   so the reward model reads the very ids that the policy chose. Control tokens come from here alone. */
#ifndef RLHF_TEXT_TEMPLATE_H
#define RLHF_TEXT_TEMPLATE_H

#include "core/base/error.h"
#include "core/base/ints.h"
#include "core/text/tokenizer.h"

/* What models are published with, by name, each as its own Jinja text renders it:

   plain        our own: a text is its ids as they are (behind a bos, where the tokenizer puts one); turns are
                "\n\nHuman: ...", "\n\nAssistant: ..." (as in Anthropic's HH) and "\n\nSystem: ..."; an answer
   ends with
                <|endoftext|>, or the eos of a tokenizer that has none
   chatml       <|im_start|>role\n...<|im_end|>
   qwen2, qwen2.5, smollm2   the same; a chat that has no system prompt gets the model's own
   llama2       <s>[INST] ... [/INST] ... </s>; a system prompt stands in the first user's turn, between
   <<SYS>> marks llama3       <|start_header_id|>role<|end_header_id|>\n\n...<|eot_id|> behind a bos llama3.1
   (also 3.2, 3.3) the same; every chat has a system prompt, which begins with two lines of dates. "Today" is
   26 Jul 2024, as in the published text: what is trained on must not depend on the day mistral      (7B v0.1,
   v0.2) <s> [INST] ... [/INST] ...</s>; a system prompt stands in the first user's turn mistral-v3   (7B
   v0.3) the same with tokens [INST] and [/INST]; no system prompt zephyr       <|role|>\n...</s> gemma
   <bos><start_of_turn>role\n...<end_of_turn>; no system prompt

   In all but plain a text is one user turn. What separates turns belongs to the next one, so a sequence ends
   with its end token. Contents lose the white space around them where the published text strips it. A tool's
   turn and thinking blocks are none of ours: what an assistant thinks is part of its text.

   What lies between two control tokens is encoded as one text, except that an assistant's content is encoded
   by itself and joined to the ids of its turn's head: as it is when the model wrote it. */
typedef struct chat_template chat_template;

typedef struct message {
    const char *role, *content; /* role: system, user or assistant */
} message;

/* Either text, or messages that end with the user's or the system's (text is then NULL). */
typedef struct prompt {
    const char *text;
    const message *messages; /* [n_message] */
    int n_message;
} prompt;

/* By name; STATUS_USAGE with the list of names when there is none. Nothing is to be freed. */
status template_find(const char *name, const chat_template **out, error *err);
const char *template_name(const chat_template *t);
/* All templates: NULL for i beyond the last. */
const chat_template *template_at(int i);
/* The template that a tokenizer asks for: its rlhf_template, or the one whose features its chat_template
   has, or plain when it has no chat_template. STATUS_USAGE for another chat_template, which must be
   named. */
status template_of(const tokenizer *tok, const chat_template **out, error *err);
/* The template of that name, of the tokenizer when name is NULL or "auto". STATUS_DATA when the tokenizer
   lacks the template's control tokens. */
status template_choose(const char *name, const tokenizer *tok, const chat_template **out, error *err);

/* The id of the token that ends an answer; -1 when the tokenizer has none. */
int template_end_token(const chat_template *t, const tokenizer *tok);
/* The control tokens that a tokenizer needs for it, as it calls them by custom, the end token among them.
   How many there are; names has TEMPLATE_MAX_CONTROLS places. */
enum { TEMPLATE_MAX_CONTROLS = 8 };
int template_controls(const chat_template *t, const char **names);

/* The next four append to tokens. STATUS_DATA: a role that is none of the three, an empty prompt, a prompt
   whose last message is the assistant's, a chat without an assistant's message, turns that the template
   cannot say; "message 2: ..." counts from 1. */

/* The prompt's ids, up to and including what makes the assistant answer. */
status template_prompt(const chat_template *t, const tokenizer *tok, const prompt *p, ints *tokens,
                       error *err);
/* The ids of an answer of len bytes (zero bytes among them are text) with its end token. prompt + answer =
   chat, id for id. */
status template_answer(const chat_template *t, const tokenizer *tok, const char *text, size_t len,
                       ints *tokens, error *err);
/* What follows an answer in a chat: the user's next message, up to and including what makes the assistant
   answer. prompt + answer + next = the prompt of the longer chat, id for id. */
status template_next(const chat_template *t, const tokenizer *tok, const char *text, ints *tokens,
                     error *err);
/* A chat with at least one assistant's message. target gets one number per token that was appended: 1 for
   the content and end token of assistant turns, 0 for all else (heads, the newline after an end token, the
   others' turns). */
status template_chat(const chat_template *t, const tokenizer *tok, const message *messages, int n,
                     ints *tokens, ints *target, error *err);

/* The Jinja text for tokenizer_config.json's chat_template, so that other programs chat the same way. */
const char *template_jinja(const chat_template *t);
/* The end token's name: "<|im_end|>"; the tokenizer's, or by custom where tok is NULL. */
const char *template_end_name(const chat_template *t);
const char *template_end_of(const chat_template *t, const tokenizer *tok);

#endif
