/* Figures of a whole store as one JSON object. */
#include <stdlib.h>
#include <string.h>

#include "datasets/store/row.h"

/* "NAME":{"a":1,...} from rows of (name, count). */
static status append_counts(store *s, const char *name, const char *sql, buffer *out, error *err) {
    sqlite3_stmt *q;
    bool row;
    buffer_format(out, "\"%s\":{", name);
    TRY(sql_start(s, &q, sql, SQL_NONE, err));
    for (const char *comma = "";; comma = ",") {
        TRY(sql_step(s, q, &row, err));
        if (!row) break;
        buffer_string(out, comma);
        append_column_string(out, q, 0);
        buffer_format(out, ":%lld", (long long)sqlite3_column_int64(q, 1));
    }
    buffer_string(out, "},");
    return STATUS_OK;
}

/* "NAME":[{"column":value,...}, ...] from rows of texts and numbers. */
static status append_table(store *s, const char *name, const char *sql, buffer *out, error *err) {
    sqlite3_stmt *q;
    bool row;
    buffer_format(out, "\"%s\":[", name);
    TRY(sql_start(s, &q, sql, SQL_NONE, err));
    for (const char *comma = "";; comma = ",") {
        TRY(sql_step(s, q, &row, err));
        if (!row) break;
        for (int i = 0; i < sqlite3_column_count(q); i++) {
            buffer_format(out, "%s\"%s\":", i ? "," : comma[0] ? ",{" : "{", sqlite3_column_name(q, i));
            switch (sqlite3_column_type(q, i)) {
            case SQLITE_INTEGER:
                buffer_format(out, "%lld", (long long)sqlite3_column_int64(q, i));
                break;
            case SQLITE_FLOAT:
                buffer_json_double(out, sqlite3_column_double(q, i));
                break;
            default:
                append_column_string(out, q, i);
            }
        }
        buffer_string(out, "}");
    }
    buffer_string(out, "],");
    return STATUS_OK;
}

/* ---- how far labellers agree, and where on the page the best answer stood */

typedef struct agreement {
    int64_t strict, strict_same; /* pairs of answers that both labellers order, and in the same way */
    int64_t pairs;               /* all pairs of answers of two labellers */
    double same;                 /* with one tie against an order as a half */
    double first_best, first_expected;
    int64_t rankings, shown, ties, answer_pairs;
} agreement;

static int sign_of(int x) { return (x > 0) - (x < 0); }

static void compare_two(agreement *a, const char *x, const char *y) {
    for (int i = 0; x[i]; i++)
        for (int j = i + 1; x[j]; j++) {
            int p = sign_of(x[i] - x[j]), q = sign_of(y[i] - y[j]);
            a->pairs++;
            a->same += p == q ? 1 : p && q ? 0 : 0.5;
            if (!p || !q) continue;
            a->strict++;
            a->strict_same += p == q;
        }
}

/* shown: NULL where nobody recorded it (imports). */
static void look_at_one(agreement *a, const char *ranks, const char *shown) {
    int n = (int)strlen(ranks), best = 0;
    for (int i = 0; i < n; i++) {
        best += ranks[i] == '1';
        for (int j = i + 1; j < n; j++) a->ties += ranks[i] == ranks[j];
    }
    a->answer_pairs += n * (n - 1) / 2;
    a->rankings++;
    if (!shown) return;
    if (ranks[shown[0] - '1'] == '1') a->first_best += 1.0 / best;
    a->first_expected += 1.0 / n;
    a->shown++;
}

typedef struct task_group {
    int64_t task;
    char (*ranks)[STORE_ANSWERS + 1]; /* [n] */
    int n, capacity;
} task_group;

static status group_add(task_group *g, int64_t task, const char *ranks, agreement *a, error *err) {
    if (task != g->task) g->n = 0;
    g->task = task;
    if (g->n == g->capacity) {
        int capacity = g->capacity ? 2 * g->capacity : 8;
        void *more = realloc(g->ranks, (size_t)capacity * sizeof *g->ranks);
        if (!more) return error_memory(err, "a task's rankings");
        g->ranks = more;
        g->capacity = capacity;
    }
    strncpy(g->ranks[g->n], ranks, STORE_ANSWERS);
    g->ranks[g->n][STORE_ANSWERS] = 0;
    for (int i = 0; i < g->n; i++) compare_two(a, g->ranks[i], g->ranks[g->n]);
    g->n++;
    return STATUS_OK;
}

