/* datasets/store/ranking_line: one line of rankings in any of the shapes that people have:
     {"prompt" or "messages", "answers": [...], "ranks": [1,2,2,4]}      equal ranks tie; gaps are closed
     {"prompt" or "messages", "chosen", "rejected"}                      strings, or message lists
     {"chosen", "rejected"}                                              Anthropic HH, or message lists: a
   common prompt with optional "labeller", "kind", "split", "weight", "source", "round", "note", and the label
   export's "uuid", "verdict", "shown", "seconds", "received_ms". */
#ifndef RLHF_STORE_RANKING_LINE_H
#define RLHF_STORE_RANKING_LINE_H

#include <jansson.h>
#include <stdbool.h>

#include "core/base/buffer.h"
#include "core/base/error.h"
#include "datasets/store/store.h"

typedef struct ranking_line {
    bool chat;
    text_span prompt; /* a text, or a chat as canonical JSON that ends with a user turn */
    int n_answer;     /* 2 to 9, all different */
    text_span answer[STORE_ANSWERS];
    store_verdict verdict;   /* never withdrawn */
    int n_rank;              /* n_answer, or 0 where the verdict needs none */
    int rank[STORE_ANSWERS]; /* 1 best, dense */
    double weight;           /* 1 where the line has none; finite, >= 0 */
    const char *labeller, *kind, *split, *source, *note, *shown; /* NULL: the line has none */
    bool has_uuid;
    uint8_t uuid[STORE_UUID];
    int64_t round, received_ms; /* -1: none */
    double seconds;             /* negative: none */
    json_t *root;               /* owns the texts above (shared), except: */
    buffer storage;             /* what was built from them */
} ranking_line;

/* Parses one line; place ("file:line") begins every message. Whatever comes back, the caller frees the line.
   STATUS_DATA: not such a line; it says what is wrong. */
status ranking_line_parse(const char *text, size_t len, const char *place, ranking_line *out, error *err);
/* The same from the object of a line, which it shares. */
status ranking_line_read(json_t *root, const char *place, ranking_line *out, error *err);
void ranking_line_free(ranking_line *line); /* leaves an empty line */
/* Appends the line as canonical JSON (sorted keys, no spaces): the content of its uuid. */
status ranking_line_canonical(const ranking_line *line, buffer *out, error *err);

#endif
