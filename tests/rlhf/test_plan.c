/* rlhf plan and rlhf report: what they print, and what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/base/lineage.h"
#include "rlhf/commands.h"
#include "tests/support/command.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"
#include "tests/support/speaking_model.h"

/* The total of a part of the printed plan; 0: the part is not there. */
static long total_of(const buffer *out, const char *part) {
    char head[32];
    snprintf(head, sizeof head, "\n%s\n", part);
    const char *at = strstr(out->data, head), *end = at ? strstr(at, "  bytes in all") : NULL;
    if (!at && strncmp(out->data, head + 1, strlen(head + 1)) == 0)
        end = strstr(at = out->data, "  bytes in all");
    if (!end) return 0;
    while (end[-1] >= '0' && end[-1] <= '9') end--;
    return strtol(end, NULL, 10);
}

static void plan(const char *const *words, buffer *out, status want, const char *says) {
    error err;
    status s = run_command_line(plan_command, words, out, &err);
    buffer_append(out, "", 1);
    if (s != want || !strstr(err.message, says)) fail_msg("%d, not %d: %s", s, want, err.message);
}

static void test_rounds_before_they_begin(void **state) {
    static const char *const parts[] = {"pretrain", "sft", "sample", "reward", "ppo"};
    const char *run = path_in(*state, "run");
    buffer out = {0}, setting = {0};
    buffer_format(&setting, "run=%s", run);
    plan((const char *[]){"plan", "configs/tiny.yaml", "--set", setting.data, "--set", "threads=1", NULL},
         &out, STATUS_OK, "");
    for (int i = 0; i < 5; i++)
        if (total_of(&out, parts[i]) < 100000) fail_msg("%s is missing: %s", parts[i], out.data);
    assert_non_null(strstr(out.data, "no model is there yet"));
    assert_non_null(strstr(out.data, "the largest is ppo"));
    assert_false(path_exists(run));
    buffer_free(&out);
    buffer_free(&setting);
}

/* What is said before a model is there is never less than what the stage says then. */
static void test_rounds_are_an_upper_end(void **state) {
    const char *model = path_in(*state, "model"), *file = path_in(*state, "c.yaml");
    buffer out = {0}, text = {0};
    make_speaking_model(model, "plain", 512, 1);
    buffer_format(&text, "threads: 1\nsft:\n  init: %s\n  train: [%s]\n  micro_tokens: 256\n", model,
                  path_in(*state, "d.jsonl"));
    write_all(file, text.data, text.len);
    const char line[] = "{\"prompt\":\"some question\",\"completion\":\"some answer\"}\n";
    write_all(path_in(*state, "d.jsonl"), line, strlen(line));
    plan((const char *[]){"plan", file, NULL}, &out, STATUS_OK, "");
    long exact = total_of(&out, "sft");
    assert_true(exact > 100000);
    assert_int_equal(total_of(&out, "ppo"), 0);
    buffer prompts = {0};
    buffer_format(&prompts, "rounds.prompts=[%s]", path_in(*state, "d.jsonl"));
    const char *const rounds[] = {
        "plan", file, "--set", prompts.data, "--set", "label.rule=demo", "--set", "eval.split=all", NULL};
    plan(rounds, &out, STATUS_OK, "");
    buffer_free(&prompts);
    assert_non_null(strstr(out.data, model));
    assert_true(total_of(&out, "sft") >= exact);
    buffer_free(&out);
    buffer_free(&text);
}

/* A shape alone: its parameters, and what training them takes: weights, gradients and two moments at least.
 */
static void test_shape_alone(void **state) {
    buffer out = {0};
    (void)state;
    plan((const char *[]){"plan", "configs/gpt3-small.yaml", "--set", "threads=1", NULL}, &out, STATUS_OK,
         "");
    assert_non_null(strstr(out.data, "(125.2M parameters, context 2048)"));
    assert_true(total_of(&out, "pretrain") > 16 * 125200000L);
    assert_true(total_of(&out, "sample") > 4 * 125200000L);
    assert_int_equal(total_of(&out, "ppo"), 0);
    buffer_clear(&out);
    plan((const char *[]){"plan", "configs/gpt3-175b.yaml", "--set", "threads=1", NULL}, &out, STATUS_OK, "");
    assert_true(total_of(&out, "pretrain") > 16 * 174600000000L);
    buffer_free(&out);
}

static void test_refused(void **state) {
    const char *file = path_in(*state, "c.yaml");
    buffer out = {0};
    plan((const char *[]){"plan", NULL}, &out, STATUS_USAGE, "no CONFIG");
    plan((const char *[]){"plan", "--help", NULL}, &out, STATUS_OK, "");
    plan((const char *[]){"plan", "--set", "seed=1", NULL}, &out, STATUS_USAGE, "names no stage");
    plan((const char *[]){"plan", path_in(*state, "none.yaml"), NULL}, &out, STATUS_USAGE, "none.yaml");
    write_all(file, "sft:\n  epoch: 2\n", 16);
    plan((const char *[]){"plan", file, NULL}, &out, STATUS_USAGE, "c.yaml:2:3");
    const char text[] =
        "sft: {train: [a.jsonl], init: nowhere}\nppo: {policy: gone, reward: gone, prompts: [a.jsonl]}\n";
    write_all(file, text, strlen(text));
    plan((const char *[]){"plan", file, NULL}, &out, STATUS_DATA, "nowhere");
    assert_non_null(strstr(out.data, "\nppo\n    cannot be told: "));
    assert_non_null(strstr(out.data, "gone"));
    buffer_free(&out);
}

static void test_report(void **state) {
    const char *directory = path_in(*state, "rounds");
    const char summary[] = "[{\"stage\":\"sft\",\"gold\":1.5,\"reward\":null,\"kl\":null,\"length\":9,"
                           "\"win_rate_vs_sft\":null,\"rm_accuracy\":null}]\n";
    buffer out = {0};
    error err;
    assert_int_equal(run_command_line(report_command, (const char *[]){"report", NULL}, NULL, &err),
                     STATUS_USAGE);
    assert_int_equal(
        run_command_line(report_command, (const char *[]){"report", directory, NULL}, NULL, &err),
        STATUS_DATA);
    OK(path_make_directories(directory, err));
    write_all(path_in(directory, "summary.json"), summary, strlen(summary));
    assert_int_equal(
        run_command_line(report_command, (const char *[]){"report", directory, NULL}, NULL, &err),
        STATUS_DATA);
    assert_non_null(strstr(err.message, "no lineage.json"));
    assert_false(path_exists(path_in(directory, "report.html")));

    char kind[] = "rounds", code[] = "test";
    lineage l = {.kind = kind, .code = code};
    OK(lineage_make_uuid(l.uuid, err));
    OK(lineage_write(path_in(directory, "lineage.json"), &l, err));
    assert_int_equal(
        run_command_line(report_command, (const char *[]){"report", directory, NULL}, &out, &err), STATUS_OK);
    assert_non_null(strstr(out.data, "1.50"));
    assert_true(path_exists(path_in(directory, "report.html")));
    buffer_free(&out);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, directory_setup, directory_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_rounds_before_they_begin),
                                       TEST(test_rounds_are_an_upper_end), TEST(test_shape_alone),
                                       TEST(test_refused), TEST(test_report)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
