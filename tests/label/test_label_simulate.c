/* Labellers that are no people: their ranks, their noise, and that a stop changes nothing. */
#include <math.h>
#include <signal.h>

#include "datasets/label/simulate.h"
#include "tests/store/store_test.h"

static void equal_scores_tie_and_others_order(void **state) {
    (void)state;
    label_simulate_options o = {.labeller = 1};
    float score[4] = {0.5f, 2, 0.5f, -1};
    int rank[4];
    label_ranks_from_scores(&o, 1, 1, 4, score, rank);
    assert_true(rank[0] == 2 && rank[1] == 1 && rank[2] == 2 && rank[3] == 3);
    o.tie = 1.5; /* neighbours tie: 2, .5, .5, -1 */
    float again[4] = {0.5f, 2, 0.5f, -1};
    label_ranks_from_scores(&o, 1, 1, 4, again, rank);
    assert_true(rank[0] == 1 && rank[1] == 1 && rank[2] == 1 && rank[3] == 1);
}

static double share_first_wins(const label_simulate_options *o, float gap) {
    int wins = 0, n = 20000;
    for (int task = 1; task <= n; task++) {
        float score[2] = {gap, 0};
        int rank[2];
        label_ranks_from_scores(o, 1, task, 2, score, rank);
        assert_int_equal(rank[0] + rank[1], 3);
        wins += rank[0] == 1;
    }
    return (double)wins / n;
}

static void noise_is_bradley_terry(void **state) {
    (void)state;
    label_simulate_options o = {.labeller = 1, .noise = 1, .seed = 3};
    double sd = sqrt(0.25 / 20000);
    assert_true(fabs(share_first_wins(&o, 0) - 0.5) < 5 * sd);
    assert_true(fabs(share_first_wins(&o, 1) - 1 / (1 + exp(-1))) < 5 * sd);
    o.noise = 0.5;
    assert_true(fabs(share_first_wins(&o, 1) - 1 / (1 + exp(-2))) < 5 * sd);
}

static void flips_come_as_often_as_asked(void **state) {
    (void)state;
    label_simulate_options o = {.labeller = 1, .flip = 0.25, .seed = 3};
    assert_true(fabs(share_first_wins(&o, 1) - 0.75) < 5 * sqrt(0.25 * 0.75 / 20000));
    o.flip = 0;
    assert_true(share_first_wins(&o, 1) == 1);
    o.flip = 1;
    assert_true(share_first_wins(&o, 1) == 0);
}

static void two_labellers_err_apart(void **state) {
    (void)state;
    int same = 0;
    for (int task = 1; task <= 1000; task++) {
        int rank[2][2];
        for (int b = 0; b < 2; b++) {
            label_simulate_options o = {.labeller = b + 1, .noise = 1, .seed = 3};
            float score[2] = {0, 0};
            label_ranks_from_scores(&o, 1, task, 2, score, rank[b]);
        }
        same += rank[0][0] == rank[1][0];
    }
    assert_in_range(same, 420, 580);
}

/* The number of an answer is its score, and its length the same for all: a scorer of one line of shell. */
static judge *open_scorer(void) {
    judge *by;
    OK(judge_open_command(
        "while IFS= read -r line; do line=${line#*\\\"answer\\\":\\\"answer }; echo ${line%% *}; done", 20, 0,
        NULL, &by, &err));
    return by;
}

static void add_simulated(store *s, int64_t *id) {
    OK(store_add_labeller(s, "sim", LABELLER_SIMULATED, "{}", id, &err));
}

static void read_snapshot(store *s, place *p, const char *name, buffer *out) {
    hash sha256;
    int64_t n;
    store_snapshot_options o = {.name = "all", .round = 1, .labellers = LABELLER_SIMULATED};
    OK(store_snapshot(s, in(p, name), &o, &sha256, &n, &err));
    OK(file_read(in(p, name), 1 << 24, out, &err));
}

