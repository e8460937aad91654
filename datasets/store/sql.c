#include "datasets/store/internal.h"

#include <assert.h>

sql_value sql_null(void) { return (sql_value){.type = SQL_NULL}; }
sql_value sql_int64(int64_t value) { return (sql_value){.type = SQL_INT, .integer = value}; }
sql_value sql_real(double value) { return (sql_value){.type = SQL_REAL, .real = value}; }
sql_value sql_text(const char *data, size_t len) {
    return (sql_value){.type = SQL_TEXT, .data = data ? data : "", .len = len};
}
sql_value sql_string(const char *text) { return text ? sql_text(text, __builtin_strlen(text)) : sql_null(); }
sql_value sql_blob(const void *data, size_t len) {
    return (sql_value){.type = SQL_BLOB, .data = data ? data : "", .len = len};
}

status sql_failed(store *s, error *err) {
    const char *why = sqlite3_errmsg(s->db);
    switch (sqlite3_errcode(s->db) & 0xff) {
    case SQLITE_CONSTRAINT:
        return error_set(err, STATUS_DATA, "%s: refused: %s", s->path, why);
    case SQLITE_TOOBIG:
        return error_set(err, STATUS_DATA, "%s: a text is too long: %s", s->path, why);
    case SQLITE_NOTADB:
        return error_set(err, STATUS_DATA, "%s: is not an SQLite database", s->path);
    case SQLITE_CORRUPT:
        return error_set(err, STATUS_DATA, "%s: the file is damaged: %s", s->path, why);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(err, STATUS_FAILED, "%s: locked by a program that is not rlhf (%s): close it there",
                         s->path, why);
    case SQLITE_FULL:
        return error_set(err, STATUS_FAILED, "%s: no space left, nothing was recorded", s->path);
    case SQLITE_READONLY:
        return error_set(err, STATUS_FAILED, "%s: cannot be written: %s", s->path, why);
    default:
        return error_set(err, STATUS_FAILED, "%s: %s", s->path, why);
    }
}

status sql_exec(store *s, const char *sql, error *err) {
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? STATUS_OK : sql_failed(s, err);
}

static status find_statement(store *s, const char *sql, sqlite3_stmt **out, error *err) {
    for (int i = 0; i < STORE_STATEMENTS; i++) {
        cached_statement *c = &s->cache[((uintptr_t)sql / 8 + (uintptr_t)i) % STORE_STATEMENTS];
        if (c->sql == sql) {
            *out = c->statement;
            return STATUS_OK;
        }
        if (c->sql) continue;
        if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &c->statement, NULL) != SQLITE_OK)
            return sql_failed(s, err);
        c->sql = sql;
        *out = c->statement;
        return STATUS_OK;
    }
    return error_set(err, STATUS_FAILED, "%s: more than %d statements", s->path, STORE_STATEMENTS);
}

static int bind(sqlite3_stmt *q, int i, const sql_value *v) {
    switch (v->type) {
    case SQL_NULL:
        return sqlite3_bind_null(q, i);
    case SQL_INT:
        return sqlite3_bind_int64(q, i, v->integer);
    case SQL_REAL:
        return sqlite3_bind_double(q, i, v->real);
    case SQL_TEXT:
        return sqlite3_bind_text64(q, i, v->data, v->len, SQLITE_STATIC, SQLITE_UTF8);
    case SQL_BLOB:
        return sqlite3_bind_blob64(q, i, v->data, v->len, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

status sql_start(store *s, sqlite3_stmt **out, const char *sql, const sql_value *values, int n, error *err) {
    sqlite3_stmt *q = NULL;
    *out = NULL;
    TRY(find_statement(s, sql, &q, err));
    assert(!sqlite3_stmt_busy(q));
    for (int i = 0; i < n; i++)
        if (bind(q, i + 1, &values[i]) != SQLITE_OK) return sql_failed(s, err);
    *out = q;
    return STATUS_OK;
}

status sql_step(store *s, sqlite3_stmt *q, bool *row, error *err) {
    int rc = sqlite3_step(q);
    *row = rc == SQLITE_ROW;
    if (*row) return STATUS_OK;
    status result = rc == SQLITE_DONE ? STATUS_OK : sql_failed(s, err);
    sqlite3_reset(q);
    return result;
}

void sql_finish(sqlite3_stmt *q) {
    if (q) sqlite3_reset(q);
}

status sql_run(store *s, const char *sql, const sql_value *values, int n, error *err) {
    sqlite3_stmt *q;
    TRY(sql_start(s, &q, sql, values, n, err));
    bool row = true;
    while (row) TRY(sql_step(s, q, &row, err));
    return STATUS_OK;
}

status sql_get(store *s, int64_t *out, bool *found, const char *sql, const sql_value *values, int n,
               error *err) {
    sqlite3_stmt *q;
    bool row;
    *out = 0;
    if (found) *found = false;
    TRY(sql_start(s, &q, sql, values, n, err));
    TRY(sql_step(s, q, &row, err));
    if (!row) return STATUS_OK;
    if (found) *found = sqlite3_column_type(q, 0) != SQLITE_NULL;
    *out = sqlite3_column_int64(q, 0);
    sql_finish(q);
    return STATUS_OK;
}
