/* stats, fsck, lineage: looking at the store. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/lineage.h"
#include "core/base/printable.h"
#include "datasets/label/commands.h"

/* ---- stats */

typedef struct stats_options {
    const char *db;
    bool json;
} stats_options;

static void print_counts(const json_t *figures, const char *name) {
    const char *key;
    json_t *value;
    printf("%-10s", name);
    json_object_foreach(json_object_get(figures, name), key, value)
        printf("  %s %" JSON_INTEGER_FORMAT, key, json_integer_value(value));
    printf("\n");
}

static void print_value(const json_t *value) {
    if (json_is_string(value))
        printable_write(stdout, json_string_value(value));
    else if (json_is_integer(value))
        printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        printf("%.3g", json_real_value(value));
    else
        printf("-");
}

/* One line a row: "name  figure 12  figure 3". */
static void print_table(const json_t *figures, const char *name) {
    size_t i;
    json_t *row, *value;
    const char *key;
    json_array_foreach(json_object_get(figures, name), i, row) {
        printf("%-10s", i ? "" : name);
        json_object_foreach(row, key, value) {
            printf("  %s ", key);
            print_value(value);
        }
        printf("\n");
    }
}

static void print_share(const char *what, const json_t *share, const char *more) {
    if (json_is_number(share)) printf("%s %.1f %%%s\n", what, 100 * json_number_value(share), more);
}

static void print_figures(const json_t *figures) {
    static const char *const counts[] = {"rows", "prompts", "counting"}, *const tables[] = {"rounds",
                                                                                            "labellers",
                                                                                            "snapshots"};
    const json_t *agreement = json_object_get(figures, "agreement");
    char more[80];
    for (int i = 0; i < 3; i++) print_counts(figures, counts[i]);
    for (int i = 0; i < 3; i++) print_table(figures, tables[i]);
    printf("trainable   %" JSON_INTEGER_FORMAT " rankings, %" JSON_INTEGER_FORMAT " pairs\n",
           json_integer_value(json_object_get(figures, "trainable")),
           json_integer_value(json_object_get(figures, "pairs")));
    print_share("ties        ", json_object_get(figures, "tied_share"), " of pairs");
    snprintf(more, sizeof more, " of %" JSON_INTEGER_FORMAT " pairs that two labellers order",
             json_integer_value(json_object_get(agreement, "pairs")));
    print_share("agreement   ", json_object_get(agreement, "rate"), more);
    print_share("            ", json_object_get(agreement, "rate_with_ties"),
                " with ties, one tie against an order as a half");
    const json_t *expected = json_object_get(figures, "first_shown_expected");
    snprintf(more, sizeof more, " (by chance %.1f %%)", 100 * json_number_value(expected));
    print_share("shown first is best ", json_object_get(figures, "first_shown_best"), more);
    print_share("the longer answer wins ", json_object_get(figures, "longer_wins"), "");
}

static status stats(store *s, const command_line *line, void *context, error *err) {
    const stats_options *o = context;
    buffer text = {0};
    json_t *figures = NULL;
    (void)line;
    status result = store_stats(s, &text, err);
    if (result == STATUS_OK && o->json) fputs(text.data, stdout);
    if (result == STATUS_OK && !o->json) result = parse_json(text.data, text.len, "stats", &figures, err);
    if (figures) print_figures(figures);
    json_decref(figures);
    buffer_free(&text);
    return result;
}

status label_stats(int argc, char **argv, error *err) {
    stats_options o = {0};
    const argument arguments[] = {{"--db", ARGUMENT_TEXT, &o.db, 0, 0},
                                  {"--json", ARGUMENT_FLAG, &o.json, 0, 0}};
    command_line line = {
        .command = "label stats",
        .example = "--db runs/store.db",
        .usage =
            "usage: rlhf label stats --db FILE [--json]\n"
            "  How much there is, how far the rounds are, how labellers agree (pairs of answers that two of\n"
            "  them ranked), and how often the answer shown first, or the longer one, is the better one.",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments};
    return run_command(&line, argc, argv, &o.db, STORE_READER, stats, &o, err);
}

/* ---- fsck */

static status fsck(store *s, const command_line *line, void *context, error *err) {
    buffer problems = {0};
    int64_t n;
    (void)line;
    (void)context;
    status result = store_fsck(s, &problems, &n, err);
    if (result == STATUS_OK && n) {
        printable_write(stdout, problems.data);
        result = error_set(err, STATUS_DATA, "%s: %lld broken promises, listed above", store_path(s),
                           (long long)n);
    } else if (result == STATUS_OK) {
        printf("%s: sound\n", store_path(s));
    }
    buffer_free(&problems);
    return result;
}

