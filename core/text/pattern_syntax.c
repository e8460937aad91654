#include <string.h>

#include "core/base/utf8.h"
#include "core/text/pattern.h"

/* Oniguruma's words, as PCRE2 writes them: \s is White_Space (PCRE2's has U+180E too), \w is wider than
   PCRE2's, ^ and $ stand at every line (an option of PCRE2's). */
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"

typedef struct translation {
    const char *regex, *at, *place;
    buffer *out;
    int in_class;
} translation;

static status refuse(const translation *t, size_t len, const char *why, error *err) {
    return error_set(err, STATUS_DATA, "%s: pattern: \"%.*s\" %s (at offset %td of \"%.*s\")", t->place,
                     (int)len, t->at, why, t->at - t->regex, utf8_cut(t->regex, strlen(t->regex), 200),
                     t->regex);
}

/* Copies len bytes of the pattern. */
static void copy(translation *t, size_t len) {
    buffer_append(t->out, t->at, len);
    t->at += len;
}

/* Writes text in the place of len bytes. */
static void replace(translation *t, size_t len, const char *text) {
    buffer_string(t->out, text);
    t->at += len;
}

/* \uHHHH */
static status code_point(translation *t, error *err) {
    if (strspn(t->at + 2, "0123456789abcdefABCDEF") < 4)
        return refuse(t, 2, "is not followed by four digits", err);
    buffer_format(t->out, "\\x{%.4s}", t->at + 2);
    t->at += 6;
    return STATUS_OK;
}

/* \p{Name}: a script's name means its script extensions as well in PCRE2, unless it says sc:. */
static void property(translation *t) {
    static const char *const others[] = {"Any}", "Alphabetic}", "Uppercase}", "Lowercase}", "White_Space}"};
    copy(t, 2);
    if (*t->at != '{') return;
    copy(t, t->at[1] == '^' ? 2 : 1);
    if (strcspn(t->at, "}") <= 2) return;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strncmp(t->at, others[i], strlen(others[i])) == 0) return;
    buffer_string(t->out, "sc:");
}

/* Whether \c means the same to both: what is no letter and no digit stands for itself. */
static int is_the_same(char c, int in_class) {
    unsigned char byte = (unsigned char)c, letter = byte | 0x20;
    if (byte >= '0' && byte <= '9') return 0;
    if (letter < 'a' || letter > 'z') return byte >= 0x20 && byte != 0x7f;
    return strchr("dDrntfaex", c) || (!in_class && strchr("Az", c));
}

static status escape(translation *t, error *err) {
    char c = t->at[1];
    if (!c) return refuse(t, 1, "ends it", err);
    if (c == 's')
        replace(t, 2, "\\p{White_Space}");
    else if (c == 'S')
        replace(t, 2, "\\P{White_Space}");
    else if (c == 'w')
        replace(t, 2, t->in_class ? WORD : "[" WORD "]");
    else if (c == 'W' && !t->in_class)
        replace(t, 2, "[^" WORD "]");
    else if (c == 'v')
        replace(t, 2, "\\x0b");
    else if (c == 'u')
        return code_point(t, err);
    else if (c == 'p' || c == 'P')
        property(t);
    else if (c == 'x' && t->at[2] != '{' && strspn(t->at + 2, "01234567") == 0)
        return refuse(t, 2, "is a byte, no character", err);
    else if (is_the_same(c, t->in_class))
        copy(t, 2);
    else
        return refuse(t, 2, "is not supported", err);
    return STATUS_OK;
}

/* (, and what may follow a question mark there. */
static status group(translation *t, error *err) {
    static const char *const taken[] = {"(?:", "(?=",  "(?!",  "(?<=",  "(?<!",
                                        "(?>", "(?i:", "(?i)", "(?-i:", "(?-i)"};
    if (t->at[1] == '*') return refuse(t, 2, "is not supported", err);
    if (t->at[1] != '?') {
        copy(t, 1);
        return STATUS_OK;
    }
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strncmp(t->at, taken[i], strlen(taken[i])) == 0) {
            copy(t, strlen(taken[i]));
            return STATUS_OK;
        }
    return refuse(t, strnlen(t->at, 4), "is not supported", err);
}

/* {n,m}: a plus behind it repeats in Oniguruma, and is possessive in PCRE2. */
static status interval(translation *t, error *err) {
    static const char digits[] = "0123456789";
    size_t low = strspn(t->at + 1, digits), n = 1 + low;
    size_t high = t->at[n] == ',' ? strspn(t->at + n + 1, digits) : 0;
    int has_comma = t->at[n] == ',';
    if (has_comma) n += 1 + high;
    if (t->at[n] != '}' || low + high == 0) {
        copy(t, 1);
        return STATUS_OK;
    }
    if (t->at[n + 1] == '+') return refuse(t, n + 2, "is not supported", err);
    if (low == 0) {
        buffer_string(t->out, "{0");
        t->at++;
        n--;
    }
    copy(t, n + 1);
    return STATUS_OK;
}

static status open_class(translation *t, error *err) {
    size_t n = t->at[1] == '^' ? 2 : 1;
    if (t->at[n] == ']') return refuse(t, n + 1, "is not supported", err);
    t->in_class = 1;
    copy(t, n);
    return STATUS_OK;
}

/* [:name:], inside [ ]. */
static status posix_class(translation *t, error *err) {
    static const char *const classes[][2] = {
        {"[:alpha:]", "\\p{Alphabetic}"},
        {"[:alnum:]", "\\p{Alphabetic}\\p{Nd}"},
        {"[:digit:]", "\\p{Nd}"},
        {"[:space:]", "\\p{White_Space}"},
        {"[:upper:]", "\\p{Uppercase}"},
        {"[:lower:]", "\\p{Lowercase}"},
        {"[:word:]", WORD},
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strncmp(t->at, classes[i][0], strlen(classes[i][0])) != 0) continue;
        replace(t, strlen(classes[i][0]), classes[i][1]);
        return STATUS_OK;
    }
    return refuse(t, strcspn(t->at, "]") + 1, "inside [ ] is not supported; write \\[ for the character [",
                  err);
}

static status in_class(translation *t, error *err) {
    if (t->at[0] == '[') return posix_class(t, err);
    if (t->at[0] == '&' && t->at[1] == '&') return refuse(t, 2, "inside [ ] is not supported", err);
    if (t->at[0] == ']') t->in_class = 0;
    copy(t, 1);
    return STATUS_OK;
}

status pattern_translate(const char *regex, const char *place, buffer *out, error *err) {
    translation t = {.regex = regex, .at = regex, .place = place, .out = out};
    while (*t.at) {
        if (*t.at == '\\')
            TRY(escape(&t, err));
        else if (t.in_class)
            TRY(in_class(&t, err));
        else if (*t.at == '[')
            TRY(open_class(&t, err));
        else if (*t.at == '(')
            TRY(group(&t, err));
        else if (*t.at == '{')
            TRY(interval(&t, err));
        else
            copy(&t, 1);
    }
    return STATUS_OK;
}
