#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/piece_merges.h"
#include "core/text/template.h"
#include "core/text/tokenizer_gguf.h"
#include "tests/support/gguf_file.h"
#include "tests/support/golden.h"
#include "tests/support/places.h"

#define KEY(name) "tokenizer.ggml." name

static gguf *open_file(const char *path) {
    gguf *g;
    error err;
    if (gguf_open(path, &g, &err) != STATUS_OK) fail_msg("%s", err.message);
    return g;
}

static tokenizer *read_tokenizer(const char *path) {
    gguf *g = open_file(path);
    tokenizer *t;
    error err;
    if (tokenizer_from_gguf(g, &t, &err) != STATUS_OK) fail_msg("%s", err.message);
    gguf_close(g);
    return t;
}

static void expect_ids(const tokenizer *t, const char *text, const int32_t *wanted, size_t n) {
    ints ids = {0};
    error err;
    if (tokenizer_encode(t, text, strlen(text), &ids, &err) != STATUS_OK) fail_msg("%s", err.message);
    int same = ids.len == n;
    for (size_t i = 0; same && i < n; i++) same = ids.data[i] == wanted[i];
    if (!same) fail_msg("\"%s\" has %zu ids, or others than wanted", text, ids.len);
    ints_free(&ids);
}

/* ---- byte-level ---- */

enum { END, TURN, TURN_END, USER, LETTER_A, SPACE_A, A_A, DIGIT_1, DIGIT_2, SPACE, SPACES, NEWLINE, N_TOKEN };

/* Tokens of a few bytes, of which " a", "aa" and two spaces are merged. */
static gguf_file small_file(const char *pre) {
    static const char *const tokens[] = {
        "<|endoftext|>", "<|im_start|>",     "<|im_end|>", "<think>", "a",      "\304\240a", "aa", "1", "2",
        "\304\240",      "\304\240\304\240", "\304\212",   "[PAD12]", "[PAD13]"};
    static const int32_t types[] = {3, 3, 3, 4, 1, 1, 1, 1, 1, 1, 1, 1, 5, 5};
    static const char *const merges[] = {"\304\240 a", "a a", "\304\240 \304\240"};
    gguf_file f = gguf_file_new();
    gguf_file_text(&f, KEY("model"), "gpt2");
    if (pre) gguf_file_text(&f, KEY("pre"), pre);
    gguf_file_texts(&f, KEY("tokens"), tokens, sizeof tokens / sizeof *tokens);
    gguf_file_int32s(&f, KEY("token_type"), types, sizeof types / sizeof *types);
    gguf_file_texts(&f, KEY("merges"), merges, sizeof merges / sizeof *merges);
    gguf_file_u32(&f, KEY("eos_token_id"), TURN_END);
    gguf_file_u32(&f, KEY("padding_token_id"), END);
    gguf_file_text(&f, "tokenizer.chat_template", "{{ '<|im_start|>' }}");
    return f;
}

static void finish(gguf_file *f, const char *path) {
    gguf_file_write(f, path);
    gguf_file_free(f);
}

static void tokens_keep_their_ids_and_kinds(void **state) {
    const char *path = path_in(*state, "x.gguf");
    gguf_file f = small_file("gpt-2");
    finish(&f, path);
    tokenizer *t = read_tokenizer(path);
    assert_int_equal(tokenizer_vocab(t), N_TOKEN); /* unused ones are left out */
    assert_int_equal(tokenizer_special(t, TOKEN_TURN_END), TURN_END);
    assert_true(tokenizer_is_special(t, TURN_END));
    assert_int_equal(tokenizer_special(t, "<think>"), USER);
    assert_false(tokenizer_is_special(t, USER));
    expect_ids(t, "a aa", (const int32_t[]){LETTER_A, SPACE_A, LETTER_A}, 3);
    expect_ids(t, "aa\n", (const int32_t[]){A_A, NEWLINE}, 2);
    tokenizer_free(t);
}

