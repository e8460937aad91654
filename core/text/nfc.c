#include "core/text/nfc.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/ints.h"
#include "core/base/utf8.h"

/* Text as a list of characters; a byte that is not UTF-8 is a negative number there, which neither moves
   nor composes. */

enum {
    FIRST_CHANGED = 0xc0, /* below it no character decomposes, composes or has a class */
    HANGUL = 0xac00, /* syllables are computed: leading consonant, vowel, and maybe a trailing consonant */
    LEADING = 0x1100,
    VOWEL = 0x1161,
    TRAILING = 0x11a7, /* and none */
    N_LEADING = 19,
    N_VOWEL = 21,
    N_TRAILING = 28,
    N_HANGUL = N_LEADING * N_VOWEL * N_TRAILING,
};

static int is_in(int32_t c, int32_t first, int32_t n) { return c >= first && c < first + n; }

static int class_of(int32_t c) {
    int low = 0, high = c < FIRST_CHANGED ? 0 : nfc_n_class;
    while (low < high) {
        int middle = (low + high) / 2;
        if (nfc_classes[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    return c >= FIRST_CHANGED && low < nfc_n_class && c >= nfc_classes[low].first ? nfc_classes[low].class
                                                                                  : 0;
}

static int compare_character(const void *key, const void *element) {
    int32_t c = *(const int32_t *)key, d = ((const nfc_decomposition *)element)->character;
    return c < d ? -1 : c > d;
}

static void decompose(int32_t c, ints *out) {
    if (is_in(c, HANGUL, N_HANGUL)) {
        int32_t i = c - HANGUL, trailing = i % N_TRAILING;
        ints_push(out, LEADING + i / (N_VOWEL * N_TRAILING));
        ints_push(out, VOWEL + i / N_TRAILING % N_VOWEL);
        if (trailing) ints_push(out, TRAILING + trailing);
        return;
    }
    const nfc_decomposition *d =
        c < FIRST_CHANGED
            ? NULL
            : bsearch(&c, nfc_decompositions, (size_t)nfc_n_decomposition, sizeof *d, compare_character);
    if (!d) {
        ints_push(out, c);
        return;
    }
    decompose(d->first, out); /* the tables nest a few deep */
    if (d->second) decompose(d->second, out);
}

/* The character that two compose to, or -1. */
static int32_t compose(int32_t a, int32_t b) {
    if (is_in(a, LEADING, N_LEADING) && is_in(b, VOWEL, N_VOWEL))
        return HANGUL + ((a - LEADING) * N_VOWEL + b - VOWEL) * N_TRAILING;
    if (is_in(a, HANGUL, N_HANGUL) && (a - HANGUL) % N_TRAILING == 0 &&
        is_in(b, TRAILING + 1, N_TRAILING - 1))
        return a + b - TRAILING;
    int low = 0, high = nfc_n_composition;
    while (low < high) {
        int middle = (low + high) / 2;
        const nfc_decomposition *d = &nfc_decompositions[nfc_compositions[middle]];
        if (d->first == a && d->second == b) return d->character;
        if (d->first < a || (d->first == a && d->second < b))
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* Puts n marks, all with a class, in the order of their classes; equal ones keep theirs. A counting sort: a
   hostile text is one long run. scratch [n]. */
static void sort_marks(int32_t *marks, size_t n, int32_t *scratch) {
    size_t start[257] = {0};
    for (size_t i = 0; i < n; i++) start[class_of(marks[i]) + 1]++;
    for (int k = 0; k < 256; k++) start[k + 1] += start[k];
    for (size_t i = 0; i < n; i++) scratch[start[class_of(marks[i])]++] = marks[i];
    memcpy(marks, scratch, n * sizeof *marks);
}

static void order(ints *text, int32_t *scratch) {
    for (size_t i = 0, n; i < text->len; i += n ? n : 1) {
        for (n = 0; i + n < text->len && class_of(text->data[i + n]); n++) {
        }
        if (n > 1) sort_marks(text->data + i, n, scratch);
    }
}

/* Composes each character with the last starter before it, unless a mark of no lower class stands between. */
static void compose_all(ints *text) {
    size_t n = 0, starter = 0;
    int has_starter = 0, last_class = 0;
    for (size_t i = 0; i < text->len; i++) {
        int32_t c = text->data[i], joined = -1;
        int class = class_of(c), is_next = has_starter && n == starter + 1;
        if (has_starter && (is_next || last_class < class)) joined = compose(text->data[starter], c);
        if (joined >= 0) {
            text->data[starter] = joined;
            continue;
        }
        if (class == 0) {
            starter = n;
            has_starter = 1;
        }
        last_class = class;
        text->data[n++] = c;
    }
    text->len = n;
}

static int is_active(int32_t c) {
    int low = 0, high = c < nfc_active[0].first ? 0 : nfc_n_active;
    while (low < high) {
        int middle = (low + high) / 2;
        if (nfc_active[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    return c >= nfc_active[0].first && low < nfc_n_active && c >= nfc_active[low].first;
}

/* The end of the run of active characters at i. */
static size_t active_end(stretch text, size_t i) {
    size_t step;
    for (; i < text.len; i += step) {
        int32_t c = utf8_read(text.text + i, text.len - i, &step);
        if (c < 0 || !is_active(c)) break;
    }
    return i;
}

/* Appends the characters that the run became. Those at its beginning that are what they were come from
   themselves. */
static void put_run(stretch run, const ints *characters, traced *out) {
    size_t same = 0, k = 0;
    char bytes[4];
    for (size_t step; k < characters->len && same < run.len; k++, same += step)
        if (utf8_read(run.text + same, run.len - same, &step) != characters->data[k]) break;
    traced_append(out, stretch_part(run, 0, same));
    origin from =
        run.from && same < run.len ? stretch_origin(stretch_part(run, same, run.len)) : (origin){0, 0};
    for (; k < characters->len; k++) {
        bytes[0] = (char)(-1 - characters->data[k]);
        size_t n = characters->data[k] < 0 ? 1 : utf8_bytes(characters->data[k], bytes);
        traced_put(out, bytes, n, from);
    }
}

/* Normalizes one run: a character that is not active, if there is one, and the active ones behind it. */
static status normalize_run(stretch run, ints *characters, traced *out, error *err) {
    ints_clear(characters);
    for (size_t i = 0, step; i < run.len; i += step) {
        int32_t c = utf8_read(run.text + i, run.len - i, &step);
        decompose(c < 0 ? -1 - (uint8_t)run.text[i] : c, characters);
    }
    TRY(ints_check(characters, err));
    int32_t *scratch = malloc((characters->len + 1) * sizeof *scratch);
    if (!scratch) return error_memory(err, "a text");
    order(characters, scratch);
    free(scratch);
    compose_all(characters);
    put_run(run, characters, out);
    return STATUS_OK;
}

status nfc_normalize(stretch text, traced *out, error *err) {
    ints characters = {0};
    status s = STATUS_OK;
    size_t done = 0, before = 0; /* appended so far; where the character before i begins */
    for (size_t i = 0, step; i < text.len && s == STATUS_OK; before = i, i += step) {
        step = 1;
        if ((uint8_t)text.text[i] < 0x80) continue;
        int32_t c = utf8_read(text.text + i, text.len - i, &step);
        if (c < 0 || !is_active(c)) continue;
        size_t start = before > done ? before : done, end = active_end(text, i);
        traced_append(out, stretch_part(text, done, start));
        s = normalize_run(stretch_part(text, start, end), &characters, out, err);
        done = end;
        step = end - i;
    }
    if (s == STATUS_OK) traced_append(out, stretch_part(text, done, text.len));
    ints_free(&characters);
    return s == STATUS_OK ? traced_check(out, err) : s;
}
