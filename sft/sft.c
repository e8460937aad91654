#include "sft/sft.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/progress.h"
#include "core/train/checkpoint.h"
#include "sft/data.h"
#include "sft/loss.h"
#include "sft/samples.h"

/* Everything that a run holds; made at start, so that a step allocates nothing. */
typedef struct sft {
    const struct config *config;
    const struct config_sft *c;
    const stage_options *options;
    const char *kind; /* "pretrain" or "sft" */
    session session;
    run *run; /* NULL on a dry run */
    logger *log;
    sft_data data;
    model *model;
    workspace *ws;
    optimizer *optimizer;
    struct schedule schedule;
    sft_samples samples;
    pack pack;
    float *dlogprob, *logprob; /* rows of a micro-batch */
    buffer line;
    int64_t step; /* done so far */
    double best;  /* lowest validation loss; NaN before the first */
} sft;

/* ---- making ---- */

static status open_model(sft *s, error *err) {
    uint64_t seed = (uint64_t)s->config->seed;
    model_config shape;
    lora_options lora;
    const char *rank = s->c == &s->config->pretrain ? "pretrain.lora_rank" : "sft.lora_rank";
    if (s->c->lora.rank && !s->c->init)
        return config_refuse_key(s->config->source, rank, STATUS_USAGE, err,
                                 "adapts a model: %s.init must name it", s->kind);
    s->session.merge = s->c->lora.merge;
    if (s->c->init) {
        model_options o = {.trained = 1,
                           .language_head = 1,
                           .n_score = 0,
                           .score_bias = 0,
                           .n_vocab = s->session.n_vocab,
                           .compute = s->session.compute,
                           .seed = seed,
                           .round = s->options->round,
                           .lora = session_lora(&s->c->lora, &lora)};
        TRY(model_load(s->session.dev, s->c->init, &o, &s->model, err));
    } else {
        TRY(session_model_config(&s->session, &shape, err));
        TRY(model_init(s->session.dev, &shape, seed, 1, &s->model, err));
    }
    session_set_length(&s->session, model_get_config(s->model)->context);
    return STATUS_OK;
}

static status print_plan(sft *s, const limits *l, error *err) {
    memory_plan plan = {0};
    const model_config *shape = model_get_config(s->model);
    struct optimizer_options how = optimizer_options_of(&s->c->optimizer, s->c->ema, s->session.ranks);
    TRY(session_plan_model(&s->session, s->model, 1, "model", &plan, err));
    TRY(workspace_plan(s->session.dev, shape, l, "model", &plan, err));
    optimizer_plan(model_flat(s->model)->count, &how, "model", &plan);
    TRY(sft_samples_plan(&s->session, s->c, shape, &plan, err));
    session_print_plan(&plan, session_outside(sft_data_bytes(&s->data), s->c->init), stdout);
    return STATUS_OK;
}

static status add_inputs(sft *s, error *err) {
    if (s->c->init) TRY(session_add_model(s->run, "init", s->c->init, s->model, err));
    const config_strings *lists[] = {&s->c->train, &s->c->valid};
    for (int l = 0; l < 2; l++)
        for (int i = 0; i < lists[l]->n; i++)
            TRY(lineage_add_in(run_lineage(s->run), run_directory(s->run), l ? "valid" : "train", -1,
                               lists[l]->value[i], err));
    return STATUS_OK;
}

static status open_all(sft *s, error *err) {
    TRY(session_open(s->config, s->c->init, s->log, &s->session, err));
    TRY(open_model(s, err));
    TRY(sft_data_open(&s->session, s->c, s->options->round, &s->data, err));
    limits l = sft_limits(&s->data, s->c);
    if (s->options->dry_run) return print_plan(s, &l, err);
    TRY(add_inputs(s, err));
    struct optimizer_options how = optimizer_options_of(&s->c->optimizer, s->c->ema, s->session.ranks);
    s->schedule = schedule_of(&s->c->optimizer, s->data.steps);
    TRY(workspace_create(s->session.dev, model_get_config(s->model), &l, &s->ws, err));
    TRY(optimizer_create(s->session.dev, model_flat(s->model), &how, &s->optimizer, err));
    TRY(pack_create(&l, &s->pack, err));
    TRY(sft_samples_open(&s->session, s->c, &s->data, model_get_config(s->model), &s->samples, err));
    s->dlogprob = calloc((size_t)l.max_row, sizeof *s->dlogprob);
    s->logprob = calloc((size_t)l.max_row, sizeof *s->logprob);
    return s->dlogprob && s->logprob ? STATUS_OK : error_memory(err, "rows");
}

static void close_all(sft *s) {
    sft_samples_close(&s->samples);
    pack_free(&s->pack);
    optimizer_free(s->optimizer);
    workspace_free(s->ws);
    model_free(s->model);
    sft_data_close(&s->data);
    session_close(&s->session);
    free(s->dlogprob);
    free(s->logprob);
    buffer_free(&s->line);
    run_close(s->run);
}

/* ---- checkpoints ---- */

