/* Rankings: what labellers said. A first answer bears its lease's uuid, so that sending it again cannot
 * double it. */
#include <math.h>
#include <string.h>

#include "datasets/store/internal.h"

/* The body that a uuid stands for: what was said, with the lease and the row that it replaces compared apart.
 */
status ranking_body_hash(const store_ranking *r, hash *out, error *err) {
    char digits[STORE_ANSWERS + 1];
    buffer body = {0};
    buffer_format(&body, "{\"verdict\":\"%s\",\"ranks\":\"%s\",\"seconds\":", store_verdict_name(r->verdict),
                  ranks_print(r->rank, r->n_rank, digits));
    buffer_json_double(&body, r->seconds < 0 ? (double)NAN : r->seconds);
    buffer_string(&body, ",\"note\":");
    if (r->note)
        buffer_json_string(&body, r->note, strlen(r->note));
    else
        buffer_string(&body, "null");
    buffer_string(&body, "}");
    status result = buffer_check(&body, err);
    if (result == STATUS_OK) *out = hash_bytes(body.data, body.len);
    buffer_free(&body);
    return result;
}

static status refuse(store *s, const store_ranking *r, store_outcome *outcome, store_outcome why,
                     const char *text, error *err) {
    char uuid[STORE_UUID_TEXT];
    uuid_print(r->uuid, uuid);
    *outcome = why;
    return error_set(err, STATUS_DATA, "%s: ranking %s: %s", s->path, uuid, text);
}

/* The lease's row and the number of answers that it showed; 0: no such lease. */
static status find_lease(store *s, const uint8_t uuid[STORE_UUID], int64_t *id, int *answers, error *err) {
    sqlite3_stmt *q;
    bool row;
    *id = 0;
    TRY(sql_start(s, &q, "SELECT id, length(shown) FROM lease WHERE uuid = ?1",
                  SQL_VALUES(sql_blob(uuid, STORE_UUID)), err));
    TRY(sql_step(s, q, &row, err));
    if (!row) return STATUS_OK;
    *id = sqlite3_column_int64(q, 0);
    *answers = sqlite3_column_int(q, 1);
    sql_finish(q);
    return STATUS_OK;
}

static const char *check_form(const store_ranking *r, int answers) {
    if (r->verdict == VERDICT_RANKED && r->n_rank == 0) return "has no ranks";
    if (r->n_rank && (r->verdict == VERDICT_CANNOT_JUDGE || r->verdict == VERDICT_WITHDRAWN))
        return "has ranks, which its verdict does not allow";
    if (r->n_rank && r->n_rank != answers) return "has not one rank for each answer";
    if (r->verdict == VERDICT_WITHDRAWN && !r->supersedes) return "withdraws, but no ranking";
    if (r->seconds >= 0 && !isfinite(r->seconds)) return "has no finite number of seconds";
    bool is_first = memcmp(r->uuid, r->lease, STORE_UUID) == 0;
    if (is_first != (r->supersedes == NULL))
        return "must bear its lease's uuid if, and only if, it supersedes nothing";
    return NULL;
}

/* A row under this uuid was there before: the same ranking, or another one? */
static status compare_present(store *s, const store_ranking *r, int64_t lease, int64_t supersedes,
                              const hash *body, store_outcome *outcome, int64_t *id, bool *present,
                              error *err) {
    int64_t same;
    sql_value uuid = sql_blob(r->uuid, STORE_UUID);
    TRY(sql_get(s, id, present, "SELECT id FROM ranking WHERE uuid = ?1", SQL_VALUES(uuid), err));
    if (!*present) return STATUS_OK;
    TRY(sql_get(s, &same, NULL,
                "SELECT body_sha256 = ?2 AND lease_id = ?3 AND supersedes IS ?4 FROM ranking WHERE uuid = ?1",
                SQL_VALUES(uuid, sql_blob(body->byte, HASH_BYTES), sql_int64(lease),
                           supersedes ? sql_int64(supersedes) : sql_null()),
                err));
    *outcome = STORE_ALREADY;
    return same ? STATUS_OK
                : refuse(s, r, outcome, STORE_CONFLICT, "another ranking was recorded under this uuid", err);
}

static status find_superseded(store *s, const store_ranking *r, int64_t lease, store_outcome *outcome,
                              int64_t *id, error *err) {
    bool found;
    if (!r->supersedes) return STATUS_OK;
    TRY(sql_get(s, id, &found, "SELECT id FROM ranking WHERE uuid = ?1 AND lease_id = ?2",
                SQL_VALUES(sql_blob(r->supersedes, STORE_UUID), sql_int64(lease)), err));
    return found ? STATUS_OK
                 : refuse(s, r, outcome, STORE_INVALID, "supersedes no ranking of its lease", err);
}

