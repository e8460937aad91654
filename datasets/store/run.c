/* Importing a run directory: lineage.json and answers.jsonl, any number of times. */
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/ints.h"
#include "core/base/json.h"
#include "core/base/lineage.h"
#include "core/files/line_reader.h"
#include "datasets/store/chat.h"
#include "datasets/store/internal.h"

/* ---- lineage.json */

static status add_run_row(store *s, const lineage *l, int64_t *id, error *err) {
    uint8_t uuid[STORE_UUID];
    char hex[2 * HASH_BYTES + 1], config[2 * HASH_BYTES + 32];
    if (!uuid_parse(l->uuid, uuid)) return error_set(err, STATUS_DATA, "\"%s\" is no uuid", l->uuid);
    hash_hex(&l->config_sha256, hex);
    snprintf(config, sizeof config, "{\"sha256\":\"%s\"}", hex);
    if (l->round) TRY(add_round_row(s, l->round, err));
    sql_value key = sql_blob(uuid, STORE_UUID);
    TRY(sql_run(
        s,
        "INSERT INTO run (uuid, kind, round_id, code, config, seed, started_ms, attempt, ended_ms)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (uuid) DO UPDATE SET kind = excluded.kind,"
        " round_id = excluded.round_id, code = excluded.code, config = excluded.config, seed = excluded.seed,"
        " started_ms = excluded.started_ms, attempt = excluded.attempt, ended_ms = excluded.ended_ms"
        " WHERE (kind, round_id, code, config, seed, started_ms, attempt, ended_ms) IS NOT (excluded.kind,"
        " excluded.round_id, excluded.code, excluded.config, excluded.seed, excluded.started_ms,"
        " excluded.attempt, excluded.ended_ms)",
        SQL_VALUES(key, sql_string(l->kind), l->round ? sql_int64(l->round) : sql_null(), sql_string(l->code),
                   sql_string(config), sql_int64((int64_t)l->seed), sql_int64(l->started_ms),
                   sql_int64(l->attempt), l->ended_ms ? sql_int64(l->ended_ms) : sql_null()),
        err));
    return sql_get(s, id, NULL, "SELECT id FROM run WHERE uuid = ?1", SQL_VALUES(key), err);
}

static status add_edges(store *s, int64_t run, const char *directory, const char *direction,
                        const lineage_artifact *list, int n, error *err) {
    for (int i = 0; i < n; i++) {
        int64_t artifact;
        char *path = path_join(directory, list[i].path);
        if (!path) return error_memory(err, "a path");
        status result = add_artifact_row(s, &list[i].sha256, list[i].bytes, path, &artifact, err);
        free(path);
        if (result != STATUS_OK) return result;
        TRY(sql_run(
            s,
            "INSERT INTO lineage (run_id, direction, role, step, artifact_id) VALUES (?1, ?2, ?3, ?4, ?5)"
            " ON CONFLICT DO NOTHING",
            SQL_VALUES(sql_int64(run), sql_string(direction), sql_string(list[i].role),
                       sql_int64(list[i].step < 0 ? 0 : list[i].step), sql_int64(artifact)),
            err));
    }
    return STATUS_OK;
}

/* ---- answers.jsonl */

typedef struct answers_import {
    store *s;
    int64_t run, artifact; /* artifact 0: the run names no model */
    const char *source;    /* of prompts that are new */
    store_imported *count;
} answers_import;

static status read_prompt(const json_t *line, const char *place, buffer *storage, store_prompt *p,
                          error *err) {
    const json_t *prompt = json_object_get(line, "prompt"), *messages = json_object_get(line, "messages");
    buffer_clear(storage);
    if (!prompt == !messages)
        return error_set(err, STATUS_DATA, "%s: needs either \"prompt\" or \"messages\"", place);
    p->chat = messages || json_is_array(prompt);
    if (p->chat) {
        TRY(chat_canonical_prompt(messages ? messages : prompt, place, storage, err));
        p->body = storage->data, p->len = storage->len;
        return STATUS_OK;
    }
    TRY(json_field_text(line, "prompt", place, &p->body, err));
    p->len = json_string_length(prompt);
    return STATUS_OK;
}

static status read_tokens(const json_t *line, const char *place, ints *out, error *err) {
    const json_t *tokens = json_object_get(line, "tokens");
    ints_clear(out);
    if (!json_is_array(tokens))
        return error_set(err, STATUS_DATA, "%s: \"tokens\" must be an array, not %s", place,
                         json_kind(tokens));
    for (size_t i = 0; i < json_array_size(tokens); i++) {
        const json_t *id = json_array_get(tokens, i);
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value > INT32_MAX)
            return error_set(err, STATUS_DATA, "%s: token %zu is not an id", place, i + 1);
        ints_push(out, (int32_t)value);
    }
    return ints_check(out, err);
}

