#include "core/base/buffer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/utf8.h"

void buffer_free(buffer *b) {
    free(b->data);
    *b = (buffer){0};
}

void buffer_clear(buffer *b) {
    b->len = 0;
    b->failed = 0;
    if (b->data) b->data[0] = 0;
}

int buffer_reserve(buffer *b, size_t more) {
    if (b->failed) return 0;
    if (more > SIZE_MAX / 4 - b->len) {
        b->failed = 1;
        return 0;
    }
    size_t need = b->len + more + 1;
    if (need <= b->capacity) return 1;
    size_t capacity = b->capacity ? b->capacity : 256;
    while (capacity < need) capacity *= 2;
    char *data = realloc(b->data, capacity);
    if (!data) {
        b->failed = 1;
        return 0;
    }
    b->data = data;
    b->capacity = capacity;
    return 1;
}

void buffer_append(buffer *b, const void *data, size_t len) {
    if (!buffer_reserve(b, len)) return;
    if (len) memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = 0;
}

void buffer_string(buffer *b, const char *text) { buffer_append(b, text, strlen(text)); }

void buffer_format(buffer *b, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) b->failed = 1;
    if (n >= 0 && buffer_reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buffer_json_string(buffer *b, const char *text, size_t len) {
    const unsigned char *s = (const unsigned char *)text;
    buffer_append(b, "\"", 1);
    for (size_t i = 0; i < len;) {
        size_t n;
        if (utf8_read(text + i, len - i, &n) < 0) {
            buffer_string(b, "\xef\xbf\xbd");
            i++;
            continue;
        }
        if (n > 1)
            buffer_append(b, s + i, n);
        else if (s[i] == '"')
            buffer_string(b, "\\\"");
        else if (s[i] == '\\')
            buffer_string(b, "\\\\");
        else if (s[i] == '\n')
            buffer_string(b, "\\n");
        else if (s[i] == '\r')
            buffer_string(b, "\\r");
        else if (s[i] == '\t')
            buffer_string(b, "\\t");
        else if (s[i] < 0x20 || s[i] == 0x7f)
            buffer_format(b, "\\u%04x", s[i]);
        else
            buffer_append(b, s + i, 1);
        i += n;
    }
    buffer_append(b, "\"", 1);
}

void buffer_json_float(buffer *b, float value) {
    char digits[40];
    if (!isfinite(value)) {
        buffer_string(b, "null");
        return;
    }
    for (int precision = 1; precision <= 9; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, (double)value);
        if (strtof(digits, NULL) == value) break;
    }
    buffer_string(b, digits);
}

void buffer_json_double(buffer *b, double value) {
    char digits[40];
    if (!isfinite(value)) {
        buffer_string(b, "null");
        return;
    }
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) break;
    }
    buffer_string(b, digits);
}

void buffer_json_figure(buffer *b, const char *name, double value) {
    int first = b->len && b->data[b->len - 1] == '{';
    buffer_format(b, "%s\"%s\":", first || !b->len ? "" : ",", name);
    buffer_json_float(b, (float)value);
}

void buffer_json_ints(buffer *b, const int32_t *values, size_t n) {
    buffer_append(b, "[", 1);
    for (size_t i = 0; i < n; i++) buffer_format(b, "%s%d", i ? "," : "", values[i]);
    buffer_append(b, "]", 1);
}

void buffer_json_floats(buffer *b, const float *values, size_t n) {
    buffer_append(b, "[", 1);
    for (size_t i = 0; i < n; i++) {
        if (i) buffer_append(b, ",", 1);
        buffer_json_float(b, values[i]);
    }
    buffer_append(b, "]", 1);
}

status buffer_check(const buffer *b, error *err) {
    return b->failed ? error_memory(err, "a growing text") : STATUS_OK;
}
