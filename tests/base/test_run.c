/* Run directories: lock, refusals, checkpoints, what a kill leaves, a full disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/random.h"
#include "core/base/run.h"

struct sample {
    const char *run;
    int threads, steps;
};
static const config_section SECTION[] = {{"", ""}, {"sft", "A stage."}};
static const config_key KEY[] = {
    {"run", CONFIG_PATH, offsetof(struct sample, run), NULL, 0, 0, NULL, "", true, "Where."},
    {"threads", CONFIG_INT, offsetof(struct sample, threads), "0", 0, 64, NULL, "", true, "Threads."},
    {"sft.steps", CONFIG_INT, offsetof(struct sample, steps), "12", 0, 1000, NULL, "", false, "Steps."},
};
static const config_table TABLE = {
    .size = sizeof(struct sample), .section = SECTION, .n_section = 2, .key = KEY, .n_key = 3};

static char directory[64];
static struct sample values = {.threads = 1, .steps = 12};

static int set_up(void **state) {
    (void)state;
    strcpy(directory, "/tmp/rlhf-run-XXXXXX");
    return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return chdir("/") || path_remove_tree(directory, NULL) != STATUS_OK;
}

static run_options options_for(const char *where, bool resume) {
    return (run_options){.directory = where,
                         .kind = "sft",
                         .seed = 7,
                         .table = &TABLE,
                         .values = &values,
                         .resume = resume,
                         .keep_checkpoints = 2};
}

static run *must_open(const char *where, bool resume, run_state expected) {
    run_options o = options_for(where, resume);
    run *r;
    run_state state;
    error err;
    if (run_open(&o, &r, &state, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_int_equal(state, expected);
    return r;
}

static void refuses(const run_options *o, status code, const char *message) {
    run *r;
    run_state state;
    error err;
    assert_int_equal(run_open(o, &r, &state, &err), code);
    assert_string_equal(err.message, message);
    assert_null(r);
}

static void must(status s, const error *err) {
    if (s != STATUS_OK) fail_msg("%s", err->message);
}

static void write_text(const char *file, const char *text) {
    error err;
    must(file_write(file, text, strlen(text), &err), &err);
}

static char *read_text(const char *file) {
    buffer b = {0};
    error err;
    must(file_read(file, 1 << 20, &b, &err), &err);
    return b.data;
}

static void assert_file(const char *file, const char *expected) {
    char *text = read_text(file);
    assert_string_equal(text, expected);
    free(text);
}

static void put_metrics(run *r, int step) {
    buffer line = {0};
    error err;
    buffer_format(&line, "{\"step\":%d}", step);
    must(run_metrics(r, &line, &err), &err);
    must(run_timing(r, &line, &err), &err);
    buffer_free(&line);
}

/* The file `x` says which step it is of, at some length. */
static void checkpoint_text(int step, char out[6000]) {
    int n = snprintf(out, 64, "step %d ", step);
    memset(out + n, 'a' + step % 26, 5000);
    out[n + 5000] = 0;
}

static void put_file(const char *where, int step) {
    char text[6000], *file = path_join(where, "x");
    checkpoint_text(step, text);
    write_text(file, text);
    free(file);
}

static void put_checkpoint(run *r, int step, bool stopped) {
    const char *where;
    error err;
    must(run_checkpoint_begin(r, step, stopped, &where, &err), &err);
    put_file(where, step);
    must(run_checkpoint_commit(r, &err), &err);
    assert_true(run_checkpoint_step(r) == step);
}

static void put_output(run *r, const char *name, int step) {
    const char *where;
    error err;
    must(run_output_begin(r, name, &where, &err), &err);
    put_file(where, step);
    must(run_output_commit(r, &err), &err);
}

static void assert_list(const char *where, const char *expected) {
    char **names, joined[1024] = "";
    int n;
    error err;
    must(path_list(where, &names, &n, &err), &err);
    for (int i = 0; i < n; i++) strcat(strcat(joined, i ? " " : ""), names[i]);
    path_free_list(names, n);
    assert_string_equal(joined, expected);
}

