#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/utf8.h"
#include "core/text/nfc.h"

static buffer normalized(const char *text, size_t len) {
    traced out = {0};
    traced_begin(&out, (stretch){text, len, NULL});
    error err;
    assert_int_equal(nfc_normalize((stretch){text, len, NULL}, &out, &err), STATUS_OK);
    return out.text; /* no origins were asked for */
}

static void expect(const char *text, const char *wanted) {
    buffer out = normalized(text, strlen(text));
    if (strcmp(out.data, wanted) != 0) fail_msg("\"%s\" became \"%s\"", text, out.data);
    buffer_free(&out);
}

static void test_cases_of_the_standard(void **state) {
    (void)state;
    expect("", "");
    expect("plain ASCII", "plain ASCII");
    expect("e\u0301", "\u00e9");
    expect("xe\u0301x", "x\u00e9x");
    expect("\u00e9", "\u00e9");
    expect("\u212b", "\u00c5");               /* a singleton */
    expect("\u0958", "\u0915\u093c");         /* excluded from composition */
    expect("a\u0328\u0301", "\u0105\u0301");  /* the lower class composes, the other has no partner */
    expect("a\u0301\u0328", "\u0105\u0301");  /* and they are put in order first */
    expect("\u1e0b\u0323", "\u1e0d\u0307");   /* decomposed, reordered, composed otherwise */
    expect("q\u0307\u0323", "q\u0323\u0307"); /* reordered only */
    expect("a\u0300\u0300", "\u00e0\u0300");  /* the second is blocked by none, but has no partner */
    expect("a\u05ae\u0300\u0315", "\u00e0\u05ae\u0315"); /* over a mark of a lower class */
    expect("\u1100\u1161", "\uac00");                    /* Hangul: two, and three */
    expect("\u1100\u1161\u11a8", "\uac01");
    expect("\uac00\u11a8", "\uac01");
    expect("\uac01\u11a8", "\uac01\u11a8");
    expect("\u0301", "\u0301");           /* no starter */
    expect("e\xff\u0301", "e\xff\u0301"); /* nothing moves over a byte that is no character */
    expect("\xf0\x9d\x85\x9e", "\xf0\x9d\x85\x97\xf0\x9d\x85\xa5"); /* U+1D15E: beyond 16 bits */
}

/* Every character by itself and between others, as Python's unicodedata (14.0) has it: the hash of all
   outputs was worked out with text = "".join(f"e{c}\u0323{c}\u0301 " for c in map(chr, range(0x110000)) if
   not 0xd800 <= ord(c) <= 0xdfff) hashlib.sha256(unicodedata.normalize("NFC", text).encode()).hexdigest() */
static void test_every_character(void **state) {
    (void)state;
    buffer text = {0};
    for (int32_t c = 0; c < 0x110000; c++) {
        if (c >= 0xd800 && c <= 0xdfff) continue;
        buffer_string(&text, "e");
        utf8_write(&text, c);
        utf8_write(&text, 0x323);
        utf8_write(&text, c);
        utf8_write(&text, 0x301);
        buffer_string(&text, " ");
    }
    buffer out = normalized(text.data, text.len);
    hash h = hash_bytes(out.data, out.len);
    char hex[2 * HASH_BYTES + 1];
    hash_hex(&h, hex);
    assert_string_equal(hex, "92bdf32ea914cd7f6eecf3728aabe871f71c0fa9de1500d364b60477389c23ce");
    buffer_free(&text);
    buffer_free(&out);
}

static void test_a_long_run_of_marks_takes_no_quadratic_time(void **state) {
    (void)state;
    buffer text = {0};
    buffer_string(&text, "a");
    for (int i = 0; i < 500000; i++) buffer_string(&text, "\u0301\u0323");
    buffer out = normalized(text.data, text.len);
    assert_memory_equal(out.data, "\u1ea1\u0323",
                        5); /* a with dot below, and all the other dots before the acutes */
    assert_memory_equal(out.data + out.len - 4, "\u0301\u0301", 4);
    assert_int_equal(out.len, text.len - 1 - 2 + 3);
    buffer_free(&text);
    buffer_free(&out);
}

/* Each byte of the result, and the bytes it came from. */
static void test_origins(void **state) {
    (void)state;
    static const char text[] = "ae\u0301b\u212bc"; /* 61, 65 cc 81, 62, e2 84 ab, 63 */
    static const int32_t start[] = {0, 1, 1, 4, 5, 5, 8}, end[] = {1, 4, 4, 5, 8, 8, 9};
    origin from[9];
    for (int i = 0; i < 9; i++) from[i] = (origin){i, i + 1};
    traced out = {0};
    traced_begin(&out, (stretch){text, 9, from});
    error err;
    assert_int_equal(nfc_normalize((stretch){text, 9, from}, &out, &err), STATUS_OK);
    assert_string_equal(out.text.data, "a\u00e9b\u00c5c");
    for (size_t i = 0; i < out.text.len; i++) {
        assert_int_equal(out.from[i].start, start[i]);
        assert_int_equal(out.from[i].end, end[i]);
    }
    traced_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases_of_the_standard),
        cmocka_unit_test(test_every_character),
        cmocka_unit_test(test_a_long_run_of_marks_takes_no_quadratic_time),
        cmocka_unit_test(test_origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
