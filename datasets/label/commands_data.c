/* import, export, snapshot, tasks, add-labeller: what goes into the store and out of it. */
#include <stdio.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "datasets/label/commands.h"

static status parse_kind(const char *name, bool any, labeller_kind *out, error *err) {
    if (labeller_kind_parse(name, out) && (any || *out != LABELLER_ANY)) return STATUS_OK;
    return error_set(err, STATUS_USAGE, "the kind \"%s\" is not human, simulated%s rule%s", name,
                     any ? "," : " or", any ? " or any" : "");
}

/* ---- import */

typedef struct import_options {
    const char *db, *kind;
    store_import_options store;
} import_options;

static void warn(void *context, const char *message) {
    (void)context;
    log_warning(NULL, "%s (left out)", message);
}

static void tell(const char *path, const char *what, const store_imported *n) {
    printf("%s: %lld new %s, %lld were there", path, (long long)n->added, what, (long long)n->present);
    if (n->bad) printf(", %lld bad lines left out", (long long)n->bad);
    if (n->split_differs)
        printf(", %lld keep the split that their opening had before", (long long)n->split_differs);
    if (n->weighted) printf(", %lld with a weight, which the store does not keep", (long long)n->weighted);
    printf("\n");
}

static status import(store *s, const command_line *line, void *context, error *err) {
    import_options *o = context;
    store_imported n;
    TRY(parse_kind(o->kind, false, &o->store.kind, err));
    o->store.report = warn;
    for (int i = 0; i < line->n_word; i++) {
        bool run = path_is_directory(line->words[i]);
        TRY(run ? store_import_run(s, line->words[i], &n, err)
                : store_import_rankings(s, line->words[i], &o->store, &n, err));
        tell(line->words[i], run ? "answers" : "rankings", &n);
    }
    return STATUS_OK;
}

status label_import(int argc, char **argv, error *err) {
    import_options o = {.kind = "human"};
    const argument arguments[] = {
        {"--db", ARGUMENT_TEXT, &o.db, 0, 0},
        {"--source", ARGUMENT_TEXT, &o.store.source, 0, 0},
        {"--labeller", ARGUMENT_TEXT, &o.store.labeller, 0, 0},
        {"--kind", ARGUMENT_TEXT, &o.kind, 0, 0},
        {"--split", ARGUMENT_TEXT, &o.store.split, 0, 0},
        {"--max-bad", ARGUMENT_INT, &o.store.max_bad, 0, 1e15},
    };
    command_line line = {
        .command = "label import",
        .example = "--db runs/store.db runs/answers-1",
        .usage =
            "usage: rlhf label import --db FILE PATH... [options]\n"
            "  A directory is a run of rlhf (lineage.json, answers.jsonl); a file holds rankings, one JSON\n"
            "  object a line (.gz too): {\"prompt\" or \"messages\",\"answers\",\"ranks\"},\n"
            "  {\"prompt\",\"chosen\",\"rejected\"}, {\"chosen\",\"rejected\"} (Anthropic HH), or a label "
            "export.\n"
            "  Importing again is nothing. The store is made if it is missing.\n"
            "  --source NAME     of lines that tell none (the file's name)\n"
            "  --labeller NAME   of lines that tell none (the source)\n"
            "  --kind KIND       human, simulated or rule: of labellers who are new (human)\n"
            "  --split SPLIT     train, valid or test: of lines that tell none (by the prompt's hash)\n"
            "  --max-bad N       bad lines to leave out; with more nothing is imported (0)",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments,
        .min_words = 1,
        .max_words = argc};
    line.makes_store = true;
    return run_command(&line, argc, argv, &o.db, STORE_WRITER, import, &o, err);
}

/* ---- export */

typedef struct export_options {
    const char *db;
    int64_t round;
} export_options;

static status export(store *s, const command_line *line, void *context, error *err) {
    const export_options *o = context;
    const char *path = line->n_word ? line->words[0] : "-";
    int64_t n;
    TRY(store_export(s, path, o->round, &n, err));
    if (strcmp(path, "-") != 0) printf("%s: %lld rankings\n", path, (long long)n);
    return STATUS_OK;
}

status label_export(int argc, char **argv, error *err) {
    export_options o = {.round = -1};
    const argument arguments[] = {{"--db", ARGUMENT_TEXT, &o.db, 0, 0},
                                  {"--round", ARGUMENT_INT, &o.round, 0, 1e9}};
    command_line line = {
        .command = "label export",
        .example = "--db runs/store.db runs/rankings.jsonl",
        .usage =
            "usage: rlhf label export --db FILE [--round N] [OUT]\n"
            "  Writes the rankings that count as JSONL, to standard output or to OUT (whole or not at all).\n"
            "  Imported into an empty store they are exported as the same bytes.\n"
            "  --round N   of this round alone",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments,
        .max_words = 1};
    return run_command(&line, argc, argv, &o.db, STORE_READER, export, &o, err);
}

