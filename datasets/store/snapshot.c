/* Snapshots: what a reward model is trained on, frozen into a file and sealed with its hash. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "datasets/store/row.h"

static const char rows_sql[] =
    "SELECT r.id, t.round_id, p.split, b.name, b.kind, p.kind, p.body, t.id, r.ranks FROM snapshot_ranking i"
    " JOIN ranking r ON r.id = i.ranking_id JOIN lease l ON l.id = r.lease_id JOIN task t ON t.id = l.task_id"
    " JOIN prompt p ON p.id = t.prompt_id JOIN labeller b ON b.id = l.labeller_id WHERE i.snapshot_id = ?1"
    " ORDER BY i.ranking_id";

/* The hash of the tokenizer that all of a task's answers share, when all have tokens; else an empty text. */
static status shared_tokenizer(store *s, int64_t task, char hex[2 * HASH_BYTES + 1], error *err) {
    sqlite3_stmt *q;
    bool row;
    hash sha256;
    hex[0] = 0;
    TRY(sql_start(
        s, &q,
        "SELECT count(*) = count(a.tokens) AND count(*) = count(z.sha256) AND min(z.sha256) = max(z.sha256),"
        " min(z.sha256) FROM task_answer x JOIN answer a ON a.id = x.answer_id LEFT JOIN artifact z ON z.id ="
        " (SELECT e.artifact_id FROM lineage e WHERE e.run_id = a.run_id AND e.direction = 'in' AND"
        " e.role = 'tokenizer' LIMIT 1) WHERE x.task_id = ?1",
        SQL_VALUES(sql_int64(task)), err));
    TRY(sql_step(s, q, &row, err));
    if (sqlite3_column_int(q, 0)) {
        memcpy(sha256.byte, sqlite3_column_blob(q, 1), HASH_BYTES);
        hash_hex(&sha256, hex);
    }
    sql_finish(q);
    return STATUS_OK;
}

static void append_token_ids(buffer *out, const uint8_t *blob, int n) {
    buffer_string(out, "[");
    for (int i = 0; i < n; i++) {
        uint32_t id = (uint32_t)blob[4 * i] | (uint32_t)blob[4 * i + 1] << 8 |
                      (uint32_t)blob[4 * i + 2] << 16 | (uint32_t)blob[4 * i + 3] << 24;
        buffer_format(out, i ? ",%u" : "%u", id);
    }
    buffer_string(out, "]");
}

/* ,"tokens":[[...], ...],"tokenizer":"...","finish":["stop", ...]; tokens and tokenizer are null together. */
static status append_tokens_fields(store *s, int64_t task, buffer *out, error *err) {
    char hex[2 * HASH_BYTES + 1];
    sqlite3_stmt *q;
    bool row;
    buffer finish = {0};
    TRY(shared_tokenizer(s, task, hex, err));
    buffer_string(out, hex[0] ? ",\"tokens\":[" : ",\"tokens\":null");
    TRY(sql_start(s, &q,
                  "SELECT a.tokens, a.finish FROM task_answer x JOIN answer a ON a.id = x.answer_id WHERE "
                  "x.task_id = ?1"
                  " ORDER BY x.slot",
                  SQL_VALUES(sql_int64(task)), err));
    status result = sql_step(s, q, &row, err);
    for (const char *comma = ""; result == STATUS_OK && row; comma = ",") {
        if (hex[0]) {
            buffer_string(out, comma);
            append_token_ids(out, sqlite3_column_blob(q, 0), sqlite3_column_bytes(q, 0) / 4);
        }
        buffer_format(&finish, "%s\"%s\"", comma, (const char *)sqlite3_column_text(q, 1));
        result = sql_step(s, q, &row, err);
    }
    if (hex[0])
        buffer_format(out, "],\"tokenizer\":\"%s\"", hex);
    else
        buffer_string(out, ",\"tokenizer\":null");
    if (result == STATUS_OK) result = buffer_check(&finish, err);
    if (result == STATUS_OK) buffer_format(out, ",\"finish\":[%s]", finish.data);
    buffer_free(&finish);
    return result;
}

