#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/text/template.h"
#include "tests/support/places.h"

/* A tokenizer of bytes: id = 3 + the byte's place in the alphabet, and the three control tokens. */
enum { END_OF_TEXT, TURN_START, TURN_END };

static tokenizer *bytes_with(int n_special) {
    const char *special[] = {TOKEN_END_OF_TEXT, TOKEN_TURN_START, TOKEN_TURN_END};
    tokenizer *t;
    error err;
    if (tokenizer_train(NULL, 0, 256 + n_special, special, n_special, &t, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    return t;
}

static const chat_template *named(const char *name) {
    const chat_template *t;
    error err;
    if (template_find(name, &t, &err) != STATUS_OK) fail_msg("%s", err.message);
    return t;
}

/* The ids must read as this text, where control tokens stand by name; target as a string of 0 and 1, or
   NULL. */
static void expect(const tokenizer *tok, const ints *tokens, const char *text, const ints *target,
                   const char *marks) {
    buffer shown = {0};
    error err;
    assert_int_equal(tokenizer_decode(tok, tokens->data, tokens->len, 1, &shown, &err), STATUS_OK);
    assert_string_equal(shown.data, text);
    buffer_free(&shown);
    if (!target) return;
    assert_int_equal(target->len, tokens->len);
    assert_int_equal(target->len, strlen(marks));
    for (size_t i = 0; i < target->len; i++)
        if (target->data[i] != marks[i] - '0') fail_msg("token %zu: target is %d", i, target->data[i]);
}

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static const message talk[] = {
    {"system", "S"}, {"user", "q"}, {"assistant", "a"}, {"user", "r"}, {"assistant", "bc"}};

static void test_chatml_by_hand(void **state) {
    (void)state;
    tokenizer *tok = bytes_with(3);
    const chat_template *t = named("chatml");
    error err;
    ints tokens = {0}, target = {0};
    assert_int_equal(template_chat(t, tok, talk, COUNT(talk), &tokens, &target, &err), STATUS_OK);
    expect(
        tok, &tokens,
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n"
        "<|im_start|>user\nr<|im_end|>\n<|im_start|>assistant\nbc<|im_end|>",
        &target,
        /* 1 id for a control token, one for each letter */
        "0000000000"
        "000000000"
        "00000000000011"
        "000000000"
        "000000000000111");
    assert_int_equal(tokens.data[0], TURN_START);
    assert_int_equal(tokens.data[tokens.len - 1], TURN_END);
    assert_int_equal(template_end_token(t, tok), TURN_END);

    prompt text = {.text = "hi"};
    ints_clear(&tokens);
    assert_int_equal(template_prompt(t, tok, &text, &tokens, &err), STATUS_OK);
    expect(tok, &tokens, "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", NULL, NULL);
    ints_free(&tokens);
    ints_free(&target);
    tokenizer_free(tok);
}

static void test_plain_by_hand(void **state) {
    (void)state;
    tokenizer *tok = bytes_with(1);
    const chat_template *t = named("plain");
    error err;
    ints tokens = {0}, target = {0};
    assert_int_equal(template_chat(t, tok, talk + 1, 4, &tokens, &target, &err), STATUS_OK);
    expect(tok, &tokens,
           "\n\nHuman: q\n\nAssistant: a<|endoftext|>\n\nHuman: r\n\nAssistant: bc<|endoftext|>", &target,
           "0000000000"
           "000000000000011"
           "0000000000"
           "0000000000000111");
    assert_int_equal(template_end_token(t, tok), END_OF_TEXT);

    prompt text = {.text = "Once upon"};
    ints_clear(&tokens);
    assert_int_equal(template_prompt(t, tok, &text, &tokens, &err), STATUS_OK);
    expect(tok, &tokens, "Once upon", NULL, NULL);
    assert_int_equal(template_answer(t, tok, " a time", 7, &tokens, &err), STATUS_OK);
    expect(tok, &tokens, "Once upon a time<|endoftext|>", NULL, NULL);

    prompt system = {.messages = talk, .n_message = 2};
    ints_clear(&tokens);
    assert_int_equal(template_prompt(t, tok, &system, &tokens, &err), STATUS_OK);
    expect(tok, &tokens, "\n\nSystem: S\n\nHuman: q\n\nAssistant: ", NULL, NULL);
    ints_free(&tokens);
    ints_free(&target);
    tokenizer_free(tok);
}

/* SFT builds a chat, PPO a prompt and the ids that the model chose, the reward model a prompt and an
   answer's text: for the same words all must be the same ids, whatever white space stands at the seams. */
static void test_the_three_ways_to_a_sequence_agree(void **state) {
    (void)state;
    static const char corpus[] =
        "\n\nHuman: the cat\n\nAssistant: the cat user\nthe assistant\nthe the  the\n\n the the ";
    static const char *const contents[] = {"the cat", " the", "\n\nthe",    "the ", "the\n",
                                           "",        " ",    "<|im_end|>", "\n"};
    const char *special[] = {TOKEN_END_OF_TEXT, TOKEN_TURN_START, TOKEN_TURN_END};
    tokenizer_text texts[] = {{corpus, strlen(corpus)}, {corpus, strlen(corpus)}};
    tokenizer *tok;
    error err;
    if (tokenizer_train(texts, 2, 283, special, 3, &tok, &err) != STATUS_OK) fail_msg("%s", err.message);
    for (int which = 0; which < 2; which++) {
        const chat_template *t = named(which ? "chatml" : "plain");
        for (int i = 0; i < COUNT(contents) * COUNT(contents); i++) {
            const char *asked = contents[i / COUNT(contents)], *answer = contents[i % COUNT(contents)];
            message chat[] = {{"user", asked}, {"assistant", answer}, {"user", asked}, {"assistant", answer}};
            ints sft = {0}, target = {0}, reward = {0}, answer_ids = {0};
            assert_int_equal(template_chat(t, tok, chat, 4, &sft, &target, &err), STATUS_OK);
            prompt p = {.messages = chat, .n_message = 3};
            assert_int_equal(template_prompt(t, tok, &p, &reward, &err), STATUS_OK);
            size_t n_prompt = reward.len;
            assert_int_equal(template_answer(t, tok, answer, strlen(answer), &answer_ids, &err), STATUS_OK);
            ints_append(&reward, answer_ids.data, answer_ids.len);
            assert_int_equal(sft.len, reward.len);
            assert_memory_equal(sft.data, reward.data, sft.len * sizeof *sft.data);
            /* The last turn's targets are the answer's ids. */
            for (size_t k = n_prompt; k < sft.len; k++) assert_int_equal(target.data[k], 1);
            assert_int_equal(target.data[n_prompt - 1], 0);
            ints_free(&sft);
            ints_free(&target);
            ints_free(&reward);
            ints_free(&answer_ids);
        }
    }
    tokenizer_free(tok);
}

static void test_a_text_prompt_is_a_turn_in_chatml_only(void **state) {
    (void)state;
    tokenizer *tok = bytes_with(3);
    error err;
    const message turn = {"user", "hi"};
    const prompt text = {.text = "hi"}, turns = {.messages = &turn, .n_message = 1};
    ints a = {0}, b = {0};
    assert_int_equal(template_prompt(named("chatml"), tok, &text, &a, &err), STATUS_OK);
    assert_int_equal(template_prompt(named("chatml"), tok, &turns, &b, &err), STATUS_OK);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len * sizeof *a.data);
    ints_free(&a);
    ints_free(&b);
    tokenizer_free(tok);
}

static void test_what_cannot_be_said_is_refused(void **state) {
    (void)state;
    tokenizer *tok = bytes_with(3), *poor = bytes_with(1);
    const chat_template *plain = named("plain"), *chatml = named("chatml"), *t;
    const message tool[] = {{"user", "q"}, {"tool", "x"}};
    prompt bad_role = {.messages = tool, .n_message = 2}, ends_wrong = {.messages = talk, .n_message = 3};
    prompt no_messages = {.messages = talk, .n_message = 0}, empty = {.text = ""};
    ints tokens = {0}, target = {0};
    error err;
    assert_int_equal(template_prompt(chatml, tok, &bad_role, &tokens, &err), STATUS_DATA);
    assert_string_equal(err.message, "message 2: role \"tool\" is none of system, user and assistant");
    assert_int_equal(template_prompt(plain, tok, &ends_wrong, &tokens, &err), STATUS_DATA);
    assert_string_equal(err.message, "message 3: a prompt must not end with the assistant's message");
    assert_int_equal(template_prompt(plain, tok, &no_messages, &tokens, &err), STATUS_DATA);
    assert_int_equal(template_prompt(plain, tok, &empty, &tokens, &err), STATUS_DATA);
    assert_int_equal(template_chat(chatml, tok, talk, 2, &tokens, &target, &err), STATUS_DATA);
    assert_string_equal(err.message, "a chat without a message of the assistant");
    assert_int_equal(template_answer(chatml, poor, "a", 1, &tokens, &err), STATUS_DATA);
    assert_string_equal(err.message, "chat template chatml: the tokenizer has no token <|im_end|>");
    assert_int_equal(template_find("zephyr", &t, &err), STATUS_USAGE);
    assert_string_equal(err.message, "chat template \"zephyr\" is unknown: there are plain and chatml");
    assert_int_equal(template_choose("chatml", poor, &t, &err), STATUS_DATA);
    assert_int_equal(template_choose("zephyr", tok, &t, &err), STATUS_USAGE);
    ints_free(&tokens);
    ints_free(&target);
    tokenizer_free(tok);
    tokenizer_free(poor);
}

static void expect_choice(const char *directory, const char *config, const char *name, status wanted_status,
                          const char *wanted) {
    tokenizer *tok;
    const chat_template *t = NULL;
    error err;
    write_all(path_in(directory, "tokenizer_config.json"), config, strlen(config));
    if (tokenizer_load(directory, &tok, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_int_equal(template_choose(name, tok, &t, &err), wanted_status);
    if (wanted_status == STATUS_OK)
        assert_string_equal(template_name(t), wanted);
    else
        assert_non_null(strstr(err.message, wanted));
    tokenizer_free(tok);
}

static void test_templates_are_recognised(void **state) {
    const char *directory = *state;
    tokenizer *tok = bytes_with(3);
    error err;
    assert_int_equal(tokenizer_save(tok, NULL, directory, &err), STATUS_OK);
    expect_choice(directory, "{}", NULL, STATUS_OK, "plain");
    expect_choice(directory, "{\"chat_template\":\"{{'<|im_start|>'}}\"}", "auto", STATUS_OK, "chatml");
    expect_choice(directory, "{\"chat_template\":\"[INST]\"}", NULL, STATUS_USAGE,
                  "neither plain nor chatml");
    expect_choice(directory, "{\"chat_template\":\"[INST]\"}", "plain", STATUS_OK, "plain");
    expect_choice(directory, "{\"chat_template\":\"<|im_start|>\",\"rlhf_template\":\"plain\"}", NULL,
                  STATUS_OK, "plain");
    expect_choice(directory, "{\"rlhf_template\":\"zephyr\"}", NULL, STATUS_USAGE, "\"zephyr\" is unknown");

    /* A Jinja text that is chatml already stays as it was published; another is replaced. */
    static const char published[] = "{\"chat_template\":\"<|im_start|> and tools\"}";
    write_all(path_in(directory, "tokenizer_config.json"), published, strlen(published));
    tokenizer *again;
    assert_int_equal(tokenizer_load(directory, &again, &err), STATUS_OK);
    assert_int_equal(tokenizer_save(again, "chatml", directory, &err), STATUS_OK);
    tokenizer_free(again);
    assert_int_equal(tokenizer_load(directory, &again, &err), STATUS_OK);
    assert_string_equal(tokenizer_chat_template(again), "<|im_start|> and tools");
    assert_string_equal(tokenizer_template_name(again), "chatml");
    assert_int_equal(tokenizer_save(again, "plain", directory, &err), STATUS_OK);
    tokenizer_free(again);
    assert_int_equal(tokenizer_load(directory, &again, &err), STATUS_OK);
    assert_string_equal(tokenizer_chat_template(again), template_jinja(named("plain")));
    tokenizer_free(again);
    tokenizer_free(tok);
}

/* The published chat format, worked out with Qwen3's tokenizer and its Jinja text. */
static void test_qwen3_chats_in_its_own_ids(void **state) {
    (void)state;
    tokenizer *tok;
    error err;
    assert_int_equal(tokenizer_load(shared_path("data/tokenizers/qwen3"), &tok, &err), STATUS_OK);
    const chat_template *t;
    assert_int_equal(template_choose(NULL, tok, &t, &err), STATUS_OK);
    assert_string_equal(template_name(t), "chatml");
    const prompt p = {.messages = (const message[]){{"system", "Be kind."}, {"user", "\n\nHi there"}},
                      .n_message = 2};
    static const int32_t wanted[] = {151644, 8948, 198,   3430, 3093,   13,  151645, 198,   151644,
                                     872,    1406, 13048, 1052, 151645, 198, 151644, 77091, 198};
    ints tokens = {0};
    assert_int_equal(template_prompt(t, tok, &p, &tokens, &err), STATUS_OK);
    assert_int_equal(tokens.len, COUNT(wanted));
    assert_memory_equal(tokens.data, wanted, sizeof wanted);
    ints_free(&tokens);
    tokenizer_free(tok);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chatml_by_hand),
        cmocka_unit_test(test_plain_by_hand),
        cmocka_unit_test(test_the_three_ways_to_a_sequence_agree),
        cmocka_unit_test(test_a_text_prompt_is_a_turn_in_chatml_only),
        cmocka_unit_test(test_what_cannot_be_said_is_refused),
        cmocka_unit_test_setup_teardown(test_templates_are_recognised, directory_setup, directory_teardown),
        cmocka_unit_test(test_qwen3_chats_in_its_own_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
