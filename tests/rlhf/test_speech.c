/* Answers are printed as they come: whole characters, none that could act on a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rlhf/speech.h"

/* A tokenizer of bytes; id 0 is special. */
static tokenizer *bytes(void) {
    const char *special[] = {TOKEN_END_OF_TEXT};
    tokenizer *t;
    assert_int_equal(tokenizer_train(NULL, 0, 257, special, 1, &t, NULL), STATUS_OK);
    return t;
}

/* Says the text byte by byte and compares what is there before the end, and behind it. */
static void expect(const char *text, const char *before, const char *after) {
    tokenizer *tok = bytes();
    char *shown = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&shown, &len);
    speech s = {.tok = tok, .out = out};
    ints ids = {0};
    error err;
    assert_int_equal(tokenizer_encode(tok, text, strlen(text), &ids, &err), STATUS_OK);
    assert_int_equal(ids.len, strlen(text));
    for (size_t i = 0; i < ids.len; i++) assert_int_equal(speech_token(&s, ids.data[i], &err), STATUS_OK);
    assert_string_equal(shown ? shown : "", before);
    assert_int_equal(speech_token(&s, 0, &err), STATUS_OK);
    assert_int_equal(speech_end(&s, &err), STATUS_OK);
    assert_string_equal(shown, after);
    fclose(out);
    free(shown);
    speech_free(&s);
    ints_free(&ids);
    tokenizer_free(tok);
}

static void test_texts(void **state) {
    (void)state;
    expect("well\nthen", "well\nthen", "well\nthen\n");
    expect("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
           "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\n");
    expect(" \n  hi ", "hi ", "hi \n");
    expect("a\tb", "a    b", "a    b\n");
    expect("", "", "\n");
}

static void test_cut_characters_wait(void **state) {
    (void)state;
    expect("a\xc3", "a", "a\xef\xbf\xbd\n");
    expect("a\xf0\x9f\x98", "a", "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\n");
    expect("a\xc3z", "a\xef\xbf\xbdz", "a\xef\xbf\xbdz\n");
    expect("a\xff\x80z", "a\xef\xbf\xbd\xef\xbf\xbdz", "a\xef\xbf\xbd\xef\xbf\xbdz\n");
}

static void test_control_characters_are_seen(void **state) {
    (void)state;
    expect("a\x1b[2Jb", "a\xe2\x90\x9b[2Jb", "a\xe2\x90\x9b[2Jb\n");
    expect("a\rb\x07",
           "a\xe2\x90\x8d"
           "b\xe2\x90\x87",
           "a\xe2\x90\x8d"
           "b\xe2\x90\x87\n");
    expect("x\xe2\x80\xaey", "x<U+202E>y", "x<U+202E>y\n");
}

static void test_full_disk(void **state) {
    (void)state;
    tokenizer *tok = bytes();
    FILE *out = fopen("/dev/full", "w");
    error err = {0};
    if (!out) skip();
    speech s = {.tok = tok, .out = out};
    assert_int_equal(speech_token(&s, 70, &err), STATUS_FAILED);
    fclose(out);
    speech_free(&s);
    tokenizer_free(tok);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts), cmocka_unit_test(test_cut_characters_wait),
        cmocka_unit_test(test_control_characters_are_seen), cmocka_unit_test(test_full_disk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
