#include "reward/reward.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/base/progress.h"
#include "core/base/signal.h"
#include "core/train/checkpoint.h"
#include "core/train/moments.h"
#include "datasets/answers.h"
#include "reward/accuracy.h"
#include "reward/data.h"
#include "reward/normalise.h"

/* Everything that a run holds; made at start, so that a step allocates nothing. */
typedef struct reward {
    const struct config *config;
    const struct config_reward *c;
    const stage_options *options;
    session session;
    run *run; /* NULL on a dry run */
    logger *log;
    reward_data data;
    struct reward_loss how;
    model *model;
    workspace *ws;
    optimizer *optimizer;
    struct schedule schedule;
    pack pack;
    float *score, *dscore; /* rows of a micro-batch */
    float *all;            /* scores of a whole step or of all validation answers */
    buffer line;
    int64_t step;
    double best; /* highest validation accuracy; NaN before the first */
} reward;

/* ---- making ---- */

static status open_model(reward *w, error *err) {
    model_options o = {
        .trained = 1, .language_head = 0, .n_score = 1, .score_bias = 0, .n_vocab = w->session.n_vocab};
    o.seed = (uint64_t)w->config->seed + (uint64_t)w->options->round;
    TRY(model_load(w->session.dev, w->c->init, &o, &w->model, err));
    model_set_reward_scale(w->model, 0, 1);
    session_set_length(&w->session, model_get_config(w->model)->context);
    return STATUS_OK;
}

static status check_pairs(const reward *w, error *err) {
    int64_t pairs = 0;
    for (int i = 0; i < w->data.train.n; i++)
        pairs +=
            reward_count_pairs(w->how.ties, w->data.train.entry[i].n_answer, w->data.train.entry[i].rank);
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
    TRY(lineage_add_in(l, home, "init", -1, c->init, err));
    for (int i = 0; i < c->train.n; i++) TRY(lineage_add_in(l, home, "snapshot", -1, c->train.value[i], err));
    for (int i = 0; i < c->valid.n; i++) TRY(lineage_add_in(l, home, "valid", -1, c->valid.value[i], err));
    for (int i = 0; i < c->normalise_on.n; i++)
        TRY(lineage_add_in(l, home, "normalise_on", -1, c->normalise_on.value[i], err));
    return STATUS_OK;
}

static status print_plan(reward *w, const limits *l, error *err) {
    memory_plan plan = {0};
    const model_config *shape = model_get_config(w->model);
    struct optimizer_options how = optimizer_options_of(&w->c->optimizer, 0);
    TRY(model_plan(w->session.dev, shape, 1, "model", &plan, err));
    TRY(workspace_plan(w->session.dev, shape, l, "model", &plan, err));
    optimizer_plan(model_flat(w->model)->count, &how, "model", &plan);
    session_print_plan(&plan, stdout);
    return STATUS_OK;
}

static int count_answers(const rankings *r) {
    int n = 0;
    for (int i = 0; i < r->n; i++) n += r->entry[i].n_answer;
    return n;
}

static status open_all(reward *w, error *err) {
    TRY(session_open(w->config, w->c->init, w->log, &w->session, err));
    TRY(open_model(w, err));
    TRY(reward_data_open(&w->session, w->c, w->options->round, &w->data, err));
    TRY(check_pairs(w, err));
    limits l = reward_limits(&w->data, w->c);
    if (w->options->dry_run) return print_plan(w, &l, err);
    TRY(add_inputs(w, err));
    struct optimizer_options how = optimizer_options_of(&w->c->optimizer, 0);
    w->schedule = schedule_of(&w->c->optimizer, w->data.steps);
    TRY(workspace_create(w->session.dev, model_get_config(w->model), &l, &w->ws, err));
    TRY(optimizer_create(w->session.dev, model_flat(w->model), &how, &w->optimizer, err));
    TRY(pack_create(&l, &w->pack, err));
    int most = count_answers(&w->data.train), held = count_answers(&w->data.valid),
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
    const char *directory;
    double epoch = w->data.order.epoch, next = w->data.order.next;
    const loop_figure loop[] = {{"epoch", &epoch}, {"next", &next}, {"best", &w->best}};
    TRY(run_checkpoint_begin(w->run, w->step, stopped, &directory, err));
    status st = checkpoint_save(directory, "model", w->model, w->optimizer, err);
    if (st == STATUS_OK) st = checkpoint_save_loop(directory, loop, 3, err);
    if (st == STATUS_OK) return run_checkpoint_commit(w->run, err);
    run_checkpoint_abandon(w->run);
    return st;
}

static status resume(reward *w, error *err) {
    double epoch, next;
    const loop_figure loop[] = {{"epoch", &epoch}, {"next", &next}, {"best", &w->best}};
    const char *directory = run_checkpoint_path(w->run);
    TRY(checkpoint_load(directory, "model", w->model, w->optimizer, err));
    TRY(checkpoint_load_loop(directory, loop, 3, err));
    order_seek(&w->data.order, (int)epoch, (int)next);
    w->step = run_checkpoint_step(w->run);
    log_line(w->log, "resumed at step %" PRId64, w->step);
    return STATUS_OK;
}