/* The spaces before a digit are cut otherwise where digits are taken out first. */
static void words_are_split_as_the_file_says(void **state) {
    const char *path = path_in(*state, "x.gguf");
    static const struct {
        const char *pre, *text;
        int32_t ids[6];
        size_t n;
    } all[] = {
        {"gpt-2", "a  12", {LETTER_A, SPACE, SPACE, DIGIT_1, DIGIT_2}, 5},
        {"smollm", "a  12", {LETTER_A, SPACES, DIGIT_1, DIGIT_2}, 4},
        {"smollm", "a  a", {LETTER_A, SPACE, SPACE_A}, 3},
        {"smollm", "  ", {SPACES}, 1},
        {"qwen2", "a  12", {LETTER_A, SPACE, SPACE, DIGIT_1, DIGIT_2}, 5},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        gguf_file f = small_file(all[i].pre);
        finish(&f, path);
        tokenizer *t = read_tokenizer(path);
        expect_ids(t, all[i].text, all[i].ids, all[i].n);
        tokenizer_free(t);
    }
}

/* Llama 3: a word that is a token is not made by merges; texts begin with a token. */
static void llama_3_takes_whole_words(void **state) {
    const char *path = path_in(*state, "x.gguf");
    gguf_file f = small_file("llama-bpe");
    gguf_file_u32(&f, KEY("bos_token_id"), END);
    finish(&f, path);
    tokenizer *t = read_tokenizer(path);
    expect_ids(t, "12 aaa", (const int32_t[]){DIGIT_1, DIGIT_2, SPACE_A, A_A}, 4);
    assert_int_equal(tokenizer_before(t)->len, 1);
    assert_int_equal(tokenizer_before(t)->data[0], END);
    tokenizer_free(t);
    f = small_file("llama-bpe");
    gguf_file_u32(&f, KEY("bos_token_id"), END);
    gguf_file_bool(&f, KEY("add_bos_token"), 0);
    finish(&f, path);
    t = read_tokenizer(path);
    assert_int_equal(tokenizer_before(t)->len, 0);
    tokenizer_free(t);
}

static void what_is_saved_is_read_again(void **state) {
    const char *directory = *state, *path = path_in(directory, "x.gguf");
    gguf_file f = small_file("smollm");
    finish(&f, path);
    tokenizer *t = read_tokenizer(path), *again;
    const chat_template *chat;
    error err;
    assert_int_equal(tokenizer_save(t, NULL, directory, &err), STATUS_OK);
    if (tokenizer_load(directory, &again, &err) != STATUS_OK) fail_msg("%s", err.message);
    hash a = tokenizer_hash(t), b = tokenizer_hash(again);
    assert_true(hash_equal(&a, &b));
    assert_string_equal(tokenizer_chat_template(again), "{{ '<|im_start|>' }}");
    assert_int_equal(template_of(again, &chat, &err), STATUS_OK);
    assert_string_equal(template_name(chat), "chatml");
    buffer config = read_all(path_in(directory, "tokenizer_config.json"));
    assert_non_null(strstr(config.data, "\"eos_token\": \"<|im_end|>\""));
    assert_non_null(strstr(config.data, "\"pad_token\": \"<|endoftext|>\""));
    assert_null(strstr(config.data, "bos_token\": \""));
    buffer_free(&config);
    tokenizer_free(t);
    tokenizer_free(again);
}

static void expect_same_ids(const tokenizer *a, const tokenizer *b, const char *text, size_t len) {
    ints x = {0}, y = {0};
    error err;
    assert_int_equal(tokenizer_encode(a, text, len, &x, &err), STATUS_OK);
    assert_int_equal(tokenizer_encode(b, text, len, &y, &err), STATUS_OK);
    assert_int_equal(x.len, y.len);
    if (x.len) assert_memory_equal(x.data, y.data, x.len * sizeof *x.data);
    ints_free(&x);
    ints_free(&y);
}

static void the_published_gpt2_is_the_same_in_both_forms(void **state) {
    (void)state;
    tokenizer *t = read_tokenizer(shared_path("data/tokenizers/gpt2/ggml-vocab-gpt-2.gguf")), *other;
    error err;
    buffer texts = read_all(shared_path("data/tokenizers/vectors/gpt-2.inp"));
    assert_int_equal(tokenizer_load(shared_path("data/tokenizers/gpt2"), &other, &err), STATUS_OK);
    assert_int_equal(tokenizer_vocab(t), tokenizer_vocab(other));
    assert_int_equal(tokenizer_special(t, TOKEN_END_OF_TEXT), 50256);
    expect_same_ids(t, other, texts.data, texts.len);
    buffer_free(&texts);
    tokenizer_free(t);
    tokenizer_free(other);
}

