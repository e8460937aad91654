#include "ppo/ppo.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/progress.h"
#include "core/train/checkpoint.h"
#include "ppo/evaluate.h"
#include "ppo/metrics.h"
#include "ppo/trace.h"
#include "ppo/update.h"

/* Everything that a run holds; made at start, so that an iteration allocates nothing of the core's. */
typedef struct ppo {
    const struct config *config;
    const struct config_ppo *c;
    const stage_options *options;
    session session;
    run *run; /* NULL on a dry run */
    logger *log;
    ppo_models models;
    model_config shape; /* of what all four models work in */
    judge *judge;       /* NULL: the reward model scores */
    prompts prompts;
    order order;
    sequence_data ptx; /* train.n 0: none */
    order ptx_order;
    sampler sampler;
    workspace *ws;
    pack pack;
    rollout rollout;
    ppo_evaluation evaluation;
    rollout_context context;
    updater updater;
    trace *trace;
    struct ppo_controller controller;
    struct schedule schedule, value_schedule;
    buffer line;
    int64_t iteration, iterations; /* done so far; of the whole run */
} ppo;

/* ---- making ---- */

status ppo_load_ptx(session *s, const struct config_ppo *c, sequence_data *out, error *err) {
    data_options o = s->data;
    if (c->ptx_length && c->ptx_length < o.max_length) o.max_length = c->ptx_length;
    return sequences_load(&o, LOSS_ALL, c->ptx.value, c->ptx.n, NULL, 0, out, err);
}

static status open_data(ppo *p, error *err) {
    const struct config_ppo *c = p->c;
    session *s = &p->session;
    int context = model_get_config(p->models.policy)->context;
    session_set_length(s, context);
    if (c->ptx_coef > 0) {
        TRY(ppo_load_ptx(s, c, &p->ptx, err));
        TRY(order_create(p->ptx.train.n, (uint64_t)p->config->seed, RANDOM_PTX, p->options->round,
                         &p->ptx_order, err));
    }
    session_set_length(s, context - 1); /* an answer has at least one token */
    TRY(prompts_load(&s->data, SPLIT_TRAIN, c->prompts.value, c->prompts.n, &p->prompts, err));
    TRY(ppo_evaluation_open(s, c, context, &p->evaluation, err));
    return order_create(p->prompts.n, (uint64_t)p->config->seed, RANDOM_PROMPTS, p->options->round, &p->order,
                        err);
}

static int longest_prompt(const ppo *p) {
    int train = p->prompts.longest, held = p->evaluation.prompts.longest;
    return train > held ? train : held;
}

static limits train_limits(const ppo *p) {
    int context = model_get_config(p->models.policy)->context, longest = longest_prompt(p) + p->c->max_tokens;
    if (longest > context) longest = context;
    int len = p->ptx.train.longest > longest ? p->ptx.train.longest : longest,
        most = p->c->micro_tokens > len ? p->c->micro_tokens : len;
    return (limits){.max_token = most,
                    .max_row = most,
                    .max_seq = most,
                    .max_len = len,
                    .backward = 1,
                    .keep = p->c->keep == CONFIG_KEEP_ALL ? KEEP_ALL : KEEP_LAYER_INPUT};
}

static status print_plan(ppo *p, const limits *l, error *err) {
    memory_plan plan = {0};
    const model_config *shape = &p->shape;
    TRY(ppo_models_plan(&p->session, p->c, &p->models, &plan, err));
    TRY(workspace_plan(p->session.dev, shape, l, "training and scoring", &plan, err));
    TRY(sampler_plan(p->session.dev, shape, p->config->generate.slots, p->c->samples_per_prompt,
                     longest_prompt(p), p->c->max_tokens, &plan, err));
    size_t most = (size_t)answers_most_tokens(p->c->max_tokens, shape->context);
    size_t answers = (size_t)p->c->batch * (size_t)p->c->samples_per_prompt * most;
    size_t data = sizeof(int32_t) * (p->prompts.token.len + 12 * answers) + sequences_bytes(&p->ptx);
    session_print_plan(&plan, session_outside(data, p->c->policy), stdout);
    return STATUS_OK;
}

static status open_judge(ppo *p, error *err) {
    const struct config_judge *j = &p->c->score;
    if (j->kind == CONFIG_JUDGE_RULE) return judge_open_rule(j->rule, &p->judge, err);
    if (j->kind == CONFIG_JUDGE_COMMAND)
        return judge_open_command(j->command, j->timeout, 0, run_path(p->run, "log.txt"), &p->judge, err);
    return STATUS_OK;
}

