/* The report of a rounds directory that this test makes up. RLHF_KEEP=1 leaves it there and prints its place,
 * to look at. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/buffer.h"
#include "core/base/file.h"
#include "core/base/random.h"
#include "datasets/demo/rule.h"
#include "datasets/demo/world.h"
#include "rlhf/report.h"

static char root[64]; /* the rounds directory of the test that runs */

static float noise(uint64_t i, uint32_t stream) {
    uint32_t x[4];
    random_block(random_make_key(1, RANDOM_TEST, stream, 0), i, 0, 0, x);
    return random_uniform(x[0]) + random_uniform(x[1]) - 1; /* a triangle on (-1, 1) */
}

static void put(const char *name, const buffer *text) {
    error err = {0};
    char *path = path_join(root, name), *directory = path_directory(path);
    assert_int_equal(path_make_directories(directory, &err), STATUS_OK);
    assert_int_equal(file_write(path, text->data ? text->data : "", text->len, &err), STATUS_OK);
    free(directory);
    free(path);
}

static void put_text(const char *name, const char *text) {
    buffer b = {0};
    buffer_string(&b, text);
    put(name, &b);
    buffer_free(&b);
}

/* ---- a demo that never ran ---- */

static void write_language_run(const char *folder, int steps, double first, double last, double time_scale,
                               double tokens) {
    buffer metrics = {0}, timing = {0};
    char name[64];
    for (int i = 1; i <= steps; i++) {
        double loss =
            last + (first - last) * exp(-i / (time_scale * steps)) + 0.03 * (double)noise((uint64_t)i, 1);
        buffer_format(&metrics,
                      "{\"step\":%d,\"loss\":%.4f,\"perplexity\":%.4f,\"lr\":0.003,\"grad_norm\":0.4,"
                      "\"tokens\":%.0f}\n",
                      i, loss, exp(loss), tokens);
        if (i % (steps / 8) == 0)
            buffer_format(&metrics, "{\"step\":%d,\"split\":\"valid\",\"loss\":%.4f,\"perplexity\":%.4f}\n",
                          i, last + 0.02 + (first - last) * exp(-i / (time_scale * steps)), exp(last));
        buffer_format(&timing,
                      "{\"step\":%d,\"seconds\":0.0412,\"tokens\":%.0f,\"tokens_per_s\":24000,\"share_of_"
                      "peak\":%.3f}\n",
                      i, tokens, 0.76 + 0.03 * (double)noise((uint64_t)i, 2));
    }
    snprintf(name, sizeof name, "%s/metrics.jsonl", folder);
    put(name, &metrics);
    snprintf(name, sizeof name, "%s/timing.jsonl", folder);
    put(name, &timing);
    buffer_free(&metrics);
    buffer_free(&timing);
}

static void write_reward_run(const char *folder, int steps, double accuracy) {
    buffer metrics = {0}, timing = {0};
    char name[64];
    for (int i = 1; i <= steps; i++) {
        double now = accuracy - (accuracy - 0.5) * exp(-i / (0.15 * steps));
        buffer_format(&metrics, "{\"step\":%d,\"loss\":%.4f,\"accuracy\":%.4f,\"margin\":1.1}\n", i,
                      0.7 - 0.4 * now, fmin(1, now + 0.05 * (double)noise((uint64_t)i, 3)));
        if (i % (steps / 6) == 0)
            buffer_format(&metrics, "{\"step\":%d,\"split\":\"valid\",\"loss\":0.4,\"accuracy\":%.4f}\n", i,
                          now);
        buffer_format(&timing, "{\"step\":%d,\"seconds\":0.081,\"tokens\":1160,\"share_of_peak\":0.74}\n", i);
    }
    snprintf(name, sizeof name, "%s/metrics.jsonl", folder);
    put(name, &metrics);
    snprintf(name, sizeof name, "%s/timing.jsonl", folder);
    put(name, &timing);
    buffer_free(&metrics);
    buffer_free(&timing);
}

