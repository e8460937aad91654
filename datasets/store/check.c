/* fsck: what must always hold, looked at as a whole. */
#include <stdlib.h>
#include <string.h>

#include "datasets/store/internal.h"

/* One line for each row of a query, its columns apart by spaces. */
static status report_rows(store *s, const char *sql, const char *expected, buffer *problems, int64_t *n,
                          error *err) {
    sqlite3_stmt *q;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK) return sql_failed(s, err);
    int rc;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        const char *first = (const char *)sqlite3_column_text(q, 0);
        if (expected && first && strcmp(first, expected) == 0) continue;
        for (int i = 0; i < sqlite3_column_count(q); i++) {
            const char *text = (const char *)sqlite3_column_text(q, i);
            buffer_format(problems, "%s%s", i ? " " : "", text ? text : "null");
        }
        buffer_string(problems, "\n");
        ++*n;
    }
    sqlite3_finalize(q);
    return rc == SQLITE_DONE ? buffer_check(problems, err) : sql_failed(s, err);
}

static status check_views(store *s, buffer *problems, int64_t *n, error *err) {
    sqlite3_stmt *q;
    bool row;
    TRY(sql_start(s, &q,
                  "SELECT name FROM sqlite_schema WHERE type = 'view' AND name GLOB 'fsck*' ORDER BY name",
                  SQL_NONE, err));
    TRY(sql_step(s, q, &row, err));
    status result = STATUS_OK;
    while (row && result == STATUS_OK) {
        char *sql = sqlite3_mprintf("SELECT * FROM \"%w\"", sqlite3_column_text(q, 0));
        result = sql ? report_rows(s, sql, NULL, problems, n, err) : error_memory(err, "a query");
        sqlite3_free(sql);
        if (result == STATUS_OK) result = sql_step(s, q, &row, err);
    }
    sql_finish(q);
    return result;
}

static status check_all(store *s, buffer *problems, int64_t *n, error *err) {
    TRY(report_rows(s, "PRAGMA integrity_check", "ok", problems, n, err));
    TRY(report_rows(s, "PRAGMA foreign_key_check", NULL, problems, n, err));
    return check_views(s, problems, n, err);
}

status store_fsck(store *s, buffer *problems, int64_t *n, error *err) {
    *n = 0;
    TRY(reading_begin(s, err));
    return reading_end(s, check_all(s, problems, n, err), err);
}
