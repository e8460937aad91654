/* Fuzz target, linked with core_text: bytes that begin with '{' as a tokenizer.json, any others as text to
   train on and to encode. What is encoded must come back. */
#include <stdlib.h>
#include <string.h>

#include "core/text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_TEXT = 64 }; /* a hostile pattern may take its whole match limit at every byte */

/* Whether the tokenizer has to give the text back (it may lack bytes, or normalize: then it only must not
 * crash). */
static void encode(const tokenizer *t, const char *text, size_t len, int must_return) {
    ints ids = {0};
    buffer back = {0};
    error err = {0};
    status s = tokenizer_encode(t, text, len, &ids, &err);
    if (s == STATUS_OK) {
        if (tokenizer_decode(t, ids.data, ids.len, 1, &back, &err) != STATUS_OK) abort();
        if (must_return && (back.len != len || (len && memcmp(back.data, text, len) != 0))) abort();
        for (size_t i = 0; i < ids.len; i++)
            if (ids.data[i] < 0 || ids.data[i] >= tokenizer_vocab(t)) abort();
    } else if (must_return || ids.len || !err.message[0]) {
        abort();
    }
    ints_free(&ids);
    buffer_free(&back);
}

static void parse(const char *json, size_t len) {
    static const char text[] = "ab a\n\n  it's e\xcc\x81 \xff\xe2\x82\xac 12";
    tokenizer *t;
    error err = {0};
    status s = tokenizer_parse(json, len, "fuzz", &t, &err);
    if (s == STATUS_OK) {
        encode(t, text, strlen(text), 0);
        encode(t, json, len < MAX_TEXT ? len : MAX_TEXT, 0);
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
        encode(t, text, len, 1);
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