static status add_inputs(ppo *p, error *err) {
    lineage *l = run_lineage(p->run);
    const char *home = run_directory(p->run);
    const struct config_ppo *c = p->c;
    const ppo_models *m = &p->models;
    TRY(session_add_model(p->run, "policy", c->policy, m->policy, err));
    TRY(session_add_model(p->run, "reference", c->reference ? c->reference : c->policy, m->reference, err));
    if (m->reward) TRY(session_add_model(p->run, "reward", c->reward, m->reward, err));
    if (c->value) TRY(session_add_model(p->run, "value", c->value, m->value, err));
    for (int i = 0; i < c->prompts.n; i++)
        TRY(lineage_add_in(l, home, "prompts", -1, c->prompts.value[i], err));
    for (int i = 0; p->ptx.train.n && i < c->ptx.n; i++)
        TRY(lineage_add_in(l, home, "ptx", -1, c->ptx.value[i], err));
    return STATUS_OK;
}

static status open_work(ppo *p, const limits *l, error *err) {
    const struct config_ppo *c = p->c;
    const model_config *shape = &p->shape;
    device *dev = p->session.dev;
    int k = c->samples_per_prompt, longest = longest_prompt(p);
    TRY(ppo_models_open_optimizers(&p->session, c, &p->models, err));
    TRY(workspace_create(dev, shape, l, &p->ws, err));
    TRY(pack_create(l, &p->pack, err));
    TRY(sampler_create(dev, shape, p->config->generate.slots, k, longest, c->max_tokens, &p->sampler, err));
    TRY(rollout_create(c, longest, shape->context, &p->rollout, err));
    p->context = (rollout_context){.session = &p->session,
                                   .c = c,
                                   .models = &p->models,
                                   .judge = p->judge,
                                   .sampler = &p->sampler,
                                   .ws = p->ws,
                                   .pack = &p->pack,
                                   .prompts = &p->prompts,
                                   .order = &p->order,
                                   .seed = (uint64_t)p->config->seed,
                                   .round = p->options->round};
    TRY(trace_open(p->options->trace, c, p->rollout.n, &p->trace, err));
    return updater_create(&p->context, p->rollout.n, l->max_row, p->ptx.train.n ? &p->ptx : NULL,
                          &p->ptx_order, &p->updater, err);
}

static status open_all(ppo *p, error *err) {
    const struct config_ppo *c = p->c;
    TRY(session_open(p->config, c->policy, p->log, &p->session, err));
    p->session.merge = c->lora.merge;
    TRY(ppo_models_open(&p->session, c, &p->models, err));
    p->shape = ppo_models_shape(&p->models);
    TRY(open_data(p, err));
    limits l = train_limits(p);
    if (p->options->dry_run) return print_plan(p, &l, err);
    TRY(add_inputs(p, err));
    TRY(open_judge(p, err));
    p->iterations = config_int_of_round(&c->iterations, p->options->round ? p->options->round : 1);
    p->schedule = p->value_schedule = schedule_of(&c->optimizer, p->iterations);
    p->value_schedule.kind = schedule_kind_of(c->value_schedule);
    p->controller = (struct ppo_controller){c->kl_coef, c->kl_adaptive, c->kl_target, c->kl_horizon};
    return open_work(p, &l, err);
}

static void close_all(ppo *p) {
    trace_close(p->trace);
    updater_free(&p->updater);
    rollout_free(&p->rollout);
    ppo_evaluation_close(&p->evaluation);
    sampler_free(&p->sampler);
    pack_free(&p->pack);
    workspace_free(p->ws);
    judge_close(p->judge);
    ppo_models_close(&p->models);
    prompts_free(&p->prompts);
    order_free(&p->order);
    sequences_free(&p->ptx);
    order_free(&p->ptx_order);
    session_close(&p->session);
    buffer_free(&p->line);
    run_close(p->run);
}

/* ---- checkpoints ---- */

/* The cursors of the loop, as doubles on their way to and from a checkpoint. */
typedef struct cursors {
    double epoch, next, ptx_epoch, ptx_next;
} cursors;

enum { LOOP_FIGURES = 5 };
static void loop_figures(ppo *p, cursors *at, loop_figure out[LOOP_FIGURES]) {
    const loop_figure all[LOOP_FIGURES] = {{"epoch", &at->epoch},
                                           {"next", &at->next},
                                           {"ptx_epoch", &at->ptx_epoch},
                                           {"ptx_next", &at->ptx_next},
                                           {"kl_coef", &p->controller.kl_coef}};
    for (int i = 0; i < LOOP_FIGURES; i++) out[i] = all[i];
}

enum { PARTS = 2 };
static void checkpoint_parts(const ppo *p, checkpoint_part out[PARTS]) {
    const ppo_models *m = &p->models;
    out[0] = (checkpoint_part){"policy", m->policy, m->policy_optimizer};
    out[1] = (checkpoint_part){"value", m->value, m->value_optimizer};
}