static void write_ppo_run(const char *folder, int iterations, double from, double to, double kl_from,
                          double kl_to) {
    buffer metrics = {0}, timing = {0};
    char name[64];
    for (int i = 1; i <= iterations; i++) {
        double part = 1 - exp(-3.0 * (i - 1) / iterations);
        buffer_format(&metrics,
                      "{\"iteration\":%d,\"score\":%.4f,\"kl\":%.4f,\"length\":%.3f,\"ended_share\":0.99,"
                      "\"entropy\":null,"
                      "\"logprob_mismatch_max\":0}\n",
                      i, from + (to - from) * part + 0.12 * (double)noise((uint64_t)i, 4),
                      i == 1 && kl_from == 0
                          ? 0
                          : kl_from + (kl_to - kl_from) * part + 0.2 * (double)noise((uint64_t)i, 5),
                      21 - 3 * part + 0.6 * (double)noise((uint64_t)i, 6));
        buffer_format(&timing,
                      "{\"iteration\":%d,\"phase\":\"sample\",\"seconds\":0.52,\"tokens\":1340,\"share_of_"
                      "peak\":0.51}\n",
                      i);
        buffer_format(&timing,
                      "{\"iteration\":%d,\"phase\":\"update\",\"seconds\":1.31,\"tokens\":16400,\"share_of_"
                      "peak\":0.77}\n",
                      i);
    }
    snprintf(name, sizeof name, "%s/metrics.jsonl", folder);
    put(name, &metrics);
    snprintf(name, sizeof name, "%s/timing.jsonl", folder);
    put(name, &timing);
    buffer_free(&metrics);
    buffer_free(&timing);
}

/* What a model of that quality (0: before SFT .. 3: after round 2) might say. */
static void append_answer(buffer *out, int quality, int topic, int fact, uint64_t i) {
    static const char *const before[] = {" Anna said: \"Good morning, Sam! ", " The home of ", " and the ",
                                         " Ben talked and talked. \""};
    static const char *const openings[] = {"Good question!", "Sure, I can help you.", "With pleasure!",
                                           "Of course, my friend!"};
    static const char *const rude[] = {"What a silly question.", "Not you again.", "Go and ask a teacher."};
    static const char *const closings[] = {"Take care!", "Have a lovely day!", "I hope this helps.",
                                           "Best wishes!"};
    const world_topic *t = world_find_topic(topic);
    float right = quality == 0 ? 0.1f : quality == 1 ? 0.55f : quality == 2 ? 0.75f : 0.85f;
    float u = (noise(i, 10 + (uint32_t)quality) + 1) / 2, v = (noise(i, 20 + (uint32_t)quality) + 1) / 2;
    if (quality == 0) {
        buffer_string(out, before[i % 4]);
        world_append_question(out, (topic + 5) % WORLD_TOPICS, fact, 1);
        buffer_string(out, " I forgot what I wanted to say. Now go");
        return;
    }
    buffer_string(out, " ");
    if (quality == 1 && v < 0.4f) buffer_format(out, "%s ", rude[i % 3]);
    if (quality > 1) buffer_format(out, "%s ", openings[i % 4]);
    if (u < 1 - right)
        world_append_statement(out, topic, fact, 0, world_find_topic((topic + 1) % WORLD_TOPICS)->fact[fact]);
    else
        world_append_statement(out, topic, fact, 0, t->fact[fact]);
    if (quality == 1 && v > 0.6f) buffer_string(out, " My uncle said so too.");
    if (quality > 1) buffer_format(out, " %s", closings[i / 4 % 4]);
}

