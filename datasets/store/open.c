#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/lineage.h"
#include "datasets/store/internal.h"

extern const char store_migration_1[]; /* 0001_store.sql, compiled in */

enum { PATIENCE_MS = 10000, STORE_VERSION = 1 };

static status configure(store *s, store_mode mode, error *err) {
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_busy_timeout(s->db, 5000);
    sqlite3_extended_result_codes(s->db, 1);
    TRY(sql_exec(s,
                 "PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON; PRAGMA cell_size_check = ON;"
                 "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cache_size = -65536;"
                 "PRAGMA temp_store = MEMORY",
                 err));
    if (mode == STORE_WRITER) return STATUS_OK;
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return sql_exec(s, "PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0", err);
}

/* Is this our file, and of a version that we know? */
static status check_identity(store *s, int64_t *version, error *err) {
    int64_t application, tables;
    TRY(sql_get(s, &application, NULL, "PRAGMA application_id", SQL_NONE, err));
    TRY(sql_get(s, version, NULL, "PRAGMA user_version", SQL_NONE, err));
    TRY(sql_get(s, &tables, NULL, "SELECT count(*) FROM sqlite_schema", SQL_NONE, err));
    if (application != STORE_APPLICATION && (application != 0 || tables != 0 || *version != 0))
        return error_set(
            err, STATUS_DATA,
            "%s: is a database of another program (application_id 0x%08llX, %lld tables); not touched",
            s->path, (unsigned long long)application, (long long)tables);
    if (*version > STORE_VERSION)
        return error_set(
            err, STATUS_DATA,
            "%s: was made by a newer rlhf (store version %lld, this program knows up to %d); not touched",
            s->path, (long long)*version, STORE_VERSION);
    return STATUS_OK;
}

/* A backup that is put back has no write-ahead log yet. */
static status keep_log(store *s, error *err) {
    int64_t wal;
    TRY(sql_exec(s, "PRAGMA journal_mode = WAL", err));
    TRY(sql_get(s, &wal, NULL, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", SQL_NONE, err));
    if (wal) return STATUS_OK;
    return error_set(err, STATUS_FAILED,
                     "%s: this file system keeps no write-ahead log; a store lies on a local disk", s->path);
}

static status prepare_for_writing(store *s, error *err) {
    static const migration migrations[STORE_VERSION] = {{store_migration_1}};
    int64_t version;
    TRY(store_lock(s, err));
    status result = check_identity(s, &version, err);
    if (result == STATUS_OK) result = store_migrate(s, migrations, STORE_VERSION, err);
    if (result == STATUS_OK) result = keep_log(s, err);
    store_unlock(s);
    return result;
}

static status check_version(store *s, int64_t version, error *err) {
    if (version == STORE_VERSION) return STATUS_OK;
    return error_set(err, STATUS_DATA,
                     "%s: store version %lld, wanted is %d; any command that writes it brings it up to date",
                     s->path, (long long)version, STORE_VERSION);
}

static status open_lock_file(store *s, error *err) {
    buffer path = {0};
    buffer_format(&path, "%s.lock", s->path);
    status result = buffer_check(&path, err);
    if (result == STATUS_OK) {
        s->lock_fd = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (s->lock_fd < 0)
            result = error_set(err, STATUS_FAILED, "%s: cannot open: %s", path.data, strerror(errno));
    }
    buffer_free(&path);
    return result;
}

static status open_file(store *s, store_mode mode, error *err) {
    if (path_is_directory(s->path))
        return error_set(err, STATUS_DATA, "%s: is a directory, a store is a file", s->path);
    if (mode == STORE_READER && !path_exists(s->path))
        return error_set(err, STATUS_DATA, "%s: there is no such store", s->path);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (mode == STORE_WRITER ? SQLITE_OPEN_CREATE : 0);
    if (sqlite3_open_v2(s->path, &s->db, flags, NULL) != SQLITE_OK)
        return error_set(err, STATUS_FAILED, "%s: cannot open: %s", s->path,
                         s->db ? sqlite3_errmsg(s->db) : "out of memory");
    TRY(configure(s, mode, err));
    int64_t version;
    TRY(check_identity(s, &version, err));
    if (mode == STORE_READER) return check_version(s, version, err);
    TRY(open_lock_file(s, err));
    return prepare_for_writing(s, err);
}

status store_open(const char *path, store_mode mode, store **out, error *err) {
    *out = NULL;
    store *s = calloc(1, sizeof *s);
    if (!s) return error_memory(err, "a store");
    s->lock_fd = -1;
    s->patience_ms = PATIENCE_MS;
    s->path = strdup(path);
    status result = s->path ? open_file(s, mode, err) : error_memory(err, "a path");
    if (result == STATUS_OK)
        *out = s;
    else
        store_close(s);
    return result;
}

/* The last connection's close checkpoints, which only the holder of the lock may do. Where another holds it
   this connection is not the last: there is nothing to wait for. */
static void close_database(store *s) {
    for (int i = 0; i < STORE_STATEMENTS; i++) sqlite3_finalize(s->cache[i].statement);
    store_set_patience(s, 0);
    bool locked = s->lock_fd >= 0 && store_lock(s, NULL) == STATUS_OK;
    if (!locked) sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(s->db);
    if (locked) store_unlock(s);
}

void store_close(store *s) {
    if (!s) return;
    if (s->depth) store_rollback(s);
    if (s->db) close_database(s);
    if (s->lock_fd >= 0) close(s->lock_fd);
    free(s->path);
    free(s);
}

const char *store_path(const store *s) { return s->path; }
void store_set_patience(store *s, int milliseconds) { s->patience_ms = milliseconds; }
void store_set_clock(store *s, int64_t now_ms) { s->clock_ms = now_ms; }
int64_t store_now(const store *s) { return s->clock_ms ? s->clock_ms : lineage_now_ms(); }
