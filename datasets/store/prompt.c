/* Prompts, rounds, labellers and artifacts: the rows that others refer to. */
#include <stdlib.h>
#include <string.h>

#include "core/base/json.h"
#include "core/base/path.h"
#include "datasets/store/chat.h"
#include "datasets/store/internal.h"

static status prompt_hash(const store_prompt *p, hash *out, error *err) {
    buffer text = {0};
    buffer_string(&text, p->chat ? "chat\n" : "text\n");
    buffer_append(&text, p->body, p->len);
    status result = buffer_check(&text, err);
    if (result == STATUS_OK) *out = hash_bytes(text.data, text.len);
    buffer_free(&text);
    return result;
}

/* The split that this opening has: of an earlier prompt, else the given one, else NULL (by the hash). */
static status fix_split(store *s, const hash *opening, const char *given, char split[8], error *err) {
    sqlite3_stmt *q;
    bool row;
    TRY(sql_start(s, &q, "SELECT split FROM prompt WHERE opening_sha256 = ?1 LIMIT 1",
                  SQL_VALUES(sql_blob(opening->byte, HASH_BYTES)), err));
    TRY(sql_step(s, q, &row, err));
    const char *found = row ? (const char *)sqlite3_column_text(q, 0) : given;
    strncpy(split, found ? found : "", 7);
    split[7] = 0;
    sql_finish(q);
    return STATUS_OK;
}

status add_prompt_row(store *s, const store_prompt *p, int64_t *id, bool *differs, error *err) {
    hash sha256, opening;
    char split[8];
    if (p->split && !split_is_known(p->split))
        return error_set(err, STATUS_DATA, "the split \"%.40s\" is not train, valid or test", p->split);
    TRY(prompt_hash(p, &sha256, err));
    TRY(prompt_opening(p->chat, p->body, p->len, &opening, err));
    TRY(fix_split(s, &opening, p->split, split, err));
    if (differs) *differs = p->split && strcmp(p->split, split) != 0;
    sql_value key = sql_blob(sha256.byte, HASH_BYTES);
    TRY(sql_run(s,
                "INSERT INTO prompt (sha256, kind, body, opening_sha256, split_given, source)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (sha256) DO NOTHING",
                SQL_VALUES(key, sql_string(p->chat ? "chat" : "text"), sql_text(p->body, p->len),
                           sql_blob(opening.byte, HASH_BYTES), sql_string(split[0] ? split : NULL),
                           sql_string(p->source)),
                err));
    return sql_get(s, id, NULL, "SELECT id FROM prompt WHERE sha256 = ?1", SQL_VALUES(key), err);
}

status store_add_prompt(store *s, const store_prompt *p, int64_t *id, bool *differs, error *err) {
    TRY(transaction_begin(s, err));
    return transaction_end(s, add_prompt_row(s, p, id, differs, err), err);
}

status add_artifact_row(store *s, const hash *sha256, uint64_t bytes, const char *path, int64_t *id,
                        error *err) {
    sql_value key = sql_blob(sha256->byte, HASH_BYTES);
    char *absolute = path_absolute(path);
    if (!absolute) return error_memory(err, "a path");
    status result = sql_run(s,
                            "INSERT INTO artifact (sha256, bytes, path) VALUES (?1, ?2, ?3)"
                            " ON CONFLICT (sha256) DO NOTHING",
                            SQL_VALUES(key, sql_int64((int64_t)bytes), sql_string(absolute)), err);
    free(absolute);
    if (result != STATUS_OK) return result;
    return sql_get(s, id, NULL, "SELECT id FROM artifact WHERE sha256 = ?1", SQL_VALUES(key), err);
}

/* Round 0 is never open: it holds what came from elsewhere. */
status add_round_row(store *s, int64_t round, error *err) {
    if (round < 0) return error_set(err, STATUS_DATA, "round %lld: rounds count from 1", (long long)round);
    sql_value now = sql_int64(store_now(s));
    return sql_run(
        s, "INSERT INTO round (id, opened_ms, closed_ms) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
        SQL_VALUES(sql_int64(round), now, round ? sql_null() : now), err);
}

static status open_round(store *s, int64_t round, error *err) {
    int64_t closed;
    bool is_closed;
    if (round < 1)
        return error_set(err, STATUS_USAGE, "round %lld: rounds that are worked on count from 1",
                         (long long)round);
    TRY(add_round_row(s, round, err));
    TRY(sql_get(s, &closed, &is_closed, "SELECT closed_ms FROM round WHERE id = ?1",
                SQL_VALUES(sql_int64(round)), err));
    if (!is_closed) return STATUS_OK;
    return error_set(err, STATUS_DATA,
                     "%s: round %lld is closed; its work still counts, but it takes no new tasks", s->path,
                     (long long)round);
}