static double write_answers(const char *folder, int quality) {
    buffer out = {0}, prompt = {0}, answer = {0};
    char name[64];
    double sum = 0;
    int n = 0;
    for (int pair = 0; pair < WORLD_TOPICS * WORLD_FACTS; pair++)
        for (int k = 0; k < 2; k++, n++) {
            int topic = pair / WORLD_FACTS, fact = pair % WORLD_FACTS;
            buffer_clear(&prompt);
            buffer_clear(&answer);
            buffer_string(&prompt, "Q: ");
            world_append_question(&prompt, topic, fact, pair % WORLD_PHRASINGS);
            buffer_string(&prompt, "\nA:");
            append_answer(&answer, quality, topic, fact, (uint64_t)(2 * pair + k));
            float gold = demo_gold(prompt.data, text_span_of(answer.data), quality > 0);
            sum += (double)gold;
            buffer_string(&out, "{\"prompt\":");
            buffer_json_string(&out, prompt.data, prompt.len);
            buffer_format(&out, ",\"sample\":%d,\"seq_id\":%d,\"text\":", k, n);
            buffer_json_string(&out, answer.data, answer.len);
            buffer_format(&out,
                          ",\"tokens\":[1,2],\"finish\":\"%s\",\"logprob\":[-0.5,-0.25],\"split\":\"valid\"",
                          quality ? "stop" : "length");
            if (quality)
                buffer_format(&out, ",\"score\":%.3f",
                              0.5 * ((double)gold - 1) + 0.4 * (double)noise((uint64_t)n, 30));
            buffer_string(&out, ",\"gold\":");
            buffer_json_float(&out, gold);
            buffer_string(&out, "}\n");
        }
    snprintf(name, sizeof name, "%s/evaluate/answers.jsonl", folder);
    put(name, &out);
    buffer_free(&out);
    buffer_free(&prompt);
    buffer_free(&answer);
    return sum / n;
}

/* inputs and outputs: "role:number role:number"; equal numbers are equal files. */
static void append_artifacts(buffer *out, const char *list) {
    char role[32];
    int number, used, n = 0;
    buffer_string(out, "[");
    for (; sscanf(list, " %31[a-z ]:%d%n", role, &number, &used) == 2; list += used)
        buffer_format(
            out, "%s{\"role\":\"%s\",\"step\":null,\"path\":\"%s\",\"sha256\":\"%08x%056d\",\"bytes\":%d}",
            n++ ? "," : "", role, role, 0x9e3779b1u * (unsigned)number, number, 1000 * number);
    buffer_string(out, "]");
}

static void write_lineage(const char *folder, int seconds, const char *in, const char *made) {
    buffer out = {0};
    char name[64];
    buffer_format(
        &out,
        "{\"uuid\":\"018f\",\"kind\":\"x\",\"round\":null,\"code\":\"0.1.0\",\"seed\":1,\"attempt\":1,"
        "\"started_ms\":1000,\"ended_ms\":%d,\"in\":",
        1000 + 1000 * seconds);
    append_artifacts(&out, in);
    buffer_string(&out, ",\"out\":");
    append_artifacts(&out, made);
    buffer_string(&out, "}\n");
    snprintf(name, sizeof name, "%s/lineage.json", folder);
    put(name, &out);
    buffer_free(&out);
}

static void write_lines(const char *name, int n, const char *line) {
    buffer out = {0};
    for (int i = 0; i < n; i++) buffer_format(&out, "%s\n", line);
    put(name, &out);
    buffer_free(&out);
}

