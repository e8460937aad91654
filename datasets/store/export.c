/* The label export: what people said, as JSONL that imports again. */
#include <string.h>

#include "core/base/file.h"
#include "datasets/store/row.h"

static const char export_sql[] =
    "SELECT n.uuid, p.kind, p.body, n.task_id, n.ranks, n.verdict, b.name, b.kind, p.split, t.round_id, "
    "n.shown, n.seconds,"
    " n.received_ms, n.note FROM ranking_now n JOIN task t ON t.id = n.task_id JOIN prompt p ON p.id = "
    "t.prompt_id"
    " JOIN labeller b ON b.id = n.labeller_id WHERE ?1 < 0 OR t.round_id = ?1 ORDER BY n.id";

static status append_line(store *s, sqlite3_stmt *q, buffer *out, error *err) {
    char uuid[STORE_UUID_TEXT];
    uuid_print(sqlite3_column_blob(q, 0), uuid);
    buffer_format(out, "{\"uuid\":\"%s\"", uuid);
    append_prompt_field(out, q, 1, 2);
    TRY(append_answers_field(s, sqlite3_column_int64(q, 3), out, err));
    buffer_string(out, ",\"ranks\":");
    append_ranks(out, q, 4);
    static const char *const names[] = {"verdict", "labeller", "kind", "split"};
    for (int i = 0; i < 4; i++) {
        buffer_format(out, ",\"%s\":", names[i]);
        append_column_string(out, q, 5 + i);
    }
    buffer_format(out, ",\"round\":%lld,\"shown\":\"%s\",\"seconds\":", (long long)sqlite3_column_int64(q, 9),
                  (const char *)sqlite3_column_text(q, 10));
    if (sqlite3_column_type(q, 11) == SQLITE_NULL)
        buffer_string(out, "null");
    else
        buffer_json_double(out, sqlite3_column_double(q, 11));
    buffer_format(out, ",\"received_ms\":%lld", (long long)sqlite3_column_int64(q, 12));
    if (sqlite3_column_type(q, 13) != SQLITE_NULL) {
        buffer_string(out, ",\"note\":");
        append_column_string(out, q, 13);
    }
    buffer_string(out, "}\n");
    return buffer_check(out, err);
}

static status write_lines(store *s, file_writer *w, int64_t round, int64_t *n, error *err) {
    sqlite3_stmt *q;
    bool row = true;
    buffer line = {0};
    TRY(sql_start(s, &q, export_sql, SQL_VALUES(sql_int64(round)), err));
    status result = sql_step(s, q, &row, err);
    while (result == STATUS_OK && row) {
        buffer_clear(&line);
        result = append_line(s, q, &line, err);
        if (result != STATUS_OK) break;
        file_put(w, line.data, line.len);
        if (w->failed) break;
        ++*n;
        result = sql_step(s, q, &row, err);
    }
    sql_finish(q);
    buffer_free(&line);
    return result;
}

static status write_all(store *s, const char *path, int64_t round, int64_t *n, error *err) {
    file_writer w;
    if (strcmp(path, "-") == 0)
        file_begin_output(&w);
    else
        TRY(file_begin(&w, path, err));
    status result = write_lines(s, &w, round, n, err);
    if (result == STATUS_OK) return file_commit(&w, err);
    file_abandon(&w);
    return result;
}

status store_export(store *s, const char *path, int64_t round, int64_t *n, error *err) {
    *n = 0;
    TRY(reading_begin(s, err));
    return reading_end(s, write_all(s, path, round, n, err), err);
}