static status save_checkpoint(ppo *p, int stopped, error *err) {
    cursors at = {p->order.epoch, p->order.next, p->ptx_order.epoch, p->ptx_order.next};
    loop_figure loop[LOOP_FIGURES];
    checkpoint_part part[PARTS];
    loop_figures(p, &at, loop);
    checkpoint_parts(p, part);
    return checkpoint_write(p->run, p->iteration, stopped, part, PARTS, loop, LOOP_FIGURES, err);
}

static status resume(ppo *p, error *err) {
    cursors at;
    loop_figure loop[LOOP_FIGURES];
    checkpoint_part part[PARTS];
    loop_figures(p, &at, loop);
    checkpoint_parts(p, part);
    TRY(checkpoint_read(p->run, part, PARTS, loop, LOOP_FIGURES, err));
    order_seek(&p->order, (int)at.epoch, (int)at.next);
    if (p->ptx.train.n) order_seek(&p->ptx_order, (int)at.ptx_epoch, (int)at.ptx_next);
    p->iteration = run_checkpoint_step(p->run);
    log_line(p->log, "resumed at iteration %" PRId64, p->iteration);
    return STATUS_OK;
}

/* ---- one iteration ---- */

static status write_timing(ppo *p, double sampling, double updating, double update_flops, error *err) {
    int64_t tokens = rollout_tokens(&p->rollout);
    double updated = (double)tokens * p->c->epochs, peak = session_peak_flops(&p->session),
           sampling_share = p->rollout.flops / sampling / peak, update_share = update_flops / updating / peak,
           share = (p->rollout.flops + update_flops) / (sampling + updating) / peak;
    buffer_clear(&p->line);
    buffer_format(&p->line,
                  "{\"step\":%" PRId64 ",\"seconds\":%.6f,\"tokens\":%" PRId64
                  ",\"tokens_per_s\":%.1f,\"share_of_peak\":%.4f,\"rollout_seconds\":%.6f,"
                  "\"rollout_tokens_per_s\":%.1f,\"rollout_share_of_peak\":%.4f,\"update_seconds\":%.6f,"
                  "\"update_tokens_per_s\":%.1f,\"update_share_of_peak\":%.4f}",
                  p->iteration, sampling + updating, tokens, (double)tokens / (sampling + updating), share,
                  sampling, (double)tokens / sampling, sampling_share, updating, updated / updating,
                  update_share);
    return run_timing(p->run, &p->line, err);
}

static status iterate(ppo *p, progress *bar, error *err) {
    const struct config_ppo *c = p->c;
    double started = clock_seconds();
    iteration_rates rates = {p->controller.kl_coef,
                             c->optimizer.lr * schedule_factor(&p->schedule, p->iteration),
                             c->value_lr * schedule_factor(&p->value_schedule, p->iteration)};
    int64_t iteration = p->iteration + 1;
    update_figures figures;

    TRY(rollout_collect(&p->rollout, &p->context, iteration, rates.kl_coef, err));
    double sampled = clock_seconds();
    TRY(trace_models(p->trace, &p->session, &p->models, iteration, "before", err));
    TRY(update_models(&p->updater, &p->rollout, iteration, rates.lr, rates.value_lr, &figures,
                      p->trace ? trace_minibatch : NULL, p->trace, err));
    TRY(trace_models(p->trace, &p->session, &p->models, iteration, "after", err));
    TRY(trace_write(p->trace, &p->rollout, iteration, err));
    ppo_controller_update(&p->controller, ppo_kl_per_answer(&p->rollout), p->rollout.n);
    p->iteration = iteration;

    ppo_metrics_line(iteration, &p->rollout, &figures, &rates, p->ptx.train.n > 0, &p->line);
    TRY(run_metrics(p->run, &p->line, err));
    char text[96];
    double score = 0;
    for (int i = 0; i < p->rollout.n; i++) score += p->rollout.score[i] / (double)p->rollout.n;
    double kl = ppo_kl_per_answer(&p->rollout);
    if (fabs(kl) < 0.005) kl = 0; /* no "-0.00" */
    snprintf(text, sizeof text, "score %.3f kl %.2f length %.1f", score, kl,
             (double)rollout_tokens(&p->rollout) / p->rollout.n);
    progress_step(bar, iteration, rollout_tokens(&p->rollout), text);
    return write_timing(p, sampled - started, clock_seconds() - sampled, figures.flops, err);
}

/* ---- between iterations ---- */

static status evaluate(ppo *p, error *err) {
    ppo_evaluation *e = &p->evaluation;
    TRY(ppo_evaluation_run(e, &p->context, p->iteration, err));
    if (e->rollout.n == 0) return STATUS_OK;
    ppo_metrics_valid_line(p->iteration, e->score, e->length, e->ended, &p->line);
    return run_metrics(p->run, &p->line, err);
}

