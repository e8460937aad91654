/* What would fail only after hours is looked at first: keys, rules, models, files, and what is in them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cpu.h"
#include "core/base/file.h"
#include "core/model/model.h"
#include "datasets/prompts.h"
#include "ppo/ppo.h"
#include "reward/data.h"
#include "rlhf/rounds.h"
#include "rlhf/tokenizer.h"
#include "sft/data.h"

/* ---- keys ---- */

/* needed: a judge must be named; else there may be none. */
static status check_judge(const struct config *c, const struct config_judge *j, const char *section,
                          const char *needed, error *err) {
    static const char *const kind[] = {"model", "rule", "command"};
    const char *const by[] = {j->model, j->rule, j->command};
    char key[32];
    judge *opened = NULL;
    snprintf(key, sizeof key, "%s.%s", section, kind[j->kind]);
    if (!by[j->kind] && needed)
        return config_refuse_key(c->source, key, STATUS_USAGE, err, "is needed: %s", needed);
    if (!by[j->kind] || j->kind != CONFIG_JUDGE_RULE) return STATUS_OK;
    status s = judge_open_rule(j->rule, &opened, err);
    judge_close(opened);
    return s == STATUS_OK ? s : error_context(err, "%s: %s", config_place(c->source, key), key);
}

static status check_keys(const struct config *c, error *err) {
    struct config with_reward = *c;
    with_reward.ppo.reward = "the round's own";
    if (c->sft.train.n == 0 && !c->sft.init)
        return error_set(err, STATUS_USAGE,
                         "rounds: neither sft.train (demonstrations) nor sft.init (a model) is set");
    if (c->rounds.collect == CONFIG_COLLECT_SIMULATED)
        TRY(check_judge(c, &c->label.judge, "label",
                        "simulated labellers rank by it (or rounds.collect: people)", err));
    TRY(check_judge(c, &c->eval.judge, "eval", NULL, err));
    if (c->ppo.score.kind != CONFIG_JUDGE_MODEL) TRY(check_judge(c, &c->ppo.score, "ppo", NULL, err));
    return ppo_check_keys(&with_reward, err);
}

/* ---- files ---- */

static status check_file(const struct config *c, const char *key, const char *path, error *err) {
    FILE *f = fopen(path, "rb");
    int good = f && (fgetc(f) != EOF || !ferror(f)); /* a directory opens, but is not read */
    int reason = errno;
    if (f) fclose(f);
    if (good) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: %s: %s cannot be read: %s", config_place(c->source, key), key,
                     path, strerror(reason));
}

