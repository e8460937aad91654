#include "datasets/store/row.h"

#include <string.h>

void append_column_string(buffer *out, sqlite3_stmt *q, int column) {
    const char *text = (const char *)sqlite3_column_text(q, column);
    if (text)
        buffer_json_string(out, text, (size_t)sqlite3_column_bytes(q, column));
    else
        buffer_string(out, "null");
}

void append_prompt_field(buffer *out, sqlite3_stmt *q, int kind_column, int body_column) {
    if (strcmp((const char *)sqlite3_column_text(q, kind_column), "chat") == 0) {
        buffer_string(out, ",\"messages\":");
        const void *body = sqlite3_column_text(q, body_column);
        buffer_append(out, body, (size_t)sqlite3_column_bytes(q, body_column));
    } else {
        buffer_string(out, ",\"prompt\":");
        append_column_string(out, q, body_column);
    }
}

void append_ranks(buffer *out, sqlite3_stmt *q, int column) {
    const char *digits = (const char *)sqlite3_column_text(q, column);
    if (!digits) {
        buffer_string(out, "null");
        return;
    }
    for (int i = 0; digits[i]; i++) buffer_format(out, "%c%c", i ? ',' : '[', digits[i]);
    buffer_string(out, "]");
}

status append_answers_field(store *s, int64_t task, buffer *out, error *err) {
    sqlite3_stmt *q;
    bool row;
    TRY(sql_start(s, &q,
                  "SELECT a.text FROM task_answer x JOIN answer a ON a.id = x.answer_id WHERE x.task_id = ?1 "
                  "ORDER BY x.slot",
                  SQL_VALUES(sql_int64(task)), err));
    buffer_string(out, ",\"answers\":");
    for (const char *before = "[";; before = ",") {
        TRY(sql_step(s, q, &row, err));
        if (!row) break;
        buffer_string(out, before);
        append_column_string(out, q, 0);
    }
    buffer_string(out, "]");
    return STATUS_OK;
}