/* ---- add-labeller */

typedef struct labeller_options {
    const char *db, *kind, *spec;
} labeller_options;

static status add_labeller(store *s, const command_line *line, void *context, error *err) {
    const labeller_options *o = context;
    labeller_kind kind;
    int64_t id;
    TRY(parse_kind(o->kind, false, &kind, err));
    TRY(store_add_labeller(s, line->words[0], kind, o->spec, &id, err));
    printf("labeller %lld: %s, %s\n", (long long)id, line->words[0], o->kind);
    return STATUS_OK;
}

status label_add_labeller(int argc, char **argv, error *err) {
    labeller_options o = {.kind = "human"};
    const argument arguments[] = {{"--db", ARGUMENT_TEXT, &o.db, 0, 0},
                                  {"--kind", ARGUMENT_TEXT, &o.kind, 0, 0},
                                  {"--spec", ARGUMENT_TEXT, &o.spec, 0, 0}};
    command_line line = {
        .command = "label add-labeller",
        .example = "--db runs/store.db you",
        .usage = "usage: rlhf label add-labeller --db FILE NAME [--kind KIND --spec JSON]\n"
                 "  Adds somebody who ranks, under a pseudonym. Again is nothing; the kind never changes.\n"
                 "  --kind KIND   human, simulated or rule (human)\n"
                 "  --spec JSON   how one who is not human decides; rlhf label simulate adds its own",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments,
        .min_words = 1,
        .max_words = 1};
    line.makes_store = true;
    return run_command(&line, argc, argv, &o.db, STORE_WRITER, add_labeller, &o, err);
}

/* ---- tasks */

typedef struct tasks_options {
    const char *db, *split;
    int64_t round, answers, want, part, limit;
    bool close;
} tasks_options;

/* Nothing was there to make tasks of. */
static status no_answers(const tasks_options *o, error *err) {
    return error_set(
        err, STATUS_DATA,
        "%s: no answers of round %lld%s%s are in it, so there is nothing to rank: make them with `rlhf "
        "generate "
        "--round %lld` (without --round they belong to none) and bring them in with `rlhf label import`",
        o->db, (long long)o->round, o->split ? " to prompts of split " : "", o->split ? o->split : "",
        (long long)o->round);
}

/* Why prompts got no new task. */
static void tell_why(const tasks_options *o, const store_supply *before, int64_t made) {
    int64_t left = before->prompts - before->with_task - before->alike - made;
    if (made == 0 && before->with_task)
        printf("  %lld of %lld prompts had their task before%s\n", (long long)before->with_task,
               (long long)before->prompts,
               before->with_task == before->prompts ? "; --part makes one of their next answers" : "");
    if (before->alike)
        printf("  %lld of %lld prompts get none: fewer than two different answers%s\n",
               (long long)before->alike, (long long)before->prompts,
               o->part ? " are left for this part" : "");
    if (left > 0) printf("  %lld prompts are left for a higher --limit\n", (long long)left);
}

static status tasks(store *s, const command_line *line, void *context, error *err) {
    const tasks_options *o = context;
    store_progress progress;
    store_supply before;
    int64_t made = 0;
    if (!o->round) return need_argument(line, "--round", NULL, err);
    if (o->close) {
        TRY(store_close_round(s, o->round, err));
        printf("round %lld is closed: nothing of it is handed out; late rankings still count\n",
               (long long)o->round);
        return STATUS_OK;
    }
    store_task_options options = {.round = o->round,
                                  .answers = (int)o->answers,
                                  .want = (int)o->want,
                                  .part = (int)o->part,
                                  .split = o->split,
                                  .limit = o->limit};
    TRY(store_read_supply(s, &options, &before, err));
    TRY(store_read_progress(s, o->round, &progress, err));
    if (before.prompts == 0 && progress.tasks == 0) return no_answers(o, err);
    TRY(store_make_tasks(s, &options, &made, err));
    TRY(store_read_progress(s, o->round, &progress, err));
    printf("round %lld: %lld new tasks; %lld in all, %lld of %lld rankings done\n", (long long)o->round,
           (long long)made, (long long)progress.tasks, (long long)progress.ranked,
           (long long)progress.wanted);
    tell_why(o, &before, made);
    return STATUS_OK;
}

