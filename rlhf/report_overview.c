#include "rlhf/report_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/demo/rule.h"
#include "rlhf/report_chart.h"
#include "rlhf/report_html.h"

enum { MOST_GROUPS = 8 }; /* of a bar chart: more rounds than fit show their last ones */

int report_find_stage(const report *r, const char *name) {
    for (int i = 0; i < r->n_stage; i++)
        if (strcmp(r->stage[i].name, name) == 0) return i;
    return -1;
}

double report_stage_number(const report *r, int stage, const char *key) {
    return stage < 0 ? (double)NAN : report_number(r->stage[stage].summary, key);
}

report_spread report_gold_spread(const report *r, int stage) {
    report_spread s = {0};
    size_t i;
    json_t *answer;
    double sum = 0, squares = 0;
    if (stage < 0) return s;
    json_array_foreach(r->stage[stage].answers, i, answer) {
        double gold = report_number(answer, "gold");
        if (!isfinite(gold)) continue;
        s.n++;
        sum += gold;
        squares += gold * gold;
    }
    if (!s.n) return s;
    s.mean = sum / s.n;
    s.deviation = sqrt(fmax(0, squares / s.n - s.mean * s.mean));
    return s;
}

int report_asks_demo(const report *r) {
    int topic, fact;
    for (int i = 0; i < r->n_stage; i++) {
        const char *key = json_string_value(json_object_get(json_array_get(r->stage[i].answers, 0), "key"));
        if (key && demo_find_question(key, &topic, &fact)) return 1;
    }
    return 0;
}

/* ---- words ---- */

static void append_count_word(buffer *out, int n) {
    static const char *const words[] = {"no",  "one",   "two",   "three", "four", "five",
                                        "six", "seven", "eight", "nine",  "ten"};
    if (n >= 0 && n <= 10)
        buffer_string(out, words[n]);
    else
        buffer_format(out, "%d", n);
}

static void append_course(buffer *out, const report *r) {
    buffer_string(out, "A language model ");
    if (r->pretrain >= 0) buffer_string(out, "learned to write from plain text");
    if (r->sft >= 0)
        buffer_format(out, "%slearned to answer from demonstrations", r->pretrain >= 0 ? ", then " : "");
    if (r->n_round) {
        buffer_format(out, "%swas improved in ", r->pretrain >= 0 || r->sft >= 0 ? ", and " : "");
        append_count_word(out, r->n_round);
        buffer_format(out, " round%s of reinforcement learning from human feedback",
                      r->n_round == 1 ? "" : "s");
    } else if (r->pretrain < 0 && r->sft < 0) {
        buffer_string(out, "has not been trained yet");
    }
    buffer_string(out, ".");
}

static void append_gain(buffer *out, const report *r, int sft, int last) {
    double before = report_stage_number(r, sft, "gold"), after = report_stage_number(r, last, "gold");
    report_spread spread = report_gold_spread(r, sft);
    if (sft == last || !isfinite(before) || !isfinite(after)) return;
    buffer_string(out,
                  " On held-out prompts its gold score, which stands for what people want and which training "
                  "never sees, ");
    html_change(out, before, after, 2);
    if (spread.n > 1 && spread.deviation > 0) {
        buffer_string(out, ": by ");
        html_number(out, fabs(after - before) / spread.deviation, 1);
        buffer_string(out, " standard deviations of the fine-tuned model’s answers");
    }
    buffer_string(out, ".");
}

/* ---- tiles ---- */

static void begin_tile(buffer *out, const char *name) {
    buffer_format(out, "<div class=\"tile\"><dt>%s</dt><dd>", name);
}

static void append_tiles(buffer *out, const report *r, int sft, int last) {
    double before = report_stage_number(r, sft, "gold"), after = report_stage_number(r, last, "gold");
    double wins = report_stage_number(r, last, "win_rate_vs_sft"), kl = report_stage_number(r, last, "kl");
    double seconds = report_total_seconds(r);
    buffer_string(out, "<dl class=\"tiles\">");
    if (isfinite(after)) {
        begin_tile(out, "Gold score");
        if (isfinite(before) && sft != last) {
            buffer_string(out, "<small>");
            html_number(out, before, 2);
            buffer_string(out, " → </small>");
        }
        html_number(out, after, 2);
        buffer_string(out, "</dd></div>");
    }
    if (isfinite(wins) && sft != last) {
        begin_tile(out, "Wins against SFT");
        html_percent(out, wins, 0);
        buffer_string(out, "</dd></div>");
    }
    if (isfinite(kl) && sft != last) {
        begin_tile(out, "KL from SFT");
        html_number(out, kl, 1);
        buffer_string(out, " <small>nats an answer</small></dd></div>");
    }
    if (seconds > 0) {
        begin_tile(out, "Time in all");
        html_seconds(out, seconds);
        buffer_string(out, "</dd></div>");
    }
    buffer_string(out, "</dl>");
}

