/* datasets/example: one line of data as token ids. The only place where data meets template and tokenizer. */
#ifndef RLHF_DATASETS_EXAMPLE_H
#define RLHF_DATASETS_EXAMPLE_H

#include <jansson.h>

#include "core/base/ints.h"
#include "core/text/template.h"
#include "datasets/lines.h"

typedef enum loss_kind { LOSS_ALL, LOSS_COMPLETION, LOSS_ASSISTANT } loss_kind;
typedef enum split_kind { SPLIT_ANY, SPLIT_TRAIN, SPLIT_VALID, SPLIT_TEST } split_kind;

/* How data is read; the pointers are the caller's. */
typedef struct data_options {
    const tokenizer *tok;
    const chat_template *chat;
    const char *system;    /* system prompt of chats without one; NULL: none */
    const char *separator; /* splits .txt files into documents; NULL: one document a file */
    const char *cache;     /* directory of tokenised examples (datasets/token_cache.h); NULL: none */
    int cut;               /* an example over max_length is cut instead of being a bad line */
    int max_length;        /* tokens */
    int may_be_empty;      /* that nothing is left is no error */
    bad_lines *bad;
} data_options;

/* A prompt as people and files have it: a text, or a chat as canonical JSON. */
typedef struct prompt_text {
    const char *text;      /* or NULL */
    const char *messages;  /* or NULL */
    const char *reference; /* an answer that the line brings, for rules and commands that compare; or NULL */
} prompt_text;

typedef struct example_info {
    split_kind split; /* the line's own, or that of its opening (datasets/store/chat.h) */
    int split_given;  /* it is the line's own */
    int is_document;  /* {"text"}: may be cut into several sequences */
} example_info;

/* lines_each, with OpenAssistant's trees (datasets/store/oasst.h) as their best chats. */
status examples_each(const char *path, bad_lines *bad, line_visit *visit, void *context, error *err);

/* Reads {"text"}, {"prompt","completion"} or {"messages"} and appends its tokens, and one target (1: learn to
   predict this token) per token: completion: the completion with its end token; assistant: every assistant
   turn; all: everything but the first. STATUS_DATA "PLACE: ...". */
status example_tokens(const data_options *o, loss_kind loss, const json_t *line, const char *place,
                      ints *tokens, ints *target, example_info *info, error *err);

/* The prompt of a line: "prompt" (a text or messages) or "messages", a closing answer left out; its
   reference: "reference", "completion" or the answer left out; and its split, the line's own or that of its
   opening. Free it with example_free_prompt. STATUS_DATA "PLACE: ...".
 */
status example_read_prompt(const json_t *line, const char *place, prompt_text *out, split_kind *split,
                           error *err);
void example_free_prompt(prompt_text *p);
/* The answer of a demonstration, a string of the line's: "completion" (or the one message of the assistant
   that it is), or the closing answer of "messages"; NULL: none. */
const json_t *example_answer(const json_t *line);

/* Appends the ids of a prompt, generation prompt included. place stands before messages. */
status example_prompt(const data_options *o, const prompt_text *p, const char *place, ints *tokens,
                      error *err);
/* Appends a document's ids, behind a bos where the tokenizer has one, and an end-of-text. */
status example_document(const data_options *o, const char *text, size_t len, ints *tokens, error *err);
/* What ends a document: an end-of-text, or what the tokenizer or else the template has in its place. */
int example_document_end(const data_options *o);

/* SPLIT_TRAIN, ... of a name; STATUS_DATA for another. */
status split_parse(const char *name, const char *place, split_kind *out, error *err);
const char *split_name(split_kind split);
/* The split of a prompt: `given` where there is one (or NULL), else by the hash of its opening. */
status split_of_prompt(const prompt_text *p, const char *given, const char *place, split_kind *out,
                       error *err);
/* Whether a reader that wants `wanted` (SPLIT_ANY: all) keeps an example of this split. */
static inline int split_is_wanted(split_kind wanted, split_kind split) {
    return wanted == SPLIT_ANY || wanted == split;
}

/* What a reader ends with that kept nothing: STATUS_DATA "FILE: no WHAT of split valid (9 read, 0 bad)",
   unless it may be empty. */
status data_nothing_left(const data_options *o, const char *what, const char *const *files, int n_file,
                         split_kind wanted, int64_t n_read, error *err);

#endif
