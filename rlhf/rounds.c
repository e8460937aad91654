#include "rlhf/rounds.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/signal.h"
#include "ppo/ppo.h"
#include "reward/reward.h"
#include "rlhf/commands.h"
#include "rlhf/report.h"
#include "rlhf/tokenizer.h"
#include "sft/sft.h"

static const char *keep_text(rounds *r, char *text) {
    char **more = text ? realloc(r->text, sizeof *more * (size_t)(r->n_text + 1)) : NULL;
    if (!more) {
        free(text);
        return NULL;
    }
    r->text = more;
    return r->text[r->n_text++] = text;
}

const char *rounds_path(rounds *r, const char *format, ...) {
    char name[512];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    return keep_text(r, path_join(r->c->run, name));
}

const char *rounds_model(rounds *r, int round) {
    if (round == 0) return r->sft;
    return rounds_path(r, "round-%02d/ppo/policy%s", round, r->c->ppo.ema > 0 ? "-ema" : "");
}

status rounds_part(rounds *r, const char *part, struct config *out, error *err) {
    *out = *r->c;
    out->run = rounds_path(r, "%s", part);
    out->tokenizer.path = r->tokenizer;
    return out->run ? STATUS_OK : error_memory(err, "a path");
}

int rounds_is_frozen(rounds *r, int round) {
    const char *path = rounds_path(r, "round-%02d/reward/lineage.json", round);
    return path && path_exists(path);
}

status rounds_open_judge(rounds *r, const struct config_judge *c, device *dev, judge **out, error *err) {
    *out = NULL;
    if (c->kind == CONFIG_JUDGE_RULE) return c->rule ? judge_open_rule(c->rule, out, err) : STATUS_OK;
    if (c->kind == CONFIG_JUDGE_MODEL)
        return c->model ? judge_open_model(dev, c->model, r->c->data.system, session_dtype(r->c), out, err)
                        : STATUS_OK;
    return c->command ? judge_open_command(c->command, c->timeout, 0, run_path(r->run, "log.txt"), out, err)
                      : STATUS_OK;
}

/* One file or directory as the list that a stage takes. The strings are the caller's. */
static config_strings list_of(const char *const *one) { return (config_strings){1, one}; }

/* What a stage made is known to the store, so that lineage can be followed. */
static status import(rounds *r, const char *directory, error *err) {
    store_imported n;
    return store_import_run(r->store, directory, &n, err);
}

/* ---- before the rounds ---- */

static status make_tokenizer(rounds *r, error *err) {
    const struct config *c = r->c;
    struct rounds_texts texts;
    r->tokenizer = rounds_given_tokenizer(c);
    if (r->tokenizer) return STATUS_OK;
    r->tokenizer = rounds_path(r, "tokenizer");
    if (!r->tokenizer) return error_memory(err, "a path");
    if (path_exists(r->tokenizer)) return STATUS_OK;
    TRY(rounds_find_texts(c, &texts, err));
    status s = tokenizer_make(texts.file, texts.n, c->data.separator, c->data.max_bad, c->tokenizer.vocab,
                              rounds_template(c), r->tokenizer, r->log, err);
    free(texts.file);
    return s;
}

/* Before the first stage. Where they cannot be used a tokenizer made for them goes too, so that the run that
   has not begun is not held to its config. */
static status check_data(rounds *r, error *err) {
    const char *begun = rounds_path(r, "store.db"), *own = rounds_path(r, "tokenizer");
    if (!begun || !own) return error_memory(err, "a path");
    if (path_exists(begun)) return STATUS_OK;
    status s = rounds_check_data(r->c, r->log, err);
    if (s != STATUS_OK && path_exists(own)) path_remove_tree(own, NULL);
    return s;
}

