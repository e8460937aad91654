/* Importing rankings from JSONL: a line becomes a prompt, answers, a task, a lease and a ranking under one
 * uuid. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/files/line_reader.h"
#include "datasets/store/internal.h"
#include "datasets/store/oasst.h"
#include "datasets/store/ranking_line.h"

typedef struct rankings_import {
    store *s;
    const char *path;
    const store_import_options *options;
    char *stem; /* the file's name without its endings */
    store_imported *count;
} rankings_import;

/* What one line says once the options have filled its gaps. */
typedef struct line_facts {
    const char *source, *labeller_name;
    uint8_t uuid[STORE_UUID];
    int64_t labeller, prompt, round, received_ms, run;
    char shown[STORE_ANSWERS + 1];
    bool differs;
} line_facts;

static char *file_stem(const char *path) {
    const char *slash = strrchr(path, '/');
    char *stem = strdup(slash ? slash + 1 : path);
    static const char *const endings[] = {".gz", ".jsonl", ".json"};
    for (size_t i = 0; stem && i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(stem), m = strlen(endings[i]);
        if (n > m && strcmp(stem + n - m, endings[i]) == 0) stem[n - m] = 0;
    }
    return stem;
}

static status make_line_uuid(const ranking_line *line, const char *source, uint8_t out[STORE_UUID],
                             error *err) {
    buffer text = {0};
    if (line->has_uuid) {
        memcpy(out, line->uuid, STORE_UUID);
        return STATUS_OK;
    }
    buffer_format(&text, "%s\n", source);
    status result = ranking_line_canonical(line, &text, err);
    if (result == STATUS_OK) memcpy(out, hash_bytes(text.data, text.len).byte, STORE_UUID);
    buffer_free(&text);
    return result;
}

/* ---- the rows that a ranking hangs on */

static status find_line_labeller(rankings_import *m, const ranking_line *line, line_facts *f, error *err) {
    labeller_kind kind = m->options->kind, present;
    if (line->kind) labeller_kind_parse(line->kind, &kind);
    if (store_find_labeller(m->s, f->labeller_name, &f->labeller, &present, NULL) == STATUS_OK) {
        if (!line->kind || kind == present) return STATUS_OK;
        return error_set(err, STATUS_DATA, "the labeller \"%s\" is %s here, %s in the line", f->labeller_name,
                         labeller_kind_name(present), line->kind);
    }
    buffer spec = {0};
    buffer_string(&spec, "{\"import\":");
    buffer_json_string(&spec, f->source, strlen(f->source));
    buffer_string(&spec, "}");
    status result = buffer_check(&spec, err);
    if (result == STATUS_OK)
        result = store_add_labeller(m->s, f->labeller_name, kind, kind == LABELLER_HUMAN ? NULL : spec.data,
                                    &f->labeller, err);
    buffer_free(&spec);
    return result;
}

/* One run for each source: where texts come from that no run directory of ours made. */
static status find_import_run(rankings_import *m, const char *source, int64_t *id, error *err) {
    buffer text = {0};
    buffer_format(&text, "import\n%s", source);
    status result = buffer_check(&text, err);
    hash key = hash_bytes(text.data, text.len);
    buffer_clear(&text);
    buffer_string(&text, "{\"source\":");
    buffer_json_string(&text, source, strlen(source));
    buffer_string(&text, "}");
    sql_value now = sql_int64(store_now(m->s)), uuid = sql_blob(key.byte, STORE_UUID);
    if (result == STATUS_OK) result = buffer_check(&text, err);
    if (result == STATUS_OK)
        result = sql_run(m->s,
                         "INSERT INTO run (uuid, kind, code, config, seed, started_ms, ended_ms)"
                         " VALUES (?1, 'import', ?2, ?3, 0, ?4, ?4) ON CONFLICT (uuid) DO NOTHING",
                         SQL_VALUES(uuid, sql_string(RLHF_VERSION), sql_string(text.data), now), err);
    buffer_free(&text);
    if (result != STATUS_OK) return result;
    return sql_get(m->s, id, NULL, "SELECT id FROM run WHERE uuid = ?1", SQL_VALUES(uuid), err);
}

