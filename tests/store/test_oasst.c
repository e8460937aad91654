/* OpenAssistant's message trees: the best chat, the rankings in them, and what is no tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/json.h"
#include "datasets/store/oasst.h"

static json_t *parse(const char *text) {
    json_t *root;
    error err;
    if (parse_json_object(text, strlen(text), "f:1", &root, &err) != STATUS_OK) fail_msg("%s", err.message);
    return root;
}

static void expect_json(json_t *made, const char *want) {
    char *text = json_dumps(made, JSON_COMPACT);
    assert_string_equal(text, want);
    free(text);
    json_decref(made);
}

static void expect_chat(const char *tree, const char *want) {
    json_t *root = parse(tree), *chat;
    error err;
    assert_true(oasst_is_tree(root));
    if (oasst_chat(root, "f:1", &chat, &err) != STATUS_OK) fail_msg("%s", err.message);
    expect_json(chat, want);
    json_decref(root);
}

static void expect_rankings(const char *tree, const char *want) {
    json_t *root = parse(tree), *list;
    error err;
    if (oasst_rankings(root, "f:1", &list, &err) != STATUS_OK) fail_msg("%s", err.message);
    expect_json(list, want);
    json_decref(root);
}

#define TREE(prompt)       "{\"message_tree_id\":\"t\",\"prompt\":" prompt "}"
#define ASK(text, replies) "{\"role\":\"prompter\",\"text\":\"" text "\",\"replies\":[" replies "]}"
#define SAY(text, more, replies)                                                                             \
    "{\"role\":\"assistant\",\"text\":\"" text "\"," more "\"replies\":[" replies "]}"
#define U(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define A(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"

static const char whole[] = TREE(
    ASK("q", SAY("worse", "\"rank\":1,", ASK("left", SAY("x", "", ""))) "," SAY(
                 "best", "\"rank\":0,",
                 ASK("more", SAY("z", "\"rank\":2,", "") "," SAY(
                                 "y", "\"rank\":1,",
                                 ASK("last", "")))) "," SAY("gone", "\"rank\":2,\"deleted\":true,", "")));

static void test_the_best_chat(void **state) {
    (void)state;
    /* It ends with an answer. */
    expect_chat(whole, "{\"messages\":[" U("q") "," A("best") "," U("more") "," A("y") "]}");
    /* Without ranks the first reply counts. */
    expect_chat(TREE(ASK("q", SAY("a", "", "") "," SAY("b", "", ""))),
                "{\"messages\":[" U("q") "," A("a") "]}");
    expect_chat(TREE(ASK("q", SAY("a", "\"deleted\":true,", "") "," SAY("b", "\"rank\":null,", ""))),
                "{\"messages\":[" U("q") "," A("b") "]}");
    expect_chat("{\"message_tree_id\":\"t\",\"split\":\"test\",\"prompt\":" ASK("q", SAY("a", "", "")) "}",
                "{\"messages\":[" U("q") "," A("a") "],\"split\":\"test\"}");
}

static void test_rankings(void **state) {
    (void)state;
    expect_rankings(whole, "[{\"messages\":[" U("q") "],\"answers\":[\"worse\",\"best\"],\"ranks\":[2,1]},"
                                                     "{\"messages\":[" U("q") "," A("best") "," U(
                                                         "more") "],\"answers\":[\"z\",\"y\"],"
                                                                 "\"ranks\":[3,2]}]");
    /* One ranked reply is no ranking. */
    expect_rankings(TREE(ASK("q", SAY("a", "\"rank\":0,", "") "," SAY("b", "", ""))), "[]");
    expect_rankings(TREE(ASK("q", "")), "[]");
}

static void refuse(const char *tree, const char *says) {
    json_t *root = parse(tree), *out;
    error err;
    assert_int_equal(oasst_chat(root, "f:1", &out, &err), STATUS_DATA);
    assert_null(out);
    assert_int_equal(strncmp(err.message, "f:1: ", 5), 0);
    if (!strstr(err.message, says)) fail_msg("\"%s\" does not say \"%s\"", err.message, says);
    json_decref(root);
}

static void test_what_is_no_tree(void **state) {
    (void)state;
    static const char *const none[] = {"{}", "{\"prompt\":\"q\"}", "{\"message_tree_id\":\"t\"}",
                                       "{\"message_tree_id\":\"t\",\"prompt\":\"q\"}"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        json_t *root = parse(none[i]);
        assert_false(oasst_is_tree(root));
        json_decref(root);
    }
    refuse(TREE(ASK("q", "")), "the tree has no answer");
    refuse(TREE("{\"role\":\"robot\",\"text\":\"q\"}"), "the \"role\" prompter or assistant");
    refuse(TREE("{\"role\":\"prompter\"}"), "needs a \"text\"");
    refuse(TREE(ASK("q", "7")), "needs a \"text\"");
    json_t *root =
        parse(TREE(ASK("q", "{\"role\":\"assistant\",\"rank\":0},{\"role\":\"assistant\",\"rank\":1}")));
    json_t *out;
    error err;
    assert_int_equal(oasst_rankings(root, "f:1", &out, &err), STATUS_DATA);
    assert_null(out);
    assert_non_null(strstr(err.message, "f:1: a ranked reply of the tree needs a \"text\""));
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_best_chat),
        cmocka_unit_test(test_rankings),
        cmocka_unit_test(test_what_is_no_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