static status pretrain(rounds *r, error *err) {
    struct config part;
    if (r->c->pretrain.train.n == 0) return STATUS_OK;
    TRY(rounds_part(r, "pretrain", &part, err));
    TRY(pretrain_run(&part, &(stage_options){.resume = 1, .log = r->log}, err));
    TRY(import(r, part.run, err));
    return rounds_evaluate(r, "pretrain", rounds_path(r, "pretrain/model"), 0, err);
}

static status fine_tune(rounds *r, error *err) {
    struct config part;
    if (r->c->sft.train.n == 0) {
        r->sft = r->c->sft.init;
        return STATUS_OK;
    }
    TRY(rounds_part(r, "sft", &part, err));
    const char *pretrained = rounds_path(r, "pretrain/model");
    if (!pretrained) return error_memory(err, "a path");
    if (r->c->pretrain.train.n) part.sft.init = pretrained;
    TRY(sft_run(&part, &(stage_options){.resume = 1, .log = r->log}, err));
    r->sft = rounds_path(r, "sft/model");
    return r->sft ? import(r, part.run, err) : error_memory(err, "a path");
}

/* ---- one round ---- */

static status train_reward(rounds *r, int round, error *err) {
    struct config part;
    char name[32];
    snprintf(name, sizeof name, "round-%02d/reward", round);
    TRY(rounds_part(r, name, &part, err));
    const char *snapshot = rounds_path(r, "round-%02d/snapshot.jsonl", round);
    /* The SFT model's answers of round 1 are samples of the reference. */
    const char *samples = rounds_path(r, "round-01/sample/answers.jsonl");
    if (!snapshot || !samples) return error_memory(err, "a path");
    part.reward.init = r->sft;
    part.reward.train = list_of(&snapshot);
    if (part.reward.normalise_on.n == 0) {
        int demonstrations =
            r->c->rounds.normalise_on == CONFIG_NORMALISE_ON_DEMONSTRATIONS && r->c->sft.train.n;
        part.reward.normalise_on = demonstrations ? r->c->sft.train : list_of(&samples);
    }
    TRY(reward_run(&part, &(stage_options){.round = round, .resume = 1, .log = r->log}, err));
    return import(r, part.run, err);
}

static status improve(rounds *r, int round, error *err) {
    struct config part;
    char name[32];
    snprintf(name, sizeof name, "round-%02d/ppo", round);
    TRY(rounds_part(r, name, &part, err));
    const char *previous = rounds_model(r, round - 1);
    part.ppo.policy = r->c->rounds.start == CONFIG_ORIGIN_PREVIOUS ? previous : r->sft;
    part.ppo.reference = r->c->rounds.reference == CONFIG_ORIGIN_PREVIOUS ? previous : r->sft;
    part.ppo.reward = rounds_path(r, "round-%02d/reward/model", round);
    part.ppo.value = NULL;
    if (part.ppo.prompts.n == 0) part.ppo.prompts = r->c->rounds.prompts;
    if (!part.ppo.policy || !part.ppo.reference || !part.ppo.reward) return error_memory(err, "a path");
    TRY(ppo_run(&part, &(stage_options){.round = round, .resume = 1, .log = r->log}, err));
    return import(r, part.run, err);
}

static status one_round(rounds *r, int round, error *err) {
    char part[24];
    snprintf(part, sizeof part, "round-%02d", round);
    TRY(rounds_sample(r, round, err));
    TRY(rounds_collect(r, round, err));
    TRY(train_reward(r, round, err));
    TRY(improve(r, round, err));
    return rounds_evaluate(r, part, rounds_model(r, round), round, err);
}

/* ---- all of it ---- */

static status stop_if_asked(error *err) {
    if (!signal_stop_requested()) return STATUS_OK;
    return error_set(err, STATUS_INTERRUPTED, "stopped by a signal; start again to go on");
}

/* A key that another one makes idle. */
static void warn_beside(const rounds *r, const char *key, const char *why) {
    if (config_is_given(r->c->source, key))
        log_warning(r->log, "%s: %s is not used: %s", config_place(r->c->source, key), key, why);
}

