#include "reward/reward.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/base/progress.h"
#include "core/train/checkpoint.h"
#include "reward/work.h"

/* ---- making ---- */

static status open_model(reward *w, error *err) {
    lora_options lora;
    model_options o = {.trained = 1,
                       .language_head = 0,
                       .n_score = 1,
                       .score_bias = 0,
                       .n_vocab = w->session.n_vocab,
                       .compute = w->session.compute,
                       .seed = (uint64_t)w->config->seed,
                       .round = w->options->round,
                       .lora = session_lora(&w->c->lora, &lora)};
    w->session.merge = w->c->lora.merge;
    TRY(model_load(w->session.dev, w->c->init, &o, &w->model, err));
    model_set_reward_scale(w->model, 0, 1);
    session_set_length(&w->session, model_get_config(w->model)->context);
    return STATUS_OK;
}

static status check_pairs(const reward *w, error *err) {
    int64_t pairs = 0;
    for (int i = 0; i < w->data.train.n; i++) {
        const ranking *r = &w->data.train.entry[i];
        if (r->weight > 0) pairs += reward_count_pairs(w->how.ties, r->n_answer, r->rank);
    }
    if (pairs) return STATUS_OK;
    return error_set(
        err, STATUS_DATA,
        "%s: %d rankings and not one pair: all answers are tied (reward.ties: half learns from ties)",
        w->c->train.value[0], w->data.train.n);
}

static status add_inputs(reward *w, error *err) {
    lineage *l = run_lineage(w->run);
    const char *home = run_directory(w->run);
    const struct config_reward *c = w->c;
    TRY(session_add_model(w->run, "init", c->init, w->model, err));
    for (int i = 0; i < c->train.n; i++) TRY(lineage_add_in(l, home, "snapshot", -1, c->train.value[i], err));
    for (int i = 0; i < c->valid.n; i++) TRY(lineage_add_in(l, home, "valid", -1, c->valid.value[i], err));
    for (int i = 0; i < c->normalise_on.n; i++)
        TRY(lineage_add_in(l, home, "normalise_on", -1, c->normalise_on.value[i], err));
    return STATUS_OK;
}

static status print_plan(reward *w, const limits *l, error *err) {
    memory_plan plan = {0};
    const model_config *shape = model_get_config(w->model);
    struct optimizer_options how = optimizer_options_of(&w->c->optimizer, 0, w->session.ranks);
    TRY(session_plan_model(&w->session, w->model, 1, "model", &plan, err));
    TRY(workspace_plan(w->session.dev, shape, l, "model", &plan, err));
    optimizer_plan(model_flat(w->model)->count, &how, "model", &plan);
    size_t tokens = w->data.train.token.len + w->data.valid.token.len;
    session_print_plan(&plan, session_outside(sizeof(int32_t) * tokens, w->c->init), stdout);
    return STATUS_OK;
}

static status open_all(reward *w, error *err) {
    TRY(session_open(w->config, w->c->init, w->log, &w->session, err));
    TRY(open_model(w, err));
    TRY(reward_data_open(&w->session, w->c, w->options->round, &w->data, err));
    TRY(check_pairs(w, err));
    limits l = reward_limits(&w->data, w->c);
    if (w->options->dry_run) return print_plan(w, &l, err);
    TRY(add_inputs(w, err));
    struct optimizer_options how = optimizer_options_of(&w->c->optimizer, 0, w->session.ranks);
    w->schedule = schedule_of(&w->c->optimizer, w->data.steps);
    TRY(workspace_create(w->session.dev, model_get_config(w->model), &l, &w->ws, err));
    TRY(optimizer_create(w->session.dev, model_flat(w->model), &how, &w->optimizer, err));
    TRY(pack_create(&l, &w->pack, err));
    int most = reward_count_answers(&w->data.train), held = reward_count_answers(&w->data.valid),
        step = w->c->batch * RANKING_ANSWERS;
    if (held > most) most = held;
    w->score = calloc((size_t)l.max_row, sizeof *w->score);
    w->dscore = calloc((size_t)l.max_row, sizeof *w->dscore);
    w->all = calloc((size_t)(most > step ? most : step), sizeof *w->all);
    return w->score && w->dscore && w->all ? STATUS_OK : error_memory(err, "rows");
}

