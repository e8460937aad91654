/* rank and simulate: who ranks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/lineage.h"
#include "core/ops/ops.h"
#include "datasets/label/commands.h"
#include "datasets/label/rank.h"
#include "datasets/label/simulate.h"

/* ---- rank */

typedef struct rank_options {
    const char *db, *labeller;
    int64_t round, seed, minutes;
} rank_options;

static status rank(store *s, const command_line *line, void *context, error *err) {
    const rank_options *o = context;
    labeller_kind kind;
    label_rank_options options = {.round = o->round,
                                  .seed = (uint64_t)o->seed,
                                  .lease_ms = o->minutes * 60000,
                                  .in = STDIN_FILENO,
                                  .out = stdout};
    TRY(need_argument(line, "--labeller", o->labeller, err));
    TRY(store_find_labeller(s, o->labeller, &options.labeller, &kind, err));
    if (kind != LABELLER_HUMAN)
        return error_set(err, STATUS_USAGE, "label rank: %s is %s; people rank as human labellers",
                         o->labeller, labeller_kind_name(kind));
    return label_rank(s, &options, NULL, err);
}

status label_rank_command(int argc, char **argv, error *err) {
    rank_options o = {.round = -1, .minutes = 20};
    const argument arguments[] = {{"--db", ARGUMENT_TEXT, &o.db, 0, 0},
                                  {"--labeller", ARGUMENT_TEXT, &o.labeller, 0, 0},
                                  {"--round", ARGUMENT_INT, &o.round, 0, 1e9},
                                  {"--seed", ARGUMENT_INT, &o.seed, 0, 9e15},
                                  {"--minutes", ARGUMENT_INT, &o.minutes, 1, 1e5}};
    command_line line = {
        .command = "label rank",
        .example = "--db runs/store.db --labeller you",
        .usage =
            "usage: rlhf label rank --db FILE --labeller NAME [options]\n"
            "  Shows open tasks one after the other, the answers in a shuffled order that is recorded, and "
            "asks\n"
            "  for ranks: \"1 2 2 3\" says that A is best, then B and C alike, then D. u undoes the ranking\n"
            "  before, s skips, c cannot judge, b all are bad, q quits. Each is recorded before it is\n"
            "  acknowledged. Reads standard input, a terminal or not.\n"
            "  --round N     of this round alone (all that are open)\n"
            "  --seed N      of the order in which answers are shown (0)\n"
            "  --minutes N   after so many without a sign a task goes to others (20)",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments};
    return run_command(&line, argc, argv, &o.db, STORE_WRITER, rank, &o, err);
}

/* ---- simulate */

typedef struct simulate_options {
    const char *db, *labeller, *rule, *model, *command, *ranker, *log;
    double noise, flip, tie, timeout;
    int64_t round, seed, limit, threads;
} simulate_options;

/* How this labeller decides, as the store keeps it with his name. */
static status print_spec(const simulate_options *o, buffer *out, error *err) {
    const char *by = o->rule ? "rule" : o->model ? "model" : o->command ? "command" : "ranker";
    const char *what = o->rule ? o->rule : o->model ? o->model : o->command ? o->command : o->ranker;
    char hex[2 * HASH_BYTES + 1];
    hash sha256;
    uint64_t bytes;
    if (o->model) {
        TRY(hash_artifact(o->model, &sha256, &bytes, err));
        hash_hex(&sha256, hex);
        what = hex;
    }
    buffer_format(out, "{\"by\":\"%s\",\"what\":", by);
    buffer_json_string(out, what, strlen(what));
    buffer_string(out, ",\"noise\":");
    buffer_json_double(out, o->noise);
    buffer_string(out, ",\"flip\":");
    buffer_json_double(out, o->flip);
    buffer_string(out, ",\"tie\":");
    buffer_json_double(out, o->tie);
    buffer_format(out, ",\"seed\":%lld}", (long long)o->seed);
    return buffer_check(out, err);
}

static status open_judge(const simulate_options *o, device **dev, judge **by, error *err) {
    if (o->rule) return judge_open_rule(o->rule, by, err);
    if (o->command) return judge_open_command(o->command, o->timeout, 0, o->log, by, err);
    if (o->ranker) return judge_open_command(o->ranker, o->timeout, 1, o->log, by, err);
    TRY(device_open_cpu((int)o->threads, dev, err));
    return judge_open_model(*dev, o->model, NULL, TYPE_F32, by, err);
}

