/* A chat whose cache stays between turns says what one that reads everything anew would say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "datasets/answers.h"
#include "rlhf/conversation.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"
#include "tests/support/speaking_model.h"

enum { MOST = 24 };

static sampling how(void) {
    return (sampling){.temperature = 0.8f, .top_p = 1, .key = random_make_key(7, RANDOM_SAMPLE, 0, 0)};
}

typedef struct scene {
    language_model lm;
    conversation talk;
} scene;

static void open_scene(scene *s, const char *directory, const char *chat_template, int context,
                       const char *system, const char *format) {
    sampling options = how();
    make_speaking_model(directory, chat_template, context, 3);
    OK(language_model_open(directory, 1, NULL, NULL, system, &s->lm, err));
    OK(conversation_open(&s->lm, &options, MOST, format, &s->talk, err));
}

static void close_scene(scene *s) {
    conversation_close(&s->talk);
    language_model_close(&s->lm);
}

/* Asks, and hears the answer out, at most `most` tokens. */
static void hear(conversation *c, const char *text, int most, ints *out) {
    int done = 0;
    int32_t token;
    OK(conversation_ask(c, text, err));
    ints_clear(out);
    for (int i = 0; i < most && !done; i++) {
        OK(conversation_next(c, &token, &done, err));
        ints_push(out, token);
    }
    OK(conversation_end(c, err));
}

/* What the model answers to these ids as a whole prompt, with the same counters. */
static void answer_anew(const scene *s, const ints *ids, uint64_t seq_id, ints *out) {
    sampler sam;
    answers a;
    sampling options = how();
    OK(sampler_create(s->lm.session.dev, model_get_config(s->lm.model), 1, 1, (int)ids->len, MOST, &sam,
                      err));
    OK(answers_create(1, 1, MOST, &a, err));
    a.prompt[0] = (generate_prompt){ids->data, (int)ids->len, seq_id};
    OK(answers_sample(&a, &sam, s->lm.model, &options, s->lm.session.end_token, NULL, NULL, err));
    ints_clear(out);
    ints_append(out, a.token, (size_t)a.n_token[0]);
    answers_free(&a);
    sampler_free(&sam);
}

static void expect_same(const ints *got, const ints *want) {
    assert_int_equal(got->len, want->len);
    assert_memory_equal(got->data, want->data, sizeof(int32_t) * want->len);
}

static void check_turns(const char *directory, const char *chat_template, const char *system) {
    static const char *const said[] = {"hello", "and then?", "why"};
    scene s;
    ints heard = {0}, anew = {0}, ids = {0};
    open_scene(&s, directory, chat_template, 512, system, NULL);
    const session *x = &s.lm.session;
    for (int i = 0; i < 3; i++) {
        size_t held = s.talk.held.len;
        if (i == 0) {
            message turn[] = {{"system", system}, {"user", said[0]}};
            prompt p = {.messages = system ? turn : turn + 1, .n_message = system ? 2 : 1};
            OK(template_prompt(x->chat, x->tok, &p, &ids, err));
        } else
            OK(template_next(x->chat, x->tok, said[i], &ids, err));
        answer_anew(&s, &ids, (uint64_t)i + 1, &anew);
        hear(&s.talk, said[i], MOST, &heard);
        expect_same(&heard, &anew);
        ints_append(&ids, heard.data, heard.len);
        if (heard.data[heard.len - 1] != x->end_token) ints_push(&ids, x->end_token);
        assert_true(held < s.talk.held.len);
        assert_int_equal(s.talk.dropped, 0);
    }
    close_scene(&s);
    ints_free(&heard);
    ints_free(&anew);
    ints_free(&ids);
}

static void test_turns_plain(void **state) { check_turns(*state, "plain", NULL); }
static void test_turns_chatml(void **state) { check_turns(*state, "chatml", "be kind"); }

