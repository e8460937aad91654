#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "core/text/tokenizer.h"
#include "tests/support/places.h"

static tokenizer *load(const char *path) {
    tokenizer *t;
    error err;
    if (tokenizer_load(path, &t, &err) != STATUS_OK) fail_msg("%s", err.message);
    return t;
}

static ints encode(const tokenizer *t, const char *text, size_t len) {
    ints ids = {0};
    error err;
    if (tokenizer_encode(t, text, len, &ids, &err) != STATUS_OK) fail_msg("%s", err.message);
    return ids;
}

static void expect_round_trip(const tokenizer *t, const char *text, size_t len) {
    ints ids = encode(t, text, len);
    buffer back = {0};
    error err;
    assert_int_equal(tokenizer_decode(t, ids.data, ids.len, 0, &back, &err), STATUS_OK);
    assert_int_equal(back.len, len);
    if (len) assert_memory_equal(back.data, text, len);
    buffer_free(&back);
    ints_free(&ids);
}

/* The texts of NAME.inp must have the ids of NAME.out, a line each. */
static void expect_vectors(const tokenizer *t, const char *name) {
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char file[64];
    snprintf(file, sizeof file, "data/tokenizers/vectors/%s.inp", name);
    buffer texts = read_all(shared_path(file));
    snprintf(file, sizeof file, "data/tokenizers/vectors/%s.out", name);
    buffer lines = read_all(shared_path(file));
    const char *text = texts.data, *line = lines.data;
    int n = 0;
    for (const char *end; (end = strstr(text, mark)) != NULL; text = end + strlen(mark), n++) {
        ints ids = encode(t, text, (size_t)(end - text));
        for (size_t i = 0; i < ids.len; i++) {
            char *after;
            long wanted = strtol(line, &after, 10);
            if (after == line || ids.data[i] != wanted)
                fail_msg("%s, text %d, id %zu: is %d, wanted %ld", name, n, i, ids.data[i], wanted);
            line = after;
        }
        line += strspn(line, " ");
        if (*line != '\n') fail_msg("%s, text %d: %zu ids are too few", name, n, ids.len);
        line++;
        ints_free(&ids);
    }
    assert_int_equal(n, 46);
    buffer_free(&texts);
    buffer_free(&lines);
}

static void test_gpt2_gives_the_published_ids(void **state) {
    (void)state;
    tokenizer *t = load(shared_path("data/tokenizers/gpt2"));
    assert_int_equal(tokenizer_vocab(t), 50257);
    assert_int_equal(tokenizer_special(t, TOKEN_END_OF_TEXT), 50256);
    assert_int_equal(tokenizer_special(t, TOKEN_TURN_END), -1);
    assert_null(tokenizer_chat_template(t));
    expect_vectors(t, "gpt-2");
    tokenizer_free(t);
}

static void test_qwen3_gives_the_published_ids(void **state) {
    (void)state;
    tokenizer *t = load(shared_path("data/tokenizers/qwen3"));
    assert_int_equal(tokenizer_vocab(t), 151669);
    assert_int_equal(tokenizer_special(t, TOKEN_TURN_START), 151644);
    assert_int_equal(tokenizer_special(t, TOKEN_TURN_END), 151645);
    assert_true(tokenizer_is_special(t, 151645));
    assert_false(tokenizer_is_special(t, 151667)); /* <think> is added, not special */
    assert_int_equal(tokenizer_special(t, "<think>"), 151667);
    assert_non_null(strstr(tokenizer_chat_template(t), "<|im_start|>"));
    expect_vectors(t, "qwen2");
    tokenizer_free(t);
}

