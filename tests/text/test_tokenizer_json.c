#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/tokenizer.h"

/* A tokenizer.json in parts, each of which a test can replace. */
typedef struct parts {
    const char *added, *normalizer, *pre, *post, *decoder, *model, *vocab, *merges;
} parts;

static const parts good = {
    .added = "[]",
    .normalizer = "null",
    .pre = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true}",
    .post = "null",
    .decoder = "{\"type\":\"ByteLevel\"}",
    .model = "\"type\":\"BPE\"",
    .vocab = "{\"a\":0,\"b\":1,\"ab\":2,\"\\u0120\":3,\"\\u0120a\":4}",
    .merges = "[\"a b\",[\"\\u0120\",\"a\"]]",
};

/* Pieces of such files. */
#define LEVEL          "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
#define SEQUENCE(list) "{\"type\":\"Sequence\",\"pretokenizers\":[" list "]}"
#define SPLIT(pattern, behavior)                                                                             \
    SEQUENCE("{\"type\":\"Split\",\"pattern\":" pattern ",\"behavior\":\"" behavior                          \
             "\",\"invert\":false}," LEVEL)
#define MARK_DECODER   "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\u2581\"},\"content\":\" \"}"
#define DECODERS(list) "{\"type\":\"Sequence\",\"decoders\":[" list "]}"
#define SPACES         DECODERS(MARK_DECODER ",{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}")
#define TEMPLATE(token, special)                                                                             \
    "{\"type\":\"TemplateProcessing\",\"single\":[" token                                                    \
    ",{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":" special "}"

static status parse(parts p, tokenizer **t, error *err) {
    buffer json = {0};
    buffer_format(
        &json,
        "{\"added_tokens\":%s,\"normalizer\":%s,\"pre_tokenizer\":%s,\"post_processor\":%s,\"decoder\":%s,"
        "\"model\":{%s,\"vocab\":%s,\"merges\":%s}}",
        p.added, p.normalizer, p.pre, p.post, p.decoder, p.model, p.vocab, p.merges);
    status s = tokenizer_parse(json.data, json.len, "x.json", t, err);
    buffer_free(&json);
    return s;
}

static void expect_refused(parts p, const char *what) {
    tokenizer *t;
    error err = {0};
    status s = parse(p, &t, &err);
    if (s != STATUS_DATA || !strstr(err.message, what) || strncmp(err.message, "x.json: ", 8) != 0)
        fail_msg("status %d, \"%s\": wanted \"%s\"", s, err.message, what);
    assert_null(t);
}