static status find_answer(rankings_import *m, const line_facts *f, text_span text, int64_t *id, error *err) {
    bool found;
    sql_value prompt = sql_int64(f->prompt), run = sql_int64(f->run), body = sql_text(text.data, text.len);
    TRY(sql_get(m->s, id, &found, "SELECT id FROM answer WHERE prompt_id = ?1 AND run_id = ?2 AND text = ?3",
                SQL_VALUES(prompt, run, body), err));
    if (found) return STATUS_OK;
    TRY(sql_run(m->s,
                "INSERT INTO answer (prompt_id, run_id, sample, text, finish) VALUES (?1, ?2,"
                " (SELECT count(*) FROM answer WHERE prompt_id = ?1 AND run_id = ?2), ?3, 'stop')",
                SQL_VALUES(prompt, run, body), err));
    *id = sqlite3_last_insert_rowid(m->s->db);
    return STATUS_OK;
}

static status has_same_answers(store *s, int64_t task, const ranking_line *line, bool *same, error *err) {
    int64_t n;
    TRY(sql_get(s, &n, NULL, "SELECT count(*) FROM task_answer WHERE task_id = ?1",
                SQL_VALUES(sql_int64(task)), err));
    *same = n == line->n_answer;
    for (int i = 0; i < line->n_answer && *same; i++)
        TRY(sql_get(s, &n, same,
                    "SELECT x.answer_id FROM task_answer x JOIN answer a ON a.id = x.answer_id"
                    " WHERE x.task_id = ?1 AND x.slot = ?2 AND a.text = ?3",
                    SQL_VALUES(sql_int64(task), sql_int64(i + 1),
                               sql_text(line->answer[i].data, line->answer[i].len)),
                    err));
    return STATUS_OK;
}

/* A task of this round with these answers that the labeller never held: several labellers' rankings meet in
 * one task. */
static status find_task(rankings_import *m, const ranking_line *line, const line_facts *f, int64_t *task,
                        error *err) {
    store_ids candidates = {0};
    sqlite3_stmt *q;
    bool same = false;
    *task = 0;
    TRY(sql_start(m->s, &q,
                  "SELECT id FROM task WHERE round_id = ?1 AND prompt_id = ?2 AND NOT EXISTS"
                  " (SELECT 1 FROM lease l WHERE l.task_id = task.id AND l.labeller_id = ?3) ORDER BY part",
                  SQL_VALUES(sql_int64(f->round), sql_int64(f->prompt), sql_int64(f->labeller)), err));
    status result = collect_ids(m->s, q, &candidates, err);
    for (int64_t i = 0; i < candidates.n && result == STATUS_OK && !same; i++) {
        result = has_same_answers(m->s, candidates.id[i], line, &same, err);
        if (result == STATUS_OK && same) *task = candidates.id[i];
    }
    free(candidates.id);
    return result;
}

/* want 0: nobody is asked to rank it again here. */
static status add_task(rankings_import *m, const ranking_line *line, line_facts *f, int64_t *task,
                       error *err) {
    int64_t answer;
    TRY(find_import_run(m, f->source, &f->run, err));
    TRY(sql_run(m->s,
                "INSERT INTO task (round_id, prompt_id, part, want) VALUES (?1, ?2,"
                " (SELECT ifnull(max(part) + 1, 0) FROM task WHERE round_id = ?1 AND prompt_id = ?2), 0)",
                SQL_VALUES(sql_int64(f->round), sql_int64(f->prompt)), err));
    *task = sqlite3_last_insert_rowid(m->s->db);
    for (int i = 0; i < line->n_answer; i++) {
        TRY(find_answer(m, f, line->answer[i], &answer, err));
        TRY(sql_run(m->s, "INSERT INTO task_answer (task_id, slot, answer_id) VALUES (?1, ?2, ?3)",
                    SQL_VALUES(sql_int64(*task), sql_int64(i + 1), sql_int64(answer)), err));
    }
    return STATUS_OK;
}

/* ---- one line */