/* ---- SentencePiece ---- */

static void merges_follow_from_the_scores(void **state) {
    (void)state;
    json_t *golden = golden_open("pieces");
    const json_t *v = json_array_get(golden_get(golden, "vocabulary"), 0);
    const json_t *m = json_array_get(golden_get(golden, "merges"), 0), *texts = golden_get(v, "tokens");
    float score[GOLDEN_MAX];
    int32_t type[GOLDEN_MAX], left[GOLDEN_MAX], right[GOLDEN_MAX];
    int n = golden_floats(v, "scores", score), wanted = golden_ints(m, "left", left);
    scored_piece *pieces = calloc((size_t)n, sizeof *pieces);
    piece_merge *merges;
    size_t n_merge;
    error err;
    golden_ints(v, "types", type);
    golden_ints(m, "right", right);
    for (int i = 0; i < n; i++) {
        const json_t *text = json_array_get(texts, (size_t)i);
        pieces[i] = (scored_piece){json_string_value(text), json_string_length(text), score[i], type[i] == 1};
    }
    assert_int_equal(piece_merges(pieces, n, &merges, &n_merge, &err), STATUS_OK);
    assert_int_equal(n_merge, wanted);
    for (int i = 0; i < wanted; i++)
        if (merges[i].left != left[i] || merges[i].right != right[i])
            fail_msg("merge %d is %d and %d, wanted %d and %d", i, merges[i].left, merges[i].right, left[i],
                     right[i]);
    free(merges);
    free(pieces);
    json_decref(golden);
}

/* The vocabulary of the golden numbers as a file. */
static void write_pieces(const char *path) {
    json_t *golden = golden_open("pieces");
    const json_t *v = json_array_get(golden_get(golden, "vocabulary"), 0), *texts = golden_get(v, "tokens");
    const char *token[GOLDEN_MAX];
    float score[GOLDEN_MAX];
    int32_t type[GOLDEN_MAX];
    int n = golden_floats(v, "scores", score);
    gguf_file f = gguf_file_new();
    golden_ints(v, "types", type);
    for (int i = 0; i < n; i++) token[i] = json_string_value(json_array_get(texts, (size_t)i));
    gguf_file_text(&f, KEY("model"), "llama");
    gguf_file_texts(&f, KEY("tokens"), token, (size_t)n);
    gguf_file_floats(&f, KEY("scores"), score, (size_t)n);
    gguf_file_int32s(&f, KEY("token_type"), type, (size_t)n);
    gguf_file_u32(&f, KEY("unknown_token_id"), 0);
    gguf_file_u32(&f, KEY("bos_token_id"), 1);
    gguf_file_u32(&f, KEY("eos_token_id"), 2);
    finish(&f, path);
    json_decref(golden);
}

static void expect_text(const tokenizer *t, const int32_t *ids, int n, const char *wanted) {
    buffer text = {0};
    error err;
    assert_int_equal(tokenizer_decode(t, ids, (size_t)n, 0, &text, &err), STATUS_OK);
    assert_int_equal(text.len, strlen(wanted));
    if (text.len) assert_memory_equal(text.data, wanted, text.len);
    buffer_free(&text);
}