static void expect_ids(const tokenizer *t, const char *text, int n, const int32_t *wanted) {
    ints ids = {0};
    error err;
    if (tokenizer_encode(t, text, strlen(text), &ids, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_int_equal(ids.len, n);
    if (n) assert_memory_equal(ids.data, wanted, (size_t)n * sizeof *wanted);
    ints_free(&ids);
}

static void test_both_forms_of_merges(void **state) {
    (void)state;
    tokenizer *t;
    error err;
    if (parse(good, &t, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_int_equal(tokenizer_vocab(t), 5);
    expect_ids(t, "ab a", 2, (const int32_t[]){2, 4});
    expect_ids(t, "", 0, NULL);
    ints ids = {0};
    ints_push(&ids, 9);
    assert_int_equal(tokenizer_encode(t, "abc", 3, &ids, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "no token for byte 0x63"));
    assert_int_equal(ids.len, 1); /* what was there stays, nothing is half added */
    ints_free(&ids);
    tokenizer_free(t);
}

static void test_a_split_by_regex(void **state) {
    (void)state;
    parts p = good;
    p.pre = SPLIT("{\"Regex\":\"a\"}", "Isolated");
    tokenizer *t;
    error err;
    if (parse(p, &t, &err) != STATUS_OK) fail_msg("%s", err.message);
    expect_ids(t, "ab a", 4,
               (const int32_t[]){0, 1, 3, 0}); /* "b " lies between matches and is a word, too */
    tokenizer_free(t);
}

static void test_white_space_is_unicodes(void **state) {
    (void)state;
    parts p = good;
    p.pre = SPLIT("{\"Regex\":\"\\\\s+|[^\\\\s]+\"}", "Isolated");
    /* U+180E is e1 a0 8e, U+0085 is c2 85. */
    p.vocab = "{\"a\":0,\"\\u00e1\":1,\"\\u0142\":2,\"\\u0130\":3,\"\\u00c2\":4,\"\\u0127\":5,\"a\\u00e1\":6,"
              "\"a\\u00c2\":7}";
    p.merges = "[\"a \\u00e1\",\"a \\u00c2\"]";
    tokenizer *t;
    error err;
    if (parse(p, &t, &err) != STATUS_OK) fail_msg("%s", err.message);
    expect_ids(t, "a\xe1\xa0\x8e", 3, (const int32_t[]){6, 2, 3});
    expect_ids(t, "a\xc2\x85", 3, (const int32_t[]){0, 4, 5});
    tokenizer_free(t);
}

static void test_added_tokens(void **state) {
    (void)state;
    parts p = good;
    p.added =
        "[{\"id\":7,\"content\":\"<x y>\",\"special\":true},{\"id\":2,\"content\":\"ab\",\"special\":false}]";
    tokenizer *t;
    error err;
    if (parse(p, &t, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_int_equal(tokenizer_vocab(t), 8);
    assert_int_equal(tokenizer_special(t, "<x y>"), 7);
    assert_int_equal(tokenizer_special(t, "ab"), 2);
    assert_int_equal(tokenizer_special(t, "a"), -1);
    buffer out = {0};
    assert_int_equal(tokenizer_decode(t, (const int32_t[]){2, 7, 0}, 3, 0, &out, &err), STATUS_OK);
    assert_string_equal(out.data, "aba");
    assert_int_equal(tokenizer_decode(t, (const int32_t[]){6}, 1, 0, &out, &err), STATUS_DATA);
    buffer_free(&out);
    tokenizer_free(t);
}

static void test_what_would_change_ids_is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        parts replaced;
        const char *what;
    } bad[] = {
        {{.model = "\"type\":\"WordPiece\""}, "model: WordPiece is not supported"},
        {{.model = "\"type\":\"Unigram\""}, "model: Unigram is not supported"},
        {{.pre = "null", .decoder = SPACES, .model = "\"byte_fallback\":true"},
         "\"byte_fallback\" without a token <0x00>"},
        {{.model = "\"continuing_subword_prefix\":\"##\""}, "\"continuing_subword_prefix\" is not supported"},
        {{.model = "\"end_of_word_suffix\":\"</w>\""}, "\"end_of_word_suffix\" is not supported"},
        {{.model = "\"dropout\":0.1"}, "\"dropout\" is not supported"},
        {{.normalizer = "{\"type\":\"NFKC\"}"},
         "normalizer: NFKC is not supported (NFC, Lowercase, Prepend, Replace and Sequence are)"},
        {{.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Strip\"}]}"},
         "normalizer: Strip is not supported"},
        {{.normalizer = "{\"type\":\"Sequence\"}"},
         "a Sequence's \"normalizers\" must be an array, not missing"},
        {{.normalizer = "{\"type\":\"Replace\",\"content\":\"x\"}"},
         "normalizer: \"pattern\" must have a \"String\" or a \"Regex\""},
        {{.normalizer = "{\"type\":\"Prepend\"}"}, "\"prepend\" is missing"},
        {{.pre = "{\"type\":\"Whitespace\"}"},
         "pre_tokenizer: Whitespace is not supported (Split, Digits, ByteLevel, Metaspace and Sequence are)"},
        {{.pre = "null"}, "decoder: ByteLevel is not supported (without a ByteLevel pre_tokenizer"},
        {{.pre = SEQUENCE("{\"type\":\"ByteLevel\"},{\"type\":\"Digits\"}")},
         "pre_tokenizer: Digits is not supported (nothing behind ByteLevel is)"},
        {{.pre = SPLIT("{\"Glob\":\" \"}", "Isolated")}, "\"pattern\" must have a \"String\" or a \"Regex\""},
        {{.pre = SPLIT("{\"String\":\"\"}", "Isolated")},
         "\"pattern\" must have a \"String\" or a \"Regex\""},
        {{.pre = SPLIT("{\"Regex\":\" \"}", "Merged")}, "Split's behavior \"Merged\" is not supported"},
        {{.pre = SPLIT("{\"Regex\":\"(\"}", "Isolated")}, "pattern: missing closing parenthesis"},
        {{.pre = SEQUENCE("{\"type\":\"Metaspace\"}," LEVEL)}, "\"replacement\" is missing"},
        {{.pre =
              SEQUENCE("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"once\"}," LEVEL)},
         "Metaspace's prepend_scheme \"once\" is not supported"},
        {{.post = "{\"type\":\"RobertaProcessing\"}"},
         "post_processor: RobertaProcessing is not supported (ByteLevel, TemplateProcessing and Sequence "
         "are)"},
        {{.post = "{\"type\":\"TemplateProcessing\"}"}, "TemplateProcessing's \"single\" must name one text"},
        {{.post = TEMPLATE("{\"SpecialToken\":{\"id\":\"<s>\"}}", "{}")},
         "post_processor: \"special_tokens\" has no ids of \"<s>\""},
        {{.post = TEMPLATE("{\"SpecialToken\":{\"id\":\"<s>\"}}", "{\"<s>\":{\"ids\":[5]}}")},
         "post_processor: \"<s>\": no token has id 5"},
        {{.decoder = "{\"type\":\"WordPiece\"}"}, "decoder: WordPiece is not supported"},
        {{.decoder = "null"},
         "decoder: null is not supported (behind a ByteLevel pre_tokenizer ByteLevel is)"},
        {{.pre = "null", .decoder = "null"}, "decoder: null is not supported"},
        {{.decoder = SPACES},
         "decoder: Sequence is not supported (behind a ByteLevel pre_tokenizer ByteLevel is)"},
        {{.pre = "null", .decoder = DECODERS("{\"type\":\"Fuse\"},{\"type\":\"ByteFallback\"}")},
         "decoder: ByteFallback is not supported"},
        {{.pre = "null",
          .decoder = DECODERS("{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}")},
         "decoder: Strip is not supported"},
        {{.pre = "null",
          .decoder =
              DECODERS("{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\"x\",\"start\":1,\"stop\":0}")},
         "decoder: this Strip is not supported (of spaces at the start is)"},
        {{.pre = "null",
          .decoder =
              "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"12345678901234567\"}"},
         "decoder: a Replace by more than 16 times the bytes"},
        {{.pre = "null", .decoder = DECODERS(MARK_DECODER "," MARK_DECODER)},
         "decoder: two of Replace and Metaspace are not supported"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        parts p = good;
        const parts *r = &bad[i].replaced;
        if (r->model) p.model = r->model;
        if (r->normalizer) p.normalizer = r->normalizer;
        if (r->pre) p.pre = r->pre;
        if (r->post) p.post = r->post;
        if (r->decoder) p.decoder = r->decoder;
        expect_refused(p, bad[i].what);
    }
}

static void test_vocabularies_that_do_not_fit_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *vocab, *what;
    } bad[] = {
        {"[]", "\"vocab\" must be an object"},
        {"{}", "\"vocab\" must be an object"},
        {"{\"a\":\"0\",\"b\":1,\"ab\":2}", "token \"a\": its id must be a whole number, not a string"},
        {"{\"a\":-1,\"b\":1,\"ab\":2}", "token \"a\": id -1 is out of range"},
        {"{\"a\":2147483647,\"b\":1,\"ab\":2}", "token \"a\": id 2147483647 is out of range"},
        {"{\"a\":1000000,\"b\":1,\"ab\":2}", "token \"a\": id 1000000 is out of range for 3 tokens"},
        {"{\"a\":0,\"b\":0,\"ab\":2}", "\"b\" has id 0, which another token has too"},
        {"{\"a\":0,\"b\":1,\"ab\":2,\"\":3}", "id 3 is an empty token"},
        {"{\"a\":0,\"a\":1}", "duplicate"},
        {"{\"a\":0,\"b\":1}", "merge 0, \"a\" and \"b\": what they make is not in the vocabulary"},
        {"{\"a\":0,\"ab\":1}", "merge 0, \"a\" and \"b\": the second is not in the vocabulary"},
        {"{\"b\":0,\"ab\":1}", "merge 0, \"a\" and \"b\": the first is not in the vocabulary"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        parts p = good;
        p.vocab = bad[i].vocab;
        expect_refused(p, bad[i].what);
    }
}

static void test_merges_that_are_none_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *merges, *what;
    } bad[] = {
        {"{}", "\"merges\" must be an array"},
        {"[\"ab\"]", "merge 0 is neither"},
        {"[\"a b b\"]", "merge 0 is neither"},
        {"[[\"a\"]]", "merge 0 is neither"},
        {"[[\"a\",\"b\",\"b\"]]", "merge 0 is neither"},
        {"[[\"a\",1]]", "merge 0 is neither"},
        {"[1]", "merge 0 is neither"},
        {"[\"a \"]", "merge 0, \"a\" and \"\""},
        {"[\" a\"]", "merge 0, \"\" and \"a\""},
        {"[\"a b\",\"a b\"]", "merge 1 repeats merge 0"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        parts p = good;
        p.merges = bad[i].merges;
        expect_refused(p, bad[i].what);
    }
}

static void test_added_tokens_that_do_not_fit_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *added, *what;
    } bad[] = {
        {"{}", "\"added_tokens\" must be an array"},
        {"[1]", "\"content\" is missing"},
        {"[{\"id\":5}]", "\"content\" is missing"},
        {"[{\"content\":\"x\"}]", "token \"x\": its id must be a whole number, not missing"},
        {"[{\"id\":5,\"content\":\"\"}]", "id 5 has no content"},
        {"[{\"id\":4000,\"content\":\"x\"}]", "token \"x\": id 4000 is out of range for 6 tokens"},
        {"[{\"id\":5,\"content\":\"x\"},{\"id\":5,\"content\":\"y\"}]", "two tokens have id 5"},
        {"[{\"id\":5,\"content\":\"x\"},{\"id\":6,\"content\":\"x\"}]", "\"x\" stands twice"},
        {"[{\"id\":0,\"content\":\"x\"}]", "\"a\" has id 0, which another token has too"},
        {"[{\"id\":5,\"content\":\"a\"}]", "added token \"a\" has id 5, and 0 in the vocabulary"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        parts p = good;
        p.added = bad[i].added;
        expect_refused(p, bad[i].what);
    }
}

static void test_what_is_no_tokenizer_at_all_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"",      "null",       "[]", "{}", "{\"model\":1}", "{\"model\":{}}",
                                      "\"x\"", "{\"model\":"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tokenizer *t;
        error err;
        assert_int_equal(tokenizer_parse(bad[i], strlen(bad[i]), "x.json", &t, &err), STATUS_DATA);
        assert_memory_equal(err.message, "x.json: ", 8);
    }
    size_t depth = 100000;
    char *deep = malloc(depth);
    memset(deep, '[', depth);
    tokenizer *t;
    error err;
    assert_int_equal(tokenizer_parse(deep, depth, "x.json", &t, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "maximum parsing depth"));
    free(deep);
}

