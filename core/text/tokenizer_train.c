#include <stdlib.h>
#include <string.h>

#include "core/text/alphabet.h"
#include "core/text/bpe_train.h"
#include "core/text/tokenizer_parts.h"

/* A tokenizer that was trained is first printed as tokenizer.json and then read like any other: there is
   one way in. */

enum { N_BYTE = 256 };

static status count_words(void *context, stretch word, error *err) {
    (void)word, (void)err;
    ++*(int *)context;
    return STATUS_OK;
}

static status count_words_of(const cut_steps *words, const char *text, int *n, error *err) {
    cutter c;
    *n = 0;
    status s = cut_begin(&c, words, err);
    if (s == STATUS_OK)
        s = cut_each(&c, (stretch){text, strlen(text), NULL}, PLACE_FIRST, count_words, n, err);
    cut_end(&c);
    return s;
}

/* Special tokens must differ, and consist of several words, so that no merge can ever make one. */
static status check_special(const char *const *special, int n, const cut_steps *words, error *err) {
    for (int i = 0; i < n; i++) {
        int n_word;
        TRY(count_words_of(words, special[i], &n_word, err));
        if (n_word < 2)
            return error_set(err, STATUS_USAGE,
                             "special token \"%s\": could be a word of the texts; write it like \"<|name|>\"",
                             special[i]);
        for (int j = 0; j < i; j++)
            if (strcmp(special[i], special[j]) == 0)
                return error_set(err, STATUS_USAGE, "special token \"%s\": is named twice", special[i]);
    }
    return STATUS_OK;
}

static void print_special(buffer *out, const char *const *special, int n) {
    buffer_string(out, "  \"added_tokens\": [");
    for (int i = 0; i < n; i++) {
        buffer_format(out, "%s\n    {\"id\": %d, \"content\": ", i ? "," : "", i);
        buffer_json_string(out, special[i], strlen(special[i]));
        buffer_string(
            out, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, "
                 "\"special\": true}");
    }
    buffer_string(out, n ? "\n  ],\n" : "],\n");
}

/* letters: scratch. */
static void print_vocab(buffer *out, const char *const *special, int n_special, const bpe_token *tokens,
                        int n, buffer *letters) {
    buffer_string(out, "    \"vocab\": {");
    for (int i = 0; i < n_special; i++) {
        buffer_string(out, i ? ",\n      " : "\n      ");
        buffer_json_string(out, special[i], strlen(special[i]));
        buffer_format(out, ": %d", i);
    }
    for (int i = 0; i < n; i++) {
        buffer_clear(letters);
        alphabet_write(letters, tokens[i].bytes, tokens[i].len);
        buffer_string(out, n_special + i ? ",\n      " : "\n      ");
        buffer_json_string(out, letters->data, letters->len);
        buffer_format(out, ": %d", n_special + i);
    }
    buffer_string(out, "\n    },\n");
}

static void print_merges(buffer *out, const bpe_token *tokens, const ints *left, const ints *right,
                         buffer *letters) {
    buffer_string(out, "    \"merges\": [");
    for (size_t i = 0; i < left->len; i++) {
        const bpe_token *a = &tokens[left->data[i]], *b = &tokens[right->data[i]];
        buffer_clear(letters);
        alphabet_write(letters, a->bytes, a->len);
        buffer_string(letters, " ");
        alphabet_write(letters, b->bytes, b->len);
        buffer_string(out, i ? ",\n      " : "\n      ");
        buffer_json_string(out, letters->data, letters->len);
    }
    buffer_string(out, left->len ? "\n    ]\n" : "]\n");
}

static status print_tokenizer(buffer *out, const char *const *special, int n_special, const bpe_token *tokens,
                              int n, const ints *left, const ints *right, error *err) {
    static const char level[] =
        "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, "
        "\"use_regex\": true}";
    buffer letters = {0};
    buffer_string(out, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    print_special(out, special, n_special);
    buffer_format(out, "  \"normalizer\": null,\n  \"pre_tokenizer\": %s,\n  \"post_processor\": %s,\n",
                  level, level);
    buffer_format(out, "  \"decoder\": %s,\n  \"model\": {\n    \"type\": \"BPE\",\n", level);
    buffer_string(
        out, "    \"dropout\": null,\n    \"unk_token\": null,\n    \"continuing_subword_prefix\": null,\n"
             "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n"
             "    \"ignore_merges\": false,\n");
    print_vocab(out, special, n_special, tokens, n, &letters);
    print_merges(out, tokens, left, right, &letters);
    buffer_string(out, "  }\n}\n");
    status s = buffer_check(&letters, err);
    buffer_free(&letters);
    return s == STATUS_OK ? buffer_check(out, err) : s;
}

/* vocab: tokens beside the special ones. tokens [vocab]. */
static status train(const tokenizer_text *texts, size_t n, int vocab, const char *const *special,
                    int n_special, const cut_steps *words, bpe_token *tokens, tokenizer **out, error *err) {
    ints left = {0}, right = {0};
    buffer json = {0};
    int n_token = 0;
    TRY(check_special(special, n_special, words, err));
    status s = bpe_train(texts, n, words, vocab, tokens, &n_token, &left, &right, err);
    if (s == STATUS_OK && n_token < vocab)
        s = error_set(err, STATUS_DATA,
                      "a vocabulary of %d cannot be had from these texts: after %d tokens no pair occurs "
                      "twice; ask for "
                      "%d or give more text",
                      vocab + n_special, n_token + n_special, n_token + n_special);
    if (s == STATUS_OK) s = print_tokenizer(&json, special, n_special, tokens, n_token, &left, &right, err);
    if (s == STATUS_OK) s = tokenizer_parse(json.data, json.len, "the trained tokenizer", out, err);
    bpe_free_tokens(tokens, n_token);
    ints_free(&left);
    ints_free(&right);
    buffer_free(&json);
    return s;
}

status tokenizer_train(const tokenizer_text *texts, size_t n, int vocab, const char *const *special,
                       int n_special, tokenizer **out, error *err) {
    *out = NULL;
    if (vocab < n_special + N_BYTE)
        return error_set(err, STATUS_USAGE, "a vocabulary of %d: %d bytes and %d special tokens take %d",
                         vocab, N_BYTE, n_special, N_BYTE + n_special);
    if (vocab > TOKENIZER_MAX_VOCAB)
        return error_set(err, STATUS_USAGE, "a vocabulary of %d: at most %d", vocab, TOKENIZER_MAX_VOCAB);
    cut_steps words;
    TRY(cut_gpt2_steps(&words, err));
    bpe_token *tokens = calloc((size_t)(vocab - n_special), sizeof *tokens);
    status s = tokens ? train(texts, n, vocab - n_special, special, n_special, &words, tokens, out, err)
                      : error_memory(err, "the tokens");
    free(tokens);
    cut_free_steps(&words);
    return s;
}
