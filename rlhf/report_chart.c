#include "rlhf/report_chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rlhf/report_html.h"

/* The drawing's own units; on a wide page they are nearly pixels. */
enum {
    WIDTH = 360,
    HEIGHT = 208,
    LEFT = 42,
    RIGHT = 12,
    TOP = 12,
    BOTTOM = 40,
    NAME_HEIGHT = 16, /* of the x axis, at the bottom */

    MOST_POINTS = 120,
    MOST_LINES = 3
};

/* A linear axis from data to drawing. */
typedef struct axis {
    double low, high, step; /* step: between ticks */
    double from, to;        /* of the drawing */
    int decimals;           /* of its numbers, enough for the ticks */
} axis;

static double at(const axis *a, double value) {
    return a->from + (value - a->low) / (a->high - a->low) * (a->to - a->from);
}

/* The smallest of 1, 2, 2.5, 5 x 10^k that makes at most so many steps. */
static double nice_step(double span, int most) {
    double power = pow(10, floor(log10(span / most)));
    static const double factors[] = {1, 2, 2.5, 5, 10};
    for (int i = 0; i < 5; i++)
        if (span / (factors[i] * power) <= most * (1 + 1e-9)) return factors[i] * power;
    return 10 * power;
}

static int decimals_of(double step) {
    int decimals = 0;
    while (decimals < 6 && fabs(step - round(step)) > 1e-6 * fabs(step)) {
        step *= 10;
        decimals++;
    }
    return decimals;
}

/* ends: the axis reaches the next ticks on both sides; otherwise it stops with the data. */
static axis make_axis(double low, double high, int most_ticks, double from, double to, int ends) {
    axis a = {.from = from, .to = to};
    if (!(high > low)) {
        double room = fabs(low) > 0 ? 0.1 * fabs(low) : 1;
        low -= room;
        high += room;
    }
    a.step = nice_step(high - low, most_ticks);
    a.low = ends ? floor(low / a.step + 1e-9) * a.step : low;
    a.high = ends ? ceil(high / a.step - 1e-9) * a.step : high;
    a.decimals = decimals_of(a.step);
    return a;
}

static void append_value(buffer *out, const chart *c, double value, int decimals) {
    if (c->format == CHART_PERCENT)
        html_percent(out, value, decimals);
    else
        html_number(out, value, decimals);
}

/* Three figures that tell. */
static int value_decimals(const chart *c, double value) {
    if (c->format == CHART_PERCENT) return 1;
    return fabs(value) >= 99.5 ? 0 : fabs(value) >= 9.95 ? 1 : 2;
}

static void append_y_axis(buffer *out, const chart *c, const axis *y) {
    for (int i = 0; y->low + i * y->step <= y->high + 1e-9 * y->step; i++) {
        double value = y->low + i * y->step;
        if (fabs(value) < 1e-9 * y->step) value = 0;
        buffer_format(out, "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>",
                      value == 0 ? "zero" : "grid", LEFT, WIDTH - RIGHT, at(y, value), at(y, value));
        buffer_format(out, "<text class=\"tick\" text-anchor=\"end\" x=\"%d\" y=\"%.1f\">", LEFT - 7,
                      at(y, value) + 4);
        if (c->format == CHART_PERCENT)
            html_percent(out, value, y->decimals > 2 ? y->decimals - 2 : 0);
        else
            html_number(out, value, y->decimals);
        buffer_string(out, "</text>");
    }
}

static void append_reference(buffer *out, const chart *c, const axis *y) {
    if (!isfinite(c->reference)) return;
    double line = at(y, c->reference);
    buffer_format(out, "<line class=\"reference\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT,
                  WIDTH - RIGHT, line, line);
    buffer_format(out, "<text class=\"note\" x=\"%d\" y=\"%.1f\">", LEFT + 4, line - 5);
    html_text(out, c->reference_name);
    buffer_string(out, "</text>");
}

