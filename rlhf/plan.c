/* rlhf plan: the memory that each stage of a config will take. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "datasets/answers.h"
#include "ppo/ppo.h"
#include "reward/reward.h"
#include "rlhf/commands.h"
#include "rlhf/rounds.h"
#include "sft/sft.h"

/* ---- single stages: what their own dry run says ---- */

/* Prints the plan of each stage that the config names. A stage whose files are missing does not hide the
   others; the first failure is reported in the end. */
static status plan_stages(const struct config *c, error *err) {
    const struct {
        const char *name;
        int named;
        status (*run)(const struct config *, const stage_options *, error *);
    } stages[] = {{"pretrain", c->pretrain.train.n > 0, pretrain_run},
                  {"sft", c->sft.train.n > 0, sft_run},
                  {"reward", c->reward.init && c->reward.train.n > 0, reward_run},
                  {"ppo", c->ppo.policy && c->ppo.prompts.n > 0, ppo_run}};
    status first = STATUS_OK;
    int n = 0;
    for (int i = 0; i < 4; i++) {
        error why = {0};
        if (!stages[i].named) continue;
        printf("%s%s\n", n++ ? "\n" : "", stages[i].name);
        status s = stages[i].run(c, &(stage_options){.dry_run = 1}, &why);
        if (s == STATUS_OK) continue;
        printf("    cannot be told: %s\n", why.message);
        if (first == STATUS_OK) first = error_set(err, s, "%s: %s", stages[i].name, why.message);
    }
    if (n) return first;
    return error_set(err, STATUS_USAGE,
                     "plan: the config names no stage: set pretrain.train, sft.train, reward.init and "
                     "reward.train, ppo.policy and ppo.prompts, rounds.prompts, or the shape of a model");
}

/* ---- rounds, and shapes alone: from the shape, as long as there are no models ---- */

typedef struct planner {
    const struct config *c;
    device *dev;
    model_config shape, scorer; /* of the language models, of those that score */
    int length;                 /* of the longest example that is allowed */
    size_t largest;
    const char *largest_name;
} planner;

static void close_part(planner *p, const char *name, const memory_plan *plan) {
    printf("\n%s\n", name);
    session_print_plan(plan, 0, stdout);
    if (plan_total(plan) <= p->largest) return;
    p->largest = plan_total(plan);
    p->largest_name = name;
}

static int most_of(int a, int b) { return a > b ? a : b; }

/* A trained model with its optimizer. */
static status add_trained(planner *p, const model_config *shape, const struct config_optimizer *c, float ema,
                          const char *owner, memory_plan *plan, error *err) {
    struct optimizer_options how = optimizer_options_of(c, ema, NULL);
    TRY(model_plan(p->dev, shape, 1, owner, plan, err));
    optimizer_plan(model_count_parameters(shape), &how, owner, plan);
    return STATUS_OK;
}

/* The workspace of training on micro-batches of so many tokens. */
static status add_workspace(planner *p, const model_config *shape, int tokens, int keep, const char *owner,
                            memory_plan *plan, error *err) {
    limits l = {.max_token = tokens,
                .max_row = tokens,
                .max_seq = tokens,
                .max_len = p->length,
                .backward = 1,
                .keep = keep == CONFIG_KEEP_ALL ? KEEP_ALL : KEEP_LAYER_INPUT};
    return workspace_plan(p->dev, shape, &l, owner, plan, err);
}

static status plan_sft(planner *p, const char *name, const struct config_sft *c, error *err) {
    memory_plan plan = {0};
    TRY(add_trained(p, &p->shape, &c->optimizer, c->ema, "model", &plan, err));
    TRY(add_workspace(p, &p->shape, most_of(c->micro_tokens, p->length), c->keep, "model", &plan, err));
    if (c->sample_every)
        TRY(sampler_plan(p->dev, &p->shape, c->sample_count, 1, p->shape.context, c->sample_tokens, &plan,
                         err));
    close_part(p, name, &plan);
    return STATUS_OK;
}

static status plan_sampling(planner *p, error *err) {
    const struct config *c = p->c;
    memory_plan plan = {0};
    TRY(model_plan(p->dev, &p->shape, 0, "model", &plan, err));
    TRY(sampler_plan(p->dev, &p->shape, c->generate.slots, c->rounds.answers, p->length,
                     c->generate.max_tokens, &plan, err));
    close_part(p, "sample", &plan);
    return STATUS_OK;
}

static status plan_reward(planner *p, error *err) {
    const struct config_reward *c = &p->c->reward;
    memory_plan plan = {0};
    /* The answers of a ranking are never cut apart. */
    int64_t whole = (int64_t)p->c->rounds.answers * p->length;
    if (whole > 1 << 24)
        return error_set(err, STATUS_USAGE, "plan: rankings of %lld tokens", (long long)whole);
    TRY(add_trained(p, &p->scorer, &c->optimizer, 0, "model", &plan, err));
    TRY(add_workspace(p, &p->scorer, most_of(c->micro_tokens, (int)whole), c->keep, "model", &plan, err));
    close_part(p, "reward", &plan);
    return STATUS_OK;
}

static status plan_ppo(planner *p, error *err) {
    const struct config_ppo *c = &p->c->ppo;
    model_config value = p->scorer;
    memory_plan plan = {0};
    value.score_bias = 1;
    TRY(add_trained(p, &p->shape, &c->optimizer, c->ema, "policy", &plan, err));
    TRY(add_trained(p, &value, &c->optimizer, 0, "value", &plan, err));
    TRY(model_plan(p->dev, &p->shape, 0, "reference", &plan, err));
    if (c->score.kind == CONFIG_JUDGE_MODEL) TRY(model_plan(p->dev, &p->scorer, 0, "reward", &plan, err));
    TRY(add_workspace(p, &p->shape, most_of(c->micro_tokens, p->length), c->keep, "training and scoring",
                      &plan, err));
    TRY(sampler_plan(p->dev, &p->shape, p->c->generate.slots, c->samples_per_prompt, p->length, c->max_tokens,
                     &plan, err));
    close_part(p, "ppo", &plan);
    return STATUS_OK;
}