static void test_a_whole_run(void **state) {
    (void)state;
    error err;
    run *r = must_open("a/b", false, RUN_NEW);
    assert_string_equal(run_directory(r), "a/b");
    assert_string_equal(run_path(r, "x.txt"), "a/b/x.txt");
    assert_null(run_checkpoint_path(r));
    log_line(run_log(r), "hello %d", 3);
    put_metrics(r, 1);
    put_checkpoint(r, 1, false);
    assert_string_equal(run_checkpoint_path(r), "a/b/checkpoints/step-000001");
    put_output(r, "model", 1);
    must(lineage_add_out(run_lineage(r), run_directory(r), "weights", 1, "a/b/model/x", &err), &err);
    must(run_finish(r, &err), &err);
    run_close(r);
    assert_list("a/b", "checkpoints config.yaml lineage.json lock log.txt metrics.jsonl model timing.jsonl");
    assert_list("a/b/checkpoints", "latest step-000001");
    assert_file("a/b/checkpoints/latest", "step-000001\n");
    assert_file("a/b/checkpoints/step-000001/state.json", "{\"step\":1,\"metrics_bytes\":11}\n");
    assert_file("a/b/metrics.jsonl", "{\"step\":1}\n");
    assert_file("a/b/config.yaml",
                "# rlhf " RLHF_VERSION
                " sft: every setting of this run\nrun: null\nthreads: 1\n\nsft:\n  steps: 12\n");
    lineage l;
    must(lineage_read("a/b/lineage.json", &l, &err), &err);
    assert_string_equal(l.kind, "sft");
    assert_true(l.seed == 7 && l.attempt == 1 && l.ended_ms >= l.started_ms && l.started_ms > 0);
    assert_int_equal(l.n_out, 1);
    assert_string_equal(l.out[0].path, "model/x");
    lineage_free(&l);

    char *before = read_text("a/b/lineage.json");
    r = must_open("a/b", false, RUN_FINISHED);
    run_close(r);
    assert_file("a/b/lineage.json", before);
    free(before);
}

static void test_lock(void **state) {
    (void)state;
    char message[128];
    run *r = must_open("locked", false, RUN_NEW);
    run_options o = options_for("locked", true);
    snprintf(message, sizeof message, "locked: another program is at work here: process %ld", (long)getpid());
    refuses(&o, STATUS_FAILED, message);
    run_close(r);
    run_close(must_open("locked", true, RUN_NEW));
}

static void test_refusals(void **state) {
    (void)state;
    run *r = must_open("u", false, RUN_NEW);
    put_metrics(r, 1);
    run_close(r);
    run_options o = options_for("u", false);
    refuses(&o, STATUS_USAGE, "u: an unfinished run is there; go on with --resume, or remove it");
    o.resume = true;
    o.kind = "ppo";
    refuses(&o, STATUS_USAGE, "u: holds a run of sft, not of ppo; name another directory");
    o.kind = "sft";
    struct sample other = {.threads = 8, .steps = 13};
    o.values = &other;
    refuses(&o, STATUS_USAGE,
            "u: was begun with another config; set it back or name a new run:\nsft.steps: 13, was 12");
    other.steps = 12; /* threads alone may change */
    run_state opened;
    error err;
    must(run_open(&o, &r, &opened, &err), &err);
    assert_int_equal(opened, RUN_NEW);
    put_metrics(r, 1);
    run_close(r);

    lineage l;
    must(lineage_read("u/lineage.json", &l, &err), &err);
    assert_int_equal(l.attempt, 2);
    free(l.code);
    l.code = strdup("0.0.9");
    must(lineage_write("u/lineage.json", &l, &err), &err);
    lineage_free(&l);
    refuses(&o, STATUS_USAGE,
            "u: was begun by version 0.0.9, this is " RLHF_VERSION "; finish it there or name a new run");
    write_text("u/lineage.json", "{");
    assert_int_equal(run_open(&o, &r, &opened, &err), STATUS_DATA);
}