/* Keys that a rounds config may hold for the programs alone, and that the rounds set themselves. */
static void warn_of_unused(const rounds *r) {
    static const char *const key[] = {
        "ppo.policy",   "ppo.reference",  "ppo.reward",       "ppo.value",      "reward.init",
        "reward.train", "generate.model", "generate.prompts", "generate.split", "generate.samples"};
    for (size_t i = 0; i < sizeof key / sizeof *key; i++)
        if (config_is_given(r->c->source, key[i]))
            log_warning(r->log, "%s: %s is set by the rounds themselves; the value given is not used",
                        config_place(r->c->source, key[i]), key[i]);
    if (r->c->pretrain.train.n)
        warn_beside(r, "sft.init", "pretrain.train is given: SFT starts from the pre-trained model");
    if (r->c->ppo.score.kind != CONFIG_JUDGE_RULE) warn_beside(r, "ppo.rule", "ppo.score is not rule");
    if (r->c->ppo.score.kind != CONFIG_JUDGE_COMMAND)
        warn_beside(r, "ppo.command", "ppo.score is not command");
}

static status all_rounds(rounds *r, error *err) {
    warn_of_unused(r);
    TRY(make_tokenizer(r, err));
    TRY(check_data(r, err));
    const char *db = rounds_path(r, "store.db");
    if (!db) return error_memory(err, "a path");
    TRY(store_open(db, STORE_WRITER, &r->store, err));
    TRY(pretrain(r, err));
    TRY(stop_if_asked(err));
    TRY(fine_tune(r, err));
    TRY(rounds_evaluate(r, "sft", r->sft, 0, err));
    for (int round = 1; round <= r->c->rounds.count; round++) {
        TRY(stop_if_asked(err));
        log_line(r->log, "round %d of %d", round, r->c->rounds.count);
        TRY(one_round(r, round, err));
        TRY(rounds_summarise(r, err));
        TRY(report_write(r->c->run, err));
    }
    TRY(run_finish(r->run, err));
    TRY(report_print(r->c->run, stdout, err));
    log_line(r->log, "the report: %s/report.html", r->c->run);
    return STATUS_OK;
}

static status rounds_run(const struct config *c, error *err) {
    TRY(rounds_check_config(c, err));
    rounds r = {.c = c};
    run_options o = {.directory = c->run,
                     .kind = "rounds",
                     .seed = (uint64_t)c->seed,
                     .table = &CONFIG_TABLE,
                     .values = c,
                     .sections = CONFIG_OF_ROUNDS,
                     .resume = 1,
                     .keep_checkpoints = 1};
    run_state state;
    TRY(run_open(&o, &r.run, &state, err));
    r.log = run_log(r.run);
    status s = STATUS_OK;
    if (state == RUN_FINISHED)
        log_line(NULL, "%s: all rounds were finished before", c->run);
    else
        s = all_rounds(&r, err);
    if (s != STATUS_OK) run_give_up(r.run);
    store_close(r.store);
    run_close(r.run);
    for (int i = 0; i < r.n_text; i++) free(r.text[i]);
    free(r.text);
    return s;
}

status rounds_command(int argc, char **argv, error *err) {
    static const char *const needed[] = {"run", "rounds.prompts", NULL};
    static const struct config_program program = {
        .name = "rlhf rounds",
        .purpose =
            "  The whole pipeline in one directory: tokenizer, pre-training, SFT, then rounds of sample,\n"
            "  collect, reward, ppo, evaluate. Started again it goes on where it was. `rlhf plan CONFIG`\n"
            "  tells the memory that each stage will take.",
        .example = "configs/rounds.yaml --set run=runs/rounds",
        .sections = CONFIG_OF_ROUNDS,
        .needed = needed};
    struct config_options command = {0};
    struct config config = {0};
    status s = config_load(&program, argc, argv, &command, &config, err);
    if (s == STATUS_OK && !command.help) s = rounds_run(&config, err);
    config_free(&command, &config);
    return s;
}