static status insert_ranking(store *s, const store_ranking *r, int64_t lease, int64_t supersedes,
                             const hash *body, int64_t received_ms, int64_t *id, error *err) {
    char digits[STORE_ANSWERS + 1];
    ranks_print(r->rank, r->n_rank, digits);
    TRY(sql_run(s,
                "INSERT INTO ranking (uuid, body_sha256, lease_id, supersedes, verdict, ranks, seconds, "
                "note, received_ms)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                SQL_VALUES(sql_blob(r->uuid, STORE_UUID), sql_blob(body->byte, HASH_BYTES), sql_int64(lease),
                           supersedes ? sql_int64(supersedes) : sql_null(),
                           sql_string(store_verdict_name(r->verdict)),
                           r->n_rank ? sql_string(digits) : sql_null(),
                           r->seconds < 0 ? sql_null() : sql_real(r->seconds), sql_string(r->note),
                           sql_int64(received_ms)),
                err));
    *id = sqlite3_last_insert_rowid(s->db);
    return STATUS_OK;
}

status add_ranking_row(store *s, const store_ranking *given, int64_t received_ms, store_outcome *outcome,
                       int64_t *id, error *err) {
    store_ranking r = *given;
    int64_t lease, supersedes = 0, taken;
    int answers = 0;
    bool present;
    hash body;
    *outcome = STORE_INVALID;
    TRY(find_lease(s, r.lease, &lease, &answers, err));
    if (!lease) return refuse(s, &r, outcome, STORE_UNKNOWN, "answers no lease of this store", err);
    const char *wrong = check_form(&r, answers);
    if (wrong) return refuse(s, &r, outcome, STORE_INVALID, wrong, err);
    if (r.n_rank) ranks_make_dense(r.rank, r.n_rank);
    TRY(ranking_body_hash(&r, &body, err));
    TRY(find_superseded(s, &r, lease, outcome, &supersedes, err));
    TRY(compare_present(s, &r, lease, supersedes, &body, outcome, id, &present, err));
    if (present) return STATUS_OK;
    TRY(sql_get(s, &taken, NULL, "SELECT count(*) FROM ranking WHERE supersedes = ?1",
                SQL_VALUES(sql_int64(supersedes)), err));
    if (taken) return refuse(s, &r, outcome, STORE_CONFLICT, "what it supersedes was superseded before", err);
    TRY(insert_ranking(s, &r, lease, supersedes, &body, received_ms, id, err));
    *outcome = STORE_RECORDED;
    return STATUS_OK;
}

status store_add_ranking(store *s, const store_ranking *r, store_outcome *outcome, int64_t *id, error *err) {
    int64_t row = 0;
    *outcome = STORE_INVALID;
    TRY(transaction_begin(s, err));
    TRY(transaction_end(s, add_ranking_row(s, r, store_now(s), outcome, &row, err), err));
    if (id) *id = row;
    return STATUS_OK;
}

/* ---- withdrawing */

static status withdraw(store *s, const uint8_t uuid[STORE_UUID], const char *note, error *err) {
    sqlite3_stmt *q;
    bool row;
    store_ranking r = {.verdict = VERDICT_WITHDRAWN, .seconds = -1, .note = note};
    uint8_t last[STORE_UUID];
    store_outcome outcome;
    int64_t id;
    TRY(sql_start(s, &q,
                  "SELECT l.uuid, z.uuid, EXISTS (SELECT 1 FROM ranking w WHERE w.lease_id = l.id AND "
                  "w.verdict = 'withdrawn')"
                  " FROM ranking r JOIN lease l ON l.id = r.lease_id JOIN ranking z ON z.lease_id = l.id"
                  " WHERE r.uuid = ?1 ORDER BY z.id DESC LIMIT 1",
                  SQL_VALUES(sql_blob(uuid, STORE_UUID)), err));
    TRY(sql_step(s, q, &row, err));
    if (!row) {
        memcpy(r.uuid, uuid, STORE_UUID);
        return refuse(s, &r, &outcome, STORE_UNKNOWN, "there is none to withdraw", err);
    }
    memcpy(r.lease, sqlite3_column_blob(q, 0), STORE_UUID);
    memcpy(last, sqlite3_column_blob(q, 1), STORE_UUID);
    bool again = sqlite3_column_int(q, 2);
    sql_finish(q);
    if (again) return STATUS_OK;
    r.supersedes = last;
    TRY(uuid_make(r.uuid, err));
    return add_ranking_row(s, &r, store_now(s), &outcome, &id, err);
}

status store_withdraw(store *s, const uint8_t uuid[STORE_UUID], const char *note, error *err) {
    TRY(transaction_begin(s, err));
    return transaction_end(s, withdraw(s, uuid, note, err), err);
}

status store_last_ranking(store *s, int64_t labeller, uint8_t uuid[STORE_UUID], int64_t *task, bool *found,
                          error *err) {
    sqlite3_stmt *q;
    TRY(sql_start(s, &q,
                  "SELECT n.uuid, n.task_id FROM ranking_now n JOIN task t ON t.id = n.task_id JOIN round o "
                  "ON o.id = t.round_id"
                  " WHERE n.labeller_id = ?1 AND o.closed_ms IS NULL ORDER BY n.id DESC LIMIT 1",
                  SQL_VALUES(sql_int64(labeller)), err));
    TRY(sql_step(s, q, found, err));
    if (!*found) return STATUS_OK;
    memcpy(uuid, sqlite3_column_blob(q, 0), STORE_UUID);
    *task = sqlite3_column_int64(q, 1);
    sql_finish(q);
    return STATUS_OK;
}