static void pieces_give_the_ids_of_sentencepiece(void **state) {
    const char *path = path_in(*state, "x.gguf");
    write_pieces(path);
    json_t *golden = golden_open("pieces");
    tokenizer *made = read_tokenizer(path), *t;
    const json_t *one;
    size_t i;
    error err;
    assert_int_equal(tokenizer_save(made, NULL, *state, &err), STATUS_OK);
    tokenizer_free(made);
    if (tokenizer_load(*state, &t, &err) != STATUS_OK) fail_msg("%s", err.message);
    json_array_foreach(golden_get(golden, "texts"), i, one) {
        int32_t ids[GOLDEN_MAX];
        int n = golden_ints(one, "ids", ids);
        expect_ids(t, golden_string(one, "text"), ids, (size_t)n);
        expect_text(t, ids, n, golden_string(one, "decoded"));
    }
    assert_int_equal(tokenizer_before(t)->len, 1); /* texts begin with <s> */
    assert_int_equal(tokenizer_before(t)->data[0], 1);
    assert_int_equal(tokenizer_behind(t)->len, 0);
    assert_true(tokenizer_is_special(t, 0) && tokenizer_is_special(t, 2));
    tokenizer_free(t);
    json_decref(golden);
}

static void equal_scores_put_long_parts_first(void **state) {
    (void)state;
    const scored_piece pieces[] = {
        {"a", 1, 0, 1}, {"b", 1, 0, 1}, {"ab", 2, -1, 1}, {"ba", 2, -1, 1}, {"aba", 3, -1, 1}};
    const piece_merge wanted[] = {{2, 0}, {0, 3}, {0, 1}, {1, 0}};
    piece_merge *merges;
    size_t n;
    error err;
    assert_int_equal(piece_merges(pieces, 5, &merges, &n, &err), STATUS_OK);
    assert_int_equal(n, 4);
    assert_true(merges[0].left == 2 && merges[0].right == 0); /* ab a: the longer left part */
    assert_true(merges[1].left == 0 && merges[1].right == 3); /* a ba: then the longer right part */
    assert_memory_equal(merges, wanted, sizeof wanted);
    free(merges);
}

/* ---- bad files ---- */

