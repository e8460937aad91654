/* datasets/store, inside: the parts of a ranking's JSON that the label export and snapshots share. */
#ifndef RLHF_STORE_ROW_H
#define RLHF_STORE_ROW_H

#include "datasets/store/internal.h"

void append_column_string(buffer *out, sqlite3_stmt *q, int column); /* null stays null */
/* ,"prompt":"..." or ,"messages":[...] from the columns kind and body. */
void append_prompt_field(buffer *out, sqlite3_stmt *q, int kind_column, int body_column);
/* [1,2,2] from '122'; null from null. */
void append_ranks(buffer *out, sqlite3_stmt *q, int column);
/* ,"answers":["...", ...] of a task, by slot. */
status append_answers_field(store *s, int64_t task, buffer *out, error *err);

#endif