/* The lease under the line's uuid: of this labeller, for these answers to this prompt? */
static status compare_lease(rankings_import *m, const ranking_line *line, const line_facts *f, bool *present,
                            error *err) {
    int64_t task, same;
    bool same_answers = false;
    sql_value uuid = sql_blob(f->uuid, STORE_UUID);
    TRY(sql_get(m->s, &task, present,
                "SELECT task_id FROM lease WHERE id = ifnull((SELECT lease_id FROM ranking WHERE uuid = ?1),"
                " (SELECT id FROM lease WHERE uuid = ?1))",
                SQL_VALUES(uuid), err));
    if (!*present) return STATUS_OK;
    TRY(sql_get(m->s, &same, NULL,
                "SELECT count(*) FROM lease l JOIN task t ON t.id = l.task_id WHERE t.id = ?2 AND "
                "t.prompt_id = ?3 AND"
                " l.labeller_id = ?4 AND l.id = ifnull((SELECT lease_id FROM ranking WHERE uuid = ?1),"
                " (SELECT id FROM lease WHERE uuid = ?1))",
                SQL_VALUES(uuid, sql_int64(task), sql_int64(f->prompt), sql_int64(f->labeller)), err));
    if (same) TRY(has_same_answers(m->s, task, line, &same_answers, err));
    if (same_answers) return STATUS_OK;
    return error_set(err, STATUS_DATA, "its uuid stands for another labeller, prompt or answers here");
}

static store_ranking ranking_of(const ranking_line *line, const line_facts *f) {
    store_ranking r = {
        .verdict = line->verdict, .n_rank = line->n_rank, .seconds = line->seconds, .note = line->note};
    memcpy(r.rank, line->rank, sizeof r.rank);
    memcpy(r.uuid, f->uuid, STORE_UUID);
    memcpy(r.lease, f->uuid, STORE_UUID);
    return r;
}

/* The ranking under this uuid says the same: it may be a correction, whose uuid is not its lease's. */
static status compare_ranking(rankings_import *m, const store_ranking *r, bool *present, error *err) {
    hash body;
    int64_t same;
    TRY(ranking_body_hash(r, &body, err));
    TRY(sql_get(m->s, &same, present, "SELECT body_sha256 = ?2 FROM ranking WHERE uuid = ?1",
                SQL_VALUES(sql_blob(r->uuid, STORE_UUID), sql_blob(body.byte, HASH_BYTES)), err));
    if (!*present || same) return STATUS_OK;
    return error_set(err, STATUS_DATA, "another ranking stands under its uuid here");
}

static status add_lease(rankings_import *m, const ranking_line *line, line_facts *f, error *err) {
    int64_t task, lease;
    TRY(find_task(m, line, f, &task, err));
    if (!task) TRY(add_task(m, line, f, &task, err));
    return add_lease_row(m->s, f->uuid, task, f->labeller, f->shown, f->received_ms, f->received_ms, &lease,
                         err);
}

static status import_line(rankings_import *m, const ranking_line *line, error *err) {
    const store_import_options *o = m->options;
    line_facts f = {.source = line->source ? line->source
                              : o->source  ? o->source
                                           : m->stem,
                    .round = line->round < 0 ? 0 : line->round,
                    .received_ms = line->received_ms < 0 ? store_now(m->s) : line->received_ms};
    f.labeller_name = line->labeller ? line->labeller : o->labeller ? o->labeller : f.source;
    memcpy(f.shown, line->shown ? line->shown : "123456789", (size_t)line->n_answer);
    store_prompt p = {line->prompt.data, line->prompt.len, line->chat, line->split ? line->split : o->split,
                      f.source};
    store_outcome outcome;
    int64_t id;
    bool lease_present, ranking_present;
    TRY(make_line_uuid(line, f.source, f.uuid, err));
    TRY(find_line_labeller(m, line, &f, err));
    TRY(add_round_row(m->s, f.round, err));
    TRY(add_prompt_row(m->s, &p, &f.prompt, &f.differs, err));
    store_ranking r = ranking_of(line, &f);
    TRY(compare_lease(m, line, &f, &lease_present, err));
    TRY(compare_ranking(m, &r, &ranking_present, err));
    m->count->split_differs += f.differs;
    m->count->weighted += line->weight != 1;
    m->count->present += ranking_present;
    if (ranking_present) return STATUS_OK;
    if (!lease_present) TRY(add_lease(m, line, &f, err));
    TRY(add_ranking_row(m->s, &r, f.received_ms, &outcome, &id, err));
    m->count->added++;
    return STATUS_OK;
}