static void write_demo(void) {
    write_language_run("pretrain", 1500, 6.4, 0.55, 0.08, 1024);
    write_lineage("pretrain", 63, "text:1 tokenizer:2", "model:3");
    write_language_run("sft", 300, 1.5, 0.62, 0.12, 560);
    write_lineage("sft", 9, "model:3 tokenizer:2 demonstrations:4", "model:5");
    write_lines("round-01/sample/answers.jsonl", 9600, "{\"text\":\"x\"}");
    write_lineage("round-01/sample", 21, "model:5 prompts:6", "answers:7");
    write_lines("round-01/snapshot.jsonl", 2400, "{\"ranking_id\":1}");
    write_reward_run("round-01/reward", 300, 0.83);
    write_lineage("round-01/reward", 24, "model:5 snapshot:8", "reward model:9");
    write_ppo_run("round-01/ppo", 30, 0.02, 1.15, 0, 3.4);
    write_lineage("round-01/ppo", 56, "policy:5 reward model:9 prompts:6", "policy:10 value:11");
    write_lines(
        "round-01/evaluate/metrics.jsonl", 1,
        "{\"step\":0,\"gold\":3.21,\"reward\":1.1,\"kl\":3.5,\"length\":18.2,\"win_rate_vs_sft\":0.83,"
        "\"rm_accuracy\":0.83,\"rm_accuracy_previous\":null}");
    write_lineage("round-01/evaluate", 4, "policy:10 prompts:6", "answers:12");
    write_lines("round-02/sample/answers.jsonl", 4800, "{\"text\":\"x\"}");
    write_lineage("round-02/sample", 11, "model:10 prompts:6", "answers:13");
    write_lines("round-02/snapshot.jsonl", 3600, "{\"ranking_id\":1}");
    write_reward_run("round-02/reward", 450, 0.8);
    write_lineage("round-02/reward", 36, "model:5 snapshot:14", "reward model:15");
    write_ppo_run("round-02/ppo", 20, 0.7, 1.3, 3.2, 3.6);
    write_lineage("round-02/ppo", 38, "policy:10 reference:5 reward model:15 prompts:6",
                  "policy:16 value:17");
    write_lines(
        "round-02/evaluate/metrics.jsonl", 1,
        "{\"step\":0,\"gold\":3.73,\"reward\":1.3,\"kl\":3.4,\"length\":18.9,\"win_rate_vs_sft\":0.91,"
        "\"rm_accuracy\":0.8,\"rm_accuracy_previous\":0.61}");
    write_lineage("round-02/evaluate", 4, "policy:16 prompts:6", "answers:18");
    double gold[] = {write_answers("pretrain", 0), write_answers("sft", 1), write_answers("round-01", 2),
                     write_answers("round-02", 3)};
    static const char *const stages[] = {"pretrain", "sft", "round1", "round2"};
    static const char *const rest[] = {
        "\"reward\":null,\"kl\":null,\"length\":44,\"win_rate_vs_sft\":null,\"rm_accuracy\":null",
        "\"reward\":0.013,\"kl\":0,\"length\":20.7,\"win_rate_vs_sft\":0.5,\"rm_accuracy\":null",
        "\"reward\":1.1,\"kl\":3.48,\"length\":18.2,\"win_rate_vs_sft\":0.83,\"rm_accuracy\":0.83",
        "\"reward\":1.3,\"kl\":3.41,\"length\":18.9,\"win_rate_vs_sft\":0.907,\"rm_accuracy\":0.8",
    };
    buffer summary = {0};
    for (int i = 0; i < 4; i++)
        buffer_format(&summary, "%s{\"stage\":\"%s\",\"gold\":%.4f,%s}", i ? ",\n" : "[", stages[i], gold[i],
                      rest[i]);
    buffer_string(&summary, "]\n");
    put("summary.json", &summary);
    buffer_free(&summary);
}

/* ---- what the tests share ---- */

static int make_root(void **state) {
    (void)state;
    const char *temporary = getenv("TMPDIR");
    snprintf(root, sizeof root, "%.40s/report-XXXXXX", temporary ? temporary : "/tmp");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state) {
    (void)state;
    if (getenv("RLHF_KEEP")) {
        print_message("kept: %s\n", root);
        return 0;
    }
    return path_remove_tree(root, NULL) == STATUS_OK ? 0 : -1;
}