static void test_training_finds_the_reference_merges(void **state) {
    (void)state;
    buffer corpus = read_all(shared_path("data/tokenizers/bpe_train/corpus.en"));
    buffer merges = read_all(shared_path("data/tokenizers/bpe_train/train-bpe-reference-merges.txt"));
    const char *special[] = {TOKEN_END_OF_TEXT};
    tokenizer *t;
    error err;
    tokenizer_text text = {corpus.data, corpus.len};
    assert_int_equal(tokenizer_train(&text, 1, 500, special, 1, &t, &err), STATUS_OK);
    assert_int_equal(tokenizer_vocab(t), 500);
    assert_int_equal(tokenizer_special(t, TOKEN_END_OF_TEXT), 0);

    json_error_t e;
    json_t *vocab =
        json_load_file(shared_path("data/tokenizers/bpe_train/train-bpe-reference-vocab.json"), 0, &e);
    const char *directory = *state;
    assert_int_equal(tokenizer_save(t, NULL, directory, &err), STATUS_OK);
    json_t *ours = json_load_file(path_in(directory, "tokenizer.json"), 0, &e);
    json_t *model = json_object_get(ours, "model");
    assert_true(json_equal(json_object_get(model, "vocab"), vocab));
    size_t n = json_array_size(json_object_get(model, "merges"));
    assert_int_equal(n, 243);
    const char *line = merges.data;
    for (size_t i = 0; i < n; i++) {
        const char *merge = json_string_value(json_array_get(json_object_get(model, "merges"), i));
        size_t len = strcspn(line, "\n");
        if (strlen(merge) != len || memcmp(merge, line, len) != 0)
            fail_msg("merge %zu: is \"%s\", wanted \"%.*s\"", i, merge, (int)len, line);
        line += len + 1;
    }
    expect_round_trip(t, corpus.data, corpus.len);
    json_decref(ours);
    json_decref(vocab);
    tokenizer_free(t);
    buffer_free(&corpus);
    buffer_free(&merges);
}

/* A tokenizer of a few merges, with the ids: specials 0 to 2, bytes 3 to 258, merges from 259 on. */
static tokenizer *small(int vocab) {
    static const char text[] =
        "aa aa aa aa ab ab abc abc abc; the cat sat on the mat, the rat sat on the cat\n";
    const char *special[] = {TOKEN_END_OF_TEXT, TOKEN_TURN_START, TOKEN_TURN_END};
    tokenizer_text texts[] = {{text, strlen(text)}};
    tokenizer *t;
    error err;
    if (tokenizer_train(texts, 1, vocab, special, 3, &t, &err) != STATUS_OK) fail_msg("%s", err.message);
    return t;
}

/* Worked out by hand: "aaa bb", twice. "a a" occurs 4 times (overlapping), " b" and "b b" twice: aa. Then
   "aa a", " b" and "b b" occur twice each, and of their left tokens "b" is the greatest: bb. Then "aa" is
   greater than " ": aaa. Then " bb". */
static void test_training_a_case_worked_out_by_hand(void **state) {
    tokenizer_text texts[] = {{"aaa bb", 6}, {"aaa bb", 6}};
    tokenizer *t;
    error err;
    assert_int_equal(tokenizer_train(texts, 2, 260, NULL, 0, &t, &err), STATUS_OK);
    static const char *const wanted[] = {"aa", "bb", "aaa", " bb"};
    for (int i = 0; i < 4; i++) {
        size_t len;
        const char *bytes = tokenizer_token_bytes(t, 256 + i, &len);
        assert_int_equal(len, strlen(wanted[i]));
        assert_memory_equal(bytes, wanted[i], len);
    }
    ints ids = encode(t, "aaaa bbb", 8); /* aa aa, not aaa a: aa ranks first */
    assert_int_equal(ids.len, 4);
    assert_int_equal(ids.data[0], 256);
    assert_int_equal(ids.data[1], 256);
    assert_int_equal(ids.data[2], 259);
    ints_free(&ids);
    tokenizer_free(t);

    /* After these nothing occurs twice: the count that can be had is in the message, and can be had. */
    assert_int_equal(tokenizer_train(texts, 2, 261, NULL, 0, &t, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "ask for 260"));
    (void)state;
}

static void test_training_is_independent_of_how_texts_are_cut(void **state) {
    (void)state;
    const char *special[] = {TOKEN_END_OF_TEXT};
    tokenizer_text whole = {"one two one two\nthree one", 25};
    tokenizer_text parts[] = {{"one two one two\n", 16}, {"three one", 9}};
    tokenizer *a, *b;
    error err;
    assert_int_equal(tokenizer_train(&whole, 1, 261, special, 1, &a, &err), STATUS_OK);
    assert_int_equal(tokenizer_train(parts, 2, 261, special, 1, &b, &err), STATUS_OK);
    hash x = tokenizer_hash(a), y = tokenizer_hash(b);
    assert_true(hash_equal(&x, &y));
    tokenizer_free(a);
    tokenizer_free(b);
}

