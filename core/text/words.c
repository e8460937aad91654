#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/text/words.h"

#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/text/utf8.h"

const char words_gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

enum { MATCH_LIMIT = 20000000, HEAP_LIMIT_KB = 65536 };

struct word_pattern {
    pcre2_code *code;
    pcre2_match_context *limits;
};

void word_pattern_free(word_pattern *p) {
    if (!p) return;
    pcre2_match_context_free(p->limits);
    pcre2_code_free(p->code);
    free(p);
}

/* PCRE2's \s has U+180E too, which is no white space since Unicode 6.3. */
static void translate(const char *pattern, buffer *out) {
    for (const char *c = pattern; *c; c++) {
        if (c[0] != '\\' || c[1] == 0) {
            buffer_append(out, c, 1);
        } else {
            if (c[1] == 's')
                buffer_string(out, "\\p{White_Space}");
            else if (c[1] == 'S')
                buffer_string(out, "\\P{White_Space}");
            else
                buffer_append(out, c, 2);
            c++;
        }
    }
}

status word_pattern_compile(const char *pattern, const char *place, word_pattern **out, error *err) {
    *out = NULL;
    buffer text = {0};
    translate(pattern, &text);
    word_pattern *p = calloc(1, sizeof *p);
    if (!p || text.failed) {
        free(p);
        buffer_free(&text);
        return error_memory(err, "a pattern");
    }
    int code = 0;
    size_t offset = 0;
    p->code = pcre2_compile((PCRE2_SPTR)text.data, text.len, PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C,
                            &code, &offset, NULL);
    buffer_free(&text);
    if (!p->code) {
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(code, why, sizeof why);
        word_pattern_free(p);
        return error_set(err, STATUS_DATA, "%s: pattern: %s (at offset %zu)", place, (const char *)why,
                         offset);
    }
    pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* where there is none, matching is only slower */
    p->limits = pcre2_match_context_create(NULL);
    if (!p->limits) {
        word_pattern_free(p);
        return error_memory(err, "a pattern");
    }
    pcre2_set_match_limit(p->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(p->limits, HEAP_LIMIT_KB);
    *out = p;
    return STATUS_OK;
}

/* Finds the next match from `from` on that is not empty. 1: found, 0: none, < 0: PCRE2's error. */
static int next_match(const word_pattern *p, pcre2_match_data *data, const char *text, size_t len,
                      size_t from) {
    uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    int n = pcre2_match(p->code, (PCRE2_SPTR)text, len, from, options, data, p->limits);
    if (n == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter keeps its state on the heap */
        n = pcre2_match(p->code, (PCRE2_SPTR)text, len, from, options | PCRE2_NO_JIT, data, p->limits);
    if (n == PCRE2_ERROR_NOMATCH) return 0;
    return n < 0 ? n : 1;
}

/* The words of text that is valid UTF-8. */
static status cut_valid(const word_pattern *p, pcre2_match_data *data, const char *text, size_t len,
                        word_visit visit, void *context, error *err) {
    size_t at = 0;
    while (at < len) {
        size_t begin = len, end = len;
        int found = next_match(p, data, text, len, at);
        if (found < 0) {
            PCRE2_UCHAR why[128];
            pcre2_get_error_message(found, why, sizeof why);
            return error_set(err, STATUS_DATA, "the tokenizer's pattern: %s (at byte %zu of the text)",
                             (const char *)why, at);
        }
        if (found) {
            const size_t *match = pcre2_get_ovector_pointer(data);
            begin = match[0];
            end = match[1];
            if (begin < at || end <= begin)
                return error_set(err, STATUS_DATA,
                                 "the tokenizer's pattern: \\K out of order (at byte %zu of the text)", at);
        }
        if (begin > at) TRY(visit(context, text + at, begin - at, err));
        if (end > begin) TRY(visit(context, text + begin, end - begin, err));
        at = end;
    }
    return STATUS_OK;
}

/* Bytes at the beginning of the text that are valid UTF-8, or that are not. */
static size_t prefix(const char *text, size_t len, int valid) {
    size_t n = 0, step;
    while (n < len && (utf8_read(text + n, len - n, &step) >= 0) == valid) n += step;
    return n;
}

static status cut(const word_pattern *p, pcre2_match_data *data, const char *text, size_t len,
                  word_visit visit, void *context, error *err) {
    while (len > 0) {
        size_t n = prefix(text, len, 1);
        if (n) TRY(cut_valid(p, data, text, n, visit, context, err));
        size_t m = prefix(text + n, len - n, 0);
        if (m) TRY(visit(context, text + n, m, err));
        text += n + m;
        len -= n + m;
    }
    return STATUS_OK;
}

status words_each(const word_pattern *p, const char *text, size_t len, word_visit visit, void *context,
                  error *err) {
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!data) return error_memory(err, "a match");
    status s = cut(p, data, text, len, visit, context, err);
    pcre2_match_data_free(data);
    return s;
}
