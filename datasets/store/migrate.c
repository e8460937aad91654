#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "datasets/store/internal.h"

/* VACUUM INTO writes a whole copy, under a temporary name until it is complete. */
static status back_up(store *s, int version, error *err) {
    buffer final = {0}, temporary = {0};
    buffer_format(&final, "%s.backup-v%d", s->path, version);
    buffer_format(&temporary, "%s.backup-v%d%s", s->path, version, FILE_TEMPORARY);
    status result = buffer_check(&final, err);
    if (result == STATUS_OK) result = buffer_check(&temporary, err);
    if (result == STATUS_OK) {
        unlink(temporary.data); /* a kill may have left one */
        result = sql_run(s, "VACUUM INTO ?1", SQL_VALUES(sql_string(temporary.data)), err);
    }
    if (result == STATUS_OK) result = path_sync_tree(temporary.data, err);
    if (result == STATUS_OK) result = path_rename(temporary.data, final.data, err);
    if (result != STATUS_OK && temporary.data) unlink(temporary.data);
    if (result != STATUS_OK) error_context(err, "backup before a migration");
    buffer_free(&final);
    buffer_free(&temporary);
    return result;
}

status store_migrate(store *s, const migration *migrations, int n, error *err) {
    int64_t version;
    TRY(sql_get(s, &version, NULL, "PRAGMA user_version", SQL_NONE, err));
    if (version > 0 && version < n) TRY(back_up(s, (int)version, err));
    for (; version < n; version++) {
        status result = sql_exec(s, migrations[version].sql, err);
        if (result == STATUS_OK) continue;
        if (!sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        error_context(err, "migration %d", (int)version + 1);
        return result;
    }
    return STATUS_OK;
}
