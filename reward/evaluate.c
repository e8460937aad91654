/* Validation, and the zero and unit of the scores. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/train/moments.h"
#include "datasets/answers.h"
#include "reward/normalise.h"
#include "reward/work.h"

void reward_put_accuracy(buffer *b, const struct reward_accuracy *a, const float *score, int64_t n) {
    struct moments m = moments_of(n, score);
    buffer_json_figure(b, "accuracy", reward_accuracy_share(a));
    buffer_json_figure(b, "margin", reward_accuracy_margin(a));
    buffer_json_figure(b, "reward_mean", m.mean);
    buffer_json_figure(b, "reward_std", sqrt(m.variance));
}

int reward_count_answers(const rankings *r) {
    int n = 0;
    for (int i = 0; i < r->n; i++) n += r->entry[i].n_answer;
    return n;
}

status reward_validate(reward *w, error *err) {
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
    buffer_json_figure(b, "loss", f.loss);
    reward_put_accuracy(b, &f.accuracy, w->all, f.n_score);
    buffer_json_figure(b, "calibration_error", reward_accuracy_calibration_error(&f.accuracy));
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
    if (isnan(accuracy) || accuracy <= w->best) return STATUS_OK; /* of ties alone nothing is best */
    w->best = accuracy;
    w->best_is_last = 1;
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
    const answer_list *list = &w->data.normalise_on;
    *n = list->n;
    *score = malloc(sizeof **score * (size_t)list->n);
    return *score ? score_list(w, list, *score, err) : error_memory(err, "scores");
}

static status score_rankings(reward *w, float **score, int64_t *n, error *err) {
    forward_options o = {.temperature = 1};
    const rankings *train = &w->data.train;
    *n = 0;
    *score = malloc(sizeof **score * (size_t)reward_count_answers(train));
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

status reward_fit_scale(reward *w, const char *what_is_fitted, error *err) {
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
    log_line(w->log, "%s on %" PRId64 " answers: reward_mean %.4f, reward_std %.4f", what_is_fitted, n,
             (double)mean, (double)std);
    return STATUS_OK;
}

/* best/ was saved while its scale was not known yet. */
status reward_scale_best(reward *w, error *err) {
    if (w->c->normalise == CONFIG_NORMALISE_NONE || isnan(w->best)) return STATUS_OK;
    const char *directory = run_path(w->run, "best");
    if (!directory) return error_memory(err, "a path");
    if (!w->best_is_last) { /* else the model is that one, and its scale is fitted */
        TRY(model_restore(w->model, directory, err));
        TRY(reward_fit_scale(w, "best/ normalised", err));
    }
    return session_save_model(&w->session, w->run, "best", w->model, NULL, err);
}