static void test_full_context_forgets_the_oldest(void **state) {
    scene s;
    ints heard = {0}, anew = {0}, ids = {0};
    char text[32];
    int dropped = 0;
    open_scene(&s, *state, "plain", 160, NULL, NULL);
    for (int i = 0; i < 12; i++) {
        snprintf(text, sizeof text, "message %d", i);
        hear(&s.talk, text, MOST, &heard);
        assert_true(s.talk.ids.len + heard.len <= 160);
        if (!s.talk.dropped) continue;
        dropped++;
        ints_clear(&ids);
        ints_append(&ids, s.talk.ids.data, s.talk.ids.len);
        answer_anew(&s, &ids, (uint64_t)i + 1, &anew);
        expect_same(&heard, &anew);
        assert_true(s.talk.ids.len <= 80 || s.talk.n == 1);
    }
    assert_true(dropped >= 2);
    close_scene(&s);
    ints_free(&heard);
    ints_free(&anew);
    ints_free(&ids);
}

static void test_long_message_is_refused(void **state) {
    scene s;
    ints heard = {0};
    char text[200];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    open_scene(&s, *state, "plain", 96, NULL, NULL);
    hear(&s.talk, "hello", 4, &heard);
    REFUSED(conversation_ask(&s.talk, text, err), STATUS_DATA, "context is 96");
    hear(&s.talk, "still there?", 4, &heard);
    assert_true(heard.len > 0);
    close_scene(&s);
    ints_free(&heard);
}

static void test_stopped_answers_are_closed(void **state) {
    scene s;
    ints heard = {0}, want = {0};
    open_scene(&s, *state, "chatml", 256, NULL, NULL);
    hear(&s.talk, "hello", 2, &heard);
    const ints *kept = &s.talk.exchange[0].answer;
    assert_int_equal(kept->len, heard.len + 1);
    assert_int_equal(kept->data[kept->len - 1], 2);
    conversation_reset(&s.talk);
    hear(&s.talk, "hello", 2, &heard);
    message turn = {"user", "hello"};
    OK(template_prompt(s.lm.session.chat, s.lm.session.tok, &(prompt){.messages = &turn, .n_message = 1},
                       &want, err));
    expect_same(&s.talk.ids, &want);
    close_scene(&s);
    ints_free(&heard);
    ints_free(&want);
}

static void test_format_makes_prompts_of_their_own(void **state) {
    scene s;
    ints heard = {0}, want = {0};
    open_scene(&s, *state, "plain", 256, NULL, "Q: {}\\nA:");
    hear(&s.talk, "one", 3, &heard);
    hear(&s.talk, "two", 3, &heard);
    assert_int_equal(s.talk.n, 1);
    OK(tokenizer_encode(s.lm.session.tok, "Q: two\nA:", 9, &want, err));
    expect_same(&s.talk.ids, &want);
    close_scene(&s);
    ints_free(&heard);
    ints_free(&want);
}

static void test_models_that_write_no_text(void **state) {
    language_model lm = {0};
    const char *reward = path_in(*state, "run/model");
    OK(path_make_directories(path_in(*state, "run"), err));
    make_reward_model(reward, "plain", 64, 1);
    REFUSED(language_model_open(reward, 1, NULL, NULL, NULL, &lm, err), STATUS_DATA, "writes no text");
    language_model_close(&lm);
    REFUSED(language_model_open(path_in(*state, "run"), 1, NULL, NULL, NULL, &lm, err), STATUS_DATA,
            "run/model is one");
    REFUSED(language_model_open(path_in(*state, "none"), 1, NULL, NULL, NULL, &lm, err), STATUS_DATA, "none");
    REFUSED(language_model_open(reward, 1, NULL, "vicuna", NULL, &lm, err), STATUS_USAGE, "vicuna");
    language_model_close(&lm);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, directory_setup, directory_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_turns_plain),
                                       TEST(test_turns_chatml),
                                       TEST(test_full_context_forgets_the_oldest),
                                       TEST(test_long_message_is_refused),
                                       TEST(test_stopped_answers_are_closed),
                                       TEST(test_format_makes_prompts_of_their_own),
                                       TEST(test_models_that_write_no_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
