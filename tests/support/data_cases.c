#include "tests/support/data_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/places.h"

tokenizer *bytes_tokenizer(void) {
    static const char *const special[] = {TOKEN_END_OF_TEXT, TOKEN_TURN_START, TOKEN_TURN_END};
    tokenizer *tok;
    error err;
    if (tokenizer_train(NULL, 0, 259, special, 3, &tok, &err) != STATUS_OK) fail_msg("%s", err.message);
    return tok;
}

data_options bytes_options(const tokenizer *tok, const char *chat, int max_length, bad_lines *bad) {
    data_options o = {.tok = tok, .max_length = max_length, .bad = bad};
    error err;
    if (template_find(chat, &o.chat, &err) != STATUS_OK) fail_msg("%s", err.message);
    return o;
}

void expect_ids(const tokenizer *tok, const int32_t *ids, int n, const char *text) {
    buffer shown = {0};
    error err;
    assert_true(n >= 0);
    if (tokenizer_decode(tok, ids, (size_t)n, 1, &shown, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_string_equal(shown.data ? shown.data : "", text);
    buffer_free(&shown);
}

const char *data_file(const char *directory, const char *name, const char *text) {
    const char *path = path_in(directory, name);
    write_all(path, text, strlen(text));
    return path;
}
