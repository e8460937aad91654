#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/text/pattern.h"

#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/utf8.h"

enum { MATCH_LIMIT = 20000000, HEAP_LIMIT_KB = 65536, LONGEST = 1 << 16 };

struct pattern {
    pcre2_code *code;
    pcre2_match_context *limits;
    int is_jit;
};

void pattern_free(pattern *p) {
    if (!p) return;
    pcre2_match_context_free(p->limits);
    pcre2_code_free(p->code);
    free(p);
}

/* Lines end with \n alone, whatever PCRE2 was built for. */
static pcre2_code *compile(const char *text, size_t len, uint32_t options, int *code, size_t *offset) {
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    *code = PCRE2_ERROR_NOMEMORY;
    if (!context) return NULL;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)text, len, options, code, offset, context);
    pcre2_compile_context_free(context);
    return compiled;
}

static status make(const char *text, size_t len, uint32_t options, const char *place, pattern **out,
                   error *err) {
    *out = NULL;
    if (len > LONGEST)
        return error_set(err, STATUS_DATA, "%s: pattern: %zu bytes are too many (%d are the most)", place,
                         len, LONGEST);
    pattern *p = calloc(1, sizeof *p);
    if (!p) return error_memory(err, "a pattern");
    int code;
    size_t offset = 0, jit = 0;
    p->code = compile(text, len, options, &code, &offset);
    if (!p->code) {
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(code, why, sizeof why);
        pattern_free(p);
        return error_set(err, STATUS_DATA, "%s: pattern: %s (at offset %zu of \"%.*s\")", place,
                         (const char *)why, offset, utf8_cut(text, len, 200), text);
    }
    pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* where there is none, matching is only slower */
    p->is_jit = pcre2_pattern_info(p->code, PCRE2_INFO_JITSIZE, &jit) == 0 && jit > 0;
    p->limits = pcre2_match_context_create(NULL);
    if (!p->limits) {
        pattern_free(p);
        return error_memory(err, "a pattern");
    }
    pcre2_set_match_limit(p->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(p->limits, HEAP_LIMIT_KB);
    *out = p;
    return STATUS_OK;
}

status pattern_compile(const char *regex, const char *place, pattern **out, error *err) {
    *out = NULL;
    buffer text = {0};
    status s = pattern_translate(regex, place, &text, err);
    if (s == STATUS_OK) s = buffer_check(&text, err);
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    if (s == STATUS_OK) s = make(text.data ? text.data : "", text.len, options, place, out, err);
    buffer_free(&text);
    return s;
}

status pattern_compile_text(const char *text, const char *place, pattern **out, error *err) {
    return make(text, strlen(text), PCRE2_UTF | PCRE2_LITERAL, place, out, err);
}

/* The struct is PCRE2's own. */
pattern_scratch *pattern_scratch_new(void) { return (pattern_scratch *)pcre2_match_data_create(1, NULL); }
void pattern_scratch_free(pattern_scratch *s) { pcre2_match_data_free((pcre2_match_data *)s); }

/* 1: found, 0: none, < 0: PCRE2's error. */
static int search(const pattern *p, pcre2_match_data *data, const char *text, size_t len, size_t from) {
    int n = PCRE2_ERROR_JIT_STACKLIMIT;
    if (p->is_jit) n = pcre2_jit_match(p->code, (PCRE2_SPTR)text, len, from, 0, data, p->limits);
    if (n == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter keeps its state on the heap */
        n = pcre2_match(p->code, (PCRE2_SPTR)text, len, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data,
                        p->limits);
    if (n == PCRE2_ERROR_NOMATCH) return 0;
    return n < 0 ? n : 1;
}

status pattern_next(const pattern *p, pattern_scratch *s, const char *text, size_t len, pattern_match *m,
                    error *err) {
    pcre2_match_data *data = (pcre2_match_data *)s;
    while (m->next <= len) {
        int found = search(p, data, text, len, m->next);
        if (found < 0) {
            PCRE2_UCHAR why[128];
            pcre2_get_error_message(found, why, sizeof why);
            return error_set(err, STATUS_DATA, "the tokenizer's pattern: %s (at byte %zu of a text)",
                             (const char *)why, m->next);
        }
        if (!found) break;
        const size_t *at = pcre2_get_ovector_pointer(data);
        if (at[0] == at[1] && m->is_any && at[1] == m->end) { /* an empty match at the end of the last one */
            size_t step = 1;
            if (m->next < len) utf8_read(text + m->next, len - m->next, &step);
            m->next += step;
            continue;
        }
        *m = (pattern_match){.begin = at[0], .end = at[1], .next = at[1], .is_any = 1};
        return STATUS_OK;
    }
    m->begin = len + 1;
    m->end = len;
    m->next = len + 1;
    return STATUS_OK;
}