/* Where it begins. A resumed run has that line already. */
static status evaluate_start(ppo *p, error *err) {
    return p->iteration == 0 && p->c->eval_every ? evaluate(p, err) : STATUS_OK;
}

static status between_iterations(ppo *p, error *err) {
    int64_t n = p->iteration, all = p->iterations;
    if (stage_is_due(p->c->eval_every, n, all)) TRY(evaluate(p, err));
    stage_pause pause = stage_between(p->c->save_every, n, all);
    if (pause.save) TRY(save_checkpoint(p, !pause.scheduled, err));
    return pause.stop ? stage_interrupted("iteration", n, err) : STATUS_OK;
}

/* ---- the run ---- */

static status train(ppo *p, error *err) {
    progress bar;
    progress_begin(&bar, p->log, "ppo", "iteration", p->iteration, p->iterations);
    log_line(p->log, "ppo: %d prompts, %d held out; %" PRId64 " iterations of %d answers; %s", p->prompts.n,
             p->evaluation.prompts.n, p->iterations, p->rollout.n, p->session.dev->name);
    TRY(evaluate_start(p, err));
    while (p->iteration < p->iterations) {
        TRY(iterate(p, &bar, err));
        TRY(between_iterations(p, err));
    }
    progress_end(&bar);
    return p->judge ? judge_finish(p->judge, err) : STATUS_OK;
}

static status save(ppo *p, error *err) {
    const float *average = optimizer_get_state(p->models.policy_optimizer)->ema;
    TRY(session_save_model(&p->session, p->run, "policy", p->models.policy, NULL, err));
    if (average) TRY(session_save_model(&p->session, p->run, "policy-ema", p->models.policy, average, err));
    TRY(session_save_model(&p->session, p->run, "value", p->models.value, NULL, err));
    TRY(session_add_result(p->run, "policy", p->iteration, "policy", err));
    TRY(session_add_result(p->run, "policy-ema", p->iteration, "policy-ema", err));
    TRY(session_add_result(p->run, "value", p->iteration, "value", err));
    return run_finish(p->run, err);
}

status ppo_check_keys(const struct config *config, error *err) {
    const struct config_ppo *c = &config->ppo;
    const char *missing = c->score.kind == CONFIG_JUDGE_MODEL && !c->reward            ? "ppo.reward"
                          : c->score.kind == CONFIG_JUDGE_RULE && !c->score.rule       ? "ppo.rule"
                          : c->score.kind == CONFIG_JUDGE_COMMAND && !c->score.command ? "ppo.command"
                          : c->ptx_coef > 0 && !c->ptx.n                               ? "ppo.ptx"
                                                                                       : NULL;
    if (missing)
        return error_set(err, STATUS_USAGE, "%s is needed%s", missing,
                         strcmp(missing, "ppo.ptx") == 0
                             ? " with ppo.ptx_coef > 0: files of pre-training texts"
                             : " by the way answers are scored (ppo.score)");
    double n = (double)c->batch * c->samples_per_prompt;
    if (c->kl_adaptive && c->kl_horizon <= 0.2f * (float)n)
        return config_refuse_key(config->source, "ppo.kl_horizon", STATUS_USAGE, err,
                                 "is %g, must be over a fifth of the %g answers of an iteration",
                                 (double)c->kl_horizon, n);
    return STATUS_OK;
}

static status run_stages(ppo *p, run_state state, error *err) {
    status s = open_all(p, err);
    if (s != STATUS_OK) run_give_up(p->run);
    if (s != STATUS_OK || p->options->dry_run) return s;
    if (state == RUN_RESUMED) TRY(resume(p, err));
    TRY(train(p, err));
    return save(p, err);
}

static status open_run(ppo *p, run_state *state, error *err) {
    TRY(stage_open_run(p->config, "ppo", CONFIG_OF_PPO, p->options, p->c->keep_checkpoints, &p->run, state,
                       err));
    p->log = run_log(p->run);
    return STATUS_OK;
}

status ppo_run(const struct config *c, const stage_options *options, error *err) {
    ppo p = {.config = c, .c = &c->ppo, .options = options, .log = options->log};
    run_state state = RUN_NEW;
    TRY(ppo_check_keys(c, err));
    status s = options->dry_run ? STATUS_OK : open_run(&p, &state, err);
    if (s == STATUS_OK && state == RUN_FINISHED)
        log_line(options->log, "%s: ppo was finished before", c->run);
    else if (s == STATUS_OK)
        s = run_stages(&p, state, err);
    close_all(&p);
    return s;
}