static void append_x_name(buffer *out, const chart *c) {
    if (!c->x_name[0]) return;
    buffer_format(out, "<text class=\"name\" text-anchor=\"middle\" x=\"%d\" y=\"%d\">",
                  (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4);
    html_text(out, c->x_name);
    buffer_string(out, "</text>");
}

static void append_title(buffer *out, const chart *c) {
    buffer_string(out, "<figcaption><b>");
    html_text(out, c->title);
    buffer_string(out, "</b>");
    if (c->unit[0]) {
        buffer_string(out, " <small>");
        html_text(out, c->unit);
        buffer_string(out, "</small>");
    }
    buffer_string(out, "</figcaption>");
}

static void begin_svg(buffer *out, const chart *c) {
    buffer_format(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH,
                  c->x_name[0] ? HEIGHT : HEIGHT - NAME_HEIGHT);
    html_text(out, c->title);
    buffer_string(out, "\">");
}

/* The range of values, widened to what the chart asks for. Returns 0 when there is none. */
static int widen(const chart *c, double *low, double *high) {
    if (!(*low <= *high)) return 0;
    if (isfinite(c->low)) *low = fmin(*low, c->low);
    if (isfinite(c->high)) *high = fmax(*high, c->high);
    if (isfinite(c->reference)) {
        *low = fmin(*low, c->reference);
        *high = fmax(*high, c->reference);
    }
    return 1;
}

/* ---- lines ---- */

typedef struct points {
    int n;
    double x[MOST_POINTS], y[MOST_POINTS];
} points;

/* Means of neighbours, at most MOST_POINTS of them. */
static void thin(const chart_line *line, points *out) {
    out->n = line->n < MOST_POINTS ? line->n : MOST_POINTS;
    for (int i = 0; i < out->n; i++) {
        long long from = (long long)line->n * i / out->n, to = (long long)line->n * (i + 1) / out->n;
        double x = 0, y = 0;
        for (long long j = from; j < to; j++) {
            x += line->x[j];
            y += line->y[j];
        }
        out->x[i] = x / (double)(to - from);
        out->y[i] = y / (double)(to - from);
    }
}

static int nearest(const points *p, double x) {
    int best = 0;
    for (int i = 1; i < p->n; i++)
        if (fabs(p->x[i] - x) < fabs(p->x[best] - x)) best = i;
    return best;
}

/* [[position, "step 40", "0.71", ...], ...] for the pointer: along the line with most points. */
static void append_points(buffer *out, const chart *c, const axis *x, int n_line, const points *p) {
    int longest = 0;
    buffer text = {0};
    for (int i = 1; i < n_line; i++)
        if (p[i].n > p[longest].n) longest = i;
    buffer_string(&text, "[");
    for (int i = 0; i < p[longest].n; i++) {
        double value = p[longest].x[i];
        buffer_format(&text, "%s[%.1f,\"%s ", i ? "," : "", at(x, value), c->x_name);
        html_count(&text, value);
        buffer_string(&text, "\"");
        for (int k = 0; k < n_line; k++) {
            buffer_string(&text, ",\"");
            double y = p[k].n ? p[k].y[nearest(&p[k], value)] : (double)NAN;
            append_value(&text, c, y, value_decimals(c, y));
            buffer_string(&text, "\"");
        }
        buffer_string(&text, "]");
    }
    buffer_string(&text, "]");
    if (text.failed)
        out->failed = 1;
    else
        html_text(out, text.data);
    buffer_free(&text);
}

static void append_line_legend(buffer *out, const chart *c, int n_line, const chart_line *line,
                               const points *p) {
    buffer_string(out, "<p class=\"legend\">");
    for (int i = 0; i < n_line; i++) {
        if (!p[i].n) continue;
        double last = p[i].y[p[i].n - 1];
        buffer_format(out, "<span><i class=\"k%d\"></i>", line[i].color);
        html_text(out, line[i].name);
        buffer_string(out, " <b>");
        append_value(out, c, last, value_decimals(c, last));
        buffer_string(out, "</b></span>");
    }
    buffer_string(out, "<output></output></p>");
}

static void append_line(buffer *out, const chart_line *line, const points *p, const axis *x, const axis *y) {
    if (!p->n) return;
    buffer_format(out, "<path class=\"line s%d\" d=\"", line->color);
    for (int i = 0; i < p->n; i++)
        buffer_format(out, "%c%.1f %.1f", i ? 'L' : 'M', at(x, p->x[i]), at(y, p->y[i]));
    buffer_string(out, "\"/>");
    for (int i = 0; i < p->n; i++)
        if (p->n <= 12 || i == p->n - 1)
            buffer_format(out, "<circle class=\"f%d\" r=\"%s\" cx=\"%.1f\" cy=\"%.1f\"/>", line->color,
                          i == p->n - 1 ? "3.5" : "2.5", at(x, p->x[i]), at(y, p->y[i]));
}

static void append_x_ticks(buffer *out, const axis *x) {
    double first = ceil(x->low / x->step - 1e-9);
    for (int i = 0; (first + i) * x->step <= x->high + 1e-9 * x->step; i++) {
        double value = (first + i) * x->step;
        buffer_format(out, "<text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">", at(x, value),
                      HEIGHT - BOTTOM + 17);
        if (x->decimals)
            html_number(out, value, x->decimals);
        else
            html_count(out, value);
        buffer_string(out, "</text>");
    }
}

static void append_lines_svg(buffer *out, const chart *c, int n_line, const chart_line *line, const points *p,
                             const axis *x, const axis *y) {
    begin_svg(out, c);
    append_y_axis(out, c, y);
    append_x_ticks(out, x);
    append_x_name(out, c);
    append_reference(out, c, y);
    for (int i = 0; i < n_line; i++) append_line(out, &line[i], &p[i], x, y);
    buffer_format(out, "<line class=\"cursor\" x1=\"0\" x2=\"0\" y1=\"%d\" y2=\"%d\"/></svg>", TOP,
                  HEIGHT - BOTTOM);
}

void chart_append_lines(buffer *out, const chart *c, int n_line, const chart_line *line) {
    points p[MOST_LINES];
    double x_low = INFINITY, x_high = -INFINITY, low = INFINITY, high = -INFINITY;
    for (int i = 0; i < n_line; i++) {
        thin(&line[i], &p[i]);
        if (line[i].n) x_low = fmin(x_low, line[i].x[0]);
        if (line[i].n) x_high = fmax(x_high, line[i].x[line[i].n - 1]);
        for (int j = 0; j < p[i].n; j++) {
            low = fmin(low, p[i].y[j]);
            high = fmax(high, p[i].y[j]);
        }
    }
    if (!widen(c, &low, &high)) return;
    if (x_high > x_low && x_low > 0 && x_low < 0.1 * x_high) x_low = 0;
    axis x = make_axis(x_low, x_high, 4, LEFT, WIDTH - RIGHT - 4, 0);
    axis y = make_axis(low, high, 4, HEIGHT - BOTTOM, TOP, 1);
    buffer_string(out, "<figure class=\"chart\" data-points=\"");
    append_points(out, c, &x, n_line, p);
    buffer_string(out, "\">");
    append_title(out, c);
    append_line_legend(out, c, n_line, line, p);
    append_lines_svg(out, c, n_line, line, p, &x, &y);
    buffer_string(out, "</figure>\n");
}

/* ---- bars ---- */

/* A bar with its outer end rounded, from the zero line. */
static void append_bar(buffer *out, const chart *c, const axis *y, int color, double x, double width,
                       double value) {
    double zero = at(y, fmin(fmax(0, y->low), y->high)), end = at(y, value);
    double length = fabs(end - zero), round = fmin(3, length), sign = end < zero ? -1 : 1;
    buffer_format(
        out, "<path class=\"f%d\" d=\"M%.1f %.1fV%.1fQ%.1f %.1f %.1f %.1fH%.1fQ%.1f %.1f %.1f %.1fV%.1fZ\"/>",
        color, x, zero, end - sign * round, x, end, x + round, end, x + width - round, x + width, end,
        x + width, end - sign * round, zero);
    buffer_format(out, "<text class=\"value\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">", x + width / 2,
                  end < zero || length < 0.05 ? end - 5 : end + 14);
    append_value(out, c, value, c->format == CHART_PERCENT ? 0 : value_decimals(c, value));
    buffer_string(out, "</text>");
}

static void append_bar_legend(buffer *out, int n_series, const char *const *series) {
    buffer_string(out, "<p class=\"legend\">");
    for (int k = 0; n_series > 1 && k < n_series; k++) {
        buffer_format(out, "<span><i class=\"k%d bar\"></i>", k + 1);
        html_text(out, series[k]);
        buffer_string(out, "</span>");
    }
    buffer_string(out, "</p>");
}

static void append_group(buffer *out, const chart *c, const axis *y, const char *name, double left,
                         double width, int n_series, const double *value) {
    int n = 0;
    for (int k = 0; k < n_series; k++) n += isfinite(value[k]);
    double bar = fmin(44, width * 0.72 / (n ? n : 1)), x = left + width / 2 - n * bar / 2;
    for (int k = 0; k < n_series; k++) {
        if (!isfinite(value[k])) continue;
        append_bar(out, c, y, k + 1, x + 1, bar - 2, value[k]);
        x += bar;
    }
    buffer_format(out, "<text class=\"group\" text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">", left + width / 2,
                  HEIGHT - BOTTOM + 17);
    html_text(out, name);
    buffer_string(out, "</text>");
}

void chart_append_bars(buffer *out, const chart *c, int n_group, const char *const *group, int n_series,
                       const char *const *series, const double *value) {
    double low = INFINITY, high = -INFINITY;
    for (int i = 0; i < n_group * n_series; i++) {
        if (!isfinite(value[i])) continue;
        low = fmin(low, fmin(value[i], 0));
        high = fmax(high, fmax(value[i], 0));
    }
    if (!widen(c, &low, &high)) return;
    axis y = make_axis(low, high, 4, HEIGHT - BOTTOM, TOP, 1);
    buffer_string(out, "<figure class=\"chart\">");
    append_title(out, c);
    append_bar_legend(out, n_series, series);
    begin_svg(out, c);
    append_y_axis(out, c, &y);
    append_x_name(out, c);
    append_reference(out, c, &y);
    double width = (double)(WIDTH - LEFT - RIGHT) / n_group;
    for (int i = 0; i < n_group; i++)
        append_group(out, c, &y, group[i], LEFT + i * width, width, n_series, value + i * n_series);
    buffer_string(out, "</svg></figure>\n");
}