static status simulate_with(store *s, const simulate_options *o, judge *by, error *err) {
    labeller_kind kind = o->rule && o->noise == 0 && o->flip == 0 ? LABELLER_RULE : LABELLER_SIMULATED;
    label_simulate_options options = {.round = o->round,
                                      .noise = o->noise,
                                      .flip = o->flip,
                                      .tie = o->tie,
                                      .seed = (uint64_t)o->seed,
                                      .limit = o->limit};
    buffer spec = {0};
    int64_t n = 0;
    status result = print_spec(o, &spec, err);
    if (result == STATUS_OK)
        result = store_add_labeller(s, o->labeller, kind, spec.data, &options.labeller, err);
    if (result == STATUS_OK) {
        result = label_simulate(s, by, &options, &n, err);
        if (result == STATUS_OK) result = judge_finish(by, err);
        printf("%s: %lld rankings%s\n", o->labeller, (long long)n,
               result == STATUS_OK && n == 0 ? ": no task is open" : "");
    }
    buffer_free(&spec);
    return result;
}

static status simulate(store *s, const command_line *line, void *context, error *err) {
    const simulate_options *o = context;
    device *dev = NULL;
    judge *by = NULL;
    TRY(need_argument(line, "--labeller", o->labeller, err));
    if (!!o->rule + !!o->model + !!o->command + !!o->ranker != 1)
        return error_set(err, STATUS_USAGE,
                         "label simulate: one of --rule, --model, --command, --ranker is needed\n%s",
                         line->usage);
    status result = open_judge(o, &dev, &by, err);
    if (result == STATUS_OK) result = simulate_with(s, o, by, err);
    judge_close(by);
    device_close(dev);
    return result;
}

status label_simulate_command(int argc, char **argv, error *err) {
    simulate_options o = {.round = -1, .timeout = 60};
    const argument arguments[] = {
        {"--db", ARGUMENT_TEXT, &o.db, 0, 0},
        {"--labeller", ARGUMENT_TEXT, &o.labeller, 0, 0},
        {"--rule", ARGUMENT_TEXT, &o.rule, 0, 0},
        {"--model", ARGUMENT_TEXT, &o.model, 0, 0},
        {"--command", ARGUMENT_TEXT, &o.command, 0, 0},
        {"--ranker", ARGUMENT_TEXT, &o.ranker, 0, 0},
        {"--log", ARGUMENT_TEXT, &o.log, 0, 0},
        {"--timeout", ARGUMENT_NUMBER, &o.timeout, 0.001, 1e6},
        {"--noise", ARGUMENT_NUMBER, &o.noise, 0, 1e6},
        {"--flip", ARGUMENT_NUMBER, &o.flip, 0, 1},
        {"--tie", ARGUMENT_NUMBER, &o.tie, 0, 1e6},
        {"--round", ARGUMENT_INT, &o.round, 0, 1e9},
        {"--seed", ARGUMENT_INT, &o.seed, 0, 9e15},
        {"--limit", ARGUMENT_INT, &o.limit, 0, 1e15},
        {"--threads", ARGUMENT_INT, &o.threads, 0, 4096},
    };
    command_line line = {
        .command = "label simulate",
        .example = "--db runs/store.db --labeller taster --rule demo --noise 0.8 --round 1",
        .usage =
            "usage: rlhf label simulate --db FILE --labeller NAME (--rule | --model | --command | --ranker) "
            "WHAT\n"
            "  Ranks open tasks as a simulated labeller, whose kind and way of deciding are fixed with the "
            "name.\n"
            "  --rule demo      by a rule of this program; without noise the kind is rule, else simulated\n"
            "  --model DIR      by a reward model\n"
            "  --command CMD    by a program: {\"prompt\",\"answer\",\"finish\"} a line in, a number a line "
            "out\n"
            "  --ranker CMD     by a program: {\"prompt\",\"answers\"} a line in, {\"ranks\":[...]} a line "
            "out\n"
            "  --noise X        times Gumbel noise on each score (0)\n"
            "  --flip P         chance that neighbours in the order change places (0; AlpacaFarm: 0.25)\n"
            "  --tie X          neighbours whose scores differ by at most X tie (0)\n"
            "  --seed N         of the noise and of the order shown (0)\n"
            "  --round N        of this round alone (all that are open)\n"
            "  --limit N        at most so many rankings (all)\n"
            "  --timeout S      seconds that a program may take for a line (60)\n"
            "  --log FILE       what a program says on standard error (ours)\n"
            "  --threads N      for a model; 0: all cores (0)",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments};
    return run_command(&line, argc, argv, &o.db, STORE_WRITER, simulate, &o, err);
}
