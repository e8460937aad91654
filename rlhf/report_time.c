#include "rlhf/report_parts.h"

#include <math.h>
#include <string.h>

#include "rlhf/report_html.h"

static report_phase sum_phases(const report_run *run) {
    report_phase sum = {0};
    for (int i = 0; i < run->n_phase; i++) {
        sum.seconds += run->phase[i].seconds;
        sum.tokens += run->phase[i].tokens;
        sum.share += run->phase[i].share;
        sum.share_seconds += run->phase[i].share_seconds;
    }
    return sum;
}

double report_run_seconds(const report_run *run) {
    double started = report_number(run->lineage, "started_ms"),
           ended = report_number(run->lineage, "ended_ms");
    if (report_number(run->lineage, "attempt") == 1 && ended >= started) return (ended - started) / 1000;
    return run->n_phase ? sum_phases(run).seconds : (double)NAN;
}

double report_total_seconds(const report *r) {
    double total = 0;
    for (int i = 0; i < r->n_run; i++) {
        double seconds = report_run_seconds(&r->run[i]);
        if (isfinite(seconds)) total += seconds;
    }
    return total;
}

static int any_share(const report *r) {
    for (int i = 0; i < r->n_run; i++)
        if (sum_phases(&r->run[i]).share_seconds > 0) return 1;
    return 0;
}

static void append_share(buffer *out, const report_phase *p) {
    if (!(p->share_seconds > 0)) {
        buffer_string(out, "<td></td>");
        return;
    }
    double share = p->share / p->share_seconds;
    buffer_format(out, "<td class=\"n share\"><i style=\"width:%.0f%%\"></i>", 100 * fmin(fmax(share, 0), 1));
    html_percent(out, share, 0);
    buffer_string(out, "</td>");
}

/* A row; shares: the table has a column for the share of peak. */
static void append_row(buffer *out, const char *class, const char *title, double seconds,
                       const report_phase *p, int shares) {
    buffer_format(out, "<tr%s><th scope=\"row\">", class);
    html_text(out, title);
    buffer_string(out, "</th><td class=\"n\">");
    html_seconds(out, seconds);
    buffer_string(out, "</td><td class=\"n wide\">");
    if (p->tokens > 0) html_short(out, p->tokens);
    buffer_string(out, "</td><td class=\"n\">");
    if (p->tokens > 0 && p->seconds > 0) html_short(out, p->tokens / p->seconds);
    buffer_string(out, "</td>");
    if (shares) append_share(out, p);
    buffer_string(out, "</tr>\n");
}

static void append_run(buffer *out, const report_run *run, int shares) {
    report_phase sum = sum_phases(run);
    append_row(out, "", run->title, report_run_seconds(run), &sum, shares);
    for (int i = 0; run->n_phase > 1 && i < run->n_phase; i++)
        append_row(out, " class=\"sub\"", run->phase[i].name, run->phase[i].seconds, &run->phase[i], shares);
}

void report_append_time(buffer *out, const report *r) {
    const report_phase nothing = {0};
    int shares = any_share(r);
    double total = report_total_seconds(r);
    if (!(total > 0)) return;
    buffer_string(out, "<section>\n<h2>Time</h2>\n<table class=\"time\">\n<thead><tr><th>Stage</th><th "
                       "class=\"n\">Time</th><th class=\"n wide\">Tokens</th><th class=\"n\">Tokens/s</th>");
    if (shares) buffer_string(out, "<th class=\"n\">Share of peak</th>");
    buffer_string(out, "</tr></thead>\n<tbody>\n");
    for (int i = 0; i < r->n_run; i++)
        if (isfinite(report_run_seconds(&r->run[i]))) append_run(out, &r->run[i], shares);
    append_row(out, " class=\"total\"", "In all", total, &nothing, shares);
    buffer_string(out, "</tbody></table>\n");
    buffer_string(
        out, "<p class=\"note\">Tokens are what a stage trained on or wrote; PPO's are those of its answers, "
             "each counted once, though it computes with each several times.</p>\n");
    if (shares)
        buffer_string(out, "<p class=\"note\">Share of peak: arithmetic done on real tokens, over the fused "
                           "multiply-adds that the same threads reach when they do nothing else.</p>\n");
    buffer_string(out, "</section>\n");
}
