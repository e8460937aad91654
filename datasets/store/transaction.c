#include <stdio.h>

#include "datasets/store/internal.h"

/* Depth 1 is the transaction, under the lock; every further one a savepoint, so that a part can fail alone.
 */
status transaction_begin(store *s, error *err) {
    char sql[32];
    if (s->lock_fd < 0) return error_set(err, STATUS_FAILED, "%s: was opened for reading", s->path);
    if (s->depth == 0) {
        TRY(store_lock(s, err));
        status result = sql_exec(s, "BEGIN IMMEDIATE", err);
        if (result != STATUS_OK) {
            store_unlock(s);
            return result;
        }
    } else {
        snprintf(sql, sizeof sql, "SAVEPOINT s%d", s->depth);
        TRY(sql_exec(s, sql, err));
    }
    s->depth++;
    return STATUS_OK;
}

static status end_savepoint(store *s, status work, error *err) {
    char sql[64];
    s->depth--;
    /* A full disk makes SQLite roll the whole transaction back; then there is no savepoint any more. */
    bool gone = sqlite3_get_autocommit(s->db);
    if (work == STATUS_OK && gone)
        return error_set(err, STATUS_FAILED, "%s: the transaction was rolled back", s->path);
    if (gone) return work;
    snprintf(sql, sizeof sql, work == STATUS_OK ? "RELEASE s%d" : "ROLLBACK TO s%1$d; RELEASE s%1$d",
             s->depth);
    status ended = sql_exec(s, sql, work == STATUS_OK ? err : NULL);
    return work == STATUS_OK ? ended : work;
}

status transaction_end(store *s, status work, error *err) {
    if (s->depth > 1) return end_savepoint(s, work, err);
    s->depth = 0;
    if (work == STATUS_OK)
        work = sqlite3_get_autocommit(s->db)
                   ? error_set(err, STATUS_FAILED, "%s: the transaction was rolled back", s->path)
                   : sql_exec(s, "COMMIT", err);
    if (!sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    store_unlock(s);
    return work;
}

status store_begin(store *s, error *err) {
    if (s->depth) return error_set(err, STATUS_FAILED, "%s: a group is open already", s->path);
    TRY(transaction_begin(s, err));
    s->group = true;
    return STATUS_OK;
}

status store_commit(store *s, error *err) {
    if (!s->group) return error_set(err, STATUS_FAILED, "%s: no group is open", s->path);
    s->group = false;
    return transaction_end(s, STATUS_OK, err);
}

void store_rollback(store *s) {
    if (!s->depth) return;
    s->group = false;
    s->depth = 1;
    transaction_end(s, STATUS_FAILED, NULL);
}

status reading_begin(store *s, error *err) {
    if (s->depth == 0) TRY(sql_exec(s, "BEGIN", err));
    s->depth++;
    return STATUS_OK;
}

status reading_end(store *s, status work, error *err) {
    if (--s->depth) return work;
    status ended = sql_exec(s, "COMMIT", work == STATUS_OK ? err : NULL);
    return work == STATUS_OK ? ended : work;
}
