#include "rlhf/report_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rlhf/report_chart.h"
#include "rlhf/report_html.h"

static const json_t *metrics_of(const report *r, int run) { return run < 0 ? NULL : r->run[run].metrics; }

static report_curve read_curve(buffer *out, const json_t *metrics, const char *x, const char *y,
                               int validation) {
    report_curve c = report_read_curve(metrics, x, y, validation);
    if (c.n < 0) {
        out->failed = 1;
        c.n = 0;
    }
    return c;
}

static double last_value(const report_curve *c) { return c->n ? c->y[c->n - 1] : (double)NAN; }

/* Mean of the first or the last tenth, at most ten points: what a noisy curve begins and ends with. */
static double mean_of_end(const report_curve *c, int last) {
    int n = c->n / 10 < 1 ? 1 : c->n / 10 > 10 ? 10 : c->n / 10;
    double sum = 0;
    if (!c->n) return NAN;
    for (int i = 0; i < n; i++) sum += c->y[last ? c->n - 1 - i : i];
    return sum / n;
}

static double sum_of(const report_curve *c) {
    double sum = 0;
    for (int i = 0; i < c->n; i++) sum += c->y[i];
    return sum;
}

/* ---- pre-training and SFT ---- */

/* "It took 1,500 steps and 1.54 M tokens. On held-out text the loss ended at 0.56 nats a token: ..." */
static void append_language_words(buffer *out, const json_t *metrics, const char *held_out) {
    report_curve loss = read_curve(out, metrics, "step", "loss", 0);
    report_curve valid = read_curve(out, metrics, "step", "loss", 1);
    report_curve tokens = read_curve(out, metrics, "step", "tokens", 0);
    if (loss.n) {
        buffer_string(out, " It took ");
        html_count(out, loss.x[loss.n - 1]);
        buffer_string(out, " steps");
        if (tokens.n) {
            buffer_string(out, " and ");
            html_short(out, sum_of(&tokens));
            buffer_string(out, " tokens");
        }
        buffer_string(out, ". ");
    }
    if (loss.n || valid.n) {
        double end = valid.n ? last_value(&valid) : mean_of_end(&loss, 1);
        buffer_format(out, "On %s the loss ended at ", valid.n ? held_out : "the training text");
        html_number(out, end, 2);
        buffer_string(out, " nats a token: it hesitates between ");
        html_number(out, exp(end), 1);
        buffer_string(out, " tokens on average.");
    }
    report_free_curve(&loss);
    report_free_curve(&valid);
    report_free_curve(&tokens);
}

static void append_loss_chart(buffer *out, const json_t *metrics, const char *title) {
    report_curve loss = read_curve(out, metrics, "step", "loss", 0);
    report_curve valid = read_curve(out, metrics, "step", "loss", 1);
    const chart c = {
        .title = title, .unit = "nats a token", .x_name = "step", .low = NAN, .high = NAN, .reference = NAN};
    const chart_line lines[] = {{"training", 1, loss.n, loss.x, loss.y},
                                {"held out", 2, valid.n, valid.x, valid.y}};
    chart_append_lines(out, &c, 2, lines);
    report_free_curve(&loss);
    report_free_curve(&valid);
}

/* Gold before and after SFT: it may well fall. */
static void append_imitation_words(buffer *out, const report *r) {
    double before = report_stage_number(r, report_find_stage(r, "pretrain"), "gold");
    double after = report_stage_number(r, report_find_stage(r, "sft"), "gold");
    if (!isfinite(before) || !isfinite(after)) return;
    buffer_string(out, " On held-out prompts the gold score ");
    html_change(out, before, after, 2);
    buffer_string(
        out, after < before ? ": answers are now as the demonstrations are, the bad ones among them." : ".");
}

static void append_before_rounds(buffer *out, const report *r) {
    if (r->pretrain < 0 && r->sft < 0) return;
    buffer_string(out, "<section class=\"row\">\n<div class=\"words\">\n");
    if (r->pretrain >= 0) {
        buffer_string(
            out,
            "<h3>Pre-training</h3><p>From random numbers the model learned to guess the next token of plain "
            "text, and with it words, grammar and facts.");
        append_language_words(out, metrics_of(r, r->pretrain), "held-out text");
        buffer_string(out, "</p>\n");
    }
    if (r->sft >= 0) {
        buffer_string(
            out,
            "<h3>Fine-tuning on demonstrations</h3><p>It imitated questions with their answers, good and bad "
            "ones alike, and so learned what an answer looks like and where it ends.");
        append_language_words(out, metrics_of(r, r->sft), "held-out demonstrations");
        append_imitation_words(out, r);
        buffer_string(out, "</p>\n");
    }
    buffer_string(out, "</div>\n<div class=\"charts\">\n");
    append_loss_chart(out, metrics_of(r, r->pretrain), "Pre-training loss");
    append_loss_chart(out, metrics_of(r, r->sft), "Fine-tuning loss");
    buffer_string(out, "</div>\n</section>\n");
}

