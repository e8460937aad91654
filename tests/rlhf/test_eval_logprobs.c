/* rlhf eval logprobs: what was sampled reads the same, to the last bit; every shape of line; bad ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "rlhf/commands.h"
#include "tests/support/command.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"
#include "tests/support/speaking_model.h"

static const char PROMPTS[] = "{\"prompt\":\"How are you?\"}\n"
                              "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n"
                              "{\"prompt\":\"Once upon a time there was a very little girl\"}\n";

static void run(status (*command)(int, char **, error *), const char *const *words, buffer *out) {
    error err;
    if (run_command_line(command, words, out, &err) != STATUS_OK) fail_msg("%s: %s", words[0], err.message);
}

static json_t *next_line(const char **text) {
    const char *end = strchr(*text, '\n');
    json_t *root;
    if (!end) return NULL;
    OK(parse_json(*text, (size_t)(end - *text), "a line", &root, err));
    *text = end + 1;
    return root;
}

/* The answer's line and what is read of it. */
static void compare(const json_t *answer, const json_t *read) {
    const json_t *tokens = json_object_get(answer, "tokens"), *all = json_object_get(read, "tokens"),
                 *sampled = json_object_get(answer, "logprob"), *scored = json_object_get(read, "logprob");
    size_t n = json_array_size(tokens),
           first = (size_t)json_integer_value(json_object_get(read, "prompt_len"));
    assert_true(json_equal(json_object_get(answer, "seq_id"), json_object_get(read, "seq_id")));
    assert_true(first >= 2 && n >= 1);
    assert_int_equal(json_array_size(all), first + n);
    assert_int_equal(json_array_size(scored), first + n);
    assert_true(json_is_null(json_array_get(scored, 0)));
    for (size_t i = 0; i < n; i++) {
        assert_true(json_equal(json_array_get(tokens, i), json_array_get(all, first + i)));
        if (json_real_value(json_array_get(sampled, i)) != json_real_value(json_array_get(scored, first + i)))
            fail_msg("token %zu: sampled and scored log-probability differ", i);
    }
}

static void test_sampled_is_scored(void **state) {
    const char *model = path_in(*state, "model"), *prompts = path_in(*state, "prompts.jsonl"),
               *out = path_in(*state, "out");
    make_speaking_model(model, "chatml", 128, 5);
    write_all(prompts, PROMPTS, strlen(PROMPTS));
    run(generate_command,
        (const char *[]){"generate", "--model", model, "--prompts", prompts, "--out", out, "--set",
                         "generate.samples=5", "--set", "generate.temperature=0.7", "--set",
                         "generate.max_tokens=40", "--set", "threads=1", NULL},
        NULL);
    buffer scored = {0}, sampled = read_all(path_in(out, "answers.jsonl"));
    run(eval_command,
        (const char *[]){"eval", "logprobs", model, path_in(out, "answers.jsonl"), "--temperature", "0.7",
                         "--threads", "1", NULL},
        &scored);
    const char *a = sampled.data, *b = scored.data;
    int n = 0;
    for (json_t *answer, *read; (answer = next_line(&a)) && (read = next_line(&b)); n++) {
        compare(answer, read);
        json_decref(answer);
        json_decref(read);
    }
    assert_int_equal(n, 15);
    assert_int_equal(*b, 0);
    buffer_free(&scored);
    buffer_free(&sampled);
}

