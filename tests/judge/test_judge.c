/* Judges: the rule, the reward model, and external commands that answer, die, hang and print rubbish. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "datasets/demo/rule.h"
#include "datasets/judge/judge.h"
#include "tests/support/data_cases.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"

/* ---- commands ---- */

static judge *command(const char *text, double timeout_s, int ranker) {
    judge *j;
    OK(judge_open_command(text, timeout_s, ranker, NULL, &j, err));
    assert_int_equal(judge_is_ranker(j), ranker);
    return j;
}

static const judge_item two[] = {{.prompt = "say \"hi\"", .answer = {"hi\n", 3}, .finished = 1},
                                 {.messages = "[{\"role\":\"user\",\"content\":\"q\"}]", .answer = {"a", 1}}};

/* What the command is asked, and how its numbers are read. */
static void test_a_scorer(void **state) {
    buffer text = {0};
    const char *asked = path_in(*state, "asked");
    buffer_format(
        &text,
        "n=0; while read -r line; do printf '%%s\\n' \"$line\" >> '%s'; n=$((n+1)); echo \"-$n.25\"; done",
        asked);
    judge *j = command(text.data, 10, 0);
    float score[2] = {0};
    OK(judge_score(j, two, 2, score, err));
    assert_true(score[0] == -1.25f && score[1] == -2.25f);
    OK(judge_score(j, two, 1, score, err)); /* the same process */
    assert_true(score[0] == -3.25f);
    judge_close(j);
    buffer seen = read_all(asked);
    assert_string_equal(seen.data,
                        "{\"prompt\":\"say \\\"hi\\\"\",\"answer\":\"hi\\n\",\"finish\":\"stop\"}\n"
                        "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"answer\":\"a\",\"finish\":"
                        "\"length\"}\n"
                        "{\"prompt\":\"say \\\"hi\\\"\",\"answer\":\"hi\\n\",\"finish\":\"stop\"}\n");
    buffer_free(&seen);
    buffer_free(&text);
}

static void test_a_ranker(void **state) {
    buffer text = {0};
    const char *asked = path_in(*state, "asked");
    buffer_format(
        &text,
        "while read -r line; do printf '%%s\\n' \"$line\" >> '%s'; echo '{\"ranks\": [2, 1, 2]}'; done",
        asked);
    judge *j = command(text.data, 10, 1);
    int rank[3] = {0};
    OK(judge_rank(j, "p", NULL, (text_span[]){{"a", 1}, {"b\"", 2}, {"c", 1}}, 3, rank, err));
    assert_true(rank[0] == 2 && rank[1] == 1 && rank[2] == 2);
    float score;
    REFUSED(judge_score(j, two, 1, &score, err), STATUS_USAGE, "ranks answers");
    REFUSED(judge_rank(j, "p", NULL, (text_span[]){{"a", 1}, {"b", 1}}, 2, rank, err), STATUS_FAILED,
            "no {\"ranks\": [2 numbers");
    judge_close(j);
    buffer seen = read_all(asked);
    assert_non_null(strstr(seen.data, "{\"prompt\":\"p\",\"answers\":[\"a\",\"b\\\"\",\"c\"]}\n"));
    buffer_free(&seen);
    buffer_free(&text);
}

/* One long line there and back: larger than a pipe. */
static void test_long_questions(void **state) {
    (void)state;
    size_t n = 300000;
    char *answer = malloc(n + 1);
    memset(answer, 'x', n);
    answer[n] = 0;
    judge_item item = {.prompt = "p", .answer = {answer, n}, .finished = 1};
    judge *j = command("while read -r line; do echo ${#line}; done", 60, 0);
    float score;
    OK(judge_score(j, &item, 1, &score, err));
    assert_int_equal((int)score,
                     (int)n + (int)strlen("{\"prompt\":\"p\",\"answer\":\"\",\"finish\":\"stop\"}"));
    judge_close(j);
    free(answer);
}