/* A ranking stands or falls alone: a savepoint takes back what a bad one began. */
static status import_ranking(rankings_import *m, json_t *root, const char *place, error *err) {
    ranking_line line;
    status result = ranking_line_read(root, place, &line, err);
    if (result == STATUS_OK) {
        store_imported before = *m->count;
        result = transaction_begin(m->s, err);
        if (result == STATUS_OK) {
            result = transaction_end(m->s, import_line(m, &line, err), err);
            if (result != STATUS_OK) *m->count = before;
        }
        if (result != STATUS_OK) error_context(err, "%s", place);
    }
    ranking_line_free(&line);
    return result;
}

/* STATUS_OK also for a bad one while there are not too many: it is counted and reported. */
static status count_bad(rankings_import *m, status result, const error *wrong, error *err) {
    if (result == STATUS_OK) return STATUS_OK;
    if (result != STATUS_DATA) return error_set(err, result, "%s", wrong->message);
    if (++m->count->bad > m->options->max_bad)
        return error_set(err, STATUS_DATA,
                         "%.1800s (bad line number %lld, %lld allowed; nothing was imported)", wrong->message,
                         (long long)m->count->bad, (long long)m->options->max_bad);
    if (m->options->report) m->options->report(m->options->report_context, wrong->message);
    return STATUS_OK;
}

static status import_tree(rankings_import *m, const json_t *tree, const char *place, error *err) {
    json_t *list, *root;
    size_t i;
    error wrong;
    status result = count_bad(m, oasst_rankings(tree, place, &list, &wrong), &wrong, err);
    json_array_foreach(list, i, root) if (result == STATUS_OK) result =
        count_bad(m, import_ranking(m, root, place, &wrong), &wrong, err);
    json_decref(list);
    return result;
}

static status import_text(rankings_import *m, const char *text, size_t len, const char *place, error *err) {
    json_t *root;
    error wrong;
    status result = parse_json_object(text, len, place, &root, &wrong);
    if (result == STATUS_OK && oasst_is_tree(root))
        result = import_tree(m, root, place, err);
    else
        result =
            count_bad(m, result == STATUS_OK ? import_ranking(m, root, place, &wrong) : result, &wrong, err);
    json_decref(root);
    return result;
}

/* ---- the file */

/* The file is an input of its source's run, so that lineage leads from a ranking to the bytes it came in. */
static status note_file(rankings_import *m, error *err) {
    struct stat st;
    hash sha256;
    uint64_t bytes;
    int64_t run, artifact;
    if (stat(m->path, &st) != 0 || !S_ISREG(st.st_mode)) return STATUS_OK;
    TRY(hash_file(m->path, &sha256, &bytes, err));
    TRY(find_import_run(m, m->options->source ? m->options->source : m->stem, &run, err));
    TRY(add_artifact_row(m->s, &sha256, bytes, m->path, &artifact, err));
    return sql_run(m->s,
                   "INSERT INTO lineage (run_id, direction, role, step, artifact_id) VALUES (?1, 'in', "
                   "'rankings', 0, ?2)"
                   " ON CONFLICT DO NOTHING",
                   SQL_VALUES(sql_int64(run), sql_int64(artifact)), err);
}

static status import_lines(rankings_import *m, line_reader *reader, error *err) {
    const char *text;
    size_t len;
    bool more;
    TRY(line_reader_next(reader, &text, &len, &more, err));
    while (more) {
        TRY(import_text(m, text, len, line_reader_place(reader), err));
        TRY(line_reader_next(reader, &text, &len, &more, err));
    }
    return note_file(m, err);
}

status store_import_rankings(store *s, const char *path, const store_import_options *options,
                             store_imported *out, error *err) {
    rankings_import m = {.s = s, .path = path, .options = options, .stem = file_stem(path), .count = out};
    line_reader reader;
    *out = (store_imported){0};
    if (!m.stem) return error_memory(err, "a name");
    status result = line_reader_open(&reader, path, err);
    if (result == STATUS_OK) {
        result = transaction_begin(s, err);
        if (result == STATUS_OK) result = transaction_end(s, import_lines(&m, &reader, err), err);
        line_reader_close(&reader);
    }
    free(m.stem);
    return result;
}
