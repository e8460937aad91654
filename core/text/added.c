#include "core/text/added.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/utf8.h"

int added_push(added_set *s, added_token token) {
    if (s->n == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 16;
        added_token *more = realloc(s->token, capacity * sizeof *more);
        if (!more) return 0;
        s->token = more;
        s->capacity = capacity;
    }
    s->token[s->n++] = token;
    return 1;
}

void added_free(added_set *s) {
    free(s->token);
    pattern_free(s->word);
    *s = (added_set){0};
}

static int compare(const void *a, const void *b) {
    const added_token *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

status added_complete(added_set *s, error *err) {
    int needs_word = 0;
    if (s->n) qsort(s->token, s->n, sizeof *s->token, compare);
    for (size_t i = 0; i < s->n; i++) {
        s->first[(uint8_t)s->token[i].text[0] + 1]++;
        s->kinds |= s->token[i].kind;
        needs_word |= s->token[i].single_word;
    }
    for (int b = 0; b < 256; b++) s->first[b + 1] += s->first[b];
    return needs_word ? pattern_compile("\\w", "added_tokens", &s->word, err) : STATUS_OK;
}

/* The first token of [low, high), which agree in their first n bytes, whose byte n is not below the given
   one. */
static size_t narrow(const added_set *s, size_t low, size_t high, size_t n, int byte) {
    while (low < high) {
        size_t middle = (low + high) / 2;
        if ((uint8_t)s->token[middle].text[n] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token of one of the kinds that the text begins with, or NULL. */
static const added_token *longest(const added_set *s, const char *text, size_t len, unsigned kinds) {
    size_t low = s->first[(uint8_t)text[0]], high = s->first[(uint8_t)text[0] + 1];
    const added_token *found = NULL;
    for (size_t n = 1; low < high; n++) {
        if (s->token[low].len == n) { /* the shorter ones stand first */
            if (s->token[low].kind & kinds) found = &s->token[low];
            low++;
        }
        if (n == len) break;
        int byte = (uint8_t)text[n];
        high = narrow(s, low, high, n, byte + 1);
        low = narrow(s, low, high, n, byte);
    }
    return found;
}

const added_token *added_find(const added_set *s, const char *text) {
    size_t len = strlen(text);
    const added_token *found = len ? longest(s, text, len, ~0u) : NULL;
    return found && found->len == len ? found : NULL;
}

/* Whether the character that begins at text (len > 0) is a letter. */
static int is_word(const added_set *s, const char *text, size_t len, pattern_scratch *scratch) {
    size_t step;
    pattern_match m = {0};
    if (utf8_read(text, len, &step) < 0) return 0;
    return pattern_next(s->word, scratch, text, step, &m, NULL) == STATUS_OK && m.begin < m.end;
}

static int is_single(const added_set *s, const char *text, size_t len, size_t begin, size_t end,
                     pattern_scratch *scratch) {
    size_t last = begin ? utf8_last(text, begin) : 0;
    return !(begin && is_word(s, text + last, begin - last, scratch)) &&
           !(end < len && is_word(s, text + end, len - end, scratch));
}

static void strip(const added_token *token, const char *text, size_t len, size_t floor, added_match *m) {
    size_t step;
    while (token->lstrip && m->begin > floor) {
        size_t last = utf8_last(text, m->begin);
        if (last < floor || !utf8_is_space(utf8_read(text + last, m->begin - last, &step))) break;
        m->begin = last;
    }
    while (token->rstrip && m->end < len && utf8_is_space(utf8_read(text + m->end, len - m->end, &step)))
        m->end += step;
}

int added_next(const added_set *s, const char *text, size_t len, size_t from, size_t floor, unsigned kinds,
               pattern_scratch *scratch, added_match *out) {
    if (!(s->kinds & kinds)) return 0;
    for (size_t i = from; i < len; i++) {
        if (s->first[(uint8_t)text[i]] == s->first[(uint8_t)text[i] + 1]) continue;
        const added_token *token = longest(s, text + i, len - i, kinds);
        if (!token) continue;
        if (token->single_word && !is_single(s, text, len, i, i + token->len, scratch)) {
            i += token->len - 1;
            continue;
        }
        *out = (added_match){i, i + token->len, i + token->len, token};
        strip(token, text, len, floor, out);
        return 1;
    }
    return 0;
}