static status add_answer_row(answers_import *a, int64_t prompt, long long sample, const json_t *text,
                             const ints *tokens, const char *finish, error *err) {
    int64_t before = sqlite3_total_changes64(a->s->db);
    TRY(sql_run(
        a->s,
        "INSERT INTO answer (prompt_id, run_id, sample, artifact_id, text, tokens, finish)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (prompt_id, run_id, sample) DO UPDATE SET"
        " artifact_id = excluded.artifact_id, text = excluded.text, tokens = excluded.tokens,"
        " finish = excluded.finish WHERE (artifact_id, text, tokens, finish) IS NOT (excluded.artifact_id,"
        " excluded.text, excluded.tokens, excluded.finish)",
        SQL_VALUES(sql_int64(prompt), sql_int64(a->run), sql_int64(sample),
                   a->artifact ? sql_int64(a->artifact) : sql_null(),
                   sql_text(json_string_value(text), json_string_length(text)),
                   sql_blob(tokens->data, tokens->len * sizeof *tokens->data), sql_string(finish)),
        err));
    if (sqlite3_total_changes64(a->s->db) == before)
        a->count->present++;
    else
        a->count->added++;
    return STATUS_OK;
}

static status import_answer(answers_import *a, const json_t *line, const char *place, buffer *storage,
                            ints *tokens, error *err) {
    store_prompt p = {.source = a->source};
    const char *finish, *text;
    long long sample;
    int64_t prompt;
    bool differs;
    TRY(read_prompt(line, place, storage, &p, err));
    TRY(read_tokens(line, place, tokens, err));
    TRY(json_field_int(line, "sample", place, 0, INT32_MAX, &sample, err));
    TRY(json_field_string(line, "text", place, &text, err));
    TRY(json_field_string(line, "finish", place, &finish, err));
    if (json_object_get(line, "split") && !json_is_null(json_object_get(line, "split")))
        TRY(json_field_string(line, "split", place, &p.split, err));
    status result = add_prompt_row(a->s, &p, &prompt, &differs, err);
    if (result == STATUS_OK)
        result = add_answer_row(a, prompt, sample, json_object_get(line, "text"), tokens, finish, err);
    a->count->split_differs += result == STATUS_OK && differs;
    return result == STATUS_OK ? STATUS_OK : error_context(err, "%s", place);
}

static status import_answers(answers_import *a, const char *path, error *err) {
    line_reader reader;
    buffer storage = {0};
    ints tokens = {0};
    const char *text;
    size_t len;
    bool more = true;
    TRY(line_reader_open(&reader, path, err));
    status result = line_reader_next(&reader, &text, &len, &more, err);
    while (result == STATUS_OK && more) {
        json_t *line = NULL;
        result = parse_json_object(text, len, line_reader_place(&reader), &line, err);
        if (result == STATUS_OK)
            result = import_answer(a, line, line_reader_place(&reader), &storage, &tokens, err);
        json_decref(line);
        if (result == STATUS_OK) result = line_reader_next(&reader, &text, &len, &more, err);
    }
    line_reader_close(&reader);
    buffer_free(&storage);
    ints_free(&tokens);
    return result;
}

/* ---- both */

static status import_run(store *s, const char *directory, const char *answers, const lineage *l,
                         store_imported *out, error *err) {
    answers_import a = {.s = s, .source = l->kind, .count = out};
    TRY(add_run_row(s, l, &a.run, err));
    TRY(add_edges(s, a.run, directory, "in", l->in, l->n_in, err));
    TRY(add_edges(s, a.run, directory, "out", l->out, l->n_out, err));
    if (!path_exists(answers)) return STATUS_OK;
    TRY(sql_get(s, &a.artifact, NULL,
                "SELECT artifact_id FROM lineage WHERE run_id = ?1 AND direction = 'in' AND role IN "
                "('model', 'policy')"
                " ORDER BY role DESC LIMIT 1",
                SQL_VALUES(sql_int64(a.run)), err));
    if (!a.artifact)
        return error_set(err, STATUS_DATA, "%s/lineage.json: names no input \"model\" that gave the answers",
                         directory);
    return import_answers(&a, answers, err);
}

status store_import_run(store *s, const char *directory, store_imported *out, error *err) {
    lineage l = {0};
    *out = (store_imported){0};
    char *lineage_path = path_join(directory, "lineage.json"),
         *answers = path_join(directory, "answers.jsonl");
    status result =
        lineage_path && answers ? lineage_read(lineage_path, &l, err) : error_memory(err, "a path");
    if (result == STATUS_OK) result = transaction_begin(s, err);
    if (result == STATUS_OK) {
        result = import_run(s, directory, answers, &l, out, err);
        if (result != STATUS_OK) error_context(err, "%s: not imported", directory);
        result = transaction_end(s, result, err);
    }
    lineage_free(&l);
    free(lineage_path);
    free(answers);
    return result;
}