static void test_training_refuses_what_cannot_be(void **state) {
    (void)state;
    tokenizer_text text = {"some text", 9};
    tokenizer *t;
    error err;
    static const struct {
        const char *special[2];
        int n, vocab;
        const char *what;
    } bad[] = {
        {{TOKEN_END_OF_TEXT}, 1, 256, "256 bytes and 1 special tokens take 257"},
        {{TOKEN_END_OF_TEXT}, 1, 1 << 30, "at most"},
        {{"some"}, 1, 300, "special token \"some\""},
        {{""}, 1, 300, "special token \"\""},
        {{"<|a|>", "<|a|>"}, 2, 300, "\"<|a|>\": is named twice"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(tokenizer_train(&text, 1, bad[i].vocab, bad[i].special, bad[i].n, &t, &err),
                         STATUS_USAGE);
        assert_null(t);
        if (!strstr(err.message, bad[i].what)) fail_msg("\"%s\": wanted \"%s\"", err.message, bad[i].what);
    }
    assert_int_equal(tokenizer_train(NULL, 0, 257, NULL, 0, &t, &err), STATUS_DATA);
    assert_int_equal(tokenizer_train(NULL, 0, 256, NULL, 0, &t, &err), STATUS_OK);
    tokenizer_free(t);
}

static void test_random_bytes_come_back(void **state) {
    (void)state;
    tokenizer *t = small(273);
    random_key key = random_make_key(1, RANDOM_TEST, 0, 0);
    for (uint64_t i = 0; i < 500; i++) {
        char text[200];
        size_t len = random_below(key, i, 0, sizeof text);
        for (size_t j = 0; j < len; j++) {
            static const char often[] = "aabc the \n'\xc3\xa9\xe2\x82\xac\xf0\x9f";
            uint64_t r = random_below(key, i, (uint32_t)j + 1, 512);
            text[j] = r < 256 ? (char)r : often[r % strlen(often)];
        }
        expect_round_trip(t, text, len);
    }
    tokenizer_free(t);
}

static void test_long_words_take_no_quadratic_time(void **state) {
    (void)state;
    size_t len = 1 << 20;
    char *text = malloc(len);
    tokenizer *t = small(273);
    static const char fill[] = "a b\n.'";
    for (size_t i = 0; i < strlen(fill); i++) {
        memset(text, fill[i], len);
        expect_round_trip(t, text, len);
    }
    memset(text, 0xff, len);
    expect_round_trip(t, text, len);
    random_key key = random_make_key(2, RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < len; i++) text[i] = "abcst"[random_below(key, i, 0, 5)];
    expect_round_trip(t, text, len);
    tokenizer_text one = {text, len};
    tokenizer *trained;
    error err;
    assert_int_equal(tokenizer_train(&one, 1, 1000, NULL, 0, &trained, &err), STATUS_OK);
    tokenizer_free(trained);
    free(text);
    tokenizer_free(t);
}

static void test_special_tokens_in_text_are_text(void **state) {
    (void)state;
    tokenizer *t = small(270);
    static const char text[] = "<|im_end|><|endoftext|>";
    ints ids = encode(t, text, strlen(text));
    assert_true(ids.len > 2);
    for (size_t i = 0; i < ids.len; i++) assert_false(tokenizer_is_special(t, ids.data[i]));
    expect_round_trip(t, text, strlen(text));
    ints_free(&ids);
    tokenizer_free(t);
}

static void test_decoding_shows_or_skips_special_tokens(void **state) {
    (void)state;
    tokenizer *t = small(260);
    const int32_t ids[] = {1, 3, 2, 0}; /* 3 is '!' */
    buffer out = {0};
    error err;
    assert_int_equal(tokenizer_decode(t, ids, 4, 0, &out, &err), STATUS_OK);
    assert_string_equal(out.data, "!");
    buffer_clear(&out);
    assert_int_equal(tokenizer_decode(t, ids, 4, 1, &out, &err), STATUS_OK);
    assert_string_equal(out.data, "<|im_start|>!<|im_end|><|endoftext|>");
    const int32_t beyond[] = {3, 260}, negative[] = {-1};
    assert_int_equal(tokenizer_decode(t, beyond, 2, 0, &out, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "token 260"));
    assert_int_equal(tokenizer_decode(t, negative, 1, 0, &out, &err), STATUS_DATA);
    size_t len = 7;
    assert_null(tokenizer_token_bytes(t, 260, &len));
    assert_int_equal(len, 0);
    buffer_free(&out);
    tokenizer_free(t);
}

static void test_saving_keeps_every_byte(void **state) {
    const char *directory = *state;
    tokenizer *t = small(270);
    error err;
    assert_int_equal(tokenizer_save(t, "chatml", directory, &err), STATUS_OK);
    buffer json = read_all(path_in(directory, "tokenizer.json"));
    buffer config = read_all(path_in(directory, "tokenizer_config.json"));
    hash file = hash_bytes(json.data, json.len), own = tokenizer_hash(t);
    assert_true(hash_equal(&file, &own));
    tokenizer *again = load(directory);
    hash read = tokenizer_hash(again);
    assert_true(hash_equal(&read, &own));
    assert_string_equal(tokenizer_template_name(again), "chatml");
    assert_non_null(strstr(tokenizer_chat_template(again), "<|im_start|>"));
    assert_non_null(strstr(config.data, "\"eos_token\": \"<|im_end|>\""));

    assert_int_equal(tokenizer_save(again, NULL, directory, &err), STATUS_OK);
    buffer second = read_all(path_in(directory, "tokenizer_config.json"));
    assert_string_equal(second.data, config.data);
    assert_int_equal(tokenizer_save(again, "plain", directory, &err), STATUS_OK);
    tokenizer *plain = load(path_in(directory, "tokenizer.json"));
    assert_string_equal(tokenizer_template_name(plain), "plain");
    assert_null(strstr(tokenizer_chat_template(plain), "<|im_start|>"));

    assert_int_equal(tokenizer_save(again, "llama9", directory, &err), STATUS_USAGE);
    assert_non_null(strstr(err.message, "\"llama9\" is unknown: there are plain, chatml"));
    assert_int_equal(tokenizer_save(again, NULL, "/nowhere/at/all", &err), STATUS_FAILED);
    assert_non_null(strstr(err.message, "/nowhere/at/all/tokenizer.json"));
    buffer_free(&json);
    buffer_free(&config);
    buffer_free(&second);
    tokenizer_free(t);
    tokenizer_free(again);
    tokenizer_free(plain);
}

static void test_a_full_disk_leaves_the_old_files(void **state) {
    const char *directory = *state, *path = path_in(directory, "tokenizer.json");
    tokenizer *t = small(262), *again;
    error err;
    assert_int_equal(tokenizer_save(t, "chatml", directory, &err), STATUS_OK);
    buffer before = read_all(path);
    disk_holds(1000);
    status s = tokenizer_save(t, "plain", directory, &err);
    disk_is_free();
    assert_int_equal(s, STATUS_FAILED);
    assert_non_null(strstr(err.message, "tokenizer.json: cannot write: File too large"));
    buffer after = read_all(path);
    assert_string_equal(after.data, before.data);
    again = load(directory);
    assert_string_equal(tokenizer_template_name(again), "chatml");
    buffer_free(&before);
    buffer_free(&after);
    tokenizer_free(again);
    tokenizer_free(t);
}

static void test_missing_and_cut_files_are_named(void **state) {
    const char *directory = *state;
    tokenizer *t = small(265);
    error err;
    tokenizer *none;
    assert_int_equal(tokenizer_load(directory, &none, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "tokenizer.json: No such file"));
    assert_int_equal(tokenizer_save(t, "plain", directory, &err), STATUS_OK);
    const char *path = path_in(directory, "tokenizer.json");
    buffer json = read_all(path);
    size_t whole = json.len - strlen("\n");
    for (size_t len = 0; len < whole; len += len < 2000 ? 1 : 37) {
        assert_int_equal(tokenizer_parse(json.data, len, path, &none, &err), STATUS_DATA);
        assert_null(none);
        assert_non_null(strstr(err.message, path));
    }
    write_all(path_in(directory, "tokenizer_config.json"), "[]", 2);
    assert_int_equal(tokenizer_load(directory, &none, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "tokenizer_config.json: must be an object"));
    buffer_free(&json);
    tokenizer_free(t);
}

int main(void) {
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt2_gives_the_published_ids),
        cmocka_unit_test(test_qwen3_gives_the_published_ids),
        IN_DIRECTORY(test_training_finds_the_reference_merges),
        cmocka_unit_test(test_training_a_case_worked_out_by_hand),
        cmocka_unit_test(test_training_is_independent_of_how_texts_are_cut),
        cmocka_unit_test(test_training_refuses_what_cannot_be),
        cmocka_unit_test(test_random_bytes_come_back),
        cmocka_unit_test(test_long_words_take_no_quadratic_time),
        cmocka_unit_test(test_special_tokens_in_text_are_text),
        cmocka_unit_test(test_decoding_shows_or_skips_special_tokens),
        IN_DIRECTORY(test_saving_keeps_every_byte),
        IN_DIRECTORY(test_a_full_disk_leaves_the_old_files),
        IN_DIRECTORY(test_missing_and_cut_files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