static void no_model(gguf_file *f) { (void)f; }
static void other_model(gguf_file *f) { gguf_file_text(f, KEY("model"), "bert"); }
static void byte_level(gguf_file *f) { gguf_file_text(f, KEY("model"), "gpt2"); }
static void other_split(gguf_file *f) {
    byte_level(f);
    gguf_file_text(f, KEY("pre"), "deepseek-llm");
}
static void unknown_key(gguf_file *f) {
    byte_level(f);
    gguf_file_value(f, KEY("precompiled_charsmap"), 9, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
}
static void far_end(gguf_file *f) { gguf_file_u32(f, KEY("eos_token_id"), 4); }
static void no_begin(gguf_file *f) {
    byte_level(f);
    gguf_file_text(f, KEY("pre"), "gpt-2");
    gguf_file_bool(f, KEY("add_bos_token"), 1);
}
static void no_merges(gguf_file *f) {
    byte_level(f);
    gguf_file_text(f, KEY("pre"), "gpt-2");
}
static void bad_merge(gguf_file *f) {
    no_merges(f);
    gguf_file_texts(f, KEY("merges"), (const char *const[]){"a \xff"}, 1);
}
static void unknown_merge(gguf_file *f) {
    no_merges(f);
    gguf_file_texts(f, KEY("merges"), (const char *const[]){"a z"}, 1);
}
static void few_types(gguf_file *f) { gguf_file_int32s(f, KEY("token_type"), (const int32_t[]){1}, 1); }
static void bad_type(gguf_file *f) {
    gguf_file_int32s(f, KEY("token_type"), (const int32_t[]){1, 1, 1, 7}, 4);
}
static void unused_begin(gguf_file *f) {
    gguf_file_u32(f, KEY("bos_token_id"), 1);
    gguf_file_int32s(f, KEY("token_type"), (const int32_t[]){1, 5, 1, 1}, 4);
}
static void plain_end(gguf_file *f) { gguf_file_u32(f, KEY("eos_token_id"), 3); }
static void pieces_of(gguf_file *f, const float *scores, size_t n) {
    gguf_file_text(f, KEY("model"), "llama");
    gguf_file_u32(f, KEY("bos_token_id"), 1);
    gguf_file_int32s(f, KEY("token_type"), (const int32_t[]){1, 3, 1, 1}, 4);
    gguf_file_floats(f, KEY("scores"), scores, n);
}
static void few_scores(gguf_file *f) { pieces_of(f, (const float[]){0, 0}, 2); }
static void bad_score(gguf_file *f) { pieces_of(f, (const float[]){0, 0, NAN, 0}, 4); }
static void bad_chat(gguf_file *f) {
    no_merges(f);
    gguf_file_text(f, "tokenizer.chat_template", "\xc3");
}

static void faults_are_refused_by_name(void **state) {
    static const struct {
        void (*make)(gguf_file *f);
        const char *what;
    } bad[] = {
        {no_model, "metadata \"tokenizer.ggml.model\" is missing"},
        {other_model, "\"tokenizer.ggml.model\" is \"bert\"; gpt2"},
        {byte_level, "metadata \"tokenizer.ggml.pre\" is missing"},
        {other_split, "\"tokenizer.ggml.pre\" is \"deepseek-llm\"; gpt-2, smollm, llama-bpe and qwen2"},
        {unknown_key, "\"tokenizer.ggml.precompiled_charsmap\" is not known"},
        {far_end, "\"tokenizer.ggml.eos_token_id\" is 4, must be from 0 to 3"},
        {no_begin, "texts get an added bos token, and metadata \"tokenizer.ggml.bos_token_id\" is missing"},
        {no_merges, "metadata \"tokenizer.ggml.merges\" is missing"},
        {bad_merge, "merge 0 is not UTF-8"},
        {unknown_merge, "its tokenizer: merges: merge 0, \"a\" and \"z\""},
        {few_types, "\"tokenizer.ggml.token_type\" has 1 elements, there are 4 tokens"},
        {bad_type, "token 3, \"ab\", has an unknown type"},
        {unused_begin, "token 1, \"a\", is bos_token_id, and its type says that it is unused"},
        {plain_end, "token 3, \"ab\", is eos_token_id, and its type says that it is text"},
        {few_scores, "2 scores, there are 4 tokens"},
        {bad_score, "the score of token 2 is not a number"},
        {bad_chat, "\"tokenizer.chat_template\" is no text in UTF-8"},
    };
    const char *path = path_in(*state, "x.gguf");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gguf_file f = gguf_file_new();
        tokenizer *t;
        error err;
        gguf_file_texts(&f, KEY("tokens"), (const char *const[]){"<x>", "a", "b", "ab"}, 4);
        bad[i].make(&f);
        finish(&f, path);
        gguf *g = open_file(path);
        status result = tokenizer_from_gguf(g, &t, &err);
        if (result != STATUS_DATA || !strstr(err.message, path) || !strstr(err.message, bad[i].what))
            fail_msg("status %d, \"%s\": wanted \"%s\"", result, err.message, bad[i].what);
        assert_null(t);
        gguf_close(g);
    }
}

static void tokens_must_be_texts_that_differ(void **state) {
    static const struct {
        const char *token, *what;
    } bad[] = {{"a", "token 3, \"a\", stands twice"}, {"\xff", "token 3, \"\xef\xbf\xbd\", is not UTF-8"}};
    const char *path = path_in(*state, "x.gguf");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gguf_file f = gguf_file_new();
        tokenizer *t;
        error err;
        gguf_file_texts(&f, KEY("tokens"), (const char *const[]){"<x>", "a", "b", bad[i].token}, 4);
        finish(&f, path);
        gguf *g = open_file(path);
        assert_int_equal(tokenizer_from_gguf(g, &t, &err), STATUS_DATA);
        if (!strstr(err.message, bad[i].what)) fail_msg("%s", err.message);
        gguf_close(g);
    }
}

int main(void) {
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(tokens_keep_their_ids_and_kinds),
        IN_DIRECTORY(words_are_split_as_the_file_says),
        IN_DIRECTORY(llama_3_takes_whole_words),
        IN_DIRECTORY(what_is_saved_is_read_again),
        cmocka_unit_test(the_published_gpt2_is_the_same_in_both_forms),
        cmocka_unit_test(merges_follow_from_the_scores),
        IN_DIRECTORY(pieces_give_the_ids_of_sentencepiece),
        cmocka_unit_test(equal_scores_put_long_parts_first),
        IN_DIRECTORY(faults_are_refused_by_name),
        IN_DIRECTORY(tokens_must_be_texts_that_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
