/* Sampling answers for ranking, and collecting the rankings. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/label/simulate.h"
#include "rlhf/generate.h"
#include "rlhf/rounds.h"

enum {
    VALID_PARTS = 2
}; /* rankings of each held-out prompt, at most: what the reward model's accuracy is measured on */

static int64_t rankings_of(const struct config *c, int round) {
    return config_int_of_round(&c->rounds.rankings, round);
}

/* Sets of K answers that each prompt gets, so that there are enough for the round's rankings. */
static int parts_of(const struct config *c, int round, int n_prompt) {
    return (int)((rankings_of(c, round) + n_prompt - 1) / n_prompt);
}

/* Of these sets the SFT model's share: of each prompt's alike, and what remains one each for prompts that are
   drawn. */
typedef struct share {
    const struct config *c;
    int round, parts, of_sft; /* of_sft: the SFT model's part is counted, else the policy's */
    int n_train;              /* training prompts */
    int64_t first, whole;     /* whole of them, from the first on, need all parts; the rest one less */
    float sft;                /* the SFT model's share */
} share;

/* Sets of a prompt: no more than are ranked. Where one model gives them all each training prompt gets all
   parts, so that there are others in place of sets that are too much alike; else the shares must be of what
   is ranked. *train: training prompts before it. */
static int sets_of(const share *s, split_kind split, int64_t *train) {
    int shared = s->sft > 0 && s->sft < 1;
    if (split == SPLIT_TRAIN) {
        int64_t turn = (*train)++ + s->n_train - s->first;
        return s->parts - (shared && turn % s->n_train >= s->whole);
    }
    return split == SPLIT_VALID ? (s->parts < VALID_PARTS ? s->parts : VALID_PARTS) : 0;
}

static status count_share(void *context, const prompts *p, int32_t *samples, error *err) {
    const share *s = context;
    int64_t all = 0, train = 0;
    int32_t *order = malloc(2 * (size_t)p->n * sizeof *order), *sets = order ? order + p->n : NULL;
    if (!order) return error_memory(err, "an order of prompts");
    random_permutation(random_make_key((uint64_t)s->c->seed, RANDOM_SHARES, (uint32_t)s->round, 0), p->n,
                       order);
    for (int i = 0; i < p->n; i++) all += sets[i] = sets_of(s, p->entry[i].split, &train);
    int64_t of_sft = llround((double)s->sft * (double)all), rest = of_sft;
    for (int i = 0; i < p->n; i++) {
        samples[i] = all ? (int32_t)(of_sft * sets[i] / all) : 0;
        rest -= samples[i];
    }
    for (int i = 0; i < p->n; i++) {
        int n = order[i], sft = samples[n];
        if (rest > 0 && sft < sets[n]) sft++, rest--;
        samples[n] = s->c->rounds.answers * (s->of_sft ? sft : sets[n] - sft);
    }
    free(order);
    return STATUS_OK;
}

/* Training prompts that the round will answer. */
static status count_prompts(rounds *r, int *n, error *err) {
    session s;
    prompts p;
    model_config shape = {0};
    *n = 0;
    TRY(session_open(r->c, r->sft, r->log, &s, err));
    s.bad.quiet = 1;
    status st = model_config_load(r->sft, &shape, err);
    session_set_length(&s, shape.context - 1); /* as generate_into */
    if (st == STATUS_OK)
        st = prompts_load(&s.data, SPLIT_TRAIN, r->c->rounds.prompts.value, r->c->rounds.prompts.n, &p, err);
    if (st == STATUS_OK) {
        *n = p.n;
        prompts_free(&p);
    }
    session_close(&s);
    return st;
}