static status measure(store *s, agreement *a, error *err) {
    sqlite3_stmt *q;
    bool row;
    task_group group = {0};
    TRY(sql_start(
        s, &q,
        "SELECT task_id, ranks, iif((SELECT round_id FROM task WHERE id = task_id) = 0, NULL, shown)"
        " FROM ranking_train ORDER BY task_id, labeller_id",
        SQL_NONE, err));
    status result = sql_step(s, q, &row, err);
    while (result == STATUS_OK && row) {
        const char *ranks = (const char *)sqlite3_column_text(q, 1);
        look_at_one(a, ranks, (const char *)sqlite3_column_text(q, 2));
        result = group_add(&group, sqlite3_column_int64(q, 0), ranks, a, err);
        if (result == STATUS_OK) result = sql_step(s, q, &row, err);
    }
    sql_finish(q);
    free(group.ranks);
    return result;
}

/* null where nothing was counted. */
static void append_share(buffer *out, const char *name, double part, double whole) {
    buffer_format(out, "\"%s\":", name);
    if (whole > 0)
        buffer_json_double(out, part / whole);
    else
        buffer_string(out, "null");
}

static status append_agreement(store *s, buffer *out, error *err) {
    agreement a = {0};
    int64_t longer, differing;
    TRY(measure(s, &a, err));
    TRY(sql_get(s, &differing, NULL,
                "SELECT count(*) FROM pair p JOIN answer c ON c.id = p.chosen_id JOIN answer r ON r.id = "
                "p.rejected_id"
                " WHERE length(c.text) <> length(r.text)",
                SQL_NONE, err));
    TRY(sql_get(s, &longer, NULL,
                "SELECT count(*) FROM pair p JOIN answer c ON c.id = p.chosen_id JOIN answer r ON r.id = "
                "p.rejected_id"
                " WHERE length(c.text) > length(r.text)",
                SQL_NONE, err));
    buffer_format(out, "\"trainable\":%lld,\"pairs\":%lld,", (long long)a.rankings,
                  (long long)(a.answer_pairs - a.ties));
    append_share(out, "tied_share", (double)a.ties, (double)a.answer_pairs);
    buffer_format(out, ",\"agreement\":{\"pairs\":%lld,", (long long)a.strict);
    append_share(out, "rate", (double)a.strict_same, (double)a.strict);
    buffer_format(out, ",\"pairs_with_ties\":%lld,", (long long)a.pairs);
    append_share(out, "rate_with_ties", a.same, (double)a.pairs);
    buffer_string(out, "},");
    append_share(out, "first_shown_best", a.first_best, (double)a.shown);
    buffer_string(out, ",");
    append_share(out, "first_shown_expected", a.first_expected, (double)a.shown);
    buffer_string(out, ",");
    append_share(out, "longer_wins", (double)longer, (double)differing);
    return STATUS_OK;
}

static status append_all(store *s, buffer *out, error *err) {
    buffer_string(out, "{");
    TRY(append_counts(s, "prompts", "SELECT split, count(*) FROM prompt GROUP BY split ORDER BY split", out,
                      err));
    TRY(append_counts(
        s, "rows",
        "SELECT 'runs', count(*) FROM run UNION ALL SELECT 'artifacts', count(*) FROM artifact UNION ALL"
        " SELECT 'answers', count(*) FROM answer UNION ALL SELECT 'tasks', count(*) FROM task UNION ALL"
        " SELECT 'leases', count(*) FROM lease UNION ALL SELECT 'rankings', count(*) FROM ranking UNION ALL"
        " SELECT 'snapshots', count(*) FROM snapshot",
        out, err));
    TRY(append_counts(s, "counting",
                      "SELECT verdict, count(*) FROM ranking_now GROUP BY verdict ORDER BY verdict", out,
                      err));
    TRY(append_table(
        s, "rounds",
        "SELECT o.id AS round, closed_ms IS NULL AS open, count(t.id) AS tasks, ifnull(sum(t.want), 0) AS "
        "wanted,"
        " ifnull(sum(t.have), 0) AS ranked FROM round o LEFT JOIN task t ON t.round_id = o.id GROUP BY o.id"
        " ORDER BY o.id",
        out, err));
    TRY(append_table(
        s, "labellers",
        "SELECT b.name, b.kind, (SELECT count(*) FROM ranking_now n WHERE n.labeller_id = b.id) AS rankings,"
        " (SELECT count(*) FROM lease l JOIN ranking r ON r.lease_id = l.id WHERE l.labeller_id = b.id AND"
        " r.verdict = 'withdrawn') AS withdrawn, (SELECT avg(n.seconds) FROM ranking_now n"
        " WHERE n.labeller_id = b.id) AS seconds FROM labeller b ORDER BY b.id",
        out, err));
    TRY(append_table(s, "snapshots", "SELECT name, round_id AS round, labellers, n FROM snapshot ORDER BY id",
                     out, err));
    TRY(append_agreement(s, out, err));
    buffer_string(out, "}\n");
    return buffer_check(out, err);
}

status store_stats(store *s, buffer *json, error *err) {
    buffer_clear(json);
    TRY(reading_begin(s, err));
    return reading_end(s, append_all(s, json, err), err);
}