static status append_line(store *s, sqlite3_stmt *q, buffer *out, error *err) {
    int64_t task = sqlite3_column_int64(q, 7);
    buffer_format(out, "{\"ranking_id\":%lld,\"round\":%lld,\"split\":\"%s\",\"labeller\":",
                  (long long)sqlite3_column_int64(q, 0), (long long)sqlite3_column_int64(q, 1),
                  (const char *)sqlite3_column_text(q, 2));
    append_column_string(out, q, 3);
    buffer_string(out, ",\"kind\":");
    append_column_string(out, q, 4);
    append_prompt_field(out, q, 5, 6);
    TRY(append_answers_field(s, task, out, err));
    TRY(append_tokens_fields(s, task, out, err));
    buffer_string(out, ",\"ranks\":");
    append_ranks(out, q, 8);
    buffer_string(out, ",\"weight\":1}\n");
    return buffer_check(out, err);
}

static status write_lines(store *s, file_writer *w, int64_t snapshot, error *err) {
    sqlite3_stmt *q;
    bool row;
    buffer line = {0};
    TRY(sql_start(s, &q, rows_sql, SQL_VALUES(sql_int64(snapshot)), err));
    status result = sql_step(s, q, &row, err);
    while (result == STATUS_OK && row) {
        buffer_clear(&line);
        result = append_line(s, q, &line, err);
        if (result != STATUS_OK) break;
        file_put(w, line.data, line.len);
        result = sql_step(s, q, &row, err);
    }
    sql_finish(q);
    buffer_free(&line);
    return result;
}

/* ---- choosing and sealing */

/* The rankings of rounds ?1 to ?2 by labellers of kind ?3 (null: any) that may be trained on. */
#define TRAINABLE                                                                                            \
    " FROM ranking_train n JOIN task t ON t.id = n.task_id JOIN labeller b ON b.id = n.labeller_id"          \
    " WHERE t.round_id BETWEEN ?1 AND ?2 AND (?3 IS NULL OR b.kind = ?3)"

static sql_value kind_value(labeller_kind kind) {
    return kind == LABELLER_ANY ? sql_null() : sql_string(labeller_kind_name(kind));
}

status store_count_trainable(store *s, const store_snapshot_options *o, int64_t *n, error *err) {
    return sql_get(s, n, NULL, "SELECT count(*)" TRAINABLE,
                   SQL_VALUES(sql_int64(o->from_round), sql_int64(o->round), kind_value(o->labellers)), err);
}

status store_compare_snapshot(store *s, const store_snapshot_options *o, int64_t *further, int64_t *gone,
                              error *err) {
    TRY(sql_get(s, further, NULL,
                "SELECT count(*)" TRAINABLE " AND n.id NOT IN (SELECT i.ranking_id FROM snapshot_ranking i"
                " JOIN snapshot w ON w.id = i.snapshot_id WHERE w.name = ?4)",
                SQL_VALUES(sql_int64(o->from_round), sql_int64(o->round), kind_value(o->labellers),
                           sql_string(o->name)),
                err));
    return sql_get(s, gone, NULL,
                   "SELECT count(*) FROM snapshot_ranking i JOIN snapshot w ON w.id = i.snapshot_id"
                   " WHERE w.name = ?1 AND i.ranking_id NOT IN (SELECT id FROM ranking_train)",
                   SQL_VALUES(sql_string(o->name)), err);
}

typedef struct snapshot_work {
    store *s;
    const char *path;
    const store_snapshot_options *options;
    buffer rule;
    int64_t id, n;
    bool sealed;
    hash *sha256;
} snapshot_work;

static status fill(snapshot_work *w, error *err) {
    const store_snapshot_options *o = w->options;
    TRY(sql_run(
        w->s,
        "INSERT INTO snapshot (name, round_id, labellers, rule, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        SQL_VALUES(sql_string(o->name), sql_int64(o->round), sql_string(labeller_kind_name(o->labellers)),
                   sql_string(w->rule.data), sql_int64(store_now(w->s))),
        err));
    w->id = sqlite3_last_insert_rowid(w->s->db);
    TRY(sql_run(
        w->s,
        "INSERT INTO snapshot_ranking (snapshot_id, ranking_id) SELECT ?4, n.id" TRAINABLE " ORDER BY n.id",
        SQL_VALUES(sql_int64(o->from_round), sql_int64(o->round), kind_value(o->labellers), sql_int64(w->id)),
        err));
    TRY(sql_get(w->s, &w->n, NULL, "SELECT count(*) FROM snapshot_ranking WHERE snapshot_id = ?1",
                SQL_VALUES(sql_int64(w->id)), err));
    if (w->n) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: there is no ranking that may be trained on (%s)", w->s->path,
                     w->rule.data);
}