static status save_checkpoint(sft *s, int stopped, error *err) {
    double epoch = s->data.order.epoch, next = s->data.order.next;
    const loop_figure loop[] = {{"epoch", &epoch}, {"next", &next}, {"best", &s->best}};
    const checkpoint_part part = {"model", s->model, s->optimizer};
    return checkpoint_write(s->run, s->step, stopped, &part, 1, loop, 3, err);
}

static status resume(sft *s, error *err) {
    double epoch, next;
    const loop_figure loop[] = {{"epoch", &epoch}, {"next", &next}, {"best", &s->best}};
    const checkpoint_part part = {"model", s->model, s->optimizer};
    TRY(checkpoint_read(s->run, &part, 1, loop, 3, err));
    order_seek(&s->data.order, (int)epoch, (int)next);
    s->step = run_checkpoint_step(s->run);
    log_line(s->log, "resumed at step %" PRId64, s->step);
    return STATUS_OK;
}

/* ---- one step ---- */

/* Fills the pack with examples from *next on, as far as they fit. Returns how many went in. */
static int fill_pack(sft *s, const sequences *from, const int32_t *index, const uint64_t *id, int n,
                     int *next) {
    pack_clear(&s->pack);
    int first = *next;
    for (; *next < n; (*next)++) {
        int i = index ? index[*next] : *next;
        const sequence *x = &from->entry[i];
        if (!pack_fits(&s->pack, x->n, x->n_target)) break;
        pack_add(&s->pack, id ? id[*next] : (uint64_t)i, x->token, x->n);
        pack_rows_of_targets(&s->pack, sequence_targets(x));
    }
    sequences_release(&s->data.data);
    return *next - first;
}

/* Gradients of all micro-batches of the step, and its loss. */
static status accumulate(sft *s, struct sft_loss *loss, int64_t *tokens, double *flops, error *err) {
    forward_options o = {.temperature = 1, .dropout = s->c->dropout, .for_backward = 1};
    o.dropout_key = random_make_key((uint64_t)s->config->seed, RANDOM_DROPOUT, (uint32_t)s->options->round,
                                    (uint32_t)s->step);
    row_grads grads = {.logprob = s->dlogprob};
    row_values values = {.logprob = s->logprob};
    for (int next = 0; next < s->data.n_index;) {
        fill_pack(s, &s->data.data.train, s->data.index, s->data.id, s->data.n_index, &next);
        sft_loss_gradient(s->pack.b.n_row, s->data.n_target, s->dlogprob);
        TRY(model_forward(s->model, s->ws, &s->pack.b, &o, err));
        TRY(model_backward(s->model, s->ws, &grads, &values, err));
        sft_loss_add(loss, s->pack.b.n_row, s->logprob);
        *tokens += s->pack.b.n_token;
        *flops += pack_flops(&s->pack, model_get_config(s->model), PASS_STEP);
    }
    return STATUS_OK;
}

/* A loss that is not finite stops the run before the step, naming where it came from. */
static status check_loss(const sft *s, const struct sft_loss *loss, error *err) {
    if (isfinite(sft_loss_mean(loss))) return STATUS_OK;
    char what[128];
    snprintf(what, sizeof what, "the loss is %g over %" PRId64 " targets of %d examples (first: example %d)",
             sft_loss_mean(loss), loss->n_target, s->data.n_index, s->data.index[0]);
    return session_refuse_loss(s->model, s->c->init, s->step + 1, what,
                               s->c == &s->config->pretrain ? "pretrain.lr" : "sft.lr", err);
}

/* A line of metrics up to the loss and its perplexity. */
static void begin_line(sft *s, const char *split, double loss) {
    buffer_clear(&s->line);
    buffer_format(&s->line, "{\"step\":%" PRId64 "%s", s->step, split);
    buffer_json_figure(&s->line, "loss", loss);
    buffer_json_figure(&s->line, "perplexity", sft_loss_perplexity(loss));
}

static status train_step(sft *s, progress *bar, error *err) {
    struct sft_loss loss = {0};
    int64_t tokens = 0;
    double flops = 0, norm, started = clock_seconds(),
           lr = s->c->optimizer.lr * schedule_factor(&s->schedule, s->step);
    sft_data_step(&s->data, s->c);
    model_zero_grad(s->model);
    TRY(accumulate(s, &loss, &tokens, &flops, err));
    TRY(check_loss(s, &loss, err));
    TRY(optimizer_step(s->optimizer, lr, &norm, err));
    model_changed(s->model);
    s->step++;

    double mean = sft_loss_mean(&loss);
    char figures[64];
    snprintf(figures, sizeof figures, "loss %.4f", mean);
    progress_step(bar, s->step, tokens, figures);
    begin_line(s, "", mean);
    buffer_json_figure(&s->line, "lr", lr);
    buffer_json_figure(&s->line, "grad_norm", norm);
    buffer_format(&s->line, ",\"tokens\":%" PRId64 "}", tokens);
    TRY(run_metrics(s->run, &s->line, err));
    return session_write_timing(&s->session, s->run, s->step, clock_seconds() - started, tokens, flops,
                                &s->line, err);
}

