/* rlhf/report_chart: line and bar charts as HTML figures with inline SVG. Colours, type and hover belong to
   report.css and report.js. */
#ifndef RLHF_REPORT_CHART_H
#define RLHF_REPORT_CHART_H

#include "core/base/buffer.h"

typedef enum chart_format { CHART_PLAIN, CHART_PERCENT } chart_format;

/* What both kinds have. Texts are escaped by the chart. */
typedef struct chart {
    const char *title;  /* what is measured */
    const char *unit;   /* of the y axis, said beside the title; "" for none */
    const char *x_name; /* of the x axis; "" for none */
    chart_format format;
    double low, high;           /* the y axis reaches at least so far; NaN: as far as the data */
    double reference;           /* a dashed line across; NaN: none */
    const char *reference_name; /* said at its end */
} chart;

typedef struct chart_line {
    const char *name;
    int color; /* 1 .. 3 */
    int n;
    const double *x, *y; /* [n], x rising, all finite */
} chart_line;

/* Lines of more than 120 points are drawn as means of neighbours. The legend shows the last value of each, or
   the value under the pointer. Draws nothing when no line has a point. n_line <= 3. */
void chart_append_lines(buffer *out, const chart *c, int n_line, const chart_line *line);

/* Groups of n_series bars; value is [n_group x n_series], NaN for a bar that is left out. The name of a
   single series stands nowhere. Draws nothing when there is no value. n_series <= 3. */
void chart_append_bars(buffer *out, const chart *c, int n_group, const char *const *group, int n_series,
                       const char *const *series, const double *value);

#endif
