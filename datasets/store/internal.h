/* datasets/store, inside: the open store, statements and transactions, shared by the files of this room
 * alone. */
#ifndef RLHF_STORE_INTERNAL_H
#define RLHF_STORE_INTERNAL_H

#include <sqlite3.h>

#include "datasets/store/store.h"

enum { STORE_APPLICATION = 0x524C4846 /* "RLHF" */, STORE_STATEMENTS = 128 };

typedef struct cached_statement {
    const char *sql; /* a string literal: compared by address */
    sqlite3_stmt *statement;
} cached_statement;

struct store {
    char *path;
    sqlite3 *db;
    int lock_fd; /* FILE.lock; -1: a reader */
    int patience_ms;
    int64_t clock_ms; /* 0: the system's */
    int depth;        /* open transactions: 1, and savepoints inside */
    bool group;       /* the outermost was opened by store_begin */
    cached_statement cache[STORE_STATEMENTS];
};

/* ---- migrations */

typedef struct migration {
    const char *sql;
} migration;
/* Brings the file from its user_version to n, one migration after the other, after a backup where it holds
   anything. The caller holds the lock. A migration that fails is rolled back whole. */
status store_migrate(store *s, const migration *migrations, int n, error *err);

/* ---- the lock between processes */

status store_lock(store *s, error *err);
void store_unlock(store *s);

/* ---- transactions. end commits when the work before gave STATUS_OK, else rolls back, and returns what
 * became of it. */

status transaction_begin(store *s, error *err);
status transaction_end(store *s, status work, error *err);
/* One consistent view for several reads; takes no lock. */
status reading_begin(store *s, error *err);
status reading_end(store *s, status work, error *err);

/* ---- statements */

typedef struct sql_value {
    enum { SQL_NULL, SQL_INT, SQL_REAL, SQL_TEXT, SQL_BLOB } type;
    int64_t integer;
    double real;
    const void *data; /* must live until the statement was stepped to its end */
    size_t len;
} sql_value;

sql_value sql_null(void);
sql_value sql_int64(int64_t value);
sql_value sql_real(double value);
sql_value sql_text(const char *data, size_t len);
sql_value sql_string(const char *text); /* NULL: null */
sql_value sql_blob(const void *data, size_t len);

/* The file's path, what SQLite says, and the status that belongs to it: a refusal by the schema is
 * STATUS_DATA. */
status sql_failed(store *s, error *err);
/* Runs plain text without values. */
status sql_exec(store *s, const char *sql, error *err);
/* A prepared statement, kept for the next time, with its values bound to ?1, ?2 ... sql must be a literal. */
status sql_start(store *s, sqlite3_stmt **out, const char *sql, const sql_value *values, int n, error *err);
/* The next row. *row false: the end; the statement is then reset, as it is after a failure. */
status sql_step(store *s, sqlite3_stmt *q, bool *row, error *err);
void sql_finish(sqlite3_stmt *q); /* before the end of its rows; NULL is allowed */
status sql_run(store *s, const char *sql, const sql_value *values, int n, error *err);
/* The first column of the first row. *found (may be NULL) false: no row, or null; *out is then 0. */
status sql_get(store *s, int64_t *out, bool *found, const char *sql, const sql_value *values, int n,
               error *err);

#define SQL_VALUES(...)                                                                                      \
    (const sql_value[]){__VA_ARGS__}, (int)(sizeof((const sql_value[]){__VA_ARGS__}) / sizeof(sql_value))
#define SQL_NONE NULL, 0

/* ---- shared between the files of the room */

/* Imports meet the same rows again: these find or add, within the caller's transaction. */
status add_prompt_row(store *s, const store_prompt *p, int64_t *id, bool *differs, error *err);
status add_artifact_row(store *s, const hash *sha256, uint64_t bytes, const char *path, int64_t *id,
                        error *err);
status add_round_row(store *s, int64_t round, error *err);
status close_round_row(store *s, int64_t round, error *err);
status add_lease_row(store *s, const uint8_t uuid[STORE_UUID], int64_t task, int64_t labeller,
                     const char *shown, int64_t leased_ms, int64_t expires_ms, int64_t *id, error *err);
status add_ranking_row(store *s, const store_ranking *r, int64_t received_ms, store_outcome *outcome,
                       int64_t *id, error *err);
status ranking_body_hash(const store_ranking *r, hash *out, error *err);
/* Appends the first column of all rows of a started statement. */
status collect_ids(store *s, sqlite3_stmt *q, store_ids *out, error *err);
/* A column's text with its length and a zero byte, malloc'd; NULL when out of memory. */
char *column_text_copy(sqlite3_stmt *q, int column, size_t *len);
/* "1223" from ranks; returns digits, which holds n + 1 bytes. */
char *ranks_print(const int *rank, int n, char *digits);

#endif