/* ---- one step ---- */

typedef struct step_figures {
    double loss, norm, lr, flops;
    int64_t tokens, n_score;
    struct reward_accuracy accuracy;
} step_figures;

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
        f->flops += pack_flops(&w->pack, model_get_config(w->model));
    }
    if (isfinite(f->loss)) return STATUS_OK;
    return error_set(err, STATUS_FAILED,
                     "step %" PRId64
                     ": the loss is %g over %d rankings (first: ranking %d): no weight was changed; lower "
                     "reward.lr or look at the data",
                     w->step + 1, f->loss, w->data.n_index, w->data.index[0]);
}

static void put(buffer *b, const char *name, double value) {
    buffer_format(b, ",\"%s\":", name);
    buffer_json_float(b, (float)value);
}

static void put_accuracy(buffer *b, const struct reward_accuracy *a, const float *score, int64_t n) {
    struct moments m = moments_of(n, score);
    put(b, "accuracy", reward_accuracy_share(a));
    put(b, "margin", reward_accuracy_margin(a));
    put(b, "reward_mean", m.mean);
    put(b, "reward_std", sqrt(m.variance));
}

static status write_metrics(reward *w, const step_figures *f, double seconds, error *err) {
    buffer *b = &w->line;
    buffer_clear(b);
    buffer_format(b, "{\"step\":%" PRId64, w->step);
    put(b, "loss", f->loss);
    put_accuracy(b, &f->accuracy, w->all, f->n_score);
    put(b, "lr", f->lr);
    put(b, "grad_norm", f->norm);
    buffer_string(b, "}");
    TRY(run_metrics(w->run, b, err));
    buffer_clear(b);
    buffer_format(b,
                  "{\"step\":%" PRId64 ",\"seconds\":%.6f,\"tokens\":%" PRId64
                  ",\"tokens_per_s\":%.1f,\"share_of_peak\":%.4f}",
                  w->step, seconds, f->tokens, (double)f->tokens / seconds,
                  f->flops / seconds / device_peak_flops(w->session.dev));
    return run_timing(w->run, b, err);
}

static status train_step(reward *w, progress *bar, error *err) {
    step_figures f = {.lr = w->c->optimizer.lr * schedule_factor(&w->schedule, w->step)};
    double started = clock_seconds();
    reward_data_step(&w->data, w->c, &w->how);
    model_zero_grad(w->model);
    TRY(accumulate(w, &f, err));
    TRY(optimizer_step(w->optimizer, f.lr, &f.norm, err));
    model_changed(w->model);
    w->step++;
    char figures[64];
    snprintf(figures, sizeof figures, "loss %.4f accuracy %.3f", f.loss, reward_accuracy_share(&f.accuracy));
    progress_step(bar, w->step, f.tokens, figures);
    return write_metrics(w, &f, clock_seconds() - started, err);
}

/* ---- validation and normalisation ---- */

static status validate(reward *w, error *err) {
    forward_options o = {.temperature = 1};
    row_values values = {.score = w->score};
    step_figures f = {0};
    struct reward_totals totals = {0};
    const rankings *held = &w->data.valid;
    if (held->n == 0) return STATUS_OK;
    for (int i = 0; i < held->n; i++)
        reward_loss_count(&w->how, held->entry[i].n_answer, held->entry[i].rank, held->entry[i].weight,
                          &totals);
    for (int next = 0; next < held->n;) {
        int first = next;
        reward_fill_pack(&w->pack, held, NULL, held->n, &next);
        TRY(model_forward(w->model, w->ws, &w->pack.b, &o, err));
        TRY(model_read(w->model, w->ws, &values, err));
        const float *score = w->score;
        for (int i = first; i < next; score += held->entry[i++].n_answer) {
            const ranking *k = &held->entry[i];
            f.loss += reward_loss(&w->how, &totals, k->n_answer, score, k->rank, k->weight, w->dscore);
            reward_accuracy_add(&f.accuracy, k->n_answer, score, k->rank);
            for (int a = 0; a < k->n_answer; a++) w->all[f.n_score++] = score[a];
        }
    }
    double accuracy = reward_accuracy_share(&f.accuracy);
    buffer *b = &w->line;
    buffer_clear(b);
    buffer_format(b, "{\"step\":%" PRId64 ",\"split\":\"valid\"", w->step);
    put(b, "loss", f.loss);
    put_accuracy(b, &f.accuracy, w->all, f.n_score);
    put(b, "calibration_error", reward_accuracy_calibration_error(&f.accuracy));
    for (int gap = 1; gap <= REWARD_GAPS; gap++)
        if (f.accuracy.gap_pair[gap - 1]) {
            buffer_format(b, ",\"accuracy_gap_%d\":", gap);
            buffer_json_float(b, (float)reward_accuracy_at_gap(&f.accuracy, gap));
        }
    buffer_string(b, "}");
    TRY(run_metrics(w->run, b, err));
    log_line(w->log,
             "step %" PRId64 "/%" PRId64 ": validation loss %.4f, accuracy %.3f over %" PRId64 " pairs",
             w->step, w->data.steps, f.loss, accuracy, f.accuracy.n_pair);
    if (!(accuracy > w->best) && !isnan(w->best)) return STATUS_OK;
    w->best = accuracy;
    return session_save_model(&w->session, w->run, "best", w->model, NULL, err);
}

