/* Reading files line by line: plain and zipped, blank, bad, endless, cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "datasets/lines.h"
#include "datasets/texts.h"
#include "tests/support/data_cases.h"
#include "tests/support/places.h"

static logger quiet = {.quiet = true};

static const char *zipped_file(const char *directory, const char *name, const char *text) {
    const char *path = path_in(directory, name);
    gzFile f = gzopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, text, (unsigned)strlen(text)), (int)strlen(text));
    assert_int_equal(gzclose(f), Z_OK);
    return path;
}

/* Writes down "number|length|line;" and finds lines that begin with "bad" bad. */
static status note(void *context, const char *line, size_t len, const char *place, error *err) {
    buffer_format(context, "%s|%zu|%s;", strrchr(place, ':') + 1, len, line);
    assert_int_equal(line[len], 0);
    if (strncmp(line, "bad", 3) == 0) return error_set(err, STATUS_DATA, "%s: it says so", place);
    if (strncmp(line, "stop", 4) == 0) return error_set(err, STATUS_FAILED, "%s: enough", place);
    return STATUS_OK;
}

static void expect_lines(const char *path, const char *want) {
    buffer seen = {0};
    bad_lines bad = {.most = 0, .log = &quiet};
    error err;
    if (lines_each(path, &bad, note, &seen, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_string_equal(seen.data ? seen.data : "", want);
    buffer_free(&seen);
}

static void test_every_line_that_is_not_blank(void **state) {
    const char *text = "one\n\n  \t\r\ntwo words \r\n{}\nlast";
    const char *want = "1|3|one;4|11|two words \r;5|2|{};6|4|last;";
    expect_lines(data_file(*state, "a.jsonl", text), want);
    expect_lines(zipped_file(*state, "a.jsonl.gz", text), want);
    expect_lines(zipped_file(*state, "no-matter-how-it-is-called", text), want);
    expect_lines(data_file(*state, "b", "x\n"), "1|1|x;");
    expect_lines(data_file(*state, "c", ""), "");
    expect_lines(data_file(*state, "d", "\n\n"), "");
}

/* Lines of every length around the reader's pieces. */
static void test_long_lines(void **state) {
    for (size_t n = 8180; n < 8200; n += 1 + (n > 8195)) {
        buffer text = {0}, want = {0};
        for (size_t i = 0; i < 2 * n; i++) {
            buffer_append(&text, "x", 1);
            if (i + 1 == n) buffer_append(&text, "\n", 1);
        }
        buffer_format(&want, "1|%zu|%.*s;2|%zu|%.*s;", n, (int)n, text.data, n, (int)n, text.data);
        expect_lines(data_file(*state, "long", text.data), want.data);
        buffer_free(&text);
        buffer_free(&want);
    }
}

/* A zero byte belongs to its line, and numbers stay right behind it. */
static status count(void *context, const char *line, size_t len, const char *place, error *err) {
    (void)line;
    (void)err;
    buffer_format(context, "%s|%zu;", strrchr(place, ':') + 1, len);
    return STATUS_OK;
}

static void test_zero_bytes(void **state) {
    const char *path = path_in(*state, "zeros");
    buffer seen = {0};
    bad_lines bad = {0};
    error err;
    write_all(path, "a\0b\n\0\nccc\n\0d", 12);
    assert_int_equal(lines_each(path, &bad, count, &seen, &err), STATUS_OK);
    assert_string_equal(seen.data, "1|3;2|1;3|3;4|2;");
    buffer_free(&seen);
}

static status run(const char *path, bad_lines *bad, buffer *seen, error *err) {
    buffer_clear(seen);
    return lines_each(path, bad, note, seen, err);
}

static void test_bad_lines_are_counted(void **state) {
    const char *path = data_file(*state, "a", "bad 1\nok\nbad 2\nbad 3\nok\n");
    buffer seen = {0};
    error err;
    bad_lines bad = {.most = 0, .log = &quiet};
    assert_int_equal(run(path, &bad, &seen, &err), STATUS_DATA);
    assert_string_equal(seen.data, "1|5|bad 1;");
    assert_non_null(strstr(err.message, "a:1: it says so"));
    bad = (bad_lines){.most = 2, .log = &quiet};
    assert_int_equal(run(path, &bad, &seen, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "a:4: it says so (bad line number 3; data.max_bad allows 2)"));
    bad = (bad_lines){.most = 3, .log = &quiet};
    assert_int_equal(run(path, &bad, &seen, &err), STATUS_OK);
    assert_int_equal(bad.n, 3);
    /* One counter for all files. */
    assert_int_equal(run(path, &bad, &seen, &err), STATUS_DATA);
    assert_int_equal(bad.n, 4);
    /* What is no bad line ends the reading whatever is allowed. */
    bad = (bad_lines){.most = 100, .log = &quiet};
    assert_int_equal(run(data_file(*state, "b", "ok\nstop\nok\n"), &bad, &seen, &err), STATUS_FAILED);
    assert_int_equal(bad.n, 0);
    assert_string_equal(seen.data, "1|2|ok;2|4|stop;");
    buffer_free(&seen);
}

static void test_files_that_cannot_be_read(void **state) {
    buffer seen = {0}, whole = {0};
    bad_lines bad = {.most = 100, .log = &quiet};
    error err;
    assert_int_equal(run(path_in(*state, "none"), &bad, &seen, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "none: No such file"));
    assert_int_equal(run(*state, &bad, &seen, &err), STATUS_DATA); /* a directory */
    /* A zip that was cut gives no example less without a word. */
    for (int i = 0; i < 20000; i++) buffer_format(&whole, "line %d\n", i * 7919);
    const char *path = zipped_file(*state, "cut.gz", whole.data);
    buffer zip = read_all(path);
    assert_int_equal(truncate(path, (off_t)(zip.len / 2)), 0);
    assert_int_equal(run(path, &bad, &seen, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "cut.gz"));
    zip.data[zip.len / 2] ^= 0x55;
    write_all(path, zip.data, zip.len);
    assert_int_equal(run(path, &bad, &seen, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "cut.gz"));
    buffer_free(&zip);
    buffer_free(&seen);
    buffer_free(&whole);
}

static void test_whole_files(void **state) {
    buffer b = {0};
    error err;
    const char *text = "a\nb\n\nc";
    assert_int_equal(lines_read_all(zipped_file(*state, "a.gz", text), 6, &b, &err), STATUS_OK);
    assert_string_equal(b.data, text);
    assert_int_equal(lines_read_all(data_file(*state, "a", text), 6, &b, &err), STATUS_OK);
    assert_string_equal(b.data, text);
    assert_int_equal(lines_read_all(path_in(*state, "a"), 5, &b, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "longer than 5 bytes"));
    assert_int_equal(lines_read_all(data_file(*state, "empty", ""), 5, &b, &err), STATUS_OK);
    assert_string_equal(b.data, "");
    buffer_free(&b);
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
        DIRECTORY_TEST(test_every_line_that_is_not_blank),
        DIRECTORY_TEST(test_long_lines),
        DIRECTORY_TEST(test_zero_bytes),
        DIRECTORY_TEST(test_bad_lines_are_counted),
        DIRECTORY_TEST(test_files_that_cannot_be_read),
        DIRECTORY_TEST(test_whole_files),
        DIRECTORY_TEST(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
