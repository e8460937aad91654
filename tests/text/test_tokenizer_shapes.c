#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "core/text/tokenizer.h"
#include "tests/support/golden.h"
#include "tests/support/shapes.h"

/* Small tokenizers of every published shape, against what Hugging Face's make of some texts
   (tests/golden/shapes.py). */

enum { FIND_ALL = TOKENIZER_FIND_ADDED | TOKENIZER_FIND_SPECIAL };

static void encode(const tokenizer *t, const char *text, size_t len, unsigned flags, ints *out, ints *spans) {
    error err;
    if (tokenizer_encode_as(t, text, len, flags, out, spans, &err) != STATUS_OK) fail_msg("%s", err.message);
}

static buffer decode(const tokenizer *t, const ints *ids, int show_special) {
    buffer out = {0};
    error err;
    if (tokenizer_decode(t, ids->data, ids->len, show_special, &out, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    return out;
}

static void expect_text(const char *name, const char *text, const buffer *got, const char *wanted) {
    if (strlen(wanted) != got->len || (got->len && memcmp(got->data, wanted, got->len) != 0))
        fail_msg("%s, \"%s\": decoded \"%s\", wanted \"%s\"", name, text, got->data, wanted);
}

/* Hugging Face's offsets count characters, and give a space that was put in to the character behind it:
   ours lie within theirs. */
static void expect_spans(const char *name, const char *text, const ints *spans, const json_t *wanted) {
    assert_int_equal(spans->len, json_array_size(wanted));
    for (size_t i = 0; i < spans->len; i += 2) {
        long long start = json_integer_value(json_array_get(wanted, i));
        long long end = json_integer_value(json_array_get(wanted, i + 1));
        if (spans->data[i] < start || spans->data[i + 1] > end)
            fail_msg("%s, \"%s\": id %zu comes from %d to %d, wanted %lld to %lld", name, text, i / 2,
                     spans->data[i], spans->data[i + 1], start, end);
    }
}

static void expect_case(const tokenizer *t, const char *name, const char *text, size_t len,
                        const json_t *wanted) {
    ints ids = {0}, spans = {0}, again = {0};
    encode(t, text, len, FIND_ALL, &ids, &spans);
    encode(t, text, len, FIND_ALL, &again, NULL);
    const json_t *want = golden_get(wanted, "ids");
    for (size_t i = 0; i < ids.len && i < json_array_size(want); i++)
        if (ids.data[i] != json_integer_value(json_array_get(want, i)))
            fail_msg("%s, \"%s\": id %zu is %d, wanted %lld", name, text, i, ids.data[i],
                     (long long)json_integer_value(json_array_get(want, i)));
    assert_int_equal(ids.len, json_array_size(want));
    assert_int_equal(again.len, ids.len);
    if (ids.len) assert_memory_equal(again.data, ids.data, ids.len * sizeof *ids.data);
    buffer shown = decode(t, &ids, 1), plain = decode(t, &ids, 0);
    const char *show = json_string_value(json_object_get(wanted, "shown"));
    const char *skip = json_string_value(json_object_get(wanted, "plain"));
    if (!show) show = text;
    if (memchr(text, 0, len) == NULL) expect_text(name, text, &shown, show);
    if (memchr(text, 0, len) == NULL) expect_text(name, text, &plain, skip ? skip : show);
    if (json_object_get(wanted, "spans")) expect_spans(name, text, &spans, json_object_get(wanted, "spans"));
    buffer_free(&shown);
    buffer_free(&plain);
    ints_free(&ids);
    ints_free(&spans);
    ints_free(&again);
}

static void test_ids_text_and_offsets_are_hugging_faces(void **state) {
    (void)state;
    json_t *golden = golden_open("shapes");
    const json_t *texts = golden_get(golden, "texts"), *one, *text;
    size_t i, k;
    json_array_foreach(golden_get(golden, "tokenizers"), i, one) {
        tokenizer *t = shape_assemble(golden, one, NULL);
        assert_int_equal(json_array_size(golden_get(one, "cases")), json_array_size(texts));
        json_array_foreach(texts, k, text)
            expect_case(t, golden_string(one, "name"), json_string_value(text), json_string_length(text),
                        json_array_get(golden_get(one, "cases"), k));
        tokenizer_free(t);
    }
    json_decref(golden);
}

static void test_control_tokens_in_text_stay_text(void **state) {
    (void)state;
    static const char *const names[] = {"gpt2", "llama3", "llama2", "mistral", "gemma", "flags"};
    static const char text[] = "<s>a</s><|endoftext|><unk>  <l>x";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        tokenizer *t = shape_tokenizer(names[i]);
        ints ids = {0};
        encode(t, text, strlen(text), 0, &ids, NULL);
        for (size_t k = 0; k < ids.len; k++) assert_false(tokenizer_is_special(t, ids.data[k]));
        buffer back = decode(t, &ids, 0);
        assert_string_equal(back.data, text);
        buffer_free(&back);
        ints_free(&ids);
        tokenizer_free(t);
    }
}

/* What an assistant may write is found when asked for: "cat" and "<l>x" are added and not special; white
   space is found always. */
static void test_kinds_of_added_tokens(void **state) {
    (void)state;
    tokenizer *t = shape_tokenizer("flags");
    static const char text[] = "<l>x cat  <r>";
    int cat = tokenizer_special(t, "cat"), lx = tokenizer_special(t, "<l>x"),
        spaces = tokenizer_special(t, "  ");
    int l = tokenizer_special(t, "<l>"), r = tokenizer_special(t, "<r>");
    assert_true(cat >= 0 && lx >= 0 && spaces >= 0 && l >= 0 && r >= 0);
    for (unsigned flags = 0; flags <= FIND_ALL; flags += TOKENIZER_FIND_ADDED) {
        ints ids = {0};
        encode(t, text, strlen(text), flags, &ids, NULL);
        int found[5] = {0};
        for (size_t i = 0; i < ids.len; i++)
            for (int k = 0; k < 5; k++) found[k] += ids.data[i] == ((int[]){cat, lx, spaces, l, r})[k];
        int added = (flags & TOKENIZER_FIND_ADDED) != 0, special = (flags & TOKENIZER_FIND_SPECIAL) != 0;
        assert_int_equal(found[0], added);
        assert_int_equal(found[1], added);
        assert_int_equal(found[2], 1);
        assert_int_equal(found[3], special && !added); /* the longer one is found first */
        assert_int_equal(found[4], special);
        ints_free(&ids);
    }
    tokenizer_free(t);
}

static void expect_tokens(const tokenizer *t, const char *text, unsigned flags, const char *wanted) {
    ints ids = {0};
    buffer shown = {0};
    encode(t, text, strlen(text), flags, &ids, NULL);
    for (size_t i = 0; i < ids.len; i++) {
        size_t len;
        const char *bytes = tokenizer_token_bytes(t, ids.data[i], &len);
        buffer_string(&shown, i ? "|" : "");
        buffer_append(&shown, bytes, len);
    }
    assert_string_equal(shown.data, wanted);
    buffer_free(&shown);
    ints_free(&ids);
}

/* Where a text stands decides whether a space is put before it. */
static void test_places(void **state) {
    (void)state;
    static const struct {
        const char *name, *first, *behind_token, *behind_text;
    } wanted[] = {
        {"llama2", " the| cat", " the| cat", "t|he| cat"},
        {"mistral", " the| cat", "t|he| cat", "t|he| cat"},
        {"metaspace", " the| cat", " the| cat", "t|he| cat"},
        {"gemma", "t|he| cat", "t|he| cat", "t|he| cat"},
        {"prefix", " the| cat", " the| cat", "the| cat"},
        {"gpt2", "the| cat", "the| cat", "the| cat"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        tokenizer *t = shape_tokenizer(wanted[i].name);
        expect_tokens(t, "the cat", 0, wanted[i].first);
        expect_tokens(t, "the cat", TOKENIZER_BEHIND_TOKEN, wanted[i].behind_token);
        expect_tokens(t, "the cat", TOKENIZER_BEHIND_TEXT, wanted[i].behind_text);
        tokenizer_free(t);
    }
}

static void test_what_stands_around_a_text(void **state) {
    (void)state;
    tokenizer *llama = shape_tokenizer("llama2"), *gpt2 = shape_tokenizer("gpt2");
    assert_int_equal(tokenizer_before(llama)->len, 1);
    assert_int_equal(tokenizer_before(llama)->data[0], tokenizer_special(llama, "<s>"));
    assert_int_equal(tokenizer_behind(llama)->len, 0);
    assert_int_equal(tokenizer_before(gpt2)->len, 0);
    tokenizer_free(llama);
    tokenizer_free(gpt2);
}

/* Bytes of any kind come back, as text or as bytes; with offsets that go through the text in order. */
static void test_random_bytes_come_back(void **state) {
    (void)state;
    static const char *const names[] = {"gpt2", "smollm", "llama3", "deepseek", "llama2", "mistral", "gemma"};
    static const char often[] = "the cat \n'\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82 12 <s>  \xe2\x96\x81";
    random_key key = random_make_key(5, RANDOM_TEST, 0, 0);
    for (size_t which = 0; which < sizeof names / sizeof *names; which++) {
        tokenizer *t = shape_tokenizer(names[which]);
        int is_marks = which >= 4;
        for (uint64_t i = 0; i < 300; i++) {
            char text[120];
            size_t len = random_below(key, i, 0, sizeof text);
            for (size_t j = 0; j < len; j++) {
                uint64_t r = random_below(key, i, (uint32_t)j + 1, 1024);
                text[j] = r < 256 ? (char)r : often[r % strlen(often)];
            }
            if (is_marks) /* a mark and a space are one there */
                for (size_t j = 0; j < len; j++)
                    if (text[j] == '\xe2') text[j] = 'e';
            ints ids = {0}, spans = {0};
            encode(t, text, len, TOKENIZER_BEHIND_TEXT, &ids, &spans);
            buffer back = {0};
            for (size_t k = 0; k < ids.len; k++) {
                size_t n;
                const char *bytes = tokenizer_token_bytes(t, ids.data[k], &n);
                assert_int_equal(spans.data[2 * k], k ? spans.data[2 * k - 1] : 0);
                buffer_append(&back, bytes, n);
            }
            assert_int_equal(back.len, len);
            if (len) assert_memory_equal(back.data, text, len);
            assert_int_equal(len ? spans.data[spans.len - 1] : 0, len);
            buffer_free(&back);
            ints_free(&ids);
            ints_free(&spans);
        }
        tokenizer_free(t);
    }
}

static void test_long_words_of_characters_take_no_quadratic_time(void **state) {
    (void)state;
    static const char *const fill[] = {"a", " ", "the", "\xc3\xa9", "\xff", "\xe2\x96\x81 "};
    tokenizer *t = shape_tokenizer("llama2");
    for (size_t i = 0; i < sizeof fill / sizeof *fill; i++) {
        buffer text = {0};
        while (text.len < 1 << 20) buffer_string(&text, fill[i]);
        ints ids = {0};
        encode(t, text.data, text.len, 0, &ids, NULL);
        assert_true(ids.len > 1000);
        buffer_free(&text);
        ints_free(&ids);
    }
    tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_text_and_offsets_are_hugging_faces),
        cmocka_unit_test(test_control_tokens_in_text_stay_text),
        cmocka_unit_test(test_kinds_of_added_tokens),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_what_stands_around_a_text),
        cmocka_unit_test(test_random_bytes_come_back),
        cmocka_unit_test(test_long_words_of_characters_take_no_quadratic_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