static void fails(const char *text, int ranker, const char *says) {
    judge *j = command(text, 20, ranker);
    float score;
    int rank[2];
    if (ranker)
        REFUSED(judge_rank(j, "p", NULL, (text_span[]){{"a", 1}, {"b", 1}}, 2, rank, err), STATUS_FAILED,
                says);
    else
        REFUSED(judge_score(j, two, 1, &score, err), STATUS_FAILED, says);
    judge_close(j);
}

static void test_commands_that_die(void **state) {
    (void)state;
    fails("exit 3", 0, "ended with exit code 3 at question 1: {\"prompt\":\"say");
    fails("read -r line; exit 0", 0, "ended with exit code 0 at question 1");
    fails("read -r line; kill -9 $$", 0, "was killed by signal 9 at question 1");
    fails("no-such-command-anywhere", 0, "ended with exit code 127");
    fails("exec >&-; read -r line; sleep 60", 0, "closed its output at question 1");
    /* Later than the first question. */
    judge *j = command("read -r line; echo 1; read -r line; exit 7", 20, 0);
    float score[2];
    REFUSED(judge_score(j, two, 2, score, err), STATUS_FAILED, "exit code 7 at question 2: {\"messages\"");
    judge_close(j);
    REFUSED(judge_open_command("", 1, 0, NULL, &j, err), STATUS_USAGE, "no command");
    assert_null(j);
}

static void test_rubbish(void **state) {
    (void)state;
    static const char *const rubbish[][2] = {
        {"hello", "\"hello\", which is not JSON"},
        {"NaN", "\"NaN\", which is not JSON"},
        {"", "which is not JSON"},
        {"1e999", "1e999"},
        {"1e39", "no finite number"},
        {"\\\"3\\\"", "no finite number"},
        {"null", "no finite number"},
        {"[1]", "no finite number"},
        {"true", "no finite number"},
        {"1 2", "which is not JSON"},
        {"1\\0002", "which is not JSON"},
        {"1\\\\n2", "wrote \"2\" beside its answer to question 1: it must write one line"},
    };
    for (size_t i = 0; i < sizeof rubbish / sizeof *rubbish; i++) {
        buffer text = {0};
        buffer_format(&text, "while read -r line; do printf \"%s\\n\"; done", rubbish[i][0]);
        fails(text.data, 0, rubbish[i][1]);
        buffer_free(&text);
    }
    static const char *const ranks[] = {"1",
                                        "[1, 2]",
                                        "{}",
                                        "{\\\"ranks\\\": 1}",
                                        "{\\\"ranks\\\": [1]}",
                                        "{\\\"ranks\\\": [1, 2, 3]}",
                                        "{\\\"ranks\\\": [0, 1]}",
                                        "{\\\"ranks\\\": [1, 1.5]}",
                                        "{\\\"ranks\\\": [1, 99999999999]}"};
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        buffer text = {0};
        buffer_format(&text, "while read -r line; do echo \"%s\"; done", ranks[i]);
        fails(text.data, 1, "which is no {\"ranks\": [2 numbers from 1]}");
        buffer_free(&text);
    }
    fails("tr -c x x < /dev/zero", 0, "has no end"); /* a line that never ends */
}

