/* Reading files line by line: plain and zipped, blank lines, long ones, zero bytes, what cannot be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "core/files/line_reader.h"
#include "tests/support/places.h"

static const char *plain_file(const char *directory, const char *name, const char *text) {
    const char *path = path_in(directory, name);
    write_all(path, text, strlen(text));
    return path;
}

static const char *zipped_file(const char *directory, const char *name, const char *text) {
    const char *path = path_in(directory, name);
    gzFile f = gzopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, text, (unsigned)strlen(text)), (int)strlen(text));
    assert_int_equal(gzclose(f), Z_OK);
    return path;
}

/* All lines as "number|length|line;". */
static status read_lines(const char *path, buffer *out, error *err) {
    line_reader r;
    const char *text;
    size_t len;
    bool more = true;
    buffer_clear(out);
    TRY(line_reader_open(&r, path, err));
    status s = line_reader_next(&r, &text, &len, &more, err);
    while (s == STATUS_OK && more) {
        assert_int_equal(text[len], 0);
        buffer_format(out, "%s|%zu|%s;", strrchr(line_reader_place(&r), ':') + 1, len, text);
        s = line_reader_next(&r, &text, &len, &more, err);
    }
    line_reader_close(&r);
    return s;
}

static void expect_lines(const char *path, const char *want) {
    buffer seen = {0};
    error err;
    if (read_lines(path, &seen, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_string_equal(seen.data ? seen.data : "", want);
    buffer_free(&seen);
}

static void test_every_line_that_is_not_blank(void **state) {
    const char *text = "one\n\n  \t\r\ntwo words \r\n{}\nlast";
    const char *want = "1|3|one;4|11|two words \r;5|2|{};6|4|last;";
    expect_lines(plain_file(*state, "a.jsonl", text), want);
    expect_lines(zipped_file(*state, "a.jsonl.gz", text), want);
    expect_lines(zipped_file(*state, "no-matter-how-it-is-called", text), want);
    expect_lines(plain_file(*state, "b", "x\n"), "1|1|x;");
    expect_lines(plain_file(*state, "c", ""), "");
    expect_lines(plain_file(*state, "d", "\n\n"), "");
    expect_lines(plain_file(*state, "e", "\xEF\xBB\xBFone\n\xEF\xBB\xBFtwo\n"),
                 "1|3|one;2|6|\xEF\xBB\xBFtwo;");
}

/* Lines of every length around the reader's pieces. */
static void test_long_lines(void **state) {
    enum { PIECE = 256 << 10 };
    for (size_t n = PIECE - 3; n < PIECE + 4; n++) {
        buffer text = {0}, want = {0};
        for (size_t i = 0; i < 2 * n; i++) {
            buffer_append(&text, "x", 1);
            if (i + 1 == n) buffer_append(&text, "\n", 1);
        }
        buffer_format(&want, "1|%zu|%.*s;2|%zu|%.*s;", n, (int)n, text.data, n, (int)n, text.data);
        expect_lines(plain_file(*state, "long", text.data), want.data);
        buffer_free(&text);
        buffer_free(&want);
    }
}

/* A zero byte belongs to its line, and numbers stay right behind it. */
static void test_zero_bytes(void **state) {
    const char *path = path_in(*state, "zeros");
    write_all(path, "a\0b\n\0\nccc\n\0d", 12);
    expect_lines(path, "1|3|a;2|1|;3|3|ccc;4|2|;");
}

static void refuse(const char *path, const char *says) {
    buffer seen = {0};
    error err;
    assert_int_equal(read_lines(path, &seen, &err), STATUS_DATA);
    if (!strstr(err.message, says)) fail_msg("\"%s\" does not say \"%s\"", err.message, says);
    buffer_free(&seen);
}

static void test_files_that_cannot_be_read(void **state) {
    buffer whole = {0};
    refuse(path_in(*state, "none"), "none: No such file");
    refuse(*state, "is a directory, a file is wanted");
    /* A zip that was cut gives no line less without a word. */
    for (int i = 0; i < 200000; i++) buffer_format(&whole, "line %d\n", i * 7919);
    const char *path = zipped_file(*state, "cut.gz", whole.data);
    buffer zip = read_all(path);
    assert_int_equal(truncate(path, (off_t)(zip.len / 2)), 0);
    refuse(path, "cut.gz");
    zip.data[zip.len / 2] ^= 0x55;
    write_all(path, zip.data, zip.len);
    refuse(path, "cut.gz");
    buffer_free(&zip);
    buffer_free(&whole);
}

/* A file may claim a line of any length: no more than the limit of it is held. */
static void test_a_line_without_end(void **state) {
    const char *path = plain_file(*state, "endless", "one\n");
    assert_int_equal(truncate(path, (off_t)2 * LINE_READER_LIMIT), 0); /* a hole: it takes no room */
    refuse(path, "endless:2: the line is longer than 268435456 bytes");
}

static void test_whole_files(void **state) {
    const char *text = "a\nb\n\nc";
    const char *files[] = {plain_file(*state, "a", text), zipped_file(*state, "a.gz", text)};
    buffer b = {0};
    error err;
    line_reader r;
    for (int i = 0; i < 2; i++)
        for (size_t limit = 5; limit <= 6; limit++) {
            assert_int_equal(line_reader_open(&r, files[i], &err), STATUS_OK);
            status s = line_reader_rest(&r, limit, &b, &err);
            assert_int_equal(s, limit == 6 ? STATUS_OK : STATUS_DATA);
            if (s == STATUS_OK)
                assert_string_equal(b.data, text);
            else
                assert_non_null(strstr(err.message, "longer than 5 bytes"));
            line_reader_close(&r);
        }
    assert_int_equal(line_reader_open(&r, plain_file(*state, "empty", ""), &err), STATUS_OK);
    assert_int_equal(line_reader_rest(&r, 5, &b, &err), STATUS_OK);
    assert_string_equal(b.data, "");
    line_reader_close(&r);
    buffer_free(&b);
}

#define DIRECTORY_TEST(name) cmocka_unit_test_setup_teardown(name, directory_setup, directory_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        DIRECTORY_TEST(test_every_line_that_is_not_blank),
        DIRECTORY_TEST(test_long_lines),
        DIRECTORY_TEST(test_zero_bytes),
        DIRECTORY_TEST(test_files_that_cannot_be_read),
        DIRECTORY_TEST(test_a_line_without_end),
        DIRECTORY_TEST(test_whole_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
