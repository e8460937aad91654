/* Lineage: from a weight back to the rankings that it came from, from a ranking to every weight that it
 * touched. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/store/internal.h"

/* A graph of three kinds of nodes: an artifact was made by runs; a run read artifacts; a snapshot's artifact
   holds answers that runs gave. */
static const char back_sql[] =
    "WITH RECURSIVE up (kind, id) AS (VALUES ('artifact', ?1)"
    " UNION SELECT 'run', e.run_id FROM up JOIN lineage e ON e.artifact_id = up.id AND e.direction = 'out'"
    "   WHERE up.kind = 'artifact'"
    " UNION SELECT 'artifact', e.artifact_id FROM up JOIN lineage e ON e.run_id = up.id AND e.direction = "
    "'in'"
    "   WHERE up.kind = 'run'"
    " UNION SELECT 'snapshot', n.id FROM up JOIN snapshot n ON n.artifact_id = up.id WHERE up.kind = "
    "'artifact'"
    " UNION SELECT 'run', a.run_id FROM up JOIN snapshot_ranking i ON i.snapshot_id = up.id"
    "   JOIN ranking r ON r.id = i.ranking_id JOIN lease l ON l.id = r.lease_id JOIN task_answer x ON "
    "x.task_id = l.task_id"
    "   JOIN answer a ON a.id = x.answer_id WHERE up.kind = 'snapshot')"
    " SELECT kind, id FROM up UNION SELECT 'ranking', i.ranking_id FROM up JOIN snapshot_ranking i ON "
    "i.snapshot_id = up.id"
    "   WHERE up.kind = 'snapshot' ORDER BY 1, 2";

static const char forward_sql[] =
    "WITH RECURSIVE down (kind, id) AS (SELECT 'snapshot', i.snapshot_id FROM snapshot_ranking i WHERE "
    "i.ranking_id = ?1"
    " UNION SELECT 'artifact', n.artifact_id FROM down JOIN snapshot n ON n.id = down.id"
    "   WHERE down.kind = 'snapshot' AND n.artifact_id IS NOT NULL"
    " UNION SELECT 'run', e.run_id FROM down JOIN lineage e ON e.artifact_id = down.id AND e.direction = 'in'"
    "   WHERE down.kind = 'artifact'"
    " UNION SELECT 'artifact', e.artifact_id FROM down JOIN lineage e ON e.run_id = down.id AND e.direction "
    "= 'out'"
    "   WHERE down.kind = 'run')"
    " SELECT kind, id FROM down UNION SELECT 'ranking', ?1 ORDER BY 1, 2";

static status ids_push(store_ids *list, int64_t id, error *err) {
    if (list->n == list->capacity) {
        int64_t capacity = list->capacity ? 2 * list->capacity : 64;
        int64_t *more = realloc(list->id, (size_t)capacity * sizeof *more);
        if (!more) return error_memory(err, "a list of ids");
        list->id = more;
        list->capacity = capacity;
    }
    list->id[list->n++] = id;
    return STATUS_OK;
}

status collect_ids(store *s, sqlite3_stmt *q, store_ids *out, error *err) {
    bool row = true;
    for (;;) {
        TRY(sql_step(s, q, &row, err));
        if (!row) return STATUS_OK;
        status result = ids_push(out, sqlite3_column_int64(q, 0), err);
        if (result == STATUS_OK) continue;
        sql_finish(q);
        return result;
    }
}

static status walk(store *s, const char *sql, int64_t start, store_lineage *out, error *err) {
    sqlite3_stmt *q;
    bool row;
    TRY(sql_start(s, &q, sql, SQL_VALUES(sql_int64(start)), err));
    status result = sql_step(s, q, &row, err);
    while (result == STATUS_OK && row) {
        char kind = (char)sqlite3_column_text(q, 0)[1]; /* aRtifact, rUn, sNapshot, rAnking */
        store_ids *list = kind == 'r'   ? &out->artifacts
                          : kind == 'u' ? &out->runs
                          : kind == 'n' ? &out->snapshots
                                        : &out->rankings;
        result = ids_push(list, sqlite3_column_int64(q, 1), err);
        if (result == STATUS_OK) result = sql_step(s, q, &row, err);
    }
    sql_finish(q);
    return result;
}

status store_lineage_back(store *s, int64_t artifact, store_lineage *out, error *err) {
    *out = (store_lineage){0};
    status result = walk(s, back_sql, artifact, out, err);
    if (result != STATUS_OK) store_lineage_free(out);
    return result;
}

