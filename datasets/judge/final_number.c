#include "datasets/judge/final_number.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

/* A number as its digits: without sign of currency, commas, leading zeros, and zeros behind the point. */
enum { DIGITS = 64 };
typedef struct number {
    int negative, n_whole, n;
    char digit[DIGITS]; /* [n], the first n_whole before the point */
} number;

static const char MARK[] = "####";

/* What stands behind the last mark, without blanks around; data NULL: there is no mark. */
static text_span behind_mark(text_span text) {
    size_t n = sizeof MARK - 1, at = text.len;
    while (at >= n && memcmp(text.data + at - n, MARK, n) != 0) at--;
    if (at < n) return (text_span){0};
    text_span tail = {text.data + at, text.len - at};
    while (tail.len && isspace((unsigned char)tail.data[0])) tail.data++, tail.len--;
    while (tail.len && isspace((unsigned char)tail.data[tail.len - 1])) tail.len--;
    return tail;
}

static int take_sign(text_span *t, char sign) {
    if (!t->len || t->data[0] != sign) return 0;
    t->data++, t->len--;
    return 1;
}

static int add_digit(number *x, char c, int behind_point) {
    if (x->n == DIGITS) return 0;
    if (c == '0' && x->n == 0 && !behind_point) return 1;
    x->digit[x->n++] = c;
    x->n_whole += !behind_point;
    return 1;
}

/* Whether the whole text is one number. */
static int parse(text_span t, number *x) {
    int behind_point = 0, any = 0;
    *x = (number){0};
    take_sign(&t, '$');
    x->negative = take_sign(&t, '-');
    take_sign(&t, '$');
    if (t.len && t.data[t.len - 1] == '.') t.len--;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.data[i];
        if (c == ',' && any && !behind_point) continue;
        if (c == '.' && !behind_point) {
            behind_point = 1;
            continue;
        }
        if (!isdigit((unsigned char)c) || !add_digit(x, c, behind_point)) return 0;
        any = 1;
    }
    while (x->n > x->n_whole && x->digit[x->n - 1] == '0') x->n--;
    if (x->n == 0) x->negative = 0;
    return any;
}

static int is_same(const number *a, const number *b) {
    return a->negative == b->negative && a->n_whole == b->n_whole && a->n == b->n &&
           memcmp(a->digit, b->digit, (size_t)a->n) == 0;
}

static int ends_in_number(text_span text, number *out) {
    text_span tail = behind_mark(text);
    return tail.data && parse(tail, out);
}

float final_number_score(const char *reference, text_span answer) {
    number want, got;
    if (!reference || !ends_in_number(text_span_of(reference), &want)) return NAN;
    if (!ends_in_number(answer, &got)) return 0;
    return is_same(&want, &got) ? 1.0f : 0.1f;
}