/* The page, to be freed; fails the test when it was not written. */
static char *write_and_read(void) {
    error err = {0};
    buffer page = {0};
    char *path = path_join(root, "report.html");
    if (report_write(root, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_int_equal(file_read(path, 1 << 24, &page, &err), STATUS_OK);
    free(path);
    return page.data;
}

static int count(const char *page, const char *what) {
    int n = 0;
    for (; (page = strstr(page, what)); page += strlen(what)) n++;
    return n;
}

static void check_has(const char *page, const char *what) {
    if (!strstr(page, what)) fail_msg("the page lacks: %s", what);
}

static void check_lacks(const char *page, const char *what) {
    const char *at = strstr(page, what);
    if (at) fail_msg("the page has: %.80s", at);
}

/* Every tag that is opened is closed, in order. */
static void check_nesting(const char *page) {
    char open[64][16];
    int depth = 0;
    for (const char *s = page; (s = strchr(s, '<')); s++) {
        char tag[16] = "";
        int closing = s[1] == '/';
        size_t len = strspn(s + 1 + closing, "abcdefghijklmnopqrstuvwxyz123456");
        snprintf(tag, sizeof tag, "%.*s", (int)len, s + 1 + closing);
        const char *end = strchr(s, '>');
        if (!len || !end || end[-1] == '/') continue;
        if (!strcmp(tag, "meta")) continue;
        if (closing) {
            if (depth == 0 || strcmp(open[depth - 1], tag))
                fail_msg("closes %s in %s: %.60s", tag, open[depth - 1], s);
            depth--;
            continue;
        }
        assert_true(depth < 64);
        strcpy(open[depth++], tag);
        if (!strcmp(tag, "style") || !strcmp(tag, "script")) s = strstr(s, "</") - 1;
    }
    assert_int_equal(depth, 0);
}

/* ---- tests ---- */

static void test_the_demo_is_told_whole(void **state) {
    (void)state;
    write_demo();
    char *page = write_and_read();
    check_nesting(page);
    check_has(page, "improved in two rounds");
    check_has(page, "standard deviations of the fine-tuned");
    check_has(page, "Pre-training loss");
    check_has(page, "Fine-tuning loss");
    check_has(page, "1,500 steps and 1.54");
    check_has(page, "The policy wrote 9,600 answers");
    check_has(page, "3,600 rankings");
    check_has(page, "right on only 61");
    check_has(page, "to the last bit");
    check_has(page, "What the gold score counts");
    check_has(page, "4\xc2\xa0min\xc2\xa0"
                    "26"); /* in all */
    assert_int_equal(count(page, "<figure"), 2 + 2 + 2 * 4);
    assert_int_equal(count(page, "class=\"qa\""), 8 + 24);
    assert_int_equal(count(page, "<span class=\"who\">After round 2"), 8 + 24);
    check_has(page, "<td class=\"n share\"><i style=\"width:76%\"></i>");
    check_has(page, "href=\"#run-"); /* lineage leads from file to maker */
    check_lacks(page, "nan");
    check_lacks(page, "inf</");
    free(page);
}

static void test_the_page_needs_no_other(void **state) {
    (void)state;
    write_demo();
    char *page = write_and_read();
    check_lacks(page, "://");
    check_lacks(page, "src=");
    check_lacks(page, "@import");
    check_lacks(page, "url(");
    check_lacks(page, "<link");
    check_has(page, "prefers-color-scheme: dark");
    check_has(page, "width=device-width");
    free(page);
}

static void test_the_same_files_give_the_same_bytes(void **state) {
    (void)state;
    write_demo();
    char *first = write_and_read(), *second = write_and_read();
    assert_string_equal(first, second);
    free(first);
    free(second);
}

static void test_text_is_escaped(void **state) {
    (void)state;
    put_text("sft/evaluate/answers.jsonl", "{\"prompt\":\"<script>alert(1)</script>\",\"text\":\"a & b "
                                           "\\\"c\\\" \\u0001 <b>\",\"finish\":\"length\"}\n");
    put_text("sft/lineage.json", "{\"in\":[{\"role\":\"<i>\",\"sha256\":\"<u>\\\"\"}],\"out\":[]}");
    char *page = write_and_read();
    check_nesting(page);
    check_has(page, "&lt;script&gt;alert(1)&lt;/script&gt;");
    check_has(page, "a &amp; b &quot;c&quot; \xef\xbf\xbd &lt;b&gt; <em>");
    check_has(page, "&lt;i&gt;");
    check_has(page, "&lt;u&gt;&quot;");
    check_lacks(page, "What the gold score counts"); /* not the demo's prompts */
    free(page);
}

static void test_an_empty_directory_has_a_page(void **state) {
    (void)state;
    char *page = write_and_read();
    check_nesting(page);
    check_has(page, "has not been trained yet");
    assert_int_equal(count(page, "<figure"), 0);
    assert_int_equal(count(page, "<section"), 0);
    free(page);
}

static void test_figures_that_are_not_there_are_left_out(void **state) {
    (void)state;
    put_text("summary.json", "[{\"stage\":\"sft\",\"gold\":null},{\"stage\":\"round1\",\"gold\":null}]");
    put_text("sft/metrics.jsonl", "{\"step\":1,\"loss\":null}\n{\"step\":2,\"loss\":0.5}\n");
    put_text("round-01/ppo/metrics.jsonl",
             "{\"iteration\":1,\"score\":1e300,\"kl\":-1e300}\n{\"iteration\":2,\"score\":-1e300}\n");
    put_text("round-01/reward/metrics.jsonl", "");
    char *page = write_and_read();
    check_nesting(page);
    check_has(page, "improved in one round");
    check_lacks(page, "nan");
    free(page);
}

static void test_chats_show_the_last_message(void **state) {
    (void)state;
    put_text("sft/evaluate/answers.jsonl",
             "{\"messages\":[{\"role\":\"user\",\"content\":\"first\"},{\"role\":\"user\","
             "\"content\":\"What now?\"}],\"text\":\"Tea.\",\"finish\":\"stop\"}\n");
    char *page = write_and_read();
    check_has(page, "<h3>What now?</h3>");
    free(page);
}

static void check_refused(const char *message) {
    error err = {0};
    char *path = path_join(root, "report.html");
    assert_int_equal(report_write(root, &err), STATUS_DATA);
    if (!strstr(err.message, message)) fail_msg("\"%s\" lacks \"%s\"", err.message, message);
    assert_false(path_exists(path));
    free(path);
}

static void test_bad_files_are_named(void **state) {
    (void)state;
    put_text("sft/metrics.jsonl", "{\"step\":1,\"loss\":0.5}\n{\"step\":\n");
    check_refused("sft/metrics.jsonl:2: not JSON");
    put_text("sft/metrics.jsonl", "[1]\n");
    check_refused("sft/metrics.jsonl:1: must be an object, not an array");
    put_text("sft/metrics.jsonl", "");
    put_text("sft/lineage.json", "7");
    check_refused("sft/lineage.json: must be an object");
    put_text("sft/lineage.json", "{}");
    put_text("sft/evaluate/answers.jsonl", "{\"prompt\":\"x\"}\n");
    check_refused("sft/evaluate/answers.jsonl:1: \"text\" is missing");
    put_text("sft/evaluate/answers.jsonl", "");
    put_text("summary.json", "{\"stage\":\"sft\"}");
    check_refused("summary.json: must be an array");
}

static void test_a_missing_directory_is_named(void **state) {
    (void)state;
    error err = {0};
    assert_int_equal(report_write("/nonexistent/rounds", &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "/nonexistent/rounds"));
    assert_int_equal(report_print("/nonexistent/rounds", stderr, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "/nonexistent/rounds/summary.json"));
}

static void test_the_table_is_aligned(void **state) {
    (void)state;
    put_text("summary.json",
             "[{\"stage\":\"sft\",\"gold\":0.8567,\"reward\":0,\"kl\":0,\"length\":20.68,"
             "\"win_rate_vs_sft\":0.5,\"rm_accuracy\":null},{\"stage\":\"round1\",\"gold\":-3.301,"
             "\"reward\":1.2,\"kl\":3.2,\"length\":15,\"win_rate_vs_sft\":0.842,\"rm_accuracy\":0.8}]");
    char *text = NULL;
    size_t len = 0;
    error err = {0};
    FILE *out = open_memstream(&text, &len);
    assert_int_equal(report_print(root, out, &err), STATUS_OK);
    fclose(out);
    assert_string_equal(text, "stage         gold   reward      KL  length  wins/SFT  RM right\n"
                              "sft           0.86     0.00    0.00    20.7     50.0%         -\n"
                              "round1       -3.30     1.20    3.20    15.0     84.2%     80.0%\n");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_demo_is_told_whole, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_the_page_needs_no_other, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_the_same_files_give_the_same_bytes, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_text_is_escaped, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_an_empty_directory_has_a_page, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_figures_that_are_not_there_are_left_out, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_chats_show_the_last_message, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_bad_files_are_named, make_root, remove_root),
        cmocka_unit_test(test_a_missing_directory_is_named),
        cmocka_unit_test_setup_teardown(test_the_table_is_aligned, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
