/* SIGKILL of a writer at random moments: nothing acknowledged is lost or doubled, and the store stays sound.
   RLHF_STORE_KILLS sets how many (24 by default), RLHF_SEED which moments. */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/random.h"
#include "datasets/store/internal.h"
#include "tests/store/store_test.h"

enum { TASKS = 400, JOURNAL = 1 << 16 };

/* Acknowledged rankings, as the labeller's side knows them. */
typedef struct journal {
    uint8_t uuid[JOURNAL][STORE_UUID];
    int n;
} journal;

/* Ranks until it is killed; a uuid is told only after its ranking was committed. Every seventh is corrected,
   every eleventh withdrawn, and all of it lies between imports that begin again and again. */
static void work(const char *path, const char *run, int out) {
    store *s;
    store_imported n;
    int64_t ann;
    store_task_options tasks = {.round = 1, .answers = 3, .want = 1};
    if (store_open(path, STORE_WRITER, &s, NULL) != STATUS_OK) _exit(1);
    if (store_import_run(s, run, &n, NULL) != STATUS_OK ||
        store_make_tasks(s, &tasks, NULL, NULL) != STATUS_OK)
        _exit(2);
    if (store_add_labeller(s, "ann", LABELLER_HUMAN, NULL, &ann, NULL) != STATUS_OK ||
        store_hand_back(s, ann, NULL) != STATUS_OK)
        _exit(3);
    for (int i = 1;; i++) {
        store_lease l;
        store_outcome outcome;
        bool found;
        if (store_lease_next(s, ann, 1, NULL, 0, 1, 600000, &l, &found, NULL) != STATUS_OK) _exit(4);
        if (!found) pause();
        store_ranking r = first_answer(&l);
        if (store_add_ranking(s, &r, &outcome, NULL, NULL) != STATUS_OK) _exit(5);
        if (write(out, r.uuid, STORE_UUID) != STORE_UUID) _exit(6);
        if (i % 7 == 0) {
            r.supersedes = l.uuid;
            if (uuid_make(r.uuid, NULL) != STATUS_OK ||
                store_add_ranking(s, &r, &outcome, NULL, NULL) != STATUS_OK)
                _exit(7);
            if (write(out, r.uuid, STORE_UUID) != STORE_UUID) _exit(8);
        }
        if (i % 11 == 0 && store_withdraw(s, r.uuid, "test", NULL) != STATUS_OK) _exit(9);
    }
}

static void read_acknowledged(journal *j, int in) {
    while (j->n < JOURNAL && read(in, j->uuid[j->n], STORE_UUID) == STORE_UUID) j->n++;
}

static void kill_one(const char *path, const char *run, journal *j, int milliseconds) {
    int ends[2], how;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        work(path, run, ends[1]);
    }
    close(ends[1]);
    struct timespec t = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    nanosleep(&t, NULL);
    kill(child, SIGKILL);
    waitpid(child, &how, 0);
    if (!WIFSIGNALED(how)) fail_msg("the writer failed by itself at step %d", WEXITSTATUS(how));
    read_acknowledged(j, ends[0]);
    close(ends[0]);
}

static void assert_all_there(store *s, const journal *j) {
    int64_t n, total;
    for (int i = 0; i < j->n; i++) {
        OK(sql_get(s, &n, NULL, "SELECT count(*) FROM ranking WHERE uuid = ?1",
                   SQL_VALUES(sql_blob(j->uuid[i], STORE_UUID)), &err));
        assert_int_equal(n, 1);
    }
    OK(sql_get(s, &total, NULL, "SELECT count(*) FROM ranking", SQL_NONE, &err));
    assert_true(total >= j->n);
    OK(sql_get(
        s, &n, NULL,
        "SELECT count(*) FROM (SELECT 1 FROM ranking_live GROUP BY task_id, labeller_id HAVING count(*) > 1)",
        SQL_NONE, &err));
    assert_int_equal(n, 0); /* nobody ranked a task twice */
}

static void killed_writers_lose_and_double_nothing(void **state) {
    place *p = *state;
    const char *wanted = getenv("RLHF_STORE_KILLS"), *chosen = getenv("RLHF_SEED");
    int kills = wanted ? atoi(wanted) : 24;
    uint64_t seed = chosen ? strtoull(chosen, NULL, 10) : 1;
    random_key key = random_make_key(seed, RANDOM_TEST, 0, 0);
    buffer answers = {0};
    journal *j = calloc(1, sizeof *j);
    make_answers(&answers, "prompt", TASKS, 3);
    char path[320], run[320];
    strcpy(run, make_run(p, "run", 1, "model", answers.data));
    for (int i = 0, number = 0; i < kills; i++) {
        store *s;
        snprintf(path, sizeof path, "%s/%d.db", p->directory, number);
        kill_one(path, run, j, (int)random_below(key, (uint64_t)i, 0, 400));
        OK(store_open(path, STORE_WRITER, &s, &err));
        assert_all_there(s, j);
        assert_sound(s);
        store_close(s);
        if (j->n < TASKS / 2) continue;
        print_message("seed %llu: %d acknowledged in store %d, after %d kills\n", (unsigned long long)seed,
                      j->n, number, i + 1);
        j->n = 0, number++; /* a fresh file, so that making and migrating it is killed too */
    }
    free(j);
    buffer_free(&answers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_writers_lose_and_double_nothing, place_make, place_remove),
    };
    return cmocka_run_group_tests_name("store_kill", tests, NULL, NULL);
}
