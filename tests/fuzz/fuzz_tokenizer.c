/* Fuzz target, linked with core_text: bytes that begin with '{' as a tokenizer.json, which then encodes,
   decodes and chats; any others as text to train on and to encode. What is encoded must come back. */
#include <stdlib.h>
#include <string.h>

#include "core/text/template.h"
#include "core/text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_TEXT = 64 }; /* a hostile pattern may take its whole match limit at every byte */

/* Ids of the vocabulary, and places in the text. */
static void check(const tokenizer *t, const ints *ids, const ints *spans, size_t len) {
    if (spans->len != 2 * ids->len) abort();
    for (size_t i = 0; i < ids->len; i++) {
        int32_t start = spans->data[2 * i], end = spans->data[2 * i + 1];
        if (ids->data[i] < 0 || ids->data[i] >= tokenizer_vocab(t)) abort();
        if (start < 0 || start > end || (size_t)end > len) abort();
    }
}

/* must_return: whether the tokenizer has to give the text back (it may lack bytes, or normalize: then it only
   must not crash). */
static void encode(const tokenizer *t, const char *text, size_t len, unsigned flags, int must_return) {
    ints ids = {0}, spans = {0}, again = {0};
    buffer back = {0};
    error err = {0};
    status s = tokenizer_encode_as(t, text, len, flags, &ids, &spans, &err);
    if (s == STATUS_OK) {
        check(t, &ids, &spans, len);
        if (tokenizer_encode_as(t, text, len, flags, &again, NULL, &err) != STATUS_OK) abort();
        if (again.len != ids.len ||
            (ids.len && memcmp(again.data, ids.data, ids.len * sizeof *ids.data) != 0))
            abort();
        if (tokenizer_decode(t, ids.data, ids.len, 1, &back, &err) != STATUS_OK) abort();
        if (must_return && (back.len != len || (len && memcmp(back.data, text, len) != 0))) abort();
    } else if (must_return || ids.len || spans.len || !err.message[0]) {
        abort();
    }
    ints_free(&ids);
    ints_free(&spans);
    ints_free(&again);
    buffer_free(&back);
}

/* A chat in every template that the tokenizer has the control tokens of. */
static void chat(const tokenizer *t) {
    static const message talk[] = {
        {"user", " a<s> \n"}, {"assistant", "b <|im_end|>"}, {"user", ""}, {"assistant", ""}};
    const chat_template *one;
    for (int i = 0; (one = template_at(i)) != NULL; i++) {
        ints tokens = {0}, target = {0};
        error err = {0};
        if (template_choose(template_name(one), t, &one, &err) == STATUS_OK &&
            template_chat(one, t, talk, 4, &tokens, &target, &err) == STATUS_OK &&
            (tokens.len != target.len || tokens.data[tokens.len - 1] != template_end_token(one, t)))
            abort();
        ints_free(&tokens);
        ints_free(&target);
    }
}

static void parse(const char *json, size_t len) {
    static const char text[] = "ab a\n\n  it's e\xcc\x81 \xff\xe2\x82\xac 12 <s>\xe2\x96\x81";
    tokenizer *t;
    error err = {0};
    status s = tokenizer_parse(json, len, "fuzz", &t, &err);
    if (s == STATUS_OK) {
        static const unsigned flags[] = {0, TOKENIZER_BEHIND_TEXT,
                                         TOKENIZER_FIND_ADDED | TOKENIZER_FIND_SPECIAL};
        for (int i = 0; i < 3; i++) encode(t, text, strlen(text), flags[i], 0);
        encode(t, json, len < MAX_TEXT ? len : MAX_TEXT, 0, 0);
        chat(t);
    } else if (t || !err.message[0]) {
        abort();
    }
    tokenizer_free(t);
}

/* Trains on the text for as many merges as its first byte says; fewer may be had. */
static void train(const char *text, size_t len) {
    const char *special[] = {TOKEN_END_OF_TEXT};
    tokenizer_text texts[] = {{text, len}, {text, len}};
    tokenizer *t;
    error err = {0};
    status s = tokenizer_train(texts, 2, 257 + (len ? (uint8_t)text[0] % 32 : 0), special, 1, &t, &err);
    if (s == STATUS_OK)
        encode(t, text, len, 0, 1);
    else if (s != STATUS_DATA || t)
        abort();
    tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size && data[0] == '{')
        parse((const char *)data, size);
    else
        train((const char *)data, size);
    return 0;
}