/* ---- a round ---- */

static void append_sample_words(buffer *out, const report *r, const report_round *round, int number) {
    if (round->sample < 0 && round->n_ranking < 0) return;
    buffer_string(out, "<dt>Sample and rank</dt><dd>");
    if (round->sample >= 0 && r->run[round->sample].n_answer >= 0) {
        buffer_string(out, "The policy wrote ");
        html_count(out, (double)r->run[round->sample].n_answer);
        buffer_string(out, " answers. ");
    }
    if (round->n_ranking >= 0) {
        html_count(out, (double)round->n_ranking);
        buffer_format(out, " rankings%s were frozen for training.",
                      number > 1 ? ", from this round and those before," : "");
    }
    buffer_string(out, "</dd>\n");
}

static void append_reward_words(buffer *out, const report *r, const report_round *round, int number) {
    const json_t *metrics = metrics_of(r, round->reward);
    if (round->reward < 0) return;
    report_curve accuracy = read_curve(out, metrics, "step", "accuracy", 0);
    report_curve valid = read_curve(out, metrics, "step", "accuracy", 1);
    buffer_string(
        out, "<dt>Reward model</dt><dd>It learned to give the better answer of each pair the higher score.");
    if (accuracy.n || valid.n) {
        buffer_format(out, " In the end it ranked %s pairs%s correctly in ",
                      valid.n ? "held-out" : "training", number > 1 ? ", of all rounds so far," : "");
        html_percent(out, valid.n ? last_value(&valid) : mean_of_end(&accuracy, 1), 0);
        buffer_string(out, " of cases; a coin would in half.");
    }
    buffer_string(out, "</dd>\n");
    report_free_curve(&accuracy);
    report_free_curve(&valid);
}

static void append_ppo_words(buffer *out, const report *r, const report_round *round) {
    const json_t *metrics = metrics_of(r, round->ppo);
    if (round->ppo < 0) return;
    report_curve score = read_curve(out, metrics, "iteration", "score", 0);
    report_curve kl = read_curve(out, metrics, "iteration", "kl", 0);
    report_curve mismatch = read_curve(out, metrics, "iteration", "logprob_mismatch_max", 0);
    double worst = 0;
    for (int i = 0; i < mismatch.n; i++) worst = fmax(worst, fabs(mismatch.y[i]));
    buffer_string(out, "<dt>PPO</dt><dd>");
    if (score.n) {
        buffer_string(out, "In ");
        html_count(out, score.x[score.n - 1]);
        buffer_string(out, " iterations of answering and learning the reward model’s score ");
        html_change(out, mean_of_end(&score, 0), mean_of_end(&score, 1), 2);
        buffer_string(out, ". ");
    }
    if (kl.n) {
        buffer_string(out, "The policy moved ");
        html_number(out, mean_of_end(&kl, 1), 1);
        buffer_string(out, " nats an answer away from the fine-tuned model. ");
    }
    if (mismatch.n && worst == 0)
        buffer_string(out, "Sampling and training agreed on every log-probability to the last bit.");
    if (worst > 0) {
        buffer_format(out,
                      "<strong>Sampling and training disagreed on a log-probability by up to %.2g.</strong>",
                      worst);
    }
    buffer_string(out, "</dd>\n");
    report_free_curve(&score);
    report_free_curve(&kl);
    report_free_curve(&mismatch);
}