/* ---- charts ---- */

static void append_gold_chart(buffer *out, const report *r) {
    const char *group[MOST_GROUPS];
    char short_title[MOST_GROUPS][32];
    double value[MOST_GROUPS];
    int first = r->n_stage > MOST_GROUPS ? r->n_stage - MOST_GROUPS : 0;
    for (int i = first; i < r->n_stage; i++) {
        const char *title = r->stage[i].title;
        if (strncmp(title, "After ", 6) == 0) title += 6;
        snprintf(short_title[i - first], sizeof short_title[0], "%s", title);
        if (short_title[i - first][0] == 'r') short_title[i - first][0] = 'R';
        group[i - first] = short_title[i - first];
        value[i - first] = report_stage_number(r, i, "gold");
    }
    const chart c = {.title = "Gold score",
                     .unit = "mean over held-out prompts",
                     .x_name = "",
                     .low = NAN,
                     .high = NAN,
                     .reference = report_asks_demo(r) ? (double)DEMO_GOLD_CEILING : (double)NAN,
                     .reference_name = "the best there is"};
    chart_append_bars(out, &c, r->n_stage - first, group, 1, NULL, value);
}

/* The last line of a round's evaluation, or NULL. */
static const json_t *last_evaluation(const report *r, int round) {
    int run = r->round[round].evaluate;
    const json_t *metrics = run < 0 ? NULL : r->run[run].metrics;
    size_t n = json_array_size(metrics);
    return n ? json_array_get(metrics, n - 1) : NULL;
}

static void append_accuracy_chart(buffer *out, const report *r) {
    static const char *const series[] = {"this round’s model", "last round’s, on new answers"};
    const char *group[MOST_GROUPS];
    char title[MOST_GROUPS][32];
    double value[MOST_GROUPS][2];
    int first = r->n_round > MOST_GROUPS ? r->n_round - MOST_GROUPS : 0;
    for (int i = first; i < r->n_round; i++) {
        char name[24];
        snprintf(title[i - first], sizeof title[0], "Round %d", i + 1);
        snprintf(name, sizeof name, "round%d", i + 1);
        const json_t *evaluation = last_evaluation(r, i);
        group[i - first] = title[i - first];
        value[i - first][0] = report_number(evaluation, "rm_accuracy");
        if (!isfinite(value[i - first][0]))
            value[i - first][0] = report_stage_number(r, report_find_stage(r, name), "rm_accuracy");
        value[i - first][1] = report_number(evaluation, "rm_accuracy_previous");
    }
    const chart c = {.title = "Reward models",
                     .unit = "pairs ranked correctly",
                     .x_name = "",
                     .format = CHART_PERCENT,
                     .low = 0,
                     .high = 1,
                     .reference = 0.5,
                     .reference_name = "chance"};
    if (r->n_round) chart_append_bars(out, &c, r->n_round - first, group, 2, series, &value[0][0]);
}

void report_append_overview(buffer *out, const report *r) {
    int sft = report_find_stage(r, "sft"), last = r->n_stage - 1;
    buffer_string(out,
                  "<header class=\"row\">\n<div class=\"words\"><p class=\"eyebrow\">rlhf.c report</p><h1>");
    html_text(out, r->name);
    buffer_string(out, "</h1>\n<p class=\"lead\">");
    append_course(out, r);
    append_gain(out, r, sft, last);
    buffer_string(out, "</p></div>\n<div>\n");
    append_tiles(out, r, sft, last);
    buffer_string(out, "<div class=\"charts\">\n");
    append_gold_chart(out, r);
    append_accuracy_chart(out, r);
    buffer_string(out, "</div></div>\n</header>\n");
}
