/* core/base/buffer: a byte string that grows, and the printing of JSON into it. A failed allocation is
   remembered: later appends do nothing and buffer_check reports it, so that callers check once. */
#ifndef RLHF_BASE_BUFFER_H
#define RLHF_BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/error.h"

/* A text that may hold zero bytes; the memory is another's. */
typedef struct text_span {
    const char *data; /* [len] */
    size_t len;
} text_span;
static inline text_span text_span_of(const char *text) { return (text_span){text, strlen(text)}; }

typedef struct buffer {
    char *data; /* [len], followed by a zero byte once anything was appended; NULL while empty */
    size_t len, capacity;
    int failed;
} buffer;

void buffer_free(buffer *b);  /* leaves an empty buffer */
void buffer_clear(buffer *b); /* keeps the memory */
int buffer_reserve(buffer *b, size_t more);
void buffer_append(buffer *b, const void *data, size_t len);
void buffer_string(buffer *b, const char *text);
void buffer_format(buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A quoted JSON string. Bytes that are not valid UTF-8 are each written as U+FFFD. */
void buffer_json_string(buffer *b, const char *text, size_t len);
/* The one way every f32 is printed: the shortest decimal that reads back as the same f32; null when not
 * finite. */
void buffer_json_float(buffer *b, float value);
/* The same for doubles (statistics that are not f32). */
void buffer_json_double(buffer *b, double value);
/* Appends ,"name":value to an object that was begun with "{" (no comma behind the brace); an f32, null when
 * not finite. */
void buffer_json_figure(buffer *b, const char *name, double value);
void buffer_json_ints(buffer *b, const int32_t *values, size_t n); /* [1,2,3] */
void buffer_json_floats(buffer *b, const float *values, size_t n);

/* STATUS_OK, or STATUS_FAILED when an allocation failed since the last clear. */
status buffer_check(const buffer *b, error *err);

#endif
