#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/base/file.h"
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
    assert_int_equal(template_find("vicuna", &t, &err), STATUS_USAGE);
    assert_string_equal(
        err.message,
        "chat template \"vicuna\" is unknown: there are plain, chatml, qwen2, qwen2.5, smollm2, llama2, "
        "llama3, llama3.1, mistral, mistral-v3, zephyr and gemma");
    assert_int_equal(template_choose("chatml", poor, &t, &err), STATUS_DATA);
    assert_string_equal(err.message, "chat template chatml: the tokenizer has no token <|im_start|>");
    assert_int_equal(template_choose("vicuna", tok, &t, &err), STATUS_USAGE);
    assert_int_equal(template_choose("gemma", tok, &t, &err), STATUS_DATA);
    assert_string_equal(err.message, "chat template gemma: the tokenizer has no token <bos>");
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

/* Features of Jinja texts as they are published, and what is like them and says something else. */
static void test_templates_are_recognised(void **state) {
    static const struct {
        const char *config, *name; /* NULL: none */
    } cases[] = {
        {"{}", "plain"},
        {"{\"chat_template\":\"{{'<|im_start|>'}}\"}", "chatml"},
        {"{\"chat_template\":\"{{'<|im_start|>system\\n' + x}}{{'<|im_start|>assistant\\n' }}\"}", "chatml"},
        {"{\"chat_template\":\"{{'<|im_start|>system\\nYou are a helpful assistant.<|im_end|>'}}\"}",
         "qwen2"},
        {"{\"chat_template\":\"{{'<|im_start|>system\\\\nYou are a helpful assistant.<|im_end|>'}}\"}",
         "qwen2"},
        {"{\"chat_template\":\"{{'<|im_start|>system\\nYou are a pirate.<|im_end|>'}}\"}", NULL},
        {"{\"chat_template\":\"{{ bos_token + '<|im_start|>'}}\"}", NULL},
        {"{\"chat_template\":\"{{'<|im_start|>user<|im_sep|>'}}\"}", NULL},
        {"{\"chat_template\":\"{{'<|im_start|>assistant\\n<think>\\n'}}\"}", NULL},
        {"{\"chat_template\":\"[INST]\"}", NULL},
        {"{\"chat_template\":\"\"}", NULL},
        {"{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"x\"},{\"name\":\"default\",\"template\":"
         "\"{{'<|im_start|>'}}\"}]}",
         "chatml"},
        {"{\"chat_template\":\"<|im_start|>\",\"rlhf_template\":\"plain\"}", "plain"},
    };
    const char *directory = *state;
    tokenizer *tok = bytes_with(3);
    error err;
    assert_int_equal(tokenizer_save(tok, NULL, directory, &err), STATUS_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_choice(directory, cases[i].config, i & 1 ? "auto" : NULL,
                      cases[i].name ? STATUS_OK : STATUS_USAGE,
                      cases[i].name ? cases[i].name : "none that is known");
    expect_choice(directory, "{\"chat_template\":\"[INST]\"}", "plain", STATUS_OK, "plain");
    expect_choice(directory, "{\"rlhf_template\":\"vicuna\"}", NULL, STATUS_USAGE, "\"vicuna\" is unknown");
    tokenizer_free(tok);
}

/* Each template's own Jinja text, and that text in a file, is known for what it is. */
static void test_what_is_saved_is_recognised(void **state) {
    const char *directory = *state;
    const chat_template *t;
    for (int i = 0; (t = template_at(i)) != NULL; i++) {
        const char *special[1 + TEMPLATE_MAX_CONTROLS] = {"<|pad|>"};
        int n = 1 + template_controls(t, special + 1);
        tokenizer *tok, *again;
        const chat_template *found;
        error err;
        assert_int_equal(tokenizer_train(NULL, 0, 256 + n, special, n, &tok, &err), STATUS_OK);
        assert_int_equal(tokenizer_save(tok, template_name(t), directory, &err), STATUS_OK);
        tokenizer_free(tok);
        assert_int_equal(tokenizer_load(directory, &again, &err), STATUS_OK);
        assert_int_equal(template_choose(NULL, again, &found, &err), STATUS_OK);
        assert_ptr_equal(found, t);
        assert_string_equal(tokenizer_named(again, "eos_token"), template_end_name(t));
        tokenizer_free(again);

        write_all(path_in(directory, "tokenizer_config.json"), "{}", 2);
        write_all(path_in(directory, "chat_template.jinja"), template_jinja(t), strlen(template_jinja(t)));
        assert_int_equal(tokenizer_load(directory, &again, &err), STATUS_OK);
        if (template_choose(NULL, again, &found, &err) != STATUS_OK) fail_msg("%s", err.message);
        assert_string_equal(template_name(found), template_name(t));
        tokenizer_free(again);
    }
}

/* A Jinja text that says what was chosen stays as it was published; another is replaced. */
static void test_published_texts_stay(void **state) {
    static const char published[] = "{\"chat_template\":\"<|im_start|> and tools\"}",
                      file[] = "<|im_start|> in a file";
    const char *directory = *state, *config = path_in(directory, "tokenizer_config.json");
    const char *jinja = path_in(directory, "chat_template.jinja");
    tokenizer *tok = bytes_with(3), *again;
    error err;
    assert_int_equal(tokenizer_save(tok, NULL, directory, &err), STATUS_OK);
    tokenizer_free(tok);
    write_all(config, published, strlen(published));
    assert_int_equal(tokenizer_load(directory, &again, &err), STATUS_OK);
    assert_int_equal(tokenizer_save(again, "chatml", directory, &err), STATUS_OK);
    tokenizer_free(again);
    assert_int_equal(tokenizer_load(directory, &again, &err), STATUS_OK);
    assert_string_equal(tokenizer_chat_template(again), "<|im_start|> and tools");
    assert_string_equal(tokenizer_template_name(again), "chatml");
    tokenizer_free(again);

    write_all(config, "{}", 2);
    write_all(jinja, file, strlen(file));
    assert_int_equal(tokenizer_load(directory, &again, &err), STATUS_OK);
    assert_int_equal(tokenizer_save(again, "chatml", directory, &err), STATUS_OK);
    buffer kept = read_all(jinja);
    assert_string_equal(kept.data, file);
    buffer_free(&kept);
    assert_int_equal(tokenizer_save(again, "plain", directory, &err), STATUS_OK);
    tokenizer_free(again);
    assert_false(path_exists(jinja)); /* it would go before what was chosen */
    assert_int_equal(tokenizer_load(directory, &again, &err), STATUS_OK);
    assert_string_equal(tokenizer_chat_template(again), template_jinja(named("plain")));
    tokenizer_free(again);
}

/* A published tokenizer without an end of text has an end of its own, and maybe a beginning. */
static void test_plain_takes_the_tokenizers_ends(void **state) {
    const char *directory = *state;
    static const char config[] =
        "{\"add_bos_token\":true,\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"</s>\"}}";
    const char *special[] = {"<s>", "</s>"};
    tokenizer *tok, *again;
    error err;
    assert_int_equal(tokenizer_train(NULL, 0, 258, special, 2, &tok, &err), STATUS_OK);
    assert_int_equal(tokenizer_save(tok, NULL, directory, &err), STATUS_OK);
    write_all(path_in(directory, "tokenizer_config.json"), config, strlen(config));
    assert_int_equal(tokenizer_load(directory, &again, &err), STATUS_OK);
    const chat_template *t;
    assert_int_equal(template_choose(NULL, again, &t, &err), STATUS_OK);
    assert_string_equal(template_name(t), "plain");
    assert_int_equal(template_end_token(t, again), 1);

    ints tokens = {0}, target = {0};
    assert_int_equal(template_prompt(t, again, &(prompt){.text = "ab"}, &tokens, &err), STATUS_OK);
    assert_int_equal(template_answer(t, again, "c", 1, &tokens, &err), STATUS_OK);
    expect(again, &tokens, "<s>abc</s>", NULL, NULL);
    ints_clear(&tokens);
    assert_int_equal(template_chat(t, again, talk + 1, 2, &tokens, &target, &err), STATUS_OK);
    expect(again, &tokens, "<s>\n\nHuman: q\n\nAssistant: a</s>", &target,
           "0000000000000000000000"
           "0011");
    assert_int_equal(tokenizer_save(again, "plain", directory, &err), STATUS_OK);
    tokenizer_free(tok);
    assert_int_equal(tokenizer_load(directory, &tok, &err), STATUS_OK);
    assert_non_null(strstr(tokenizer_chat_template(tok), "message['content'] + '</s>'"));
    assert_string_equal(tokenizer_named(tok, "eos_token"), "</s>");

    write_all(path_in(directory, "tokenizer_config.json"), "{\"add_bos_token\":true,\"bos_token\":\"<b>\"}",
              40);
    tokenizer *none;
    assert_int_equal(tokenizer_load(directory, &none, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "bos_token: the tokenizer has no token <b>"));
    ints_free(&tokens);
    ints_free(&target);
    tokenizer_free(again);
    tokenizer_free(tok);
}

/* What is a control token in a template's text is text in a content. */
static void test_contents_stay_text(void **state) {
    (void)state;
    const char *special[1 + TEMPLATE_MAX_CONTROLS];
    const chat_template *t;
    for (int i = 0; (t = template_at(i)) != NULL; i++) {
        special[0] = "<|other|>";
        int n = 1 + template_controls(t, special + 1);
        buffer evil = {0};
        for (int k = 0; k < n; k++) buffer_string(&evil, special[k]);
        tokenizer *tok;
        error err;
        assert_int_equal(tokenizer_train(NULL, 0, 256 + n, special, n, &tok, &err), STATUS_OK);
        message harmless[] = {{"user", "x"}, {"assistant", "y"}},
                hostile[] = {{"user", evil.data}, {"assistant", evil.data}};
        ints a = {0}, b = {0}, target = {0};
        assert_int_equal(template_chat(t, tok, harmless, 2, &a, &target, &err), STATUS_OK);
        assert_int_equal(template_chat(t, tok, hostile, 2, &b, &target, &err), STATUS_OK);
        int count[2] = {0};
        for (size_t k = 0; k < a.len; k++) count[0] += tokenizer_is_special(tok, a.data[k]);
        for (size_t k = 0; k < b.len; k++) count[1] += tokenizer_is_special(tok, b.data[k]);
        assert_int_equal(count[0], count[1]);
        ints_free(&a);
        ints_free(&b);
        ints_free(&target);
        buffer_free(&evil);
        tokenizer_free(tok);
    }
}

static void test_turns_that_cannot_be_said(void **state) {
    (void)state;
    const char *special[TEMPLATE_MAX_CONTROLS];
    static const struct {
        const char *template;
        message chat[3];
        int n;
        const char *what;
    } bad[] = {
        {"gemma",
         {{"system", "s"}, {"user", "u"}, {"assistant", "a"}},
         3,
         "message 1: chat template gemma takes no system"},
        {"mistral-v3",
         {{"system", "s"}, {"user", "u"}, {"assistant", "a"}},
         3,
         "put it into the user's message"},
        {"llama2",
         {{"user", "u"}, {"user", "v"}, {"assistant", "a"}},
         3,
         "message 2: chat template llama2: user and assistant must take turns, the user first"},
        {"mistral",
         {{"assistant", "a"}},
         1,
         "message 1: chat template mistral: user and assistant must take turns"},
        {"llama2",
         {{"user", "u"}, {"system", "s"}, {"assistant", "a"}},
         3,
         "message 2: chat template llama2 takes a system prompt as the first message alone"},
        {"llama2", {{"system", "s"}, {"system", "s"}, {"user", "a"}}, 3, "as the first message alone"},
        {"llama2",
         {{"system", "s"}},
         1,
         "message 1: chat template llama2 takes a system prompt with a user's message"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const chat_template *t = named(bad[i].template);
        int n = template_controls(t, special);
        tokenizer *tok;
        error err;
        assert_int_equal(tokenizer_train(NULL, 0, 256 + n, special, n, &tok, &err), STATUS_OK);
        ints tokens = {0}, target = {0};
        assert_int_equal(template_chat(t, tok, bad[i].chat, bad[i].n, &tokens, &target, &err), STATUS_DATA);
        if (!strstr(err.message, bad[i].what)) fail_msg("\"%s\": wanted \"%s\"", err.message, bad[i].what);
        ints_free(&tokens);
        ints_free(&target);
        tokenizer_free(tok);
    }
}

/* Worked out by hand: what the answers are is marked, with what the published text puts around them. */
static void test_llama2_by_hand(void **state) {
    (void)state;
    const char *special[] = {"<s>", "</s>"};
    tokenizer *tok;
    error err;
    assert_int_equal(tokenizer_train(NULL, 0, 258, special, 2, &tok, &err), STATUS_OK);
    ints tokens = {0}, target = {0};
    assert_int_equal(template_chat(named("llama2"), tok, talk, COUNT(talk), &tokens, &target, &err),
                     STATUS_OK);
    expect(tok, &tokens, "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nq [/INST] a </s><s>[INST] r [/INST] bc </s>",
           &target,
           "0"
           "0000000"
           "00000000"
           "00"
           "00000000"
           "00"
           "0"
           "00000000"
           "1111"
           "0"
           "0000000"
           "0"
           "00000000"
           "11111");
    ints_free(&tokens);
    ints_free(&target);
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
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chatml_by_hand),
        cmocka_unit_test(test_plain_by_hand),
        cmocka_unit_test(test_the_three_ways_to_a_sequence_agree),
        cmocka_unit_test(test_a_text_prompt_is_a_turn_in_chatml_only),
        cmocka_unit_test(test_what_cannot_be_said_is_refused),
        IN_DIRECTORY(test_templates_are_recognised),
        IN_DIRECTORY(test_what_is_saved_is_recognised),
        IN_DIRECTORY(test_published_texts_stay),
        IN_DIRECTORY(test_plain_takes_the_tokenizers_ends),
        cmocka_unit_test(test_contents_stay_text),
        cmocka_unit_test(test_turns_that_cannot_be_said),
        cmocka_unit_test(test_llama2_by_hand),
        cmocka_unit_test(test_qwen3_chats_in_its_own_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