/* A line too many would shift all later answers: before a question, beside an answer, or at the end. */
static void test_lines_too_many(void **state) {
    (void)state;
    float score[2];
    fails("echo ready; while read -r line; do echo 1; done", 0, "");
    judge *j = command("echo ready; while read -r line; do echo 1; done", 20, 0);
    usleep(300000);
    REFUSED(judge_score(j, two, 1, score, err), STATUS_FAILED,
            "wrote \"ready\" before it was asked question 1: it must write one line for each question");
    judge_close(j);
    /* In two writes: the second line is there when the next question is to be asked, or at the end. */
    j = command("while read -r line; do echo 1; sleep 0.05; echo 2; done", 20, 0);
    OK(judge_score(j, two, 1, score, err));
    usleep(300000);
    REFUSED(judge_score(j, two, 1, score, err), STATUS_FAILED, "wrote \"2\" beside its answer to question 1");
    judge_close(j);
    j = command("while read -r line; do echo 1; sleep 0.05; echo 2; done", 20, 0);
    OK(judge_score(j, two, 1, score, err));
    REFUSED(judge_finish(j, err), STATUS_FAILED, "wrote \"2\" beside its answer to question 1");
    judge_close(j);
    j = command("while read -r line; do echo 1; done; echo 1 question", 20, 0);
    OK(judge_score(j, two, 1, score, err));
    REFUSED(judge_finish(j, err), STATUS_FAILED, "wrote \"1 question\" beside");
    judge_close(j);
    /* One that died after its last answer: a person is to look. */
    j = command("while read -r line; do echo 1; done; exit 7", 20, 0);
    OK(judge_score(j, two, 1, score, err));
    REFUSED(judge_finish(j, err), STATUS_FAILED, "ended with exit code 7 after question 1");
    judge_close(j);
    j = command("while read -r line; do echo 1; done; kill -9 $$", 20, 0);
    OK(judge_score(j, two, 2, score, err));
    REFUSED(judge_finish(j, err), STATUS_FAILED, "was killed by signal 9 after question 2");
    judge_close(j);
    j = command("while read -r line; do echo 1; done; exec >&-; sleep 0.3; exit 3", 20, 0);
    OK(judge_score(j, two, 1, score, err));
    REFUSED(judge_finish(j, err), STATUS_FAILED, "ended with exit code 3 after question 1");
    judge_close(j);
    /* What it started holds its output open. */
    j = command("sleep 30 & while read -r line; do echo 1; done; exit 5", 20, 0);
    OK(judge_score(j, two, 1, score, err));
    REFUSED(judge_finish(j, err), STATUS_FAILED, "ended with exit code 5 after question 1");
    judge_close(j);
    /* One that goes on is ended: no failure of its own. */
    j = command("while read -r line; do echo 1; done; exec sleep 30", 20, 0);
    OK(judge_score(j, two, 1, score, err));
    OK(judge_finish(j, err));
    judge_close(j);
    /* One that says no more than it was asked. */
    j = command("while read -r line; do echo 1; done", 20, 0);
    OK(judge_score(j, two, 2, score, err));
    OK(judge_finish(j, err));
    judge_close(j);
}