/* ---- validation ---- */

static status validate(sft *s, error *err) {
    forward_options o = {.temperature = 1};
    row_values values = {.logprob = s->logprob};
    struct sft_loss loss = {0};
    const sequences *held = &s->data.data.valid;
    if (held->n == 0) return STATUS_OK;
    for (int next = 0; next < held->n;) {
        fill_pack(s, held, NULL, NULL, held->n, &next);
        TRY(model_forward(s->model, s->ws, &s->pack.b, &o, err));
        TRY(model_read(s->model, s->ws, &values, err));
        sft_loss_add(&loss, s->pack.b.n_row, s->logprob);
    }
    double mean = sft_loss_mean(&loss);
    begin_line(s, ",\"split\":\"valid\"", mean);
    buffer_format(&s->line, ",\"tokens\":%" PRId64 "}", held->n_token);
    TRY(run_metrics(s->run, &s->line, err));
    log_line(s->log, "step %" PRId64 "/%" PRId64 ": validation loss %.4f, perplexity %.2f", s->step,
             s->data.steps, mean, sft_loss_perplexity(mean));
    if (!(mean < s->best) && !isnan(s->best)) return STATUS_OK;
    s->best = mean;
    return session_save_model(&s->session, s->run, "best", s->model, NULL, err);
}

/* What stands between two steps: validation, samples, a checkpoint, a signal. */
static status between_steps(sft *s, error *err) {
    int64_t n = s->step, all = s->data.steps;
    if (stage_is_due(s->c->eval_every, n, all)) TRY(validate(s, err));
    if (s->c->sample_every && stage_is_due(s->c->sample_every, n, all))
        TRY(sft_samples_show(&s->samples, &s->session, s->model, (uint64_t)s->config->seed, n, err));
    stage_pause pause = stage_between(s->c->save_every, n, all);
    if (pause.save) TRY(save_checkpoint(s, !pause.scheduled, err));
    return pause.stop ? stage_interrupted("step", n, err) : STATUS_OK;
}

/* ---- the run ---- */

static status train(sft *s, error *err) {
    progress bar;
    progress_begin(&bar, s->log, s->kind, "step", s->step, s->data.steps);
    const sequences *examples = &s->data.data.train;
    log_line(s->log,
             "%s: %d examples, %" PRId64 " tokens, %" PRId64 " targets; %d held out; %" PRId64 " steps; %s",
             s->kind, examples->n, examples->n_token, examples->n_target, s->data.data.valid.n, s->data.steps,
             s->session.dev->name);
    while (s->step < s->data.steps) {
        TRY(train_step(s, &bar, err));
        TRY(between_steps(s, err));
    }
    progress_end(&bar);
    return STATUS_OK;
}

static status save(sft *s, error *err) {
    TRY(session_save_model(&s->session, s->run, "model", s->model, NULL, err));
    const float *average = optimizer_get_state(s->optimizer)->ema;
    if (average) TRY(session_save_model(&s->session, s->run, "model-ema", s->model, average, err));
    TRY(session_add_result(s->run, "model", s->step, "model", err));
    TRY(session_add_result(s->run, "model-ema", s->step, "model-ema", err));
    TRY(session_add_result(s->run, "best", -1, "best", err));
    return run_finish(s->run, err);
}

static status run_stages(sft *s, run_state state, error *err) {
    status st = open_all(s, err);
    if (st != STATUS_OK) run_give_up(s->run);
    if (st != STATUS_OK || s->options->dry_run) return st;
    if (state == RUN_RESUMED) TRY(resume(s, err));
    TRY(train(s, err));
    return save(s, err);
}

static status open_run(sft *s, run_state *state, error *err) {
    const char *const *sections = s->c == &s->config->pretrain ? CONFIG_OF_PRETRAIN : CONFIG_OF_SFT;
    TRY(stage_open_run(s->config, s->kind, sections, s->options, s->c->keep_checkpoints, &s->run, state,
                       err));
    s->log = run_log(s->run);
    return STATUS_OK;
}

static status run_section(const struct config *c, const struct config_sft *section, const char *kind,
                          const stage_options *options, error *err) {
    sft s = {.config = c, .c = section, .kind = kind, .options = options, .log = options->log, .best = NAN};
    run_state state = RUN_NEW;
    status st = options->dry_run ? STATUS_OK : open_run(&s, &state, err);
    if (st == STATUS_OK && state == RUN_FINISHED)
        log_line(options->log, "%s: %s was finished before", c->run, s.kind);
    else if (st == STATUS_OK)
        st = run_stages(&s, state, err);
    close_all(&s);
    return st;
}

status sft_run(const struct config *c, const stage_options *options, error *err) {
    return run_section(c, &c->sft, "sft", options, err);
}

status pretrain_run(const struct config *c, const stage_options *options, error *err) {
    return run_section(c, &c->pretrain, "pretrain", options, err);
}