static void test_a_pattern_that_explodes_is_stopped(void **state) {
    (void)state;
    parts p = good;
    p.pre = SPLIT("{\"Regex\":\"(a+a+)+[bc]\"}", "Isolated");
    tokenizer *t;
    error err;
    if (parse(p, &t, &err) != STATUS_OK) fail_msg("%s", err.message);
    ints ids = {0};
    static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    assert_int_equal(tokenizer_encode(t, text, strlen(text), &ids, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "match limit exceeded"));
    assert_int_equal(ids.len, 0);
    ints_free(&ids);
    tokenizer_free(t);
}

/* n steps in a Sequence of that kind. */
static buffer sequence(const char *list, const char *step, int n) {
    buffer out = {0};
    buffer_format(&out, "{\"type\":\"Sequence\",\"%s\":[", list);
    for (int i = 0; i < n; i++) buffer_format(&out, "%s%s", i ? "," : "", step);
    buffer_string(&out, "]}");
    return out;
}

/* A file may not cost more than it is worth: steps are counted, and what they make of a text is bounded. */
static void test_steps_that_grow_a_text_are_stopped(void **state) {
    (void)state;
    static const char grow[] =
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaaaaaa\"}";
    parts p = good;
    buffer many = sequence("normalizers", grow, 65), some = sequence("normalizers", grow, 64);
    p.normalizer = many.data;
    expect_refused(p, "normalizer: more than 64 steps are too many");
    p.normalizer = some.data;
    tokenizer *t;
    error err;
    ints ids = {0};
    if (parse(p, &t, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_int_equal(tokenizer_encode(t, "a", 1, &ids, &err), STATUS_DATA);
    assert_string_equal(err.message, "the tokenizer makes more than 4112 bytes of a shorter text");
    assert_int_equal(ids.len, 0);
    tokenizer_free(t);
    buffer_free(&many);
    buffer_free(&some);

    p = good;
    many = sequence("pretokenizers", "{\"type\":\"Digits\"}", 65);
    p.pre = many.data;
    expect_refused(p, "pre_tokenizer: more than 64 steps are too many");
    buffer_free(&many);
    ints_free(&ids);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_forms_of_merges),
        cmocka_unit_test(test_a_split_by_regex),
        cmocka_unit_test(test_white_space_is_unicodes),
        cmocka_unit_test(test_added_tokens),
        cmocka_unit_test(test_what_would_change_ids_is_refused_by_name),
        cmocka_unit_test(test_vocabularies_that_do_not_fit_are_refused),
        cmocka_unit_test(test_merges_that_are_none_are_refused),
        cmocka_unit_test(test_added_tokens_that_do_not_fit_are_refused),
        cmocka_unit_test(test_what_is_no_tokenizer_at_all_is_refused),
        cmocka_unit_test(test_a_pattern_that_explodes_is_stopped),
        cmocka_unit_test(test_steps_that_grow_a_text_are_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