/* Bad data, say: nothing is left of it, and nothing that was there before is lost. */
static void test_a_run_that_could_not_begin(void **state) {
    (void)state;
    error err;
    run *r = must_open("deep/er/run", false, RUN_NEW);
    run_give_up(r);
    run_close(r);
    assert_false(path_exists("deep"));
    must(path_make_directories("mine/own", &err), &err);
    r = must_open("mine/own", false, RUN_NEW);
    run_give_up(r);
    run_close(r);
    assert_true(path_is_directory("mine/own"));
    assert_list("mine/own", "");
    /* What has something to show stays. */
    r = must_open("some", false, RUN_NEW);
    put_metrics(r, 1);
    run_give_up(r);
    run_close(r);
    assert_list("some", "config.yaml lineage.json lock log.txt metrics.jsonl timing.jsonl");
    r = must_open("some", true, RUN_NEW);
    run_give_up(r);
    run_close(r);
    assert_true(path_exists("some/lineage.json"));
    r = must_open("model", false, RUN_NEW);
    put_output(r, "best", 1);
    run_give_up(r);
    run_close(r);
    assert_true(path_exists("model/best/x"));
    run_give_up(NULL);
}

/* A kill, say, ended it at once: the same command works, with the config mended too. */
static void test_a_run_that_did_nothing(void **state) {
    (void)state;
    run_close(must_open("n", false, RUN_NEW));
    struct sample other = {.steps = 13};
    run_options o = options_for("n", false);
    o.values = &other;
    o.kind = "reward";
    run *r;
    run_state opened;
    error err;
    must(run_open(&o, &r, &opened, &err), &err);
    assert_int_equal(opened, RUN_NEW);
    put_output(r, "best", 1);
    run_close(r);
    refuses(&o, STATUS_USAGE, "n: an unfinished run is there; go on with --resume, or remove it");
    assert_list("n", "best config.yaml lineage.json lock log.txt metrics.jsonl timing.jsonl");
}

static void test_foreign_directory(void **state) {
    (void)state;
    error err;
    must(path_make_directories("home", &err), &err);
    write_text("home/thesis.tex", "");
    run_options o = options_for("home", false);
    refuses(&o, STATUS_DATA,
            "home: is not a run directory (thesis.tex is in it, lineage.json is not); name a new or "
            "empty one");
    assert_list("home", "thesis.tex");
    write_text("plain", "");
    o.directory = "plain";
    run *r;
    run_state opened;
    assert_int_equal(run_open(&o, &r, &opened, &err), STATUS_FAILED);
}

static void test_checkpoints_that_are_kept(void **state) {
    (void)state;
    run *r = must_open("k", false, RUN_NEW);
    for (int step = 1; step <= 4; step++) put_checkpoint(r, step, false);
    assert_list("k/checkpoints", "latest step-000003 step-000004");
    put_checkpoint(r, 5, true);
    assert_list("k/checkpoints", "latest step-000003 step-000004 step-000005");
    run_close(r);
    r = must_open("k", true, RUN_RESUMED);
    assert_true(run_checkpoint_step(r) == 5);
    put_checkpoint(r, 6, false);
    assert_list("k/checkpoints", "latest step-000004 step-000006");
    put_checkpoint(r, 6, false); /* again, after a resume at the end */
    put_checkpoint(r, 1234567, false);
    assert_list("k/checkpoints", "latest step-000006 step-1234567");
    run_close(r);
}

