/* rlhf eval winrate: between runs, between models, and what cannot be compared. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "rlhf/commands.h"
#include "rlhf/eval_answers.h"
#include "tests/support/command.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"
#include "tests/support/speaking_model.h"

/* Scores a line by its number of x. */
static const char COUNT[] = "while read -r line; do printf '%s' \"$line\" | tr -cd x | wc -c; done";

static const char *write_run(const char *directory, const char *lines) {
    OK(path_make_directories(directory, err));
    write_all(path_in(directory, "answers.jsonl"), lines, strlen(lines));
    return directory;
}

static json_t *winrate(const char *const *words) {
    buffer out = {0};
    error err;
    json_t *root;
    if (run_command_line(eval_command, words, &out, &err) != STATUS_OK) fail_msg("%s", err.message);
    OK(parse_json(out.data, out.len, "the output", &root, err));
    buffer_free(&out);
    return root;
}

static void near(const json_t *root, const char *key, double want) {
    double got = json_number_value(json_object_get(root, key));
    if (!(fabs(got - want) < 1e-4)) fail_msg("%s: %g, not %g", key, got, want);
}

static const char RUN_A[] =
    "{\"prompt\":\"p\",\"text\":\"xx\",\"tokens\":[5,6],\"finish\":\"stop\",\"split\":\"valid\"}\n"
    "{\"messages\":[{\"role\":\"user\",\"content\":\"p\"}],\"text\":\"xxx\",\"finish\":\"length\",\"split\":"
    "\"test\"}\n"
    "{\"prompt\":\"q\",\"text\":\"a\",\"tokens\":[5,6,7,8],\"finish\":\"stop\"}\n"
    "{\"prompt\":\"p\",\"text\":\"\",\"finish\":\"stop\",\"split\":\"valid\"}\n";
static const char RUN_B[] = "{\"prompt\":\"q\",\"completion\":\"b\"}\n"
                            "{\"prompt\":\"only here\",\"completion\":\"xxxxxx\"}\n"
                            "{\"prompt\":\"p\",\"completion\":\"x\",\"split\":\"valid\"}\n"
                            "{\"prompt\":[{\"content\":\"p\",\"role\":\"user\"}],\"completion\":\"xxxx\"}\n";

/* p: 2 and 0 against 1: half; the chat: 3 against 4; q: tied. */
static void test_runs(void **state) {
    const char *a = write_run(path_in(*state, "a"), RUN_A), *b = write_run(path_in(*state, "b"), RUN_B);
    json_t *root = winrate((const char *[]){"eval", "winrate", a, b, "--command", COUNT, "--json", NULL});
    near(root, "win_rate", 1.0 / 3);
    near(root, "ties", 1.0 / 3);
    near(root, "prompts", 3);
    near(json_object_get(root, "a"), "answers", 4);
    near(json_object_get(root, "a"), "score", 5.0 / 4);
    near(json_object_get(root, "a"), "length", 3);
    near(json_object_get(root, "a"), "ended", 0.75);
    near(json_object_get(root, "b"), "answers", 3);
    near(json_object_get(root, "b"), "score", 5.0 / 3);
    assert_true(json_is_null(json_object_get(json_object_get(root, "b"), "length")));
    json_decref(root);
    root = winrate(
        (const char *[]){"eval", "winrate", b, a, "--split=valid", "--command", COUNT, "--json", NULL});
    near(root, "prompts", 1);
    near(root, "win_rate", 0.5);
    json_decref(root);
}

static void test_answers_are_gathered(void **state) {
    const char *a = write_run(path_in(*state, "a"), RUN_A);
    eval_answers all;
    OK(eval_answers_load(a, SPLIT_ANY, &all, err));
    assert_int_equal(all.n_prompt, 3);
    assert_int_equal(all.n_answer, 4);
    assert_string_equal(all.prompt[0].prompt.text, "p");
    assert_int_equal(all.prompt[0].n, 2);
    assert_string_equal(all.answer[0].text, "xx");
    assert_string_equal(all.answer[1].text, "");
    assert_string_equal(all.prompt[1].prompt.messages, "[{\"role\":\"user\",\"content\":\"p\"}]");
    assert_int_equal(all.answer[all.prompt[1].first].finished, 0);
    assert_int_equal(eval_answers_find(&all, &(prompt_text){.text = "q"}), 2);
    assert_int_equal(eval_answers_find(&all, &(prompt_text){.text = "x"}), -1);
    eval_answers_free(&all);
}

static const char PROMPTS[] = "{\"prompt\":\"one\"}\n{\"prompt\":\"two\"}\n{\"prompt\":\"three\"}\n"
                              "{\"messages\":[{\"role\":\"user\",\"content\":\"four\"}]}\n";