/* A sealed snapshot of this name, asked for with the same words? */
static status find_sealed(snapshot_work *w, error *err) {
    int64_t same;
    sql_value name = sql_string(w->options->name);
    TRY(sql_get(w->s, &w->id, &w->sealed, "SELECT id FROM snapshot WHERE name = ?1", SQL_VALUES(name), err));
    if (!w->sealed) return STATUS_OK;
    TRY(sql_get(w->s, &same, NULL, "SELECT rule = ?2 FROM snapshot WHERE name = ?1",
                SQL_VALUES(name, sql_string(w->rule.data)), err));
    TRY(sql_get(w->s, &w->n, NULL, "SELECT n FROM snapshot WHERE name = ?1", SQL_VALUES(name), err));
    if (same) return STATUS_OK;
    return error_set(err, STATUS_DATA,
                     "%s: the snapshot \"%s\" exists and was made by another rule; choose another name",
                     w->s->path, w->options->name);
}

static status seal(snapshot_work *w, uint64_t bytes, error *err) {
    int64_t artifact;
    TRY(add_artifact_row(w->s, w->sha256, bytes, w->path, &artifact, err));
    return sql_run(w->s, "UPDATE snapshot SET n = ?2, artifact_id = ?3 WHERE id = ?1",
                   SQL_VALUES(sql_int64(w->id), sql_int64(w->n), sql_int64(artifact)), err);
}

static status check_seal(snapshot_work *w, error *err) {
    int64_t same;
    TRY(sql_get(
        w->s, &same, NULL,
        "SELECT a.sha256 = ?2 FROM snapshot n JOIN artifact a ON a.id = n.artifact_id WHERE n.id = ?1",
        SQL_VALUES(sql_int64(w->id), sql_blob(w->sha256->byte, HASH_BYTES)), err));
    if (same) return STATUS_OK;
    return error_set(err, STATUS_FAILED,
                     "%s: the snapshot \"%s\" gives other bytes than were sealed; run rlhf label fsck",
                     w->s->path, w->options->name);
}

/* The file is written whole under a temporary name and hashed there; it appears just before the seal is
 * committed. */
static status write_and_seal(snapshot_work *w, error *err) {
    file_writer writer;
    uint64_t bytes;
    TRY(file_begin(&writer, w->path, err));
    status result = write_lines(w->s, &writer, w->id, err);
    if (result == STATUS_OK && !writer.failed && fflush(writer.stream) != 0) writer.failed = errno;
    if (result == STATUS_OK && !writer.failed) result = hash_file(writer.temporary, w->sha256, &bytes, err);
    if (result == STATUS_OK && !writer.failed) result = w->sealed ? check_seal(w, err) : seal(w, bytes, err);
    if (result == STATUS_OK) return file_commit(&writer, err);
    file_abandon(&writer);
    return result;
}

static status make_snapshot(snapshot_work *w, error *err) {
    int64_t round;
    bool found;
    TRY(sql_get(w->s, &round, &found, "SELECT id FROM round WHERE id = ?1",
                SQL_VALUES(sql_int64(w->options->round)), err));
    if (!found)
        return error_set(err, STATUS_DATA, "%s: there is no round %lld", w->s->path,
                         (long long)w->options->round);
    TRY(find_sealed(w, err));
    if (!w->sealed) TRY(fill(w, err));
    if (w->options->close) TRY(close_round_row(w->s, w->options->round, err));
    return write_and_seal(w, err);
}

status store_snapshot(store *s, const char *path, const store_snapshot_options *options, hash *sha256,
                      int64_t *n, error *err) {
    snapshot_work w = {.s = s, .path = path, .options = options, .sha256 = sha256};
    if (!options->name || !options->name[0]) return error_set(err, STATUS_USAGE, "a snapshot needs a name");
    buffer_format(&w.rule, "rankings of rounds %lld to %lld that count, labellers %s",
                  (long long)options->from_round, (long long)options->round,
                  labeller_kind_name(options->labellers));
    status result = buffer_check(&w.rule, err);
    if (result == STATUS_OK) result = transaction_begin(s, err);
    if (result == STATUS_OK) result = transaction_end(s, make_snapshot(&w, err), err);
    if (result == STATUS_OK) *n = w.n;
    buffer_free(&w.rule);
    return result;
}