static void test_metrics_are_cut_back(void **state) {
    (void)state;
    run *r = must_open("m", false, RUN_NEW);
    for (int step = 1; step <= 3; step++) {
        put_metrics(r, step);
        if (step == 2) put_checkpoint(r, 2, false);
    }
    run_close(r);
    run_close(must_open("m", true, RUN_RESUMED));
    assert_file("m/metrics.jsonl", "{\"step\":1}\n{\"step\":2}\n");
    write_text("m/metrics.jsonl", "{\"step\":1}\n");
    run_options o = options_for("m", true);
    refuses(&o, STATUS_DATA, "m/metrics.jsonl: is shorter than its checkpoint says (22 bytes)");
    write_text("m/checkpoints/latest", "step-000009\n");
    refuses(&o, STATUS_DATA,
            "m/checkpoints/latest: names step-000009, which is not there; remove the file to start from "
            "nothing");
    write_text("m/checkpoints/latest", "../../x\n");
    refuses(&o, STATUS_DATA, "m/checkpoints/latest: \"../../x\" is no checkpoint's name");
    error err;
    must(path_remove_tree("m/checkpoints/latest", &err), &err);
    run_close(must_open("m", true, RUN_NEW));
    assert_file("m/metrics.jsonl", "");
    assert_list("m/checkpoints", "");
}

/* What a kill leaves is gone after the next start; an output that had stepped aside is back. */
static void test_leftovers(void **state) {
    (void)state;
    error err;
    run *r = must_open("l", false, RUN_NEW);
    put_output(r, "best", 1);
    put_output(r, "model", 2);
    run_close(r);
    must(path_make_directories("l/checkpoints/step-000003.tmp-rlhf/deep", &err), &err);
    must(path_make_directories("l/model.tmp-rlhf", &err), &err);
    must(path_make_directories("l/checkpoints/step-000002", &err),
         &err); /* `latest` did not come to name it */
    write_text("l/lineage.json.tmp-rlhf", "{");
    must(path_rename("l/best", "l/best.old-rlhf", &err), &err);
    must(path_make_directories("l/model.old-rlhf", &err), &err);
    run_close(must_open("l", true, RUN_NEW));
    assert_list("l",
                "best checkpoints config.yaml lineage.json lock log.txt metrics.jsonl model timing.jsonl");
    assert_list("l/checkpoints", "");
    assert_list("l/best", "x");
    assert_list("l/model", "x");
}

/* ---- kills ---- */

enum { LAST_STEP = 12 };

/* What a stage does: from its latest checkpoint to the end. */
static void work(const char *where) {
    run_options o = options_for(where, true);
    run *r;
    run_state opened;
    error err;
    char *best = NULL;
    must(run_open(&o, &r, &opened, &err), &err);
    if (opened == RUN_FINISHED) _exit(0);
    if (opened == RUN_RESUMED) {
        char expected[6000], *file = path_join(run_checkpoint_path(r), "x");
        checkpoint_text((int)run_checkpoint_step(r), expected);
        assert_file(file, expected);
        free(file);
    }
    /* The best of step 3 came before the checkpoint of step 4: from then on there is always one, and a whole
     * one. */
    if (run_checkpoint_step(r) >= 4)
        assert_int_equal(strlen(best = read_text(run_path(r, "best/x"))) > 5000, 1);
    free(best);
    for (int step = (int)run_checkpoint_step(r) + 1; step <= LAST_STEP; step++) {
        put_metrics(r, step);
        if (step % 3 == 0) put_output(r, "best", step);
        if (step % 2 == 0) put_checkpoint(r, step, false);
    }
    put_output(r, "model", LAST_STEP);
    must(run_finish(r, &err), &err);
    run_close(r);
    _exit(0);
}

static int run_child(const char *where, useconds_t kill_after) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) work(where);
    if (kill_after) {
        usleep(kill_after);
        kill(child, SIGKILL);
    }
    int result;
    assert_true(waitpid(child, &result, 0) == child);
    if (WIFEXITED(result))
        assert_int_equal(WEXITSTATUS(result), 0);
    else
        assert_int_equal(WTERMSIG(result), SIGKILL);
    return WIFEXITED(result);
}

