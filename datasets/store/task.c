/* Tasks: "rank these answers", made from what the runs of a round answered. */
#include <stdlib.h>
#include <string.h>

#include "datasets/store/chat.h"
#include "datasets/store/internal.h"

/* The prompt's n-th set of K different texts of the round; each text stands for its first answer. */
static status choose_answers(store *s, const store_task_options *o, int64_t prompt, store_ids *out,
                             error *err) {
    sqlite3_stmt *q;
    TRY(sql_start(
        s, &q,
        "SELECT id FROM (SELECT a.id, a.run_id, a.sample, row_number() OVER (PARTITION BY a.text"
        " ORDER BY a.run_id, a.sample) AS nth FROM answer a JOIN run r ON r.id = a.run_id WHERE a.prompt_id "
        "= ?1"
        " AND r.round_id = ?2 AND r.kind IN ('generate', 'sample', 'chat')) WHERE nth = 1"
        " ORDER BY run_id, sample LIMIT ?3 OFFSET ?3 * ?4",
        SQL_VALUES(sql_int64(prompt), sql_int64(o->round), sql_int64(o->answers), sql_int64(o->part)), err));
    return collect_ids(s, q, out, err);
}

static status add_task(store *s, const store_task_options *o, int64_t prompt, int64_t *made, error *err) {
    store_ids answers = {0};
    int64_t task;
    status result = choose_answers(s, o, prompt, &answers, err);
    if (result == STATUS_OK && answers.n >= 2) {
        result = sql_run(
            s, "INSERT INTO task (round_id, prompt_id, part, want) VALUES (?1, ?2, ?3, ?4)",
            SQL_VALUES(sql_int64(o->round), sql_int64(prompt), sql_int64(o->part), sql_int64(o->want)), err);
        task = sqlite3_last_insert_rowid(s->db);
        for (int64_t i = 0; i < answers.n && result == STATUS_OK; i++)
            result = sql_run(s, "INSERT INTO task_answer (task_id, slot, answer_id) VALUES (?1, ?2, ?3)",
                             SQL_VALUES(sql_int64(task), sql_int64(i + 1), sql_int64(answers.id[i])), err);
        *made += result == STATUS_OK;
    }
    free(answers.id);
    return result;
}

static status make_tasks(store *s, const store_task_options *o, int64_t *made, error *err) {
    store_ids prompts = {0};
    sqlite3_stmt *q;
    int64_t present;
    TRY(store_open_round(s, o->round, err));
    TRY(sql_get(s, &present, NULL,
                "SELECT count(*) FROM task t JOIN prompt p ON p.id = t.prompt_id WHERE t.round_id = ?1 AND "
                "t.part = ?2"
                " AND (?3 IS NULL OR p.split = ?3)",
                SQL_VALUES(sql_int64(o->round), sql_int64(o->part), sql_string(o->split)), err));
    TRY(sql_start(
        s, &q,
        "SELECT DISTINCT a.prompt_id FROM run r JOIN answer a ON a.run_id = r.id JOIN prompt p ON p.id = "
        "a.prompt_id"
        " WHERE r.round_id = ?1 AND r.kind IN ('generate', 'sample', 'chat') AND (?3 IS NULL OR p.split = ?3)"
        " AND NOT EXISTS (SELECT 1 FROM task t WHERE t.round_id = ?1 AND t.prompt_id = a.prompt_id AND "
        "t.part = ?2)"
        " ORDER BY CASE WHEN ?4 THEN (SELECT count(*) FROM task t WHERE t.prompt_id = a.prompt_id AND"
        " t.round_id < ?1) ELSE 0 END, a.prompt_id",
        SQL_VALUES(sql_int64(o->round), sql_int64(o->part), sql_string(o->split), sql_int64(o->fewest_first)),
        err));
    status result = collect_ids(s, q, &prompts, err);
    for (int64_t i = 0; i < prompts.n && result == STATUS_OK && (!o->limit || present + *made < o->limit);
         i++)
        result = add_task(s, o, prompts.id[i], made, err);
    free(prompts.id);
    return result;
}

static status check_options(const store_task_options *o, error *err) {
    if (o->answers < 2 || o->answers > STORE_ANSWERS)
        return error_set(err, STATUS_USAGE, "a task has 2 to %d answers, not %d", STORE_ANSWERS, o->answers);
    if (o->want < 1 || o->want > 999)
        return error_set(err, STATUS_USAGE, "a task wants 1 to 999 labellers, not %d", o->want);
    if (o->part < 0 || o->limit < 0)
        return error_set(err, STATUS_USAGE, "a task's part and limit are not negative");
    if (o->split && !split_is_known(o->split))
        return error_set(err, STATUS_USAGE, "the split \"%s\" is not train, valid or test", o->split);
    return STATUS_OK;
}

status store_make_tasks(store *s, const store_task_options *o, int64_t *made, error *err) {
    int64_t n = 0;
    TRY(check_options(o, err));
    TRY(transaction_begin(s, err));
    TRY(transaction_end(s, make_tasks(s, o, &n, err), err));
    if (made) *made = n;
    return STATUS_OK;
}