/* Raw scores of sequences of an answer list; score has room for all of them. */
static status score_list(reward *w, const answer_list *list, float *score, error *err) {
    forward_options o = {.temperature = 1};
    for (int next = 0; next < list->n;) {
        int first = next;
        pack_clear(&w->pack);
        for (; next < list->n && pack_fits(&w->pack, list->entry[next].n_token, 1); next++) {
            pack_add(&w->pack, (uint64_t)next, list->token.data + list->entry[next].start,
                     list->entry[next].n_token);
            pack_row_of_end(&w->pack);
        }
        row_values values = {.score = score + first};
        TRY(model_forward(w->model, w->ws, &w->pack.b, &o, err));
        TRY(model_read(w->model, w->ws, &values, err));
    }
    return STATUS_OK;
}

static status score_files(reward *w, float **score, int64_t *n, error *err) {
    answer_list list;
    data_options o = w->session.data;
    if (o.max_length > w->pack.limits.max_len) o.max_length = w->pack.limits.max_len;
    TRY(answer_list_load(&o, SPLIT_ANY, w->c->normalise_on.value, w->c->normalise_on.n, &list, err));
    *n = list.n;
    *score = malloc(sizeof **score * (size_t)list.n);
    status st = *score ? score_list(w, &list, *score, err) : error_memory(err, "scores");
    answer_list_free(&list);
    return st;
}

static status score_rankings(reward *w, float **score, int64_t *n, error *err) {
    forward_options o = {.temperature = 1};
    const rankings *train = &w->data.train;
    *n = 0;
    *score = malloc(sizeof **score * (size_t)count_answers(train));
    if (!*score) return error_memory(err, "scores");
    for (int next = 0; next < train->n;) {
        reward_fill_pack(&w->pack, train, NULL, train->n, &next);
        row_values values = {.score = *score + *n};
        TRY(model_forward(w->model, w->ws, &w->pack.b, &o, err));
        TRY(model_read(w->model, w->ws, &values, err));
        *n += w->pack.b.n_row;
    }
    return STATUS_OK;
}

/* Fits reward_mean and reward_std on the files of normalise_on, or on the answers of the training rankings.
 */
static status normalise(reward *w, error *err) {
    static const enum reward_normalise what[] = {REWARD_NORMALISE_NONE, REWARD_NORMALISE_MEAN,
                                                 REWARD_NORMALISE_MEAN_STD};
    float *score = NULL, mean = 0, std = 1;
    int64_t n = 0;
    if (w->c->normalise == CONFIG_NORMALISE_NONE) return STATUS_OK;
    status st = w->c->normalise_on.n ? score_files(w, &score, &n, err) : score_rankings(w, &score, &n, err);
    if (st == STATUS_OK) st = reward_normalise_fit(what[w->c->normalise], n, score, &mean, &std, err);
    free(score);
    TRY(st);
    model_set_reward_scale(w->model, mean, std);
    log_line(w->log, "normalised on %" PRId64 " answers: reward_mean %.4f, reward_std %.4f", n, (double)mean,
             (double)std);
    return STATUS_OK;
}

/* ---- the run ---- */

static int is_due(int every, int64_t step, int64_t steps) {
    return step == steps || (every && step % every == 0);
}

static status between_steps(reward *w, error *err) {
    int64_t n = w->step, all = w->data.steps;
    if (is_due(w->c->eval_every, n, all)) TRY(validate(w, err));
    if (is_due(w->c->save_every, n, all)) return save_checkpoint(w, 0, err);
    if (!signal_stop_requested()) return STATUS_OK;
    TRY(save_checkpoint(w, 1, err));
    return error_set(err, STATUS_INTERRUPTED, "stopped by a signal at step %" PRId64 "; --resume goes on", n);
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
    TRY(open_all(w, err));
    if (w->options->dry_run) return STATUS_OK;
    if (state == RUN_RESUMED) TRY(resume(w, err));
    TRY(train(w, err));
    TRY(normalise(w, err));
    TRY(session_save_model(&w->session, w->run, "model", w->model, NULL, err));
    TRY(lineage_add_out(run_lineage(w->run), run_directory(w->run), "reward", w->step,
                        run_path(w->run, "model"), err));
    return run_finish(w->run, err);
}

static status open_run(reward *w, run_state *state, error *err) {
    run_options o = {.directory = w->config->run,
                     .kind = "reward",
                     .round = w->options->round,
                     .seed = (uint64_t)w->config->seed,
                     .table = &CONFIG_TABLE,
                     .values = w->config,
                     .sections = CONFIG_OF_REWARD,
                     .resume = w->options->resume,
                     .keep_checkpoints = w->c->keep_checkpoints};
    TRY(run_open(&o, &w->run, state, err));
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