status label_tasks(int argc, char **argv, error *err) {
    tasks_options o = {.answers = 4, .want = 1};
    const argument arguments[] = {
        {"--db", ARGUMENT_TEXT, &o.db, 0, 0},          {"--round", ARGUMENT_INT, &o.round, 1, 1e9},
        {"--answers", ARGUMENT_INT, &o.answers, 2, 9}, {"--want", ARGUMENT_INT, &o.want, 1, 999},
        {"--part", ARGUMENT_INT, &o.part, 0, 1e6},     {"--split", ARGUMENT_TEXT, &o.split, 0, 0},
        {"--limit", ARGUMENT_INT, &o.limit, 0, 1e15},  {"--close", ARGUMENT_FLAG, &o.close, 0, 0},
    };
    command_line line = {
        .command = "label tasks",
        .example = "--db runs/store.db --round 1",
        .usage = "usage: rlhf label tasks --db FILE --round N [options]\n"
                 "  Makes tasks, \"rank these answers\", from what the round's imported runs answered. "
                 "Answers with\n"
                 "  the same text count once; a prompt with fewer than two makes no task. Again makes what "
                 "is missing.\n"
                 "  --answers K     2 to 9 a task (4)\n"
                 "  --want N        labellers wanted for each task (1)\n"
                 "  --part N        n-th set of K of each prompt's answers, from 0 (0)\n"
                 "  --split SPLIT   only prompts of train, valid or test (all)\n"
                 "  --limit N       at most so many tasks (no limit)\n"
                 "  --close         close the round instead: nothing of it is handed out any more",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments};
    return run_command(&line, argc, argv, &o.db, STORE_WRITER, tasks, &o, err);
}

/* ---- snapshot */

typedef struct snapshot_options {
    const char *db, *name, *labellers;
    int64_t round, from;
} snapshot_options;

/* There is nothing of this kind; others may have ranked. */
static status none_of_kind(store *s, const store_snapshot_options *o, error *err) {
    store_snapshot_options any = *o;
    int64_t n;
    error ignored;
    any.labellers = LABELLER_ANY;
    if (o->labellers == LABELLER_ANY || store_count_trainable(s, &any, &n, &ignored) != STATUS_OK || n == 0)
        return STATUS_DATA;
    return error_set(
        err, STATUS_DATA,
        "%s: none of the %lld rankings that may be trained on is of kind %s; --labellers any takes them",
        store_path(s), (long long)n, labeller_kind_name(o->labellers));
}

/* A sealed snapshot is given again as it was: whoever ranked more in between must hear that. */
static status tell_of_later_work(store *s, const store_snapshot_options *o, error *err) {
    int64_t further, gone;
    TRY(store_compare_snapshot(s, o, &further, &gone, err));
    if (further || gone)
        printf("  %s was sealed before: %lld rankings that count now are not in it, %lld in it were undone;\n"
               "  another --name freezes what counts now\n",
               o->name, (long long)further, (long long)gone);
    return STATUS_OK;
}

static status snapshot(store *s, const command_line *line, void *context, error *err) {
    const snapshot_options *o = context;
    char name[32], hex[2 * HASH_BYTES + 1];
    hash sha256;
    int64_t n;
    if (o->round < 0) return need_argument(line, "--round", NULL, err);
    snprintf(name, sizeof name, "round-%02lld", (long long)o->round);
    store_snapshot_options options = {
        .name = o->name ? o->name : name, .round = o->round, .from_round = o->from};
    TRY(parse_kind(o->labellers, true, &options.labellers, err));
    status result = store_snapshot(s, line->words[0], &options, &sha256, &n, err);
    if (result == STATUS_DATA && store_count_trainable(s, &options, &n, err) == STATUS_OK && n == 0)
        return none_of_kind(s, &options, err);
    TRY(result);
    hash_hex(&sha256, hex);
    printf("%s: snapshot %s, %lld rankings, sha256 %s\n", line->words[0], options.name, (long long)n, hex);
    return tell_of_later_work(s, &options, err);
}

status label_snapshot(int argc, char **argv, error *err) {
    snapshot_options o = {.round = -1, .labellers = "human"};
    const argument arguments[] = {{"--db", ARGUMENT_TEXT, &o.db, 0, 0},
                                  {"--round", ARGUMENT_INT, &o.round, 0, 1e9},
                                  {"--from", ARGUMENT_INT, &o.from, 0, 1e9},
                                  {"--name", ARGUMENT_TEXT, &o.name, 0, 0},
                                  {"--labellers", ARGUMENT_TEXT, &o.labellers, 0, 0}};
    command_line line = {
        .command = "label snapshot",
        .example = "--db runs/store.db --round 1 runs/snapshot.jsonl",
        .usage =
            "usage: rlhf label snapshot --db FILE --round N [options] OUT\n"
            "  Freezes the rankings that may be trained on, of all rounds up to N, into the file OUT\n"
            "  (round-01/snapshot.jsonl) and seals it in the store with its hash. A sealed snapshot never\n"
            "  changes: asked for again, it gives the same bytes.\n"
            "  --from N           leave out rounds before this one (0: also what was imported)\n"
            "  --labellers KIND   human, simulated, rule, or any, which mixes them (human)\n"
            "  --name NAME        of the snapshot in the store (round-NN)",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments,
        .min_words = 1,
        .max_words = 1};
    return run_command(&line, argc, argv, &o.db, STORE_WRITER, snapshot, &o, err);
}