status store_read_supply(store *s, const store_task_options *o, store_supply *out, error *err) {
    sqlite3_stmt *q;
    bool row;
    TRY(check_options(o, err));
    TRY(sql_start(
        s, &q,
        "WITH answered AS (SELECT a.prompt_id AS id, count(DISTINCT a.text) AS texts FROM run r JOIN answer a"
        " ON a.run_id = r.id JOIN prompt p ON p.id = a.prompt_id WHERE r.round_id = ?1 AND r.kind IN"
        " ('generate', 'sample', 'chat') AND (?2 IS NULL OR p.split = ?2) GROUP BY a.prompt_id),"
        " seen AS (SELECT texts, EXISTS (SELECT 1 FROM task t WHERE t.round_id = ?1 AND t.prompt_id = "
        "answered.id"
        " AND t.part = ?4) AS has_task FROM answered)"
        " SELECT count(*), ifnull(sum(has_task), 0), ifnull(sum(NOT has_task AND texts < ?3 * ?4 + 2), 0) "
        "FROM"
        " seen",
        SQL_VALUES(sql_int64(o->round), sql_string(o->split), sql_int64(o->answers), sql_int64(o->part)),
        err));
    TRY(sql_step(s, q, &row, err));
    *out = (store_supply){sqlite3_column_int64(q, 0), sqlite3_column_int64(q, 1), sqlite3_column_int64(q, 2)};
    sql_finish(q);
    return STATUS_OK;
}

/* ---- reading */

char *column_text_copy(sqlite3_stmt *q, int column, size_t *len) {
    const void *data = sqlite3_column_text(q, column);
    *len = (size_t)sqlite3_column_bytes(q, column);
    char *copy = malloc(*len + 1);
    if (!copy) return NULL;
    if (*len) memcpy(copy, data, *len);
    copy[*len] = 0;
    return copy;
}

static status read_answer(sqlite3_stmt *q, store_answer *a, error *err) {
    a->text = column_text_copy(q, 1, &a->len);
    if (!a->text) return error_memory(err, "an answer");
    a->finished = strcmp((const char *)sqlite3_column_text(q, 3), "stop") == 0;
    if (sqlite3_column_type(q, 2) == SQLITE_NULL) return STATUS_OK;
    a->has_tokenizer = sqlite3_column_bytes(q, 4) == HASH_BYTES;
    if (a->has_tokenizer) memcpy(a->tokenizer.byte, sqlite3_column_blob(q, 4), HASH_BYTES);
    const uint8_t *blob = sqlite3_column_blob(q, 2);
    a->n_token = sqlite3_column_bytes(q, 2) / 4;
    a->tokens = malloc((size_t)(a->n_token ? a->n_token : 1) * sizeof *a->tokens);
    if (!a->tokens) return error_memory(err, "an answer's tokens");
    for (int i = 0; i < a->n_token; i++)
        a->tokens[i] = (int32_t)((uint32_t)blob[4 * i] | (uint32_t)blob[4 * i + 1] << 8 |
                                 (uint32_t)blob[4 * i + 2] << 16 | (uint32_t)blob[4 * i + 3] << 24);
    return STATUS_OK;
}

static status read_head(store *s, int64_t id, store_task *out, error *err) {
    sqlite3_stmt *q;
    bool row;
    TRY(sql_start(
        s, &q,
        "SELECT t.round_id, p.id, p.kind = 'chat', p.body FROM task t JOIN prompt p ON p.id = t.prompt_id"
        " WHERE t.id = ?1",
        SQL_VALUES(sql_int64(id)), err));
    TRY(sql_step(s, q, &row, err));
    if (!row) return error_set(err, STATUS_DATA, "%s: there is no task %lld", s->path, (long long)id);
    *out = (store_task){.id = id,
                        .round = sqlite3_column_int64(q, 0),
                        .prompt_id = sqlite3_column_int64(q, 1),
                        .chat = sqlite3_column_int(q, 2)};
    out->prompt = column_text_copy(q, 3, &out->prompt_len);
    sql_finish(q);
    return out->prompt ? STATUS_OK : error_memory(err, "a prompt");
}

static status read_task(store *s, int64_t id, store_task *out, error *err) {
    sqlite3_stmt *q;
    bool row = true;
    TRY(read_head(s, id, out, err));
    TRY(sql_start(
        s, &q,
        "SELECT x.slot, a.text, a.tokens, a.finish, (SELECT z.sha256 FROM lineage e JOIN artifact z ON"
        " z.id = e.artifact_id WHERE e.run_id = a.run_id AND e.direction = 'in' AND e.role = 'tokenizer')"
        " FROM task_answer x JOIN answer a ON a.id = x.answer_id"
        " WHERE x.task_id = ?1 ORDER BY x.slot",
        SQL_VALUES(sql_int64(id)), err));
    for (;;) {
        TRY(sql_step(s, q, &row, err));
        if (!row) return STATUS_OK;
        status result = read_answer(q, &out->answer[out->n_answer++], err);
        if (result == STATUS_OK) continue;
        sql_finish(q);
        return result;
    }
}

status store_read_task(store *s, int64_t id, store_task *out, error *err) {
    *out = (store_task){0};
    TRY(reading_begin(s, err));
    status result = reading_end(s, read_task(s, id, out, err), err);
    if (result != STATUS_OK) store_task_free(out);
    return result;
}

void store_task_free(store_task *t) {
    free(t->prompt);
    for (int i = 0; i < t->n_answer; i++) {
        free(t->answer[i].text);
        free(t->answer[i].tokens);
    }
    *t = (store_task){0};
}

status store_read_progress(store *s, int64_t round, store_progress *out, error *err) {
    sqlite3_stmt *q;
    bool row;
    TRY(sql_start(s, &q,
                  "SELECT count(*), ifnull(sum(want), 0), ifnull(sum(min(have, want)), 0),"
                  " EXISTS (SELECT 1 FROM round WHERE id = ?1 AND closed_ms IS NOT NULL)"
                  " FROM task WHERE round_id = ?1",
                  SQL_VALUES(sql_int64(round)), err));
    TRY(sql_step(s, q, &row, err));
    *out = (store_progress){sqlite3_column_int64(q, 0), sqlite3_column_int64(q, 1),
                            sqlite3_column_int64(q, 2), sqlite3_column_int(q, 3) != 0};
    sql_finish(q);
    return STATUS_OK;
}
