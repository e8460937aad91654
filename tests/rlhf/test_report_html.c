/* Numbers as the report prints them, and charts at their edges. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rlhf/report_chart.h"
#include "rlhf/report_html.h"

#define MINUS  "\xe2\x88\x92"
#define DASH   "\xe2\x80\x93"
#define NARROW "\xe2\x80\xaf"
#define SPACE  "\xc2\xa0"

static buffer out;

static int clear(void **state) {
    (void)state;
    buffer_free(&out);
    return 0;
}

static void is(const char *text) {
    assert_string_equal(out.data, text);
    buffer_clear(&out);
}

static void test_numbers(void **state) {
    (void)state;
    html_number(&out, -1.255, 1), is(MINUS "1.3");
    html_number(&out, -0.001, 2), is("0.00"); /* no minus before nothing */
    html_number(&out, NAN, 2), is(DASH);
    html_number(&out, -INFINITY, 2), is(DASH);
    html_percent(&out, 0.8312, 1), is("83.1" NARROW "%");
    html_percent(&out, NAN, 1), is(DASH);
    html_count(&out, 1234567), is("1,234,567");
    html_count(&out, 999), is("999");
    html_count(&out, -1000), is(MINUS "1,000");
    html_short(&out, 950), is("950");
    html_short(&out, 999.6), is("1.00" SPACE "k");
    html_short(&out, 12345), is("12.3" SPACE "k");
    html_short(&out, 1.536e6), is("1.54" SPACE "M");
    html_seconds(&out, 4.24), is("4.2" SPACE "s");
    html_seconds(&out, 59.96), is("1" SPACE "min" SPACE "00" SPACE "s");
    html_seconds(&out, 7800), is("2" SPACE "h" SPACE "10" SPACE "min");
    html_seconds(&out, NAN), is(DASH);
    html_change(&out, 0.5, 1, 1), is("rose from 0.5 to 1.0");
    html_change(&out, 1, -1, 0), is("fell from 1 to " MINUS "1");
    html_change(&out, 1, 1, 0), is("stayed at 1");
}

static const chart plain = {
    .title = "a < b", .unit = "", .x_name = "step", .low = NAN, .high = NAN, .reference = NAN};

static void test_nothing_is_drawn_of_nothing(void **state) {
    (void)state;
    const chart_line none = {"none", 1, 0, NULL, NULL};
    const double missing[] = {NAN, NAN};
    const char *const group[] = {"a", "b"};
    chart_append_lines(&out, &plain, 1, &none);
    chart_append_bars(&out, &plain, 2, group, 1, NULL, missing);
    assert_int_equal(out.len, 0);
}

static void test_a_line_reaches_over_its_axes(void **state) {
    (void)state;
    const double x[] = {0, 10, 20}, y[] = {0, 5, 10};
    const chart_line line = {"up & up", 1, 3, x, y};
    chart_append_lines(&out, &plain, 1, &line);
    assert_non_null(strstr(out.data, "d=\"M42.0 168.0L193.0 90.0L344.0 12.0\"")); /* corner to corner */
    assert_non_null(strstr(out.data, "a &lt; b"));
    assert_non_null(strstr(out.data, "up &amp; up <b>10.0</b>"));
    assert_non_null(strstr(out.data, "[193.0,&quot;step 10&quot;,&quot;5.00&quot;]"));
}

static void test_long_lines_are_thinned_to_means(void **state) {
    (void)state;
    static double x[12000], y[12000];
    int n = 0;
    for (int i = 0; i < 12000; i++) {
        x[i] = i;
        y[i] = i % 2; /* its means are all 1/2 */
    }
    const chart_line line = {"noise", 1, 12000, x, y};
    chart_append_lines(&out, &plain, 1, &line);
    for (const char *s = strchr(strstr(out.data, "d=\"M"), 'L'); s; s = strchr(s + 1, 'L')) n++;
    assert_in_range(n, 119, 120);
    assert_non_null(strstr(out.data, "<b>0.50</b>"));
}

static void test_constant_and_huge_values_have_axes(void **state) {
    (void)state;
    const double values[][2] = {{3, 3}, {0, 0}, {-1e-30, 1e-30}, {1e15, 1e15 + 1}, {-1e300, 1e300}};
    const double x[] = {1, 2};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const chart_line line = {"line", 1, 2, x, values[i]};
        chart_append_lines(&out, &plain, 1, &line);
        assert_null(strstr(out.data, "nan"));
        assert_in_range(out.len, 500, 10000);
        buffer_clear(&out);
    }
}

static void test_bars_hang_below_zero(void **state) {
    (void)state;
    const double value[] = {-2, 4};
    const char *const group[] = {"before", "after"};
    chart_append_bars(&out, &plain, 2, group, 1, NULL, value);
    assert_non_null(strstr(out.data, MINUS "2.00"));
    assert_non_null(strstr(out.data, "class=\"zero\" x1=\"42\" x2=\"348\" y1=\"116.0\"")); /* a third up */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_numbers, clear),
        cmocka_unit_test_teardown(test_nothing_is_drawn_of_nothing, clear),
        cmocka_unit_test_teardown(test_a_line_reaches_over_its_axes, clear),
        cmocka_unit_test_teardown(test_long_lines_are_thinned_to_means, clear),
        cmocka_unit_test_teardown(test_constant_and_huge_values_have_axes, clear),
        cmocka_unit_test_teardown(test_bars_hang_below_zero, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
