/* Leases: a task handed out to a labeller, in an order that a counter decides. */
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "datasets/store/internal.h"

/* Open tasks of one round that the labeller neither holds nor has ranked, and that are not all out already.
 */
static const char open_sql[] =
    "SELECT w.task_id FROM labels_wanted w WHERE w.round_id = ?1"
    " AND NOT EXISTS (SELECT 1 FROM lease_out l WHERE l.task_id = w.task_id AND l.labeller_id = ?2 AND "
    "+l.expires_ms > ?3)"
    " AND NOT EXISTS (SELECT 1 FROM ranking_live r WHERE r.task_id = w.task_id AND r.labeller_id = ?2)"
    " AND w.missing > (SELECT count(*) FROM lease_out l WHERE l.task_id = w.task_id AND +l.expires_ms > ?3)"
    " ORDER BY w.priority DESC, w.task_id";

static bool is_listed(int64_t id, const int64_t *list, int n) {
    for (int i = 0; i < n; i++)
        if (list[i] == id) return true;
    return false;
}

static status open_tasks_of_round(store *s, int64_t labeller, int64_t round, const int64_t *skip, int n_skip,
                                  int64_t *ids, int *n, int capacity, error *err) {
    sqlite3_stmt *q;
    bool row = true;
    TRY(sql_start(s, &q, open_sql, SQL_VALUES(sql_int64(round), sql_int64(labeller), sql_int64(store_now(s))),
                  err));
    while (*n < capacity) {
        TRY(sql_step(s, q, &row, err));
        if (!row) return STATUS_OK;
        int64_t id = sqlite3_column_int64(q, 0);
        if (!is_listed(id, skip, n_skip)) ids[(*n)++] = id;
    }
    sql_finish(q);
    return STATUS_OK;
}

static status open_tasks(store *s, int64_t labeller, int64_t round, const int64_t *skip, int n_skip,
                         int64_t *ids, int *n, error *err) {
    int capacity = *n;
    *n = 0;
    if (round >= 0) return open_tasks_of_round(s, labeller, round, skip, n_skip, ids, n, capacity, err);
    store_ids rounds = {0};
    sqlite3_stmt *q;
    TRY(sql_start(s, &q, "SELECT id FROM round WHERE closed_ms IS NULL ORDER BY id", SQL_NONE, err));
    status result = collect_ids(s, q, &rounds, err);
    for (int64_t i = 0; i < rounds.n && result == STATUS_OK; i++)
        result = open_tasks_of_round(s, labeller, rounds.id[i], skip, n_skip, ids, n, capacity, err);
    free(rounds.id);
    return result;
}

status store_open_tasks(store *s, int64_t labeller, int64_t round, const int64_t *skip, int n_skip,
                        int64_t *ids, int *n, error *err) {
    TRY(reading_begin(s, err));
    return reading_end(s, open_tasks(s, labeller, round, skip, n_skip, ids, n, err), err);
}

/* Fisher-Yates over slots 1..n; the swap at i draws block i of the counter (task, labeller). */
static void shuffle_slots(uint64_t seed, int64_t round, int64_t task, int64_t labeller, int n, char *shown) {
    random_key key = random_make_key(seed, RANDOM_SHOWN, (uint32_t)round, 0);
    for (int i = 0; i < n; i++) shown[i] = (char)('1' + i);
    shown[n] = 0;
    for (int i = n - 1; i > 0; i--) {
        uint32_t x[4];
        random_block(key, (uint64_t)task, (uint32_t)labeller, (uint32_t)i, x);
        int j = (int)((uint64_t)x[0] * (uint64_t)(i + 1) >> 32);
        char swap = shown[i];
        shown[i] = shown[j];
        shown[j] = swap;
    }
}

status add_lease_row(store *s, const uint8_t uuid[STORE_UUID], int64_t task, int64_t labeller,
                     const char *shown, int64_t leased_ms, int64_t expires_ms, int64_t *id, error *err) {
    TRY(sql_run(s,
                "INSERT INTO lease (uuid, task_id, labeller_id, shown, leased_ms, expires_ms)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                SQL_VALUES(sql_blob(uuid, STORE_UUID), sql_int64(task), sql_int64(labeller),
                           sql_string(shown), sql_int64(leased_ms), sql_int64(expires_ms)),
                err));
    *id = sqlite3_last_insert_rowid(s->db);
    return STATUS_OK;
}