static void append_evaluation_words(buffer *out, const report *r, const report_round *round, int number) {
    char name[24], before_name[24] = "sft";
    snprintf(name, sizeof name, "round%d", number);
    if (number > 1) snprintf(before_name, sizeof before_name, "round%d", number - 1);
    int stage = report_find_stage(r, name), before = report_find_stage(r, before_name);
    double gold = report_stage_number(r, stage, "gold"), old = report_stage_number(r, before, "gold");
    double wins = report_stage_number(r, stage, "win_rate_vs_sft"), was = NAN, is = NAN;
    const json_t *metrics = metrics_of(r, round->evaluate);
    if (json_array_size(metrics)) {
        const json_t *line = json_array_get(metrics, json_array_size(metrics) - 1);
        was = report_number(line, "rm_accuracy_previous");
        is = report_number(line, "rm_accuracy");
    }
    if (!isfinite(gold) && !isfinite(wins) && !isfinite(was)) return;
    buffer_string(out, "<dt>Evaluate</dt><dd>");
    if (isfinite(gold) && isfinite(old)) {
        buffer_string(out, "On held-out prompts the gold score ");
        html_change(out, old, gold, 2);
        buffer_string(out, ". ");
    }
    if (isfinite(wins)) {
        buffer_string(out, "The answer beats the fine-tuned model’s in ");
        html_percent(out, wins, 0);
        buffer_string(out, " of cases. ");
    }
    if (isfinite(was)) {
        int fell = isfinite(is) && is > was;
        buffer_format(out, "On this policy’s answers the reward model of round %d was right on %s",
                      number - 1, fell ? "only " : "");
        html_percent(out, was, 0);
        buffer_string(out, " of pairs");
        if (fell) {
            buffer_string(out, ", this round’s on ");
            html_percent(out, is, 0);
            buffer_string(
                out, ": the policy had moved to where the old one had seen few answers. That is why there "
                     "are rounds");
        }
        buffer_string(out, ". ");
    }
    buffer_string(out, "</dd>\n");
}

static void append_reward_chart(buffer *out, const json_t *metrics) {
    report_curve accuracy = read_curve(out, metrics, "step", "accuracy", 0);
    report_curve valid = read_curve(out, metrics, "step", "accuracy", 1);
    const chart c = {.title = "Reward model",
                     .unit = "pairs ranked correctly",
                     .x_name = "step",
                     .format = CHART_PERCENT,
                     .low = 0.5,
                     .high = 1,
                     .reference = NAN};
    const chart_line lines[] = {{"training", 1, accuracy.n, accuracy.x, accuracy.y},
                                {"held out", 2, valid.n, valid.x, valid.y}};
    chart_append_lines(out, &c, 2, lines);
    report_free_curve(&accuracy);
    report_free_curve(&valid);
}

static void append_ppo_chart(buffer *out, const json_t *metrics, const char *key, const char *title,
                             const char *unit, const char *name, double low) {
    report_curve curve = read_curve(out, metrics, "iteration", key, 0);
    report_curve valid = read_curve(out, metrics, "iteration", key, 1);
    const chart c = {
        .title = title, .unit = unit, .x_name = "iteration", .low = low, .high = NAN, .reference = NAN};
    const chart_line lines[] = {{name, 1, curve.n, curve.x, curve.y},
                                {"held-out prompts", 2, valid.n, valid.x, valid.y}};
    chart_append_lines(out, &c, 2, lines);
    report_free_curve(&curve);
    report_free_curve(&valid);
}

static void append_round(buffer *out, const report *r, int number) {
    const report_round *round = &r->round[number - 1];
    const json_t *ppo = metrics_of(r, round->ppo);
    buffer_format(out,
                  "<section class=\"row\">\n<div class=\"words\"><h3>Round %d</h3>\n<dl class=\"parts\">\n",
                  number);
    append_sample_words(out, r, round, number);
    append_reward_words(out, r, round, number);
    append_ppo_words(out, r, round);
    append_evaluation_words(out, r, round, number);
    buffer_string(out, "</dl></div>\n<div class=\"charts\">\n");
    append_reward_chart(out, metrics_of(r, round->reward));
    append_ppo_chart(out, ppo, "score", "PPO: score", "by the reward model", "training prompts", NAN);
    append_ppo_chart(out, ppo, "kl", "PPO: KL from SFT", "nats an answer", "training prompts", 0);
    append_ppo_chart(out, ppo, "length", "PPO: length", "tokens an answer", "training prompts", 0);
    buffer_string(out, "</div>\n</section>\n");
}

void report_append_stages(buffer *out, const report *r) {
    if (r->pretrain < 0 && r->sft < 0 && r->n_round == 0) return;
    buffer_string(out, "<h2>What happened</h2>\n");
    append_before_rounds(out, r);
    for (int number = 1; number <= r->n_round; number++) append_round(out, r, number);
}