static status check_files(const struct config *c, error *err) {
    const struct {
        const char *key;
        const config_strings *files;
    } list[] = {{"tokenizer.texts", &c->tokenizer.texts},
                {"pretrain.train", &c->pretrain.train},
                {"pretrain.valid", &c->pretrain.valid},
                {"sft.train", &c->sft.train},
                {"sft.valid", &c->sft.valid},
                {"reward.valid", &c->reward.valid},
                {"reward.normalise_on", &c->reward.normalise_on},
                {"ppo.prompts", &c->ppo.prompts},
                {"ppo.ptx", &c->ppo.ptx},
                {"rounds.prompts", &c->rounds.prompts},
                {"eval.prompts", &c->eval.prompts}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        for (int k = 0; k < list[i].files->n; k++)
            TRY(check_file(c, list[i].key, list[i].files->value[k], err));
    return STATUS_OK;
}

/* scores: it is to judge. */
static status check_model(const struct config *c, const char *key, const char *path, int scores, error *err) {
    model_config stored = {0};
    if (!path) return STATUS_OK;
    status s = model_check_directory(path, err);
    if (s == STATUS_OK) s = model_config_load(path, &stored, err);
    if (s == STATUS_OK && scores && !stored.n_score)
        s = error_set(err, STATUS_DATA, "%s: is no reward model: it has no score head", path);
    return s == STATUS_OK ? s : error_context(err, "%s: %s", config_place(c->source, key), key);
}

static status check_directories(const struct config *c, error *err) {
    int pretrains = c->pretrain.train.n > 0, by_model = CONFIG_JUDGE_MODEL;
    const struct config_judge *label = &c->label.judge, *eval = &c->eval.judge;
    if (c->tokenizer.path && !path_exists(c->tokenizer.path))
        return error_set(err, STATUS_DATA, "%s: tokenizer.path: %s is not there",
                         config_place(c->source, "tokenizer.path"), c->tokenizer.path);
    TRY(check_model(c, "pretrain.init", pretrains ? c->pretrain.init : NULL, 0, err));
    TRY(check_model(c, "sft.init", pretrains ? NULL : c->sft.init, 0, err));
    TRY(check_model(c, "label.model", (int)label->kind == by_model ? label->model : NULL, 1, err));
    return check_model(c, "eval.model", (int)eval->kind == by_model ? eval->model : NULL, 1, err);
}

/* Whether the run directory, where one is named, holds this. */
static status run_has(const struct config *c, const char *name, int *there, error *err) {
    char *path = c->run ? path_join(c->run, name) : NULL;
    if (c->run && !path) return error_memory(err, "a path");
    *there = path && path_exists(path);
    free(path);
    return STATUS_OK;
}

status rounds_check_config(const struct config *c, error *err) {
    int has_begun;
    cpu_isa isa;
    TRY(run_has(c, "lineage.json", &has_begun, err));
    TRY(check_keys(c, err));
    TRY(cpu_choose_isa(&isa, err));
    /* A stage that is over needs its files no more. */
    if (has_begun) return STATUS_OK;
    TRY(check_directories(c, err));
    return check_files(c, err);
}

/* ---- the tokenizer ---- */

const char *rounds_given_tokenizer(const struct config *c) {
    const char *init = c->pretrain.train.n ? c->pretrain.init : c->sft.init;
    /* A model that is there brings the tokenizer that its ids are of. */
    return c->tokenizer.path ? c->tokenizer.path : init;
}

const char *rounds_template(const struct config *c) {
    return c->data.template ? CONFIG_TEMPLATES[c->data.template] : "plain";
}

status rounds_find_texts(const struct config *c, struct rounds_texts *out, error *err) {
    config_strings texts = c->tokenizer.texts, pre = c->pretrain.train, sft = c->sft.train;
    *out = (struct rounds_texts){.file = calloc((size_t)(texts.n + pre.n + sft.n) + 1, sizeof *out->file)};
    if (!out->file) return error_memory(err, "a list of files");
    for (int i = 0; i < texts.n; i++) out->file[out->n++] = texts.value[i];
    for (int i = 0; !texts.n && i < pre.n; i++) out->file[out->n++] = pre.value[i];
    for (int i = 0; !texts.n && i < sft.n; i++) out->file[out->n++] = sft.value[i];
    return STATUS_OK;
}

static status train_tokenizer(const struct config *c, logger *log, tokenizer **out, error *err) {
    struct rounds_texts texts;
    size_t n_text;
    TRY(rounds_find_texts(c, &texts, err));
    status s = tokenizer_of_files(texts.file, texts.n, c->data.separator, c->data.max_bad, c->tokenizer.vocab,
                                  rounds_template(c), log, out, &n_text, err);
    free(texts.file);
    return s;
}

/* A session with the tokenizer that is given or was made, or else with one trained for it. config: the
   session's, must outlive it. *path, malloc'd: that of the run; may be NULL. */
static status open_session(const struct config *c, struct config *config, char **path, logger *log,
                           session *out, error *err) {
    int made;
    tokenizer *tok;
    *config = *c;
    config->tokenizer.path = rounds_given_tokenizer(c);
    TRY(run_has(c, "tokenizer", &made, err));
    if (!config->tokenizer.path && made) {
        config->tokenizer.path = *path = path_join(c->run, "tokenizer");
        if (!*path) return error_memory(err, "a path");
    }
    if (config->tokenizer.path) return session_open(config, NULL, log, out, err);
    TRY(train_tokenizer(c, log, &tok, err));
    return session_open_with(config, tok, log, out, err);
}

/* ---- data ---- */

/* Of the models that this run will make. */
static status find_context(const struct config *c, int *context, error *err) {
    const char *init = c->pretrain.train.n ? c->pretrain.init : c->sft.init;
    model_config stored;
    *context = c->model.context;
    if (!init) return STATUS_OK;
    TRY(model_config_load(init, &stored, err));
    *context = stored.context;
    return STATUS_OK;
}

/* As many bad lines as a stage allows, which will tell them. */
static void begin_reading(session *s) { s->bad = (bad_lines){.most = s->bad.most, .quiet = 1}; }

static status check_split(session *s, const config_strings *files, split_kind split, error *err) {
    prompts p;
    begin_reading(s);
    TRY(prompts_load(&s->data, split, files->value, files->n, &p, err));
    prompts_free(&p);
    return STATUS_OK;
}

static status check_examples(session *s, error *err) {
    const struct config *c = s->config;
    sft_data demonstrations;
    sequence_data ptx;
    begin_reading(s);
    if (c->sft.train.n) {
        TRY(sft_data_open(s, &c->sft, 0, &demonstrations, err));
        sft_data_close(&demonstrations);
    }
    begin_reading(s);
    if (c->ppo.ptx_coef > 0) {
        TRY(ppo_load_ptx(s, &c->ppo, &ptx, err));
        sequences_free(&ptx);
    }
    return STATUS_OK;
}

static status check_answers(session *s, error *err) {
    const struct config_reward *c = &s->config->reward;
    rankings valid;
    answer_list list;
    begin_reading(s);
    if (c->valid.n) {
        TRY(rankings_load(&s->data, SPLIT_ANY, c->valid.value, c->valid.n, &valid, err));
        rankings_free(&valid);
    }
    begin_reading(s);
    if (c->normalise != CONFIG_NORMALISE_NONE && c->normalise_on.n) {
        TRY(answer_list_load(&s->data, SPLIT_ANY, c->normalise_on.value, c->normalise_on.n, &list, err));
        answer_list_free(&list);
    }
    return STATUS_OK;
}

static status check_splits(session *s, error *err) {
    static const split_kind split[] = {SPLIT_ANY, SPLIT_TRAIN, SPLIT_VALID, SPLIT_TEST};
    const struct config *c = s->config;
    TRY(check_split(s, &c->rounds.prompts, SPLIT_TRAIN, err));
    if (c->ppo.prompts.n) TRY(check_split(s, &c->ppo.prompts, SPLIT_TRAIN, err));
    return check_split(s, c->eval.prompts.n ? &c->eval.prompts : &c->rounds.prompts, split[c->eval.split],
                       err);
}

status rounds_check_data(const struct config *c, logger *log, error *err) {
    struct config config;
    session s = {0};
    int context;
    char *path = NULL;
    TRY(find_context(c, &context, err));
    status st = open_session(c, &config, &path, log, &s, err);
    if (st == STATUS_OK) {
        session_set_length(&s, context);
        st = check_examples(&s, err);
        if (st == STATUS_OK) st = check_answers(&s, err);
        session_set_length(&s, context - 1); /* an answer has at least one token */
        if (st == STATUS_OK) st = check_splits(&s, err);
        session_close(&s);
    }
    free(path);
    return st;
}

status rounds_check_all(const struct config *c, error *err) {
    struct config config = *c;
    int has_begun;
    config.data.cache = NULL; /* nothing is written */
    TRY(rounds_check_config(c, err));
    TRY(run_has(c, "store.db", &has_begun, err));
    return has_begun ? STATUS_OK : rounds_check_data(&config, NULL, err);
}
