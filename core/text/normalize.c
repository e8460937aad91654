#include "core/text/normalize.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/utf8.h"
#include "core/text/nfc.h"

void normalizers_free(normalizers *n) {
    for (int i = 0; i < n->n && n->step; i++) {
        pattern_free(n->step[i].pattern);
        free(n->step[i].content);
    }
    free(n->step);
    *n = (normalizers){0};
}

void normalizing_end(normalizing *work) {
    pattern_scratch_free(work->scratch);
    traced_free(&work->buffer[0]);
    traced_free(&work->buffer[1]);
    *work = (normalizing){0};
}

static int32_t lower(int32_t c) {
    int low = 0, high = lower_n_run;
    while (low < high) {
        int middle = (low + high) / 2;
        if (lower_runs[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == lower_n_run || c < lower_runs[low].first) return c;
    return (c - lower_runs[low].first) % lower_runs[low].step == 0 ? c + lower_runs[low].delta : c;
}

static void lowercase(stretch text, traced *out) {
    enum { I_WITH_DOT = 0x130 };
    size_t done = 0;
    for (size_t i = 0, step; i < text.len; i += step) {
        int32_t c = utf8_read(text.text + i, text.len - i, &step), small = c < 0 ? c : lower(c);
        if (small == c && c != I_WITH_DOT) continue;
        char bytes[4];
        stretch one = stretch_part(text, i, i + step);
        traced_append(out, stretch_part(text, done, i));
        origin from = text.from ? stretch_origin(one) : (origin){0, 0};
        if (c == I_WITH_DOT)
            traced_put(out, "i\xcc\x87", 3, from);
        else
            traced_put(out, bytes, utf8_bytes(small, bytes), from);
        done = i + step;
    }
    traced_append(out, stretch_part(text, done, text.len));
}

/* text: valid UTF-8. */
static status replace_valid(const normalizer *step, pattern_scratch *scratch, stretch text, traced *out,
                            error *err) {
    size_t done = 0;
    for (pattern_match m = {0};;) {
        TRY(pattern_next(step->pattern, scratch, text.text, text.len, &m, err));
        if (m.begin > m.end) break;
        traced_append(out, stretch_part(text, done, m.begin));
        origin from = stretch_place(text, m.begin);
        if (text.from && m.end > m.begin) from = stretch_origin(stretch_part(text, m.begin, m.end));
        traced_put(out, step->content, strlen(step->content), from);
        done = m.end;
    }
    traced_append(out, stretch_part(text, done, text.len));
    return STATUS_OK;
}

static status replace(const normalizer *step, normalizing *work, stretch text, traced *out, error *err) {
    if (!work->scratch) work->scratch = pattern_scratch_new();
    if (!work->scratch) return error_memory(err, "a text");
    for (size_t at = 0; at < text.len;) {
        size_t n = utf8_prefix(text.text + at, text.len - at, 1);
        size_t m = utf8_prefix(text.text + at + n, text.len - at - n, 0);
        if (n) TRY(replace_valid(step, work->scratch, stretch_part(text, at, at + n), out, err));
        traced_append(out, stretch_part(text, at + n, at + n + m));
        at += n + m;
    }
    return STATUS_OK;
}

static void prepend(const normalizer *step, stretch text, traced *out) {
    traced_put(out, step->content, strlen(step->content), stretch_place(text, 0));
    traced_append(out, text);
}

/* Whether the step leaves the text as it is, as far as that is cheap to say. */
static int is_idle(const normalizer *step, stretch text, text_place place) {
    if (text.len == 0) return 1;
    return step->kind == NORMALIZER_PREPEND && (place == PLACE_BEHIND_TEXT || place == PLACE_CUT);
}

status normalize(const normalizers *n, stretch text, text_place place, normalizing *work, stretch *out,
                 error *err) {
    *out = text;
    for (int i = 0, which = 0; i < n->n; i++) {
        const normalizer *step = &n->step[i];
        traced *to = &work->buffer[which];
        if (is_idle(step, *out, place)) continue;
        traced_begin(to, text);
        switch (step->kind) {
        case NORMALIZER_NFC:
            TRY(nfc_normalize(*out, to, err));
            break;
        case NORMALIZER_LOWERCASE:
            lowercase(*out, to);
            break;
        case NORMALIZER_REPLACE:
            TRY(replace(step, work, *out, to, err));
            break;
        case NORMALIZER_PREPEND:
            prepend(step, *out, to);
            break;
        }
        TRY(traced_check(to, err));
        *out = traced_stretch(to);
        which = !which;
    }
    return STATUS_OK;
}