/* The part of the policy or of the SFT model. From round 2 on they share. */
static status sample(rounds *r, const char *part, const char *model, share *of, error *err) {
    struct config c;
    store_imported n;
    int round = of->round;
    if (of->of_sft ? of->sft == 0 : of->sft == 1) return STATUS_OK;
    TRY(rounds_part(r, part, &c, err));
    generate_job job = generate_job_of(&c);
    job.kind = "sample";
    job.round = round;
    job.resume = 1;
    /* With the policy's noise a prompt would get pairs of answers that are twins. */
    if (of->of_sft) job.purpose = RANDOM_SAMPLE_SFT;
    job.model = model;
    job.prompts = r->c->rounds.prompts.value;
    job.n_prompts = r->c->rounds.prompts.n;
    job.split = SPLIT_ANY;
    job.samples = of->parts * r->c->rounds.answers;
    job.counts = count_share;
    job.context = of;
    TRY(generate_into(&c, &job, r->log, err));
    return store_import_run(r->store, c.run, &n, err);
}

/* Tasks of one split, part by part, until there are `wanted` (0: as many as `parts` give). Where not every
   prompt gets a turn, those get it that had the fewest. */
static status make_tasks(rounds *r, int round, const char *split, int parts, int64_t wanted, error *err) {
    int64_t all = 0, made = 1;
    for (int part = 0; part < parts && made && (!wanted || all < wanted); part++) {
        store_task_options o = {.round = round,
                                .answers = r->c->rounds.answers,
                                .want = r->c->rounds.collect == CONFIG_COLLECT_PEOPLE ? r->c->label.want : 1,
                                .part = part,
                                .split = split,
                                .limit = wanted ? wanted - all : 0,
                                .fewest_first = parts == 1};
        TRY(store_make_tasks(r->store, &o, &made, err));
        all += made;
    }
    if (wanted && all < wanted)
        log_line(r->log,
                 "round %d: %lld rankings instead of %lld: the answers to a prompt are too much alike", round,
                 (long long)all, (long long)wanted);
    return STATUS_OK;
}

/* All tasks of the round in one transaction, once. */
static status make_all_tasks(rounds *r, int round, int parts, error *err) {
    store_progress p;
    TRY(store_read_progress(r->store, round, &p, err));
    if (p.tasks) return STATUS_OK; /* also of a round that is closed already */
    TRY(store_open_round(r->store, round, err));
    TRY(store_begin(r->store, err));
    status s = make_tasks(r, round, "train", parts, rankings_of(r->c, round), err);
    if (s == STATUS_OK) s = make_tasks(r, round, "valid", VALID_PARTS, 0, err);
    if (s == STATUS_OK) return store_commit(r->store, err);
    store_rollback(r->store);
    return s;
}

status rounds_sample(rounds *r, int round, error *err) {
    char part[40];
    int n_prompt;
    if (rounds_is_frozen(r, round)) return STATUS_OK;
    TRY(count_prompts(r, &n_prompt, err));
    share of = {.c = r->c,
                .round = round,
                .parts = parts_of(r->c, round, n_prompt),
                .n_train = n_prompt,
                .whole = (rankings_of(r->c, round) - 1) % n_prompt + 1,
                .sft = round > 1 ? r->c->rounds.sft_share : 0};
    for (int before = 1; before < round; before++)
        of.first = (of.first + rankings_of(r->c, before)) % n_prompt;
    const char *policy = rounds_model(r, round - 1);
    if (!policy) return error_memory(err, "a path");
    snprintf(part, sizeof part, "round-%02d/sample", round);
    TRY(sample(r, part, policy, &of, err));
    of.of_sft = 1;
    snprintf(part, sizeof part, "round-%02d/sample-sft", round);
    TRY(sample(r, part, r->sft, &of, err));
    return make_all_tasks(r, round, of.parts, err);
}

/* ---- collecting ---- */

static status add_labeller(rounds *r, int64_t *id, error *err) {
    const struct config_label *l = &r->c->label;
    buffer spec = {0};
    int exact = l->noise == 0 && l->flip == 0 && l->judge.kind == CONFIG_JUDGE_RULE;
    static const char *const kind[] = {"model", "rule", "command"};
    const char *const by[] = {l->judge.model, l->judge.rule, l->judge.command};
    const char *name = by[l->judge.kind] ? by[l->judge.kind] : "";
    buffer_format(&spec, "{\"%s\":", kind[l->judge.kind]);
    buffer_json_string(&spec, name, strlen(name));
    buffer_string(&spec, ",\"noise\":");
    buffer_json_float(&spec, l->noise);
    buffer_string(&spec, ",\"flip\":");
    buffer_json_float(&spec, l->flip);
    buffer_string(&spec, "}");
    status s = buffer_check(&spec, err);
    if (s == STATUS_OK)
        s = store_add_labeller(r->store, l->labeller, exact ? LABELLER_RULE : LABELLER_SIMULATED, spec.data,
                               id, err);
    buffer_free(&spec);
    return s;
}

