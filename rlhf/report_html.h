/* rlhf/report_html: text and numbers as HTML. Everything that comes from a file goes through html_text. */
#ifndef RLHF_REPORT_HTML_H
#define RLHF_REPORT_HTML_H

#include <stdint.h>

#include "core/base/buffer.h"

/* Appends text with & < > " ' escaped and control characters (but newline and tab) replaced; for content and
   for quoted attributes. */
void html_text(buffer *out, const char *text);
void html_text_bytes(buffer *out, const char *text, size_t len);

/* Appends the number with so many decimals and a true minus sign; "–" when it is not finite. */
void html_number(buffer *out, double value, int decimals);
/* "rose from 0.86 to 3.44", "fell from ...", "stayed at 0.86". */
void html_change(buffer *out, double from, double to, int decimals);
/* 83.1 %: a share in [0, 1]. */
void html_percent(buffer *out, double share, int decimals);
/* 1,234,567 */
void html_count(buffer *out, double value);
/* 4.2 s, 3 min 05 s, 2 h 10 min */
void html_seconds(buffer *out, double seconds);
/* 950, 12.3 k, 1.54 M, 2.10 G */
void html_short(buffer *out, double value);

#endif
