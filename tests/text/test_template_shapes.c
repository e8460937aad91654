#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/text/template.h"
#include "tests/support/golden.h"
#include "tests/support/shapes.h"

/* Every named template against the strings and ids that transformers makes of the published texts
   (tests/golden/templates.py). */

enum { MOST = 8 };

static int read_chat(const json_t *chat, message *out) {
    int n = (int)json_array_size(chat);
    assert_true(n <= MOST);
    for (int i = 0; i < n; i++)
        out[i] = (message){golden_string(json_array_get(chat, (size_t)i), "role"),
                           golden_string(json_array_get(chat, (size_t)i), "content")};
    return n;
}

static int has_answer(const message *chat, int n) { return strcmp(chat[n - 1].role, "assistant") == 0; }

/* The ids of a chat; target gets marks where it ends with an answer. */
static status render(const chat_template *t, const tokenizer *tok, const message *chat, int n, ints *tokens,
                     ints *target, error *err) {
    const prompt p = {.messages = chat, .n_message = n};
    if (has_answer(chat, n)) return template_chat(t, tok, chat, n, tokens, target, err);
    return template_prompt(t, tok, &p, tokens, err);
}

/* A byte-level tokenizer's tokens, joined, are the string. */
static buffer show(const tokenizer *tok, const ints *tokens) {
    buffer out = {0};
    for (size_t i = 0; i < tokens->len; i++) {
        size_t len;
        const char *bytes = tokenizer_token_bytes(tok, tokens->data[i], &len);
        buffer_append(&out, bytes, len);
    }
    return out;
}

/* White space at the end belongs to the next turn. */
static void expect_rendered(const char *name, const buffer *shown, const char *wanted) {
    size_t len = strlen(wanted);
    if (strncmp(shown->data, wanted, shown->len) != 0 ||
        strspn(wanted + shown->len, "\n") != len - shown->len)
        fail_msg("%s: is \"%s\", wanted \"%s\"", name, shown->data, wanted);
}

static void expect_ids(const char *name, const tokenizer *tok, const ints *tokens, const json_t *wanted) {
    int32_t want[GOLDEN_MAX];
    int n = (int)json_array_size(wanted);
    for (int i = 0; i < n; i++) want[i] = (int32_t)json_integer_value(json_array_get(wanted, (size_t)i));
    for (size_t i = 0; i < tokens->len; i++)
        if ((int)i >= n || tokens->data[i] != want[i])
            fail_msg("%s: id %zu is %d, wanted %d", name, i, tokens->data[i], (int)i < n ? want[i] : -1);
    for (int i = (int)tokens->len; i < n; i++) { /* white space of the next turn */
        size_t len;
        const char *bytes = tokenizer_token_bytes(tok, want[i], &len);
        if (strspn(bytes, " \n") < len) fail_msg("%s: id %d (%d) is missing", name, i, want[i]);
    }
}

/* The marked ids are the answers, each with its end token. */
static void expect_marks(const chat_template *t, const tokenizer *tok, const message *chat, int n,
                         const ints *tokens, const ints *target) {
    ints marked = {0}, answers = {0};
    error err;
    assert_int_equal(tokens->len, target->len);
    for (size_t i = 0; i < tokens->len; i++)
        if (target->data[i]) ints_push(&marked, tokens->data[i]);
    for (int i = 0; i < n; i++)
        if (strcmp(chat[i].role, "assistant") == 0)
            assert_int_equal(
                template_answer(t, tok, chat[i].content, strlen(chat[i].content), &answers, &err), STATUS_OK);
    assert_int_equal(marked.len, answers.len);
    assert_memory_equal(marked.data, answers.data, answers.len * sizeof *answers.data);
    assert_int_equal(answers.data[answers.len - 1], template_end_token(t, tok));
    ints_free(&marked);
    ints_free(&answers);
}