status label_fsck(int argc, char **argv, error *err) {
    const char *db = NULL;
    const argument arguments[] = {{"--db", ARGUMENT_TEXT, &db, 0, 0}};
    command_line line = {.command = "label fsck",
                         .example = "--db runs/store.db",
                         .usage = "usage: rlhf label fsck --db FILE\n"
                                  "  Checks the file's integrity, its references, and what no constraint can "
                                  "see. Prints a line for\n"
                                  "  each broken promise (exit code 3), or that the store is sound.",
                         .arguments = arguments,
                         .n = sizeof arguments / sizeof *arguments};
    return run_command(&line, argc, argv, &db, STORE_READER, fsck, NULL, err);
}

/* ---- lineage */

/* "1-40 43 50-51" */
static void append_ranges(const store_ids *ids, buffer *out) {
    for (int64_t i = 0, end; i < ids->n; i = end) {
        for (end = i + 1; end < ids->n && ids->id[end] == ids->id[end - 1] + 1; end++) {
        }
        buffer_format(out, "%s%lld", i ? " " : "  ", (long long)ids->id[i]);
        if (end > i + 1) buffer_format(out, "-%lld", (long long)ids->id[end - 1]);
    }
    buffer_string(out, "\n");
}

typedef status describe_row(store *s, int64_t id, buffer *out, error *err);

static status append_rows(store *s, const char *title, const store_ids *ids, describe_row *describe,
                          buffer *out, error *err) {
    buffer_format(out, "%s: %lld\n", title, (long long)ids->n);
    for (int64_t i = 0; i < ids->n; i++) {
        buffer_string(out, "  ");
        TRY(describe(s, ids->id[i], out, err));
    }
    return STATUS_OK;
}

static status print_lineage(store *s, const store_lineage *l, error *err) {
    buffer out = {0};
    status result = append_rows(s, "artifacts", &l->artifacts, store_describe_artifact, &out, err);
    if (result == STATUS_OK) result = append_rows(s, "runs", &l->runs, store_describe_run, &out, err);
    if (result == STATUS_OK)
        result = append_rows(s, "snapshots", &l->snapshots, store_describe_snapshot, &out, err);
    buffer_format(&out, "rankings: %lld\n", (long long)l->rankings.n);
    if (l->rankings.n) append_ranges(&l->rankings, &out);
    if (result == STATUS_OK) result = buffer_check(&out, err);
    if (result == STATUS_OK) printable_write(stdout, out.data);
    buffer_free(&out);
    return result;
}

typedef struct lineage_options {
    const char *db, *ranking;
} lineage_options;

static status find_weight(store *s, const char *what, int64_t *id, error *err) {
    hash sha256;
    uint64_t bytes;
    char hex[2 * HASH_BYTES + 1];
    if (!path_exists(what)) return store_find_artifact(s, what, id, err);
    TRY(hash_artifact(what, &sha256, &bytes, err));
    hash_hex(&sha256, hex);
    return store_find_artifact(s, hex, id, err);
}

static status lineage_of(store *s, const command_line *line, void *context, error *err) {
    const lineage_options *o = context;
    store_lineage l;
    int64_t id;
    if ((o->ranking != NULL) == (line->n_word == 1))
        return error_set(err, STATUS_USAGE, "label lineage: either a weight or --ranking is needed\n%s",
                         line->usage);
    if (o->ranking) {
        TRY(store_find_ranking(s, o->ranking, &id, err));
        TRY(store_lineage_forward(s, id, &l, err));
    } else {
        TRY(find_weight(s, line->words[0], &id, err));
        TRY(store_lineage_back(s, id, &l, err));
        if (l.runs.n == 0 && l.snapshots.n == 0) {
            store_lineage_free(&l);
            return error_set(err, STATUS_DATA,
                             "%s: %s is known as something that was read; no run that was imported made it. "
                             "Import the run that did (rlhf label import), or it came from elsewhere",
                             store_path(s), line->words[0]);
        }
    }
    status result = print_lineage(s, &l, err);
    store_lineage_free(&l);
    return result;
}

status label_lineage(int argc, char **argv, error *err) {
    lineage_options o = {0};
    const argument arguments[] = {{"--db", ARGUMENT_TEXT, &o.db, 0, 0},
                                  {"--ranking", ARGUMENT_TEXT, &o.ranking, 0, 0}};
    command_line line = {.command = "label lineage",
                         .example = "--db runs/store.db runs/ppo/policy",
                         .usage = "usage: rlhf label lineage --db FILE (WEIGHT | --ranking ID)\n"
                                  "  WEIGHT is a model directory, a file, or the first 8 digits or more of a "
                                  "SHA-256: prints the runs\n"
                                  "  and artifacts that it came from, back to the rankings. --ranking (a "
                                  "number or uuid): prints the\n"
                                  "  snapshots that hold it and every artifact that was made from them. Runs "
                                  "are known once imported\n"
                                  "  (rlhf label import).",
                         .arguments = arguments,
                         .n = sizeof arguments / sizeof *arguments,
                         .max_words = 1};
    return run_command(&line, argc, argv, &o.db, STORE_READER, lineage_of, &o, err);
}