/* What precedes the completion or the last answer; ids of the byte tokenizer: 1 + place in the alphabet. */
static void test_shapes(void **state) {
    static const struct {
        const char *line;
        int n_prompt, n;
    } shapes[] = {
        {"{\"text\":\"abc\"}", 0, 4},
        {"{\"text\":\"\"}", 0, 1},
        {"{\"prompt\":\"abc\",\"completion\":\"de\"}", 3, 6},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"yz\"}]}",
         10 + 13, 10 + 13 + 3},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"yz\"},"
         "{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"\"}]}",
         2 * (10 + 13) + 3, 2 * (10 + 13) + 4},
        {"{\"prompt\":\"abc\",\"tokens\":[7,0],\"text\":\"never read\"}", 3, 5},
    };
    const char *model = path_in(*state, "model"), *file = path_in(*state, "lines.jsonl"),
               *out = path_in(*state, "out.jsonl");
    buffer text = {0};
    make_speaking_model(model, "plain", 128, 5);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) buffer_format(&text, "%s\n", shapes[i].line);
    write_all(file, text.data, text.len);
    run(eval_command, (const char *[]){"eval", "logprobs", model, file, "--threads", "1", "--out", out, NULL},
        &text);
    assert_int_equal(text.len, 0);
    buffer_free(&text);
    text = read_all(out);
    const char *at = text.data;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        json_t *read = next_line(&at);
        assert_int_equal(json_integer_value(json_object_get(read, "prompt_len")), shapes[i].n_prompt);
        assert_int_equal(json_array_size(json_object_get(read, "tokens")), shapes[i].n);
        assert_int_equal(json_array_size(json_object_get(read, "logprob")), shapes[i].n);
        assert_null(json_object_get(read, "seq_id"));
        json_decref(read);
    }
    assert_int_equal(*at, 0);
    buffer_free(&text);
}

static void test_bad_lines(void **state) {
    static const struct {
        const char *line, *word;
    } bad[] = {
        {"{\"promp\":\"a\"}", "none of"},
        {"[1]", "must be an object"},
        {"{\"text\":", "lines.jsonl:2"},
        {"{\"tokens\":[1]}", "has neither \"prompt\""},
        {"{\"prompt\":\"a\",\"tokens\":[]}", "at least one"},
        {"{\"prompt\":\"a\",\"tokens\":[1,257]}", "token 2"},
        {"{\"prompt\":\"a\",\"tokens\":[\"1\"]}", "token 1"},
        {"{\"prompt\":\"a\",\"tokens\":[1],\"seq_id\":\"x\"}", "seq_id"},
        {"{\"text\":\"0123456789012345678901234567890123456789\"}", "context is 32"},
    };
    const char *model = path_in(*state, "model"), *file = path_in(*state, "lines.jsonl"),
               *out = path_in(*state, "out.jsonl");
    make_speaking_model(model, "plain", 32, 5);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        buffer text = {0};
        buffer_format(&text, "{\"text\":\"good\"}\n%s\n{\"text\":\"good\"}\n", bad[i].line);
        write_all(file, text.data, text.len);
        const char *words[] = {"eval",  "logprobs", model, file, "--threads", "1",
                               "--out", out,        NULL,  NULL, NULL};
        error err;
        assert_int_equal(run_command_line(eval_command, words, NULL, &err), STATUS_DATA);
        if (!strstr(err.message, "lines.jsonl:2") || !strstr(err.message, bad[i].word))
            fail_msg("\"%s\" does not name %s", err.message, bad[i].word);
        assert_false(path_exists(out));
        words[8] = "--max-bad";
        words[9] = "1";
        assert_int_equal(run_command_line(eval_command, words, NULL, &err), STATUS_OK);
        buffer_free(&text);
        text = read_all(out);
        assert_int_equal(strchr(strchr(text.data, '\n') + 1, '\n') + 1 - text.data, text.len);
        buffer_free(&text);
        assert_int_equal(remove(out), 0);
    }
}

static void test_bad_command_lines(void **state) {
    static const struct {
        const char *word[8];
        status want;
    } lines[] = {
        {{"eval"}, STATUS_USAGE},
        {{"eval", "perplexities"}, STATUS_USAGE},
        {{"eval", "logprobs", "model"}, STATUS_USAGE},
        {{"eval", "logprobs", "model", "file", "more"}, STATUS_USAGE},
        {{"eval", "logprobs", "model", "file", "--temperature", "0"}, STATUS_USAGE},
        {{"eval", "logprobs", "model", "file", "--temperatur", "1"}, STATUS_USAGE},
        {{"eval", "logprobs", "/no/model", "file"}, STATUS_DATA},
        {{"eval", "logprobs", "--help"}, STATUS_OK},
        {{"eval", "--help"}, STATUS_OK},
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        error err;
        status s = run_command_line(eval_command, lines[i].word, NULL, &err);
        if (s != lines[i].want) fail_msg("line %zu: %d, not %d: %s", i, s, lines[i].want, err.message);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, directory_setup, directory_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_sampled_is_scored), TEST(test_shapes), TEST(test_bad_lines),
                                       TEST(test_bad_command_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