static status simulate(rounds *r, int round, error *err) {
    label_simulate_options o = {
        .round = round, .noise = r->c->label.noise, .flip = r->c->label.flip, .seed = (uint64_t)r->c->seed};
    device *dev;
    judge *by = NULL;
    int64_t n = 0;
    TRY(add_labeller(r, &o.labeller, err));
    TRY(device_open_cpu(r->c->threads, &dev, err));
    status s = rounds_open_judge(r, &r->c->label.judge, dev, &by, err);
    if (s == STATUS_OK && !by)
        s = error_set(err, STATUS_USAGE,
                      "label.judge: nobody is named who ranks (label.rule, label.model or label.command)");
    if (s == STATUS_OK) s = label_simulate(r->store, by, &o, &n, err);
    if (s == STATUS_OK) s = judge_finish(by, err);
    if (s == STATUS_OK && n) log_line(r->log, "round %d: %lld rankings simulated", round, (long long)n);
    judge_close(by);
    device_close(dev);
    return s;
}

static status wait_for_people(rounds *r, int round, error *err) {
    store_progress p;
    TRY(store_read_progress(r->store, round, &p, err));
    if (p.closed || p.ranked >= p.wanted) return STATUS_OK; /* of a closed round nothing is handed out */
    return error_set(err, STATUS_WAITING,
                     "round %d waits for rankings: %lld of %lld are there. Rank with `rlhf label rank --db "
                     "%s --labeller NAME`, then "
                     "start again",
                     round, (long long)p.ranked, (long long)p.wanted, store_path(r->store));
}

/* People said of everything that they cannot judge it, or that all is bad. */
static status wait_for_others(rounds *r, int round, error *err) {
    const char *db = store_path(r->store);
    return error_set(
        err, STATUS_WAITING,
        "round %d: all tasks are done, but no ranking is there to train on: all ended in \"cannot "
        "judge\" or \"all bad\". Take some back and rank them (u in `rlhf label rank --db %s "
        "--labeller NAME`), or import rankings (`rlhf label import --db %s FILE`), then start again",
        round, db, db);
}

static status freeze(rounds *r, int round, error *err) {
    char name[32];
    hash sha256;
    int64_t n, trainable;
    /* Not the name that `rlhf label snapshot` gives: whoever looks at a round by hand must not freeze it. */
    snprintf(name, sizeof name, "rounds/round-%02d", round);
    int people = r->c->rounds.collect == CONFIG_COLLECT_PEOPLE;
    int exact =
        r->c->label.noise == 0 && r->c->label.flip == 0 && r->c->label.judge.kind == CONFIG_JUDGE_RULE;
    store_snapshot_options o = {.name = name,
                                .round = round,
                                .close = true,
                                .labellers = people  ? LABELLER_HUMAN
                                             : exact ? LABELLER_RULE
                                                     : LABELLER_SIMULATED};
    const char *path = rounds_path(r, "round-%02d/snapshot.jsonl", round);
    if (!path) return error_memory(err, "a path");
    TRY(store_count_trainable(r->store, &o, &trainable, err));
    status s = store_snapshot(r->store, path, &o, &sha256, &n, err);
    if (s == STATUS_DATA && people && trainable == 0) return wait_for_others(r, round, err);
    TRY(s);
    log_line(r->log, "round %d: a snapshot of %lld rankings", round, (long long)n);
    return STATUS_OK;
}

status rounds_collect(rounds *r, int round, error *err) {
    if (rounds_is_frozen(r, round)) return STATUS_OK;
    if (r->c->rounds.collect == CONFIG_COLLECT_PEOPLE)
        TRY(wait_for_people(r, round, err));
    else
        TRY(simulate(r, round, err));
    return freeze(r, round, err);
}
