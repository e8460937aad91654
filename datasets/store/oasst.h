/* datasets/store/oasst: OpenAssistant's message trees, one a line, in the shapes that everything else reads:
     {"message_tree_id", "prompt":
   {"role":"prompter","text","replies":[{"role":"assistant","text","rank",...}]}} rank 0 is best; deleted
   messages, and what hangs on them, are passed over. */
#ifndef RLHF_STORE_OASST_H
#define RLHF_STORE_OASST_H

#include <jansson.h>
#include <stdbool.h>

#include "core/base/error.h"

bool oasst_is_tree(const json_t *line);

/* The chat along the best replies (lowest rank; the first where none has one), up to its last answer:
   {"messages":[...]}, and "split" where the line has one. STATUS_DATA "PLACE: ..." where the tree is none or
   has no answer. *out is the caller's (json_decref). */
status oasst_chat(const json_t *line, const char *place, json_t **out, error *err);

/* An array of {"messages","answers","ranks"}, with "split" where the line has one: of each message of a
   prompter with at least two ranked replies, in the order of the tree. It may be empty; NULL on failure. */
status oasst_rankings(const json_t *line, const char *place, json_t **out, error *err);

#endif