status store_open_round(store *s, int64_t round, error *err) {
    TRY(transaction_begin(s, err));
    return transaction_end(s, open_round(s, round, err), err);
}

status close_round_row(store *s, int64_t round, error *err) {
    int64_t id;
    bool found;
    TRY(sql_get(s, &id, &found, "SELECT id FROM round WHERE id = ?1", SQL_VALUES(sql_int64(round)), err));
    if (!found) return error_set(err, STATUS_DATA, "%s: there is no round %lld", s->path, (long long)round);
    return sql_run(s, "UPDATE round SET closed_ms = ?2 WHERE id = ?1 AND closed_ms IS NULL",
                   SQL_VALUES(sql_int64(round), sql_int64(store_now(s))), err);
}

status store_close_round(store *s, int64_t round, error *err) {
    TRY(transaction_begin(s, err));
    return transaction_end(s, close_round_row(s, round, err), err);
}

static status check_name(const char *name, error *err) {
    size_t len = strlen(name);
    bool fine = len >= 1 && len <= 64;
    for (size_t i = 0; i < len; i++) fine = fine && (unsigned char)name[i] >= 32 && name[i] != 127;
    if (fine) return STATUS_OK;
    return error_set(err, STATUS_DATA,
                     "the labeller's name \"%.64s\" must be 1 to 64 bytes without control characters", name);
}

/* One spelling, so that the same spec is found again whatever its spaces. */
static status canonical_spec(const char *spec, char **out, error *err) {
    json_t *value;
    TRY(parse_json(spec, strlen(spec), "the labeller's spec", &value, err));
    *out = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    json_decref(value);
    return *out ? STATUS_OK : error_memory(err, "a spec");
}

static status add_labeller(store *s, const char *name, labeller_kind kind, const char *spec, int64_t *id,
                           error *err) {
    int64_t same;
    sql_value v_name = sql_string(name), v_kind = sql_string(labeller_kind_name(kind)),
              v_spec = sql_string(spec);
    TRY(sql_run(s,
                "INSERT INTO labeller (name, kind, spec) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING",
                SQL_VALUES(v_name, v_kind, v_spec), err));
    TRY(sql_get(s, id, NULL, "SELECT id FROM labeller WHERE name = ?1", SQL_VALUES(v_name), err));
    TRY(sql_get(s, &same, NULL, "SELECT kind = ?2 AND spec IS ?3 FROM labeller WHERE id = ?1",
                SQL_VALUES(sql_int64(*id), v_kind, v_spec), err));
    if (same) return STATUS_OK;
    return error_set(err, STATUS_DATA,
                     "%s: the labeller \"%s\" exists with another kind or spec; these never change", s->path,
                     name);
}

status store_add_labeller(store *s, const char *name, labeller_kind kind, const char *spec, int64_t *id,
                          error *err) {
    char *canonical = NULL;
    TRY(check_name(name, err));
    if (kind == LABELLER_ANY)
        return error_set(err, STATUS_USAGE, "a labeller is human, simulated or rule, not any");
    if ((kind == LABELLER_HUMAN) != (spec == NULL))
        return error_set(err, STATUS_USAGE,
                         "labeller \"%s\": a human has no spec, a simulated or rule labeller has one", name);
    if (spec) TRY(canonical_spec(spec, &canonical, err));
    status result = transaction_begin(s, err);
    if (result == STATUS_OK)
        result = transaction_end(s, add_labeller(s, name, kind, canonical, id, err), err);
    free(canonical);
    return result;
}

status store_find_labeller(store *s, const char *name, int64_t *id, labeller_kind *kind, error *err) {
    sqlite3_stmt *q;
    bool row;
    TRY(sql_start(s, &q, "SELECT id, kind FROM labeller WHERE name = ?1", SQL_VALUES(sql_string(name)), err));
    TRY(sql_step(s, q, &row, err));
    if (!row)
        return error_set(err, STATUS_DATA,
                         "%s: there is no labeller \"%s\"; add one with rlhf label add-labeller", s->path,
                         name);
    *id = sqlite3_column_int64(q, 0);
    bool known = labeller_kind_parse((const char *)sqlite3_column_text(q, 1), kind);
    sql_finish(q);
    return known ? STATUS_OK
                 : error_set(err, STATUS_DATA, "%s: the labeller \"%s\" has an unknown kind", s->path, name);
}
