#include "rlhf/report_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "datasets/demo/rule.h"
#include "rlhf/report_html.h"

enum { SHOWN = 8, FOLDED = 24 }; /* prompts that are shown, and those behind "more" */

/* How good a gold score is among the fine-tuned model's: 0 .. 4, a class of report.css. */
static int grade(double gold, const report_spread *spread) {
    static const double ends[] = {-1, -1.0 / 3, 1.0 / 3, 1};
    double z = spread->deviation > 0 ? (gold - spread->mean) / spread->deviation : 0;
    int g = 0;
    while (g < 4 && z >= ends[g]) g++;
    return g;
}

static void append_text(buffer *out, const json_t *answer) {
    const json_t *text = json_object_get(answer, "text");
    const char *s = json_string_value(text);
    size_t len = json_string_length(text);
    while (len && *s == ' ') s++, len--;
    if (len)
        html_text_bytes(out, s, len);
    else
        buffer_string(out, "<em>an empty answer</em>");
    const char *finish = json_string_value(json_object_get(answer, "finish"));
    if (finish && strcmp(finish, "length") == 0) buffer_string(out, " <em>… cut</em>");
}

static void append_score(buffer *out, const json_t *answer, const report_spread *spread) {
    double gold = report_number(answer, "gold"), score = report_number(answer, "score");
    if (isfinite(gold)) {
        buffer_format(out, "<b class=\"gold g%d\">", grade(gold, spread));
        html_number(out, gold, 1);
        buffer_string(out, "</b>");
    }
    if (isfinite(score)) {
        buffer_string(out, "<span class=\"score\">");
        html_number(out, score, 2);
        buffer_string(out, "</span>");
    }
}

static void append_prompt(buffer *out, const report *r, const char *key, const char *prompt,
                          const report_spread *spread) {
    buffer_string(out, "<article class=\"qa\"><h3>");
    html_text(out, prompt);
    buffer_string(out, "</h3>\n<ol>\n");
    for (int i = 0; i < r->n_stage; i++) {
        const json_t *answer = json_object_get(r->stage[i].first, key);
        if (!answer) continue;
        buffer_string(out, "<li><span class=\"who\">");
        html_text(out, r->stage[i].title);
        buffer_string(out, "</span><p>");
        append_text(out, answer);
        buffer_string(out, "</p><span class=\"marks\">");
        append_score(out, answer, spread);
        buffer_string(out, "</span></li>\n");
    }
    buffer_string(out, "</ol></article>\n");
}

/* The last stage that has answers, -1: none. Its prompts are the ones that are shown. */
static int find_answered(const report *r) {
    int stage = r->n_stage - 1;
    while (stage >= 0 && !r->stage[stage].first) stage--;
    return stage;
}

static int is_shown(size_t i, size_t n) {
    return n <= SHOWN || (i * SHOWN / n != (i + 1) * SHOWN / n); /* spread evenly */
}

/* Appends the prompts that are shown, or up to FOLDED of the others. */
static int append_prompts(buffer *out, const report *r, const report_stage *stage, int shown,
                          const report_spread *spread) {
    size_t n = json_object_size(stage->first), i = 0;
    int appended = 0;
    const char *key;
    json_t *answer;
    json_object_foreach(stage->first, key, answer) {
        if (is_shown(i++, n) != shown || (!shown && appended == FOLDED)) continue;
        append_prompt(out, r, key, json_string_value(json_object_get(answer, "prompt")), spread);
        appended++;
    }
    return appended;
}

/* ---- the demo's gold rule ---- */

static void append_rule(buffer *out) {
    buffer_string(
        out,
        "<details class=\"rule\"><summary>What the gold score counts</summary>\n<p>The simulated labeller "
        "ranks by this sum, with noise. The reward model sees rankings only, never the rule.</p>\n<table>\n");
    for (int i = 0; i < DEMO_TERMS; i++) {
        const demo_term_rule *term = demo_find_term((demo_term)i);
        buffer_string(out, "<tr><td class=\"n\">");
        if (term->points > 0) buffer_string(out, "+");
        html_number(out, (double)term->points, 2);
        buffer_string(out, "</td><td>");
        html_text(out, term->what);
        buffer_string(out, "</td></tr>\n");
    }
    buffer_string(out, "</table></details>\n");
}

void report_append_answers(buffer *out, const report *r) {
    int answered = find_answered(r), sft = report_find_stage(r, "sft");
    if (answered < 0) return;
    const report_stage *stage = &r->stage[answered];
    report_spread spread = report_gold_spread(r, sft >= 0 && r->stage[sft].answers ? sft : answered);
    buffer_string(
        out,
        "<section>\n<h2>The same questions, before and after</h2>\n<p class=\"note\">These prompts were held "
        "out of training.");
    if (spread.n)
        buffer_string(
            out,
            " The figure in colour is the gold score: <b class=\"gold g0\">low</b> <b class=\"gold g2\">as "
            "usual</b> <b class=\"gold g4\">high</b> beside the fine-tuned model’s answers. The plain "
            "figure is what the reward model of that stage gave.");
    buffer_string(out, "</p>\n<div class=\"answers\">\n");
    append_prompts(out, r, stage, 1, &spread);
    buffer_string(out, "</div>\n");
    if (json_object_size(stage->first) > SHOWN) {
        buffer_string(out, "<details><summary>More of them</summary>\n<div class=\"answers\">\n");
        append_prompts(out, r, stage, 0, &spread);
        buffer_string(out, "</div></details>\n");
    }
    if (report_asks_demo(r)) append_rule(out);
    buffer_string(out, "</section>\n");
}
