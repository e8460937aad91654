#include "rlhf/report_html.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MINUS        "\xe2\x88\x92"
#define DASH         "\xe2\x80\x93"
#define NARROW_SPACE "\xe2\x80\xaf" /* these two do not break */
#define SPACE        "\xc2\xa0"

void html_text_bytes(buffer *out, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        switch (c) {
        case '&':
            buffer_string(out, "&amp;");
            break;
        case '<':
            buffer_string(out, "&lt;");
            break;
        case '>':
            buffer_string(out, "&gt;");
            break;
        case '"':
            buffer_string(out, "&quot;");
            break;
        case '\'':
            buffer_string(out, "&#39;");
            break;
        default:
            if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
                buffer_string(out, "\xef\xbf\xbd");
            else
                buffer_append(out, &text[i], 1);
        }
    }
}

void html_text(buffer *out, const char *text) { html_text_bytes(out, text, strlen(text)); }

void html_number(buffer *out, double value, int decimals) {
    char digits[64];
    if (!isfinite(value) || fabs(value) > 1e30) {
        buffer_string(out, DASH);
        return;
    }
    snprintf(digits, sizeof digits, "%.*f", decimals, fabs(value));
    if (value < 0 && strspn(digits, "0.") != strlen(digits)) buffer_string(out, MINUS);
    buffer_string(out, digits);
}

void html_change(buffer *out, double from, double to, int decimals) {
    buffer_string(out, to > from ? "rose from " : to < from ? "fell from " : "stayed at ");
    html_number(out, from, decimals);
    if (to == from) return;
    buffer_string(out, " to ");
    html_number(out, to, decimals);
}

void html_percent(buffer *out, double share, int decimals) {
    html_number(out, 100 * share, decimals);
    if (isfinite(share)) buffer_string(out, NARROW_SPACE "%");
}

void html_count(buffer *out, double value) {
    char digits[64];
    if (!isfinite(value) || fabs(value) > 1e18) {
        buffer_string(out, DASH);
        return;
    }
    if (value < 0) buffer_string(out, MINUS);
    int n = snprintf(digits, sizeof digits, "%.0f", fabs(value));
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0) buffer_string(out, ",");
        buffer_append(out, &digits[i], 1);
    }
}

void html_seconds(buffer *out, double seconds) {
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e12) {
        buffer_string(out, DASH);
        return;
    }
    long long whole = (long long)(seconds + 0.5);
    if (seconds < 59.95)
        buffer_format(out, "%.1f" SPACE "s", seconds);
    else if (whole < 3600)
        buffer_format(out, "%lld" SPACE "min" SPACE "%02lld" SPACE "s", whole / 60, whole % 60);
    else
        buffer_format(out, "%lld" SPACE "h" SPACE "%02lld" SPACE "min", whole / 3600, whole / 60 % 60);
}

void html_short(buffer *out, double value) {
    static const char *const units[] = {"", SPACE "k", SPACE "M", SPACE "G", SPACE "T"};
    int unit = 0;
    if (!isfinite(value)) {
        buffer_string(out, DASH);
        return;
    }
    while (unit < 4 && fabs(value) >= 999.5) {
        value /= 1000;
        unit++;
    }
    html_number(out, value, unit == 0 || fabs(value) >= 99.95 ? 0 : fabs(value) >= 9.995 ? 1 : 2);
    buffer_string(out, units[unit]);
}