/* prompt + answer + next ... = chat, id for id. */
static void expect_joined(const chat_template *t, const tokenizer *tok, const message *chat, int n,
                          const ints *wanted) {
    ints tokens = {0};
    error err;
    int i = 1 + (strcmp(chat[0].role, "system") == 0);
    const prompt p = {.messages = chat, .n_message = i};
    for (int k = i; k < n; k++)
        if (strcmp(chat[k].role, chat[k - 1].role) == 0) return; /* two in a row are no such chat */
    assert_int_equal(template_prompt(t, tok, &p, &tokens, &err), STATUS_OK);
    for (; i < n; i++) {
        int is_answer = strcmp(chat[i].role, "assistant") == 0;
        assert_int_equal(
            is_answer ? template_answer(t, tok, chat[i].content, strlen(chat[i].content), &tokens, &err)
                      : template_next(t, tok, chat[i].content, &tokens, &err),
            STATUS_OK);
    }
    assert_int_equal(tokens.len, wanted->len);
    assert_memory_equal(tokens.data, wanted->data, tokens.len * sizeof *tokens.data);
    ints_free(&tokens);
}

/* ids: of the same tokenizer, or NULL. */
static void expect_case(const chat_template *t, const tokenizer *tok, const message *chat, int n,
                        const json_t *text, const json_t *ids) {
    ints tokens = {0}, target = {0};
    error err;
    status s = render(t, tok, chat, n, &tokens, &target, &err);
    if (json_is_null(text)) {
        assert_int_equal(s, STATUS_DATA);
        assert_memory_equal(err.message, "message ", 8);
        assert_non_null(strstr(err.message, template_name(t)));
    } else {
        if (s != STATUS_OK) fail_msg("%s: %s", template_name(t), err.message);
        buffer shown = show(tok, &tokens);
        if (ids)
            expect_ids(template_name(t), tok, &tokens, ids);
        else
            expect_rendered(template_name(t), &shown, json_string_value(text));
        if (has_answer(chat, n)) expect_marks(t, tok, chat, n, &tokens, &target);
        expect_joined(t, tok, chat, n, &tokens);
        buffer_free(&shown);
    }
    ints_free(&tokens);
    ints_free(&target);
}

/* All chats with a tokenizer of that shape. */
static void expect_template(const json_t *golden, const json_t *one, const char *shape,
                            const json_t *controls, int with_ids) {
    json_t *shapes = golden_open("shapes");
    const json_t *chat;
    const chat_template *t;
    size_t k;
    error err;
    assert_int_equal(template_find(golden_string(one, "name"), &t, &err), STATUS_OK);
    tokenizer *tok = shape_assemble(shapes, shape_find(shapes, shape), controls);
    json_array_foreach(golden_get(golden, "chats"), k, chat) {
        message list[MOST];
        const json_t *wanted = json_array_get(golden_get(one, "cases"), k),
                     *ids = json_object_get(wanted, "ids");
        int n = read_chat(chat, list);
        if (!with_ids || ids) expect_case(t, tok, list, n, golden_get(wanted, "text"), with_ids ? ids : NULL);
    }
    tokenizer_free(tok);
    json_decref(shapes);
}

static void test_strings_are_transformers(void **state) {
    (void)state;
    json_t *golden = golden_open("templates");
    const json_t *one;
    size_t i;
    json_array_foreach(golden_get(golden, "templates"), i, one) {
        json_t *controls = json_deep_copy(golden_get(one, "controls"));
        const json_t *around[] = {golden_get(one, "bos"), golden_get(one, "eos")}, *name;
        for (int k = 0; k < 2; k++) {
            size_t at;
            int found = json_is_null(around[k]);
            json_array_foreach(controls, at, name) found |= json_equal(name, around[k]);
            if (!found) json_array_append(controls, (json_t *)around[k]);
        }
        expect_template(golden, one, "gpt2", controls, 0);
        json_decref(controls);
    }
    json_decref(golden);
}

static void test_ids_are_transformers(void **state) {
    (void)state;
    json_t *golden = golden_open("templates");
    const json_t *one;
    size_t i;
    json_array_foreach(golden_get(golden, "templates"), i, one)
        expect_template(golden, one, golden_string(one, "shape"), golden_get(one, "controls"), 1);
    json_decref(golden);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings_are_transformers),
        cmocka_unit_test(test_ids_are_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