static void close_all(reward *w) {
    pack_free(&w->pack);
    optimizer_free(w->optimizer);
    workspace_free(w->ws);
    model_free(w->model);
    reward_data_close(&w->data);
    session_close(&w->session);
    free(w->score);
    free(w->dscore);
    free(w->all);
    buffer_free(&w->line);
    run_close(w->run);
}

/* ---- checkpoints ---- */

static status save_checkpoint(reward *w, int stopped, error *err) {
    double epoch = w->data.order.epoch, next = w->data.order.next;
    const loop_figure loop[] = {{"epoch", &epoch}, {"next", &next}, {"best", &w->best}};
    const checkpoint_part part = {"model", w->model, w->optimizer};
    return checkpoint_write(w->run, w->step, stopped, &part, 1, loop, 3, err);
}

static status resume(reward *w, error *err) {
    double epoch, next;
    const loop_figure loop[] = {{"epoch", &epoch}, {"next", &next}, {"best", &w->best}};
    const checkpoint_part part = {"model", w->model, w->optimizer};
    TRY(checkpoint_read(w->run, &part, 1, loop, 3, err));
    order_seek(&w->data.order, (int)epoch, (int)next);
    w->step = run_checkpoint_step(w->run);
    log_line(w->log, "resumed at step %" PRId64, w->step);
    return STATUS_OK;
}

/* ---- one step ---- */

/* Scores of one micro-batch to the gradient of each, ranking by ranking. */
static void rank_pack(reward *w, int first, int n, step_figures *f) {
    float *score = w->score, *dscore = w->dscore;
    for (int r = 0; r < w->pack.b.n_row; r++) dscore[r] = 0;
    for (int i = first; i < first + n; i++) {
        const ranking *k = &w->data.train.entry[w->data.index[i]];
        f->loss += reward_loss(&w->how, &w->data.totals, k->n_answer, score, k->rank, k->weight, dscore);
        reward_accuracy_add(&f->accuracy, k->n_answer, score, k->rank);
        for (int a = 0; a < k->n_answer; a++) w->all[f->n_score++] = score[a];
        score += k->n_answer;
        dscore += k->n_answer;
    }
}

static status accumulate(reward *w, step_figures *f, error *err) {
    forward_options o = {.temperature = 1, .for_backward = 1};
    row_values values = {.score = w->score};
    row_grads grads = {.score = w->dscore};
    for (int next = 0; next < w->data.n_index;) {
        int first = next,
            n = reward_fill_pack(&w->pack, &w->data.train, w->data.index, w->data.n_index, &next);
        TRY(model_forward(w->model, w->ws, &w->pack.b, &o, err));
        TRY(model_read(w->model, w->ws, &values, err));
        rank_pack(w, first, n, f);
        TRY(model_backward(w->model, w->ws, &grads, NULL, err));
        f->tokens += w->pack.b.n_token;
        f->flops += pack_flops(&w->pack, model_get_config(w->model), PASS_STEP);
    }
    if (isfinite(f->loss)) return STATUS_OK;
    char what[96];
    snprintf(what, sizeof what, "the loss is %g over %d rankings (first: ranking %d)", f->loss,
             w->data.n_index, w->data.index[0]);
    return session_refuse_loss(w->model, w->c->init, w->step + 1, what, "reward.lr", err);
}

static status write_metrics(reward *w, const step_figures *f, double seconds, error *err) {
    buffer *b = &w->line;
    buffer_clear(b);
    buffer_format(b, "{\"step\":%" PRId64, w->step);
    buffer_json_figure(b, "loss", f->loss);
    reward_put_accuracy(b, &f->accuracy, w->all, f->n_score);
    buffer_json_figure(b, "lr", f->lr);
    buffer_json_figure(b, "grad_norm", f->norm);
    buffer_string(b, "}");
    TRY(run_metrics(w->run, b, err));
    return session_write_timing(&w->session, w->run, w->step, seconds, f->tokens, f->flops, b, err);
}