/* Sampled text may hold a zero byte: what is behind it counts too. */
static void test_zero_bytes(void **state) {
    buffer text = {0};
    const char *asked = path_in(*state, "asked");
    buffer_format(&text, "while read -r line; do printf '%%s\\n' \"$line\" >> '%s'; echo 1; done", asked);
    judge *j = command(text.data, 10, 0);
    judge_item item = {.prompt = "p", .answer = {"a\0b", 3}, .finished = 1};
    float score;
    OK(judge_score(j, &item, 1, &score, err));
    judge_close(j);
    buffer seen = read_all(asked);
    assert_string_equal(seen.data, "{\"prompt\":\"p\",\"answer\":\"a\\u0000b\",\"finish\":\"stop\"}\n");
    buffer_free(&seen);
    buffer_free(&text);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* One that hangs is given up after its time, and is gone afterwards, with what it started. */
static void test_commands_that_hang(void **state) {
    buffer text = {0};
    const char *pid_file = path_in(*state, "pid");
    buffer_format(&text, "sleep 1000 & echo $! > '%s'; read -r line; echo 1; wait", pid_file);
    judge *j = command(text.data, 0.5, 0);
    float score[2];
    double start = now();
    REFUSED(judge_score(j, two, 2, score, err), STATUS_FAILED,
            "did not answer question 2 in 0.5 seconds: {\"messages\"");
    judge_close(j);
    assert_true(now() - start < 30);
    buffer pid = read_all(pid_file);
    int gone = 0;
    for (int i = 0; i < 500 && !gone; i++) {
        gone = kill((pid_t)atol(pid.data), 0) != 0;
        if (!gone) usleep(10000);
    }
    assert_true(gone);
    buffer_free(&pid);
    buffer_free(&text);
    /* One that does not even read. */
    j = command("sleep 1000", 0.5, 0);
    char *answer = malloc(200001);
    memset(answer, 'x', 200000);
    answer[200000] = 0;
    judge_item item = {.prompt = "p", .answer = {answer, 200000}};
    REFUSED(judge_score(j, &item, 1, score, err), STATUS_FAILED, "did not answer question 1");
    judge_close(j);
    free(answer);
}

static void test_what_a_command_says_aside(void **state) {
    const char *log = path_in(*state, "log.txt");
    write_all(log, "before\n", 7);
    judge *j;
    float score;
    OK(judge_open_command("echo aside >&2; read -r line; echo 1", 10, 0, log, &j, err));
    OK(judge_score(j, two, 1, &score, err));
    judge_close(j);
    buffer seen = read_all(log);
    assert_string_equal(seen.data, "before\naside\n");
    buffer_free(&seen);
}

/* ---- the rule ---- */

static void test_the_rule(void **state) {
    (void)state;
    judge *j;
    OK(judge_open_rule("demo", &j, err));
    assert_false(judge_is_ranker(j));
    buffer prompts = read_all("datasets/demo/prompts.jsonl");
    json_t *first = json_loadb(prompts.data, strcspn(prompts.data, "\n"), 0, NULL);
    const char *prompt = json_string_value(json_object_get(first, "prompt"));
    assert_non_null(prompt);
    judge_item item[] = {{.prompt = prompt, .answer = {"I do not know.", 14}, .finished = 1},
                         {.prompt = prompt, .answer = {"I do not know.", 14}, .finished = 0}};
    float score[2];
    OK(judge_score(j, item, 2, score, err));
    assert_true(score[0] == demo_gold(prompt, item[0].answer, 1) &&
                score[1] == demo_gold(prompt, item[1].answer, 0));
    assert_true(score[0] > score[1]); /* being cut costs points */
    /* Behind a zero byte the rule reads on. */
    judge_item zero[] = {{.prompt = prompt, .answer = {"well. I do not know.", 20}, .finished = 1},
                         {.prompt = prompt, .answer = {"well.\0I do not know.", 20}, .finished = 1}};
    OK(judge_score(j, zero, 2, score, err));
    assert_true(score[0] == score[1]);
    REFUSED(judge_score(j, two, 1, score, err), STATUS_DATA, "none of the demo's questions");
    int rank[2];
    REFUSED(judge_rank(j, prompt, NULL, (text_span[]){{"a", 1}, {"b", 1}}, 2, rank, err), STATUS_USAGE,
            "ranks none");
    judge_close(j);
    judge_close(NULL);
    REFUSED(judge_open_rule("other", &j, err), STATUS_USAGE, "no rule \"other\"; the rules are: demo");
    json_decref(first);
    buffer_free(&prompts);
}

/* ---- a reward model ---- */

static void test_a_model(void **state) {
    enum { N = 60 };
    static char answer[N][128];
    static int32_t ids[N][70];
    judge_item item[N];
    tokenizer *tok = bytes_tokenizer();
    hash h = tokenizer_hash(tok), other = h;
    other.byte[3] ^= 1;
    device *dev = case_device(DEVICE_CPU, 2, NULL);
    model_config c = case_config(CASE_LLAMA);
    c.vocab_size = c.n_vocab = tokenizer_vocab(tok);
    c.language_head = 0;
    c.reward_mean = 0.3f;
    c.reward_std = 1.7f;
    model *m = case_model(dev, &c, 4, 0);
    OK(model_save(m, NULL, *state, err));
    OK(tokenizer_save(tok, "plain", *state, err));
    judge *j;
    OK(judge_open_model(dev, *state, NULL, TYPE_F32, &j, err));
    /* Some with ids of this tokenizer, which count; of another, which do not; and with none. The ids are no
       encoding of the text here, so that the difference shows. */
    for (int i = 0; i < N; i++) {
        snprintf(answer[i], sizeof answer[i], "answer %d %.*s", i, i % 50,
                 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
        for (int t = 0; t < 10; t++) ids[i][t] = 3 + (i * 31 + t * 7) % 256;
        item[i] = (judge_item){.prompt = "prompt", .answer = text_span_of(answer[i]), .finished = 1};
        if (i % 3) {
            item[i].token = ids[i];
            item[i].n_token = 1 + i % 10;
            item[i].tokenizer = i % 3 == 1 ? &h : &other;
        }
    }
    float score[N];
    OK(judge_score(j, item, N, score, err));
    /* Each alone, by hand. */
    workspace *ws = case_workspace(dev, &c, 0, KEEP_ALL);
    bad_lines bad = {0};
    data_options o = bytes_options(tok, "plain", 200, &bad);
    for (int i = 0; i < N; i++) {
        ints token = {0};
        float raw;
        prompt_text p = {.text = "prompt"};
        OK(example_prompt(&o, &p, "here", &token, err));
        if (i % 3 == 1)
            ints_append(&token, item[i].token, (size_t)item[i].n_token);
        else
            OK(template_answer(o.chat, tok, answer[i], strlen(answer[i]), &token, err));
        int32_t start[] = {0, (int32_t)token.len}, row = start[1] - 1;
        batch b = {start[1], 1, 1, token.data, start, (const uint64_t[]){9}, &row, NULL};
        forward_options f = {.temperature = 1};
        row_values values = {.score = &raw};
        OK(model_forward(m, ws, &b, &f, err));
        OK(model_read(m, ws, &values, err));
        raw = (raw - 0.3f) / 1.7f;
        case_same("a judge's score", dev, &score[i], &raw, 1);
        ints_free(&token);
    }
    /* A zero byte is a token like others. */
    judge_item zero[] = {{.prompt = "prompt", .answer = {"a\0b", 3}, .finished = 1},
                         {.prompt = "prompt", .answer = {"a", 1}, .finished = 1}};
    OK(judge_score(j, zero, 2, score, err));
    assert_true(score[0] != score[1]);
    /* Longer than the judging model's context. */
    char *endless = malloc(301);
    memset(endless, 'x', 300);
    endless[300] = 0;
    judge_item too_long[] = {item[0], {.prompt = "prompt", .answer = {endless, 300}, .finished = 1}};
    REFUSED(judge_score(j, too_long, 2, score, err), STATUS_DATA, "answer 1: 307 tokens with its prompt");
    free(endless);
    OK(judge_score(j, item, 1, score, err));
    judge_close(j);
    workspace_free(ws);
    /* Weights that are not finite. */
    const char *broken = path_in(*state, "broken");
    float *value = case_parameters(m);
    for (int64_t i = 0; i < model_flat(m)->count; i++) value[i] = NAN;
    case_set_parameters(m, value);
    free(value);
    OK(model_save(m, NULL, broken, err));
    OK(tokenizer_save(tok, "plain", broken, err));
    OK(judge_open_model(dev, broken, NULL, TYPE_F32, &j, err));
    REFUSED(judge_score(j, zero, 2, score, err), STATUS_FAILED, "the judge's score of answer 0 is ");
    judge_close(j);
    model_free(m);
    /* What is no reward model. */
    c.language_head = 1;
    c.n_score = 0;
    m = case_model(dev, &c, 4, 0);
    OK(model_save(m, NULL, *state, err));
    model_free(m);
    REFUSED(judge_open_model(dev, *state, NULL, TYPE_F32, &j, err), STATUS_DATA, "");
    assert_null(j);
    REFUSED(judge_open_model(dev, path_in(*state, "none"), NULL, TYPE_F32, &j, err), STATUS_DATA, "none");
    device_close(dev);
    tokenizer_free(tok);
}

#define DIRECTORY_TEST(name) cmocka_unit_test_setup_teardown(name, directory_setup, directory_teardown)

int main(void) {
    signal(SIGPIPE, SIG_IGN); /* as every program does */
    const struct CMUnitTest tests[] = {
        DIRECTORY_TEST(test_a_scorer),
        DIRECTORY_TEST(test_a_ranker),
        cmocka_unit_test(test_long_questions),
        cmocka_unit_test(test_commands_that_die),
        cmocka_unit_test(test_rubbish),
        cmocka_unit_test(test_lines_too_many),
        DIRECTORY_TEST(test_zero_bytes),
        DIRECTORY_TEST(test_commands_that_hang),
        DIRECTORY_TEST(test_what_a_command_says_aside),
        cmocka_unit_test(test_the_rule),
        DIRECTORY_TEST(test_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