static void stopping_and_going_on_changes_nothing(void **state) {
    place *p = *state;
    int64_t ann, n;
    buffer whole = {0}, parts = {0};
    label_simulate_options o = {.round = 1, .noise = 0.8, .seed = 11};
    store *s = store_with_tasks(p, "a.db", 150, 4, 1, &ann),
          *t = store_with_tasks(p, "b.db", 150, 4, 1, &ann);
    judge *by = open_scorer();
    add_simulated(s, &o.labeller);
    OK(label_simulate(s, by, &o, &n, &err));
    assert_int_equal(n, 150);
    OK(label_simulate(s, by, &o, &n, &err));
    assert_int_equal(n, 0);
    add_simulated(t, &o.labeller);
    o.limit = 37;
    for (int64_t done = 0; done < 150; done += n) {
        OK(label_simulate(t, by, &o, &n, &err));
        assert_true(n > 0);
    }
    judge_close(by);
    read_snapshot(s, p, "whole.jsonl", &whole);
    read_snapshot(t, p, "parts.jsonl", &parts);
    assert_int_equal(whole.len, parts.len);
    assert_memory_equal(whole.data, parts.data, whole.len);
    assert_sound(t);
    store_close(s);
    store_close(t);
    buffer_free(&whole);
    buffer_free(&parts);
}

static void a_scorer_without_noise_orders_by_score(void **state) {
    place *p = *state;
    int64_t ann, n;
    buffer text = {0};
    label_simulate_options o = {.round = 1};
    store *s = store_with_tasks(p, "a.db", 3, 4, 1, &ann);
    judge *by = open_scorer();
    add_simulated(s, &o.labeller);
    OK(label_simulate(s, by, &o, &n, &err));
    judge_close(by);
    read_snapshot(s, p, "s.jsonl", &text);
    int found = 0;
    for (const char *at = text.data; (at = strstr(at, "\"ranks\":[4,3,2,1],")); at++) found++;
    assert_int_equal(found, 3);
    assert_non_null(strstr(text.data, "\"kind\":\"simulated\""));
    buffer_free(&text);
    store_close(s);
}

static void a_ranker_may_tie(void **state) {
    place *p = *state;
    int64_t ann, n;
    buffer text = {0};
    judge *by;
    label_simulate_options o = {.round = -1};
    store *s = store_with_tasks(p, "a.db", 2, 3, 1, &ann);
    OK(judge_open_command("while read -r line; do echo '{\"ranks\":[2,1,2]}'; done", 20, 1, NULL, &by, &err));
    add_simulated(s, &o.labeller);
    OK(label_simulate(s, by, &o, &n, &err));
    assert_int_equal(n, 2);
    judge_close(by);
    read_snapshot(s, p, "s.jsonl", &text);
    assert_non_null(strstr(text.data, "\"ranks\":[2,1,2],"));
    buffer_free(&text);
    store_close(s);
}

static void a_judge_that_fails_records_nothing_of_its_batch(void **state) {
    place *p = *state;
    int64_t ann, n;
    label_simulate_options o = {.round = 1};
    static const char *const commands[] = {"exit 3", "while read -r line; do echo nan; done",
                                           "while read -r line; do echo what; done"};
    store *s = store_with_tasks(p, "a.db", 5, 3, 1, &ann);
    add_simulated(s, &o.labeller);
    for (int i = 0; i < 3; i++) {
        judge *by;
        error err = {0};
        OK(judge_open_command(commands[i], 20, 0, NULL, &by, &err));
        assert_int_equal(label_simulate(s, by, &o, &n, &err), STATUS_FAILED);
        assert_int_equal(n, 0);
        judge_close(by);
    }
    store_progress progress;
    OK(store_read_progress(s, 1, &progress, &err));
    assert_int_equal(progress.ranked, 0);
    assert_sound(s);
    store_close(s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_scores_tie_and_others_order),
        cmocka_unit_test(noise_is_bradley_terry),
        cmocka_unit_test(flips_come_as_often_as_asked),
        cmocka_unit_test(two_labellers_err_apart),
        T(stopping_and_going_on_changes_nothing),
        T(a_scorer_without_noise_orders_by_score),
        T(a_ranker_may_tie),
        T(a_judge_that_fails_records_nothing_of_its_batch),
    };
    return cmocka_run_group_tests_name("label_simulate", tests, NULL, NULL);
}
