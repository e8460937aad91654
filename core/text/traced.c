#include "core/text/traced.h"

#include <stdlib.h>
#include <string.h>

stretch stretch_part(stretch p, size_t start, size_t end) {
    return (stretch){p.text + start, end - start, p.from ? p.from + start : NULL};
}

origin stretch_origin(stretch part) { return (origin){part.from[0].start, part.from[part.len - 1].end}; }

origin stretch_place(stretch p, size_t i) {
    if (!p.from || p.len == 0) return (origin){0, 0};
    int32_t at = i < p.len ? p.from[i].start : p.from[i - 1].end;
    return (origin){at, at};
}

void traced_free(traced *t) {
    buffer_free(&t->text);
    free(t->from);
    *t = (traced){0};
}

void traced_begin(traced *t, stretch from) {
    enum { GROWTH = 16, ROOM = 4096 };
    buffer_clear(&t->text);
    t->is_traced = from.from != NULL;
    t->is_long = 0;
    t->most = from.len < (INT32_MAX - ROOM) / GROWTH ? GROWTH * from.len + ROOM : INT32_MAX;
}

static int fits(traced *t, size_t len) {
    t->is_long |= len > t->most - t->text.len;
    return !t->is_long;
}

/* Room for the origins of len more bytes. */
static int reserve(traced *t, size_t len) {
    if (!t->is_traced || t->text.failed) return 0;
    if (t->text.len + len <= t->capacity) return 1;
    size_t capacity = t->capacity ? t->capacity : 256;
    while (capacity < t->text.len + len) capacity *= 2;
    origin *from = realloc(t->from, capacity * sizeof *from);
    if (!from) {
        t->text.failed = 1;
        return 0;
    }
    t->from = from;
    t->capacity = capacity;
    return 1;
}

void traced_append(traced *t, stretch p) {
    if (!fits(t, p.len)) return;
    if (p.len && reserve(t, p.len)) memcpy(t->from + t->text.len, p.from, p.len * sizeof *p.from);
    buffer_append(&t->text, p.text, p.len);
}

void traced_put(traced *t, const char *text, size_t len, origin from) {
    if (!fits(t, len)) return;
    if (reserve(t, len))
        for (size_t i = 0; i < len; i++) t->from[t->text.len + i] = from;
    buffer_append(&t->text, text, len);
}

stretch traced_stretch(const traced *t) {
    return (stretch){t->text.data ? t->text.data : "", t->text.len, t->is_traced ? t->from : NULL};
}

status traced_check(const traced *t, error *err) {
    if (t->is_long)
        return error_set(err, STATUS_DATA, "the tokenizer makes more than %zu bytes of a shorter text",
                         t->most);
    return buffer_check(&t->text, err);
}