static status lease_task(store *s, int64_t labeller, int64_t task, uint64_t seed, int64_t ttl_ms,
                         store_lease *out, error *err) {
    int64_t round, answers, now = store_now(s);
    bool found;
    sql_value id = sql_int64(task);
    TRY(sql_get(s, &round, &found, "SELECT round_id FROM task WHERE id = ?1", SQL_VALUES(id), err));
    if (!found) return error_set(err, STATUS_DATA, "%s: there is no task %lld", s->path, (long long)task);
    TRY(sql_get(s, &answers, NULL, "SELECT count(*) FROM task_answer WHERE task_id = ?1", SQL_VALUES(id),
                err));
    if (answers < 2 || answers > STORE_ANSWERS)
        return error_set(err, STATUS_DATA, "%s: task %lld has %lld answers", s->path, (long long)task,
                         (long long)answers);
    *out = (store_lease){.task_id = task, .expires_ms = now + ttl_ms};
    shuffle_slots(seed, round, task, labeller, (int)answers, out->shown);
    TRY(uuid_make(out->uuid, err));
    return add_lease_row(s, out->uuid, task, labeller, out->shown, now, out->expires_ms, &out->id, err);
}

status store_lease_task(store *s, int64_t labeller, int64_t task, uint64_t seed, int64_t ttl_ms,
                        store_lease *out, error *err) {
    TRY(transaction_begin(s, err));
    return transaction_end(s, lease_task(s, labeller, task, seed, ttl_ms, out, err), err);
}

static status lease_next(store *s, int64_t labeller, int64_t round, const int64_t *skip, int n_skip,
                         uint64_t seed, int64_t ttl_ms, store_lease *out, bool *found, error *err) {
    int64_t task;
    int n = 1;
    TRY(open_tasks(s, labeller, round, skip, n_skip, &task, &n, err));
    *found = n == 1;
    return n == 1 ? lease_task(s, labeller, task, seed, ttl_ms, out, err) : STATUS_OK;
}

status store_lease_next(store *s, int64_t labeller, int64_t round, const int64_t *skip, int n_skip,
                        uint64_t seed, int64_t ttl_ms, store_lease *out, bool *found, error *err) {
    *found = false;
    TRY(transaction_begin(s, err));
    return transaction_end(s, lease_next(s, labeller, round, skip, n_skip, seed, ttl_ms, out, found, err),
                           err);
}

static status renew_lease(store *s, const uint8_t uuid[STORE_UUID], int64_t ttl_ms, error *err) {
    TRY(sql_run(s, "UPDATE lease SET expires_ms = iif(?3, ?2 + ?3, min(expires_ms, ?2)) WHERE uuid = ?1",
                SQL_VALUES(sql_blob(uuid, STORE_UUID), sql_int64(store_now(s)), sql_int64(ttl_ms)), err));
    if (sqlite3_changes(s->db) == 1) return STATUS_OK;
    char text[STORE_UUID_TEXT];
    uuid_print(uuid, text);
    return error_set(err, STATUS_DATA, "%s: there is no lease %s", s->path, text);
}

status store_renew_lease(store *s, const uint8_t uuid[STORE_UUID], int64_t ttl_ms, error *err) {
    TRY(transaction_begin(s, err));
    return transaction_end(s, renew_lease(s, uuid, ttl_ms, err), err);
}

status store_hand_back(store *s, int64_t labeller, error *err) {
    sql_value now = sql_int64(store_now(s));
    TRY(transaction_begin(s, err));
    return transaction_end(
        s,
        sql_run(s,
                "UPDATE lease SET expires_ms = ?2 WHERE labeller_id = ?1 AND expires_ms > ?2"
                " AND NOT EXISTS (SELECT 1 FROM ranking r WHERE r.lease_id = lease.id)",
                SQL_VALUES(sql_int64(labeller), now), err),
        err);
}
