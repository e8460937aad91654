#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/pattern.h"

static void test_translation(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"a|b", "a|b"},
        {"\\s+(?!\\S)", "\\p{White_Space}+(?!\\P{White_Space})"},
        {"[^\\s\\p{L}]", "[^\\p{White_Space}\\p{L}]"},
        {"\\w[\\w-]", "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}][\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}-]"},
        {"\\W", "[^\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]"},
        {"\\p{Han}\\P{^Greek}\\p{Lu}", "\\p{sc:Han}\\P{^sc:Greek}\\p{Lu}"},
        {"\\p{Alphabetic}", "\\p{Alphabetic}"},
        {"[[:alpha:][:digit:]_]", "[\\p{Alphabetic}\\p{Nd}_]"},
        {"\\u4e00\\x{9fff}", "\\x{4e00}\\x{9fff}"},
        {"x{,3}y{2,}z{2}", "x{0,3}y{2,}z{2}"},
        {"{a}", "{a}"},
        {"(?i:'s)(?=a)(?<!b)(?>c)", "(?i:'s)(?=a)(?<!b)(?>c)"},
        {"\\[\\]\\-\\ \\v", "\\[\\]\\-\\ \\x0b"},
        {"a?+b++", "a?+b++"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buffer out = {0};
        error err;
        if (pattern_translate(cases[i][0], "x", &out, &err) != STATUS_OK) fail_msg("%s", err.message);
        assert_string_equal(out.data, cases[i][1]);
        buffer_free(&out);
    }
}

/* What PCRE2 would understand otherwise than Oniguruma. */
static void test_what_is_understood_otherwise_is_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"a\\h", "x: pattern: \"\\h\" is not supported (at offset 1 of \"a\\h\")"},
        {"\\bword\\b", "\"\\b\" is not supported"},
        {"\\1", "\"\\1\" is not supported"},
        {"\\Ka", "\"\\K\" is not supported"},
        {"\\Qa\\E", "\"\\Q\" is not supported"},
        {"\\xff", "\"\\x\" is a byte, no character"},
        {"\\u12", "\"\\u\" is not followed by four digits"},
        {"[\\W]", "\"\\W\" is not supported"},
        {"a\\", "\"\\\" ends it"},
        {"(?m:.)", "\"(?m:\" is not supported"},
        {"(?<name>a)", "\"(?<n\" is not supported"},
        {"(*UTF)a", "\"(*\" is not supported"},
        {"\\p{N}{1,3}+", "\"{1,3}+\" is not supported"},
        {"[]a]", "\"[]\" is not supported"},
        {"[a[bc]]", "\"[bc]\" inside [ ] is not supported"},
        {"[a&&b]", "\"&&\" inside [ ] is not supported"},
        {"[[:punct:]]", "\"[:punct:]\" inside [ ] is not supported"},
        {"(a", "x: pattern: missing closing parenthesis"},
        {"[b-a]", "range out of order"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pattern *p;
        error err;
        assert_int_equal(pattern_compile(cases[i][0], "x", &p, &err), STATUS_DATA);
        assert_null(p);
        if (!strstr(err.message, cases[i][1])) fail_msg("\"%s\": wanted \"%s\"", err.message, cases[i][1]);
    }
}

static void test_a_pattern_that_is_too_long(void **state) {
    (void)state;
    size_t len = 100000;
    char *regex = calloc(len + 1, 1);
    memset(regex, 'a', len);
    pattern *p;
    error err;
    assert_int_equal(pattern_compile(regex, "x", &p, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "100000 bytes are too many"));
    free(regex);
}

/* The matches as "begin-end ...", empty ones among them, as Oniguruma's iteration has them. */
static void expect_matches(const char *regex, int is_text, const char *text, const char *wanted) {
    pattern *p;
    error err;
    status s = is_text ? pattern_compile_text(regex, "x", &p, &err) : pattern_compile(regex, "x", &p, &err);
    if (s != STATUS_OK) fail_msg("%s", err.message);
    pattern_scratch *scratch = pattern_scratch_new();
    buffer out = {0};
    for (pattern_match m = {0};;) {
        assert_int_equal(pattern_next(p, scratch, text, strlen(text), &m, &err), STATUS_OK);
        if (m.begin > m.end) break;
        buffer_format(&out, "%s%zu-%zu", out.len ? " " : "", m.begin, m.end);
    }
    if (strcmp(out.data ? out.data : "", wanted) != 0)
        fail_msg("%s in \"%s\": \"%s\", wanted \"%s\"", regex, text, out.data, wanted);
    buffer_free(&out);
    pattern_scratch_free(scratch);
    pattern_free(p);
}

static void test_matches(void **state) {
    (void)state;
    expect_matches("a+", 0, "aabaa", "0-2 3-5");
    expect_matches("a+", 0, "b", "");
    expect_matches("a+", 0, "", "");
    expect_matches("a+", 1, "aa+a", "1-3");
    expect_matches("(?=[A-Z])", 0, "aBcD", "1-1 3-3");
    expect_matches("x*", 0, "axb", "0-0 1-2 3-3");
    expect_matches("x*", 0, "\xc3\xa9x", "0-0 2-3");
    expect_matches("$", 0, "a\nb", "1-1 3-3"); /* Ruby's: at every line */
    expect_matches("^b", 0, "a\nb", "2-3");
    expect_matches(".+", 0, "a\rb\nc", "0-3 4-5"); /* lines end with \n alone */
    expect_matches("\\s", 0, "\xe1\xa0\x8e\xc2\x85", "3-5");
    expect_matches("(?i:'ll)", 0, "'LL'lL", "0-3 3-6");
    expect_matches("(?<=\\d)x", 0, "1xx", "1-2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_translation),
        cmocka_unit_test(test_what_is_understood_otherwise_is_refused),
        cmocka_unit_test(test_a_pattern_that_is_too_long),
        cmocka_unit_test(test_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
