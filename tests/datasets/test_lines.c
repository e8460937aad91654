/* Bad lines, and the texts of data files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/json.h"
#include "datasets/lines.h"
#include "datasets/texts.h"
#include "tests/support/data_cases.h"
#include "tests/support/places.h"

static logger quiet = {.quiet = true};

/* Writes down "number|note;" and finds notes that begin with "bad" bad. */
static status note(void *context, json_t *line, const char *place, error *err) {
    const char *text;
    TRY(json_field_string(line, "note", place, &text, err));
    buffer_format(context, "%s|%s;", strrchr(place, ':') + 1, text);
    if (strncmp(text, "bad", 3) == 0) return error_set(err, STATUS_DATA, "%s: it says so", place);
    if (strncmp(text, "stop", 4) == 0) return error_set(err, STATUS_FAILED, "%s: enough", place);
    return STATUS_OK;
}

static status run(const char *path, bad_lines *bad, buffer *seen, error *err) {
    buffer_clear(seen);
    return lines_each(path, bad, note, seen, err);
}

#define NOTE(text) "{\"note\": \"" text "\"}\n"

static void test_bad_lines_are_counted(void **state) {
    const char *path = data_file(*state, "a", NOTE("bad 1") NOTE("ok") NOTE("bad 2") "[3]\n" NOTE("ok"));
    buffer seen = {0};
    error err;
    bad_lines bad = {.most = 0, .log = &quiet};
    assert_int_equal(run(path, &bad, &seen, &err), STATUS_DATA);
    assert_string_equal(seen.data, "1|bad 1;");
    assert_non_null(strstr(err.message, "a:1: it says so"));
    bad = (bad_lines){.most = 2, .log = &quiet};
    assert_int_equal(run(path, &bad, &seen, &err), STATUS_DATA);
    assert_non_null(strstr(
        err.message, "a:4: must be an object, not an array (bad line number 3; data.max_bad allows 2)"));
    bad = (bad_lines){.most = 3, .log = &quiet};
    assert_int_equal(run(path, &bad, &seen, &err), STATUS_OK);
    assert_string_equal(seen.data, "1|bad 1;2|ok;3|bad 2;5|ok;");
    assert_int_equal(bad.n, 3);
    /* One counter for all files. */
    assert_int_equal(run(path, &bad, &seen, &err), STATUS_DATA);
    assert_int_equal(bad.n, 4);
    /* What is no bad line ends the reading whatever is allowed. */
    bad = (bad_lines){.most = 100, .log = &quiet};
    assert_int_equal(run(data_file(*state, "b", NOTE("ok") NOTE("stop") NOTE("ok")), &bad, &seen, &err),
                     STATUS_FAILED);
    assert_int_equal(bad.n, 0);
    assert_string_equal(seen.data, "1|ok;2|stop;");
    assert_int_equal(run(path_in(*state, "none"), &bad, &seen, &err), STATUS_DATA);
    assert_int_equal(bad.n, 0);
    buffer_free(&seen);
}

static void test_names_of_documents(void **state) {
    (void)state;
    assert_true(lines_is_text_file("x/a.txt") && lines_is_text_file("a.txt.gz"));
    assert_false(lines_is_text_file(".txt") || lines_is_text_file("a.jsonl") || lines_is_text_file("txt"));
}

/* What a tokenizer is trained on: the texts of every shape. */
static void test_texts(void **state) {
    const char *files[] = {
        data_file(*state, "a.jsonl",
                  "{\"text\": \"t1\"}\n"
                  "{\"prompt\": \"p1\", \"completion\": \"c1\", \"note\": \"no\"}\n"
                  "{\"messages\": [{\"role\": \"user\", \"content\": \"m1\"}]}\n"
                  "{\"prompt\": \"p2\", \"answers\": [\"a1\", \"a2\"], \"ranks\": [1, 2]}\n"
                  "{\"chosen\": [{\"role\": \"user\", \"content\": \"m2\"}], \"rejected\": \"r\"}\n"),
        data_file(*state, "b.txt", "d1<|>d2\n<|>")};
    texts t;
    bad_lines bad = {.log = &quiet};
    error err;
    buffer all = {0};
    assert_int_equal(texts_load(files, 2, "<|>", &bad, &t, &err), STATUS_OK);
    for (size_t i = 0; i < t.n; i++) buffer_format(&all, "%.*s|", (int)t.entry[i].len, t.entry[i].text);
    assert_string_equal(all.data, "t1|p1|c1|m1|p2|a1|a2|m2|r|d1|d2\n|");
    texts_free(&t);
    buffer_free(&all);
    const char *nothing = data_file(*state, "c.jsonl", "{\"note\": \"no\"}\n");
    assert_int_equal(texts_load(&nothing, 1, NULL, &bad, &t, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "no text"));
    const char *rubbish = data_file(*state, "d.jsonl", "[1]\n");
    assert_int_equal(texts_load(&rubbish, 1, NULL, &bad, &t, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "d.jsonl:1: must be an object, not an array"));
}

#define DIRECTORY_TEST(name) cmocka_unit_test_setup_teardown(name, directory_setup, directory_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        DIRECTORY_TEST(test_bad_lines_are_counted),
        cmocka_unit_test(test_names_of_documents),
        DIRECTORY_TEST(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