status store_lineage_forward(store *s, int64_t ranking, store_lineage *out, error *err) {
    *out = (store_lineage){0};
    status result = walk(s, forward_sql, ranking, out, err);
    if (result != STATUS_OK) store_lineage_free(out);
    return result;
}

void store_lineage_free(store_lineage *l) {
    free(l->artifacts.id);
    free(l->runs.id);
    free(l->snapshots.id);
    free(l->rankings.id);
    *l = (store_lineage){0};
}

/* ---- names into ids */

status store_find_artifact(store *s, const char *hex, int64_t *id, error *err) {
    sqlite3_stmt *q;
    bool row;
    char upper[2 * HASH_BYTES + 1];
    size_t n = strlen(hex);
    bool fine = n >= 8 && n <= 2 * HASH_BYTES;
    for (size_t i = 0; i < n && fine; i++) {
        fine = isxdigit((unsigned char)hex[i]);
        upper[i] = (char)toupper((unsigned char)hex[i]);
    }
    if (!fine)
        return error_set(err, STATUS_USAGE,
                         "\"%.80s\" is not the SHA-256 of an artifact, nor its first 8 digits or more", hex);
    TRY(sql_start(s, &q, "SELECT count(*), min(id) FROM artifact WHERE substr(hex(sha256), 1, ?2) = ?1",
                  SQL_VALUES(sql_text(upper, n), sql_int64((int64_t)n)), err));
    TRY(sql_step(s, q, &row, err));
    int64_t found = sqlite3_column_int64(q, 0);
    *id = sqlite3_column_int64(q, 1);
    sql_finish(q);
    if (found == 1) return STATUS_OK;
    return error_set(err, STATUS_DATA,
                     found ? "%s: several artifacts begin with %s"
                           : "%s: there is no artifact %s; import its run first",
                     s->path, hex);
}

status store_find_ranking(store *s, const char *text, int64_t *id, error *err) {
    uint8_t uuid[STORE_UUID];
    bool found;
    char *end;
    long long number = strtoll(text, &end, 10);
    if (uuid_parse(text, uuid))
        TRY(sql_get(s, id, &found, "SELECT id FROM ranking WHERE uuid = ?1",
                    SQL_VALUES(sql_blob(uuid, STORE_UUID)), err));
    else if (*text && !*end)
        TRY(sql_get(s, id, &found, "SELECT id FROM ranking WHERE id = ?1", SQL_VALUES(sql_int64(number)),
                    err));
    else
        return error_set(err, STATUS_USAGE, "\"%.80s\" is neither a ranking's number nor its uuid", text);
    return found ? STATUS_OK : error_set(err, STATUS_DATA, "%s: there is no ranking %s", s->path, text);
}

/* ---- ids into words */

static status describe(store *s, const char *sql, int64_t id, buffer *out, error *err) {
    sqlite3_stmt *q;
    bool row;
    TRY(sql_start(s, &q, sql, SQL_VALUES(sql_int64(id)), err));
    TRY(sql_step(s, q, &row, err));
    if (!row) return error_set(err, STATUS_DATA, "%s: there is no row %lld", s->path, (long long)id);
    buffer_format(out, "%s\n", (const char *)sqlite3_column_text(q, 0));
    sql_finish(q);
    return buffer_check(out, err);
}

status store_describe_artifact(store *s, int64_t id, buffer *out, error *err) {
    return describe(s,
                    "SELECT lower(hex(sha256)) || '  ' || ifnull((SELECT group_concat(role, ',') FROM "
                    "(SELECT DISTINCT role"
                    " FROM lineage WHERE artifact_id = artifact.id)), 'snapshot') || '  ' || path FROM "
                    "artifact WHERE id = ?1",
                    id, out, err);
}

status store_describe_run(store *s, int64_t id, buffer *out, error *err) {
    return describe(s,
                    "SELECT lower(substr(hex(uuid), 1, 12)) || '  ' || kind || iif(round_id IS NULL, '', ', "
                    "round ' || round_id)"
                    " || ', seed ' || seed || ', code ' || code || ifnull(', config ' || substr(config ->> "
                    "'$.sha256', 1, 12),"
                    " ' ' || config) || iif(ended_ms IS NULL, ', not finished', '') FROM run WHERE id = ?1",
                    id, out, err);
}

status store_describe_snapshot(store *s, int64_t id, buffer *out, error *err) {
    return describe(s,
                    "SELECT name || '  ' || n || ' rankings: ' || rule"
                    " FROM snapshot WHERE id = ?1",
                    id, out, err);
}