/* ---- which shape ---- */

/* Ids of the tokenizer: one that is there, or the size of the one that will be trained. */
static status count_ids(const struct config *c, int *n, error *err) {
    char *made = c->run ? path_join(c->run, "tokenizer") : NULL;
    const char *path = c->tokenizer.path ? c->tokenizer.path : made && path_exists(made) ? made : NULL;
    tokenizer *tok = NULL;
    status s = path ? tokenizer_load(path, &tok, err) : STATUS_OK;
    *n = tok ? tokenizer_vocab(tok) : c->tokenizer.vocab;
    tokenizer_free(tok);
    free(made);
    return s;
}

/* The first model directory that is there: what the run has made, else what it starts from. */
static char *find_model(const struct config *c) {
    const char *const place[][2] = {{c->run, "sft/model"},
                                    {c->run, "pretrain/model"},
                                    {c->pretrain.train.n ? c->pretrain.init : NULL, "."},
                                    {c->pretrain.train.n ? NULL : c->sft.init, "."}};
    for (int i = 0; i < 4; i++) {
        char *directory = place[i][0] ? path_join(place[i][0], place[i][1]) : NULL;
        char *file = directory ? path_join(directory, "config.json") : NULL;
        int there = file && path_exists(file);
        free(file);
        if (there) return directory;
        free(directory);
    }
    return NULL;
}

static status find_shape(planner *p, error *err) {
    char *directory = find_model(p->c);
    int n_vocab;
    status s = directory ? model_config_load(directory, &p->shape, err) : count_ids(p->c, &n_vocab, err);
    if (s == STATUS_OK && !directory) s = session_shape(p->c, n_vocab, &p->shape, err);
    if (s == STATUS_OK)
        printf("shape: %s (%.1fM parameters, context %d)\n",
               directory ? directory : "section model: no model is there yet",
               (double)model_count_parameters(&p->shape) / 1e6, p->shape.context);
    free(directory);
    TRY(s);
    int most = p->c->data.max_length;
    p->length = most > 0 && most < p->shape.context ? most : p->shape.context;
    p->shape.compute = session_dtype(p->c);
    p->scorer = p->shape;
    p->scorer.language_head = 0;
    p->scorer.n_score = 1;
    return STATUS_OK;
}

static status plan_rounds(planner *p, error *err) {
    if (p->c->pretrain.train.n) TRY(plan_sft(p, "pretrain", &p->c->pretrain, err));
    if (p->c->sft.train.n) TRY(plan_sft(p, "sft", &p->c->sft, err));
    TRY(plan_sampling(p, err));
    TRY(plan_reward(p, err));
    return plan_ppo(p, err);
}

static status plan_shape(planner *p, error *err) {
    TRY(plan_sft(p, "pretrain", &p->c->pretrain, err));
    return plan_sampling(p, err);
}

static status plan_parts(planner *p, error *err) {
    TRY(find_shape(p, err));
    TRY(p->c->rounds.prompts.n ? plan_rounds(p, err) : plan_shape(p, err));
    printf(
        "\nThe stages run one after the other; the largest is %s: %.1f MiB. These are upper ends: how long "
        "prompts, answers and rankings\nreally are cannot be told before they are there, and each is taken "
        "to be %d tokens. Texts, the store and libraries come on top.\n",
        p->largest_name, (double)p->largest / (1 << 20), p->length);
    return STATUS_OK;
}

static status plan_from_shape(const struct config *c, error *err) {
    planner p = {.c = c, .largest_name = ""};
    TRY(device_open_cpu(c->threads, &p.dev, err));
    status s = plan_parts(&p, err);
    device_close(p.dev);
    return s;
}

/* ---- the command ---- */

/* Rounds, or a config that says no more than what a model looks like. */
static int is_from_shape(const struct config *c) {
    int names_stage = c->pretrain.train.n || c->sft.train.n || c->reward.train.n || c->ppo.prompts.n;
    return c->rounds.prompts.n || (!names_stage && config_is_given(c->source, "model.d_model"));
}

/* The plan is printed whatever `rlhf rounds` would refuse before its first stage; that is told in the end. */
static status plan_all(const struct config *c, error *err) {
    error refused = {0};
    status first = c->rounds.prompts.n ? rounds_check_all(c, &refused) : STATUS_OK;
    status s = is_from_shape(c) ? plan_from_shape(c, err) : plan_stages(c, err);
    if (first == STATUS_OK) return s;
    fflush(stdout);
    return error_set(err, first, "%s", refused.message);
}

status plan_command(int argc, char **argv, error *err) {
    static const struct config_program program = {
        .name = "rlhf plan",
        .purpose =
            "  Prints the bytes that each stage of the config will take, by purpose; nothing is written.\n"
            "  Of a config for rounds whose models are not there yet they follow from section model, and of "
            "one that\n"
            "  names no data: pre-training and sampling of its shape. What `rlhf rounds` would refuse before "
            "its\n"
            "  first stage is refused here too, behind the plan.",
        .example = "configs/rounds.yaml",
        .sections = CONFIG_OF_ROUNDS};
    struct config_options command = {0};
    struct config config = {0};
    status s = config_load(&program, argc, argv, &command, &config, err);
    if (s == STATUS_OK && !command.help) s = plan_all(&config, err);
    config_free(&command, &config);
    return s;
}