static void assert_same_file(const char *a, const char *b, const char *name) {
    char *one = path_join(a, name), *two = path_join(b, name), *text = read_text(one);
    assert_file(two, text);
    free(one);
    free(two);
    free(text);
}

static void assert_same_run(const char *a, const char *b) {
    static const char *const file[] = {"metrics.jsonl",
                                       "checkpoints/latest",
                                       "checkpoints/step-000010/x",
                                       "checkpoints/step-000012/x",
                                       "checkpoints/step-000010/state.json",
                                       "checkpoints/step-000012/state.json",
                                       "best/x",
                                       "model/x",
                                       "config.yaml"};
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) assert_same_file(a, b, file[i]);
    assert_list(b, "best checkpoints config.yaml lineage.json lock log.txt metrics.jsonl model timing.jsonl");
    char *checkpoints = path_join(b, "checkpoints");
    assert_list(checkpoints, "latest step-000010 step-000012");
    free(checkpoints);
}

static void test_kills(void **state) {
    (void)state;
    assert_true(run_child("calm", 0));
    random_key key = random_make_key(20, RANDOM_TEST, 0, 0);
    int kills = 0;
    for (int trial = 0; kills < 300; trial++) {
        char where[32];
        snprintf(where, sizeof where, "storm-%d", trial);
        int attempts = 0;
        while (
            !run_child(where, 200 + (useconds_t)random_below(key, (uint64_t)trial, (uint32_t)attempts, 6000)))
            if (++attempts == 40)
                assert_true(run_child(where, 0));
            else
                kills++;
        assert_same_run("calm", where);
    }
}

/* ---- no space left ---- */

static void limited(const char *what) {
    error err;
    const char *where = "";
    run *r = must_open("full", true, RUN_NEW);
    for (int step = 1; step <= 5; step++) put_metrics(r, step);
    put_checkpoint(r, 5, false);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {60, 60};
    setrlimit(RLIMIT_FSIZE, &limit);
    if (strcmp(what, "metrics") == 0) {
        buffer line = {0};
        buffer_string(&line, "{\"step\":6}");
        assert_int_equal(run_metrics(r, &line, &err), STATUS_FAILED);
        assert_non_null(strstr(err.message, "full/metrics.jsonl: cannot write: "));
        buffer_free(&line);
        assert_file("full/metrics.jsonl",
                    "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"step\":4}\n{\"step\":5}\n");
    } else {
        char text[6000], file[256];
        assert_int_equal(run_checkpoint_begin(r, 6, false, &where, &err), STATUS_OK);
        checkpoint_text(6, text);
        snprintf(file, sizeof file, "%s/x", where);
        assert_int_equal(file_write(file, text, strlen(text), &err), STATUS_FAILED);
        assert_string_equal(err.message,
                            "full/checkpoints/step-000006.tmp-rlhf/x: cannot write: File too large");
    }
    run_close(r);
    assert_list("full/checkpoints", "latest step-000005");
    assert_file("full/checkpoints/latest", "step-000005\n");
    _exit(0);
}

static void test_full_disk(void **state) {
    (void)state;
    error err;
    const char *what[] = {"metrics", "checkpoint"};
    for (int i = 0; i < 2; i++) {
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) limited(what[i]);
        int result;
        assert_true(waitpid(child, &result, 0) == child);
        assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
        run_close(must_open("full", true, RUN_RESUMED));
        must(path_remove_tree("full", &err), &err);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_run),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_run_that_could_not_begin),
        cmocka_unit_test(test_a_run_that_did_nothing),
        cmocka_unit_test(test_foreign_directory),
        cmocka_unit_test(test_checkpoints_that_are_kept),
        cmocka_unit_test(test_metrics_are_cut_back),
        cmocka_unit_test(test_leftovers),
        cmocka_unit_test(test_kills),
        cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