/* Models answer, a reward model judges; what they said is kept as runs, and judged again the same way. */
static void test_models(void **state) {
    const char *a = path_in(*state, "a"), *b = path_in(*state, "b"), *by = path_in(*state, "by"),
               *prompts = path_in(*state, "prompts.jsonl"), *kept = path_in(*state, "kept");
    make_speaking_model(a, "plain", 96, 1);
    make_speaking_model(b, "chatml", 96, 2);
    make_reward_model(by, "plain", 128, 3);
    write_all(prompts, PROMPTS, strlen(PROMPTS));
    json_t *models =
        winrate((const char *[]){"eval",          "winrate", a,           b,   "--prompts",    prompts,
                                 "--judge-model", by,        "--samples", "3", "--max-tokens", "20",
                                 "--split",       "all",     "--threads", "1", "--keep",       kept,
                                 "--json",        NULL});
    near(models, "prompts", 4);
    near(json_object_get(models, "a"), "answers", 12);
    json_t *again = winrate((const char *[]){"eval", "winrate", path_in(kept, "a"), path_in(kept, "b"),
                                             "--judge-model", by, "--threads", "1", "--json", NULL});
    static const char *const same[] = {"win_rate", "low", "high", "ties"};
    for (int i = 0; i < 4; i++)
        assert_true(json_equal(json_object_get(models, same[i]), json_object_get(again, same[i])));
    json_t *fresh = winrate((const char *[]){"eval", "winrate", a, b, "--prompts", prompts, "--judge-model",
                                             by, "--samples", "3", "--max-tokens", "20", "--split", "all",
                                             "--threads", "2", "--json", NULL});
    assert_true(json_equal(models, fresh));
    json_decref(models);
    json_decref(again);
    json_decref(fresh);
}

static void test_refused(void **state) {
    const char *a = write_run(path_in(*state, "a"), RUN_A),
               *other = write_run(path_in(*state, "other"), "{\"prompt\":\"z\",\"text\":\"x\"}\n"),
               *bad =
                   write_run(path_in(*state, "bad"), "{\"prompt\":\"z\",\"text\":\"x\"}\n{\"text\":\"x\"}\n"),
               *empty = write_run(path_in(*state, "empty"), "\n"), *model = path_in(*state, "model");
    make_speaking_model(model, "plain", 96, 1);
    const struct {
        const char *word[12];
        status want;
        const char *says;
    } lines[] = {
        {{"eval", "winrate", a}, STATUS_USAGE, "at least 2 arguments"},
        {{"eval", "winrate", a, a}, STATUS_USAGE, "--judge-model"},
        {{"eval", "winrate", a, a, "--rule", "demo", "--command", "cat"}, STATUS_USAGE, "one of"},
        {{"eval", "winrate", a, a, "--rule", "taste"}, STATUS_USAGE, "taste"},
        {{"eval", "winrate", a, model, "--rule", "demo"}, STATUS_USAGE, "--prompts is needed"},
        {{"eval", "winrate", a, a, "--rule", "demo", "--prompts", "p"}, STATUS_USAGE, "their own prompts"},
        {{"eval", "winrate", a, a, "--rule", "demo", "--split", "half"}, STATUS_USAGE, "half"},
        {{"eval", "winrate", a, a, "--rule", "demo", "--samples", "0"}, STATUS_USAGE, "--samples"},
        {{"eval", "winrate", a, "/nowhere", "--rule", "demo"}, STATUS_DATA, "/nowhere"},
        {{"eval", "winrate", a, other, "--command", COUNT}, STATUS_DATA, "in common"},
        {{"eval", "winrate", a, bad, "--command", COUNT}, STATUS_DATA, "answers.jsonl:2"},
        {{"eval", "winrate", a, empty, "--command", COUNT}, STATUS_DATA, "no answer"},
        {{"eval", "winrate", a, a, "--judge-model", model, "--threads", "1"}, STATUS_DATA, "no score head"},
        {{"eval", "winrate", a, a, "--command", "echo good"}, STATUS_FAILED, "good"},
        {{"eval", "winrate", model, model, "--prompts", "/no/prompts", "--rule", "demo", "--threads", "1"},
         STATUS_DATA,
         "/no/prompts"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        error err;
        status s = run_command_line(eval_command, lines[i].word, NULL, &err);
        if (s != lines[i].want || !strstr(err.message, lines[i].says))
            fail_msg("line %zu: %d, not %d: %s", i, s, lines[i].want, err.message);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, directory_setup, directory_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_runs), TEST(test_answers_are_gathered), TEST(test_models),
                                       TEST(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