static status train_step(reward *w, progress *bar, error *err) {
    step_figures f = {.lr = w->c->optimizer.lr * schedule_factor(&w->schedule, w->step)};
    double started = clock_seconds();
    reward_data_step(&w->data, w->c, &w->how);
    model_zero_grad(w->model);
    TRY(accumulate(w, &f, err));
    TRY(optimizer_step(w->optimizer, f.lr, &f.norm, err));
    model_changed(w->model);
    w->best_is_last = 0;
    w->step++;
    char figures[64];
    snprintf(figures, sizeof figures, "loss %.4f accuracy %.3f", f.loss, reward_accuracy_share(&f.accuracy));
    progress_step(bar, w->step, f.tokens, figures);
    return write_metrics(w, &f, clock_seconds() - started, err);
}

/* ---- the run ---- */

static status between_steps(reward *w, error *err) {
    int64_t n = w->step, all = w->data.steps;
    if (stage_is_due(w->c->eval_every, n, all)) TRY(reward_validate(w, err));
    stage_pause pause = stage_between(w->c->save_every, n, all);
    if (pause.save) TRY(save_checkpoint(w, !pause.scheduled, err));
    return pause.stop ? stage_interrupted("step", n, err) : STATUS_OK;
}

static status train(reward *w, error *err) {
    progress bar;
    progress_begin(&bar, w->log, "reward", "step", w->step, w->data.steps);
    log_line(w->log, "reward: %d rankings, %zu tokens; %d held out; %" PRId64 " steps; %s", w->data.train.n,
             w->data.train.token.len, w->data.valid.n, w->data.steps, w->session.dev->name);
    while (w->step < w->data.steps) {
        TRY(train_step(w, &bar, err));
        TRY(between_steps(w, err));
    }
    progress_end(&bar);
    return STATUS_OK;
}

static status run_stages(reward *w, run_state state, error *err) {
    status st = open_all(w, err);
    if (st != STATUS_OK) run_give_up(w->run);
    if (st != STATUS_OK || w->options->dry_run) return st;
    if (state == RUN_RESUMED) TRY(resume(w, err));
    TRY(train(w, err));
    TRY(reward_fit_scale(w, "normalised", err));
    TRY(session_save_model(&w->session, w->run, "model", w->model, NULL, err));
    TRY(session_add_result(w->run, "reward", w->step, "model", err));
    TRY(reward_scale_best(w, err));
    TRY(session_add_result(w->run, "best", -1, "best", err));
    return run_finish(w->run, err);
}

static status open_run(reward *w, run_state *state, error *err) {
    TRY(stage_open_run(w->config, "reward", CONFIG_OF_REWARD, w->options, w->c->keep_checkpoints, &w->run,
                       state, err));
    w->log = run_log(w->run);
    return STATUS_OK;
}

status reward_run(const struct config *c, const stage_options *options, error *err) {
    static const enum reward_ties ties[] = {REWARD_TIES_SKIP, REWARD_TIES_HALF};
    static const enum reward_weight weight[] = {REWARD_WEIGHT_PROMPT, REWARD_WEIGHT_PAIR};
    reward w = {.config = c, .c = &c->reward, .options = options, .log = options->log, .best = NAN};
    w.how = (struct reward_loss){
        .ties = ties[c->reward.ties], .weight = weight[c->reward.weight], .centering = c->reward.centering};
    run_state state = RUN_NEW;
    status st = options->dry_run ? STATUS_OK : open_run(&w, &state, err);
    if (st == STATUS_OK && state == RUN_FINISHED)
        log_line(options->log, "%s: reward was finished before", c->run);
    else if (st == STATUS_OK)
        st = run_stages(&w, state, err);
    close_all(&w);
    return st;
}
