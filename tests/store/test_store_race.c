/* Several processes rank at the same time: each task gets the labellers it wants, nobody meets a lock. */
#include <sys/wait.h>
#include <unistd.h>

#include "datasets/store/internal.h"
#include "tests/store/store_test.h"

enum { PROCESSES = 4, TASKS = 60, WANT = 2 };

static void work(const char *path, int64_t labeller) {
    store *s;
    error err = {0};
    bool found = true;
    if (store_open(path, STORE_WRITER, &s, &err) != STATUS_OK) _exit(1);
    while (found) {
        store_lease l;
        store_outcome outcome;
        if (store_lease_next(s, labeller, 1, NULL, 0, 1, 60000, &l, &found, &err) != STATUS_OK) _exit(2);
        if (!found) break;
        store_ranking r = first_answer(&l);
        if (store_add_ranking(s, &r, &outcome, NULL, &err) != STATUS_OK || outcome != STORE_RECORDED)
            _exit(3);
        if (store_add_ranking(s, &r, &outcome, NULL, &err) != STATUS_OK || outcome != STORE_ALREADY) _exit(4);
    }
    store_close(s);
    _exit(0);
}

static void processes_share_the_tasks(void **state) {
    place *p = *state;
    int64_t ids[PROCESSES], n;
    pid_t child[PROCESSES];
    store *s = store_with_tasks(p, "a.db", TASKS, 3, WANT, &ids[0]);
    static const char *const names[PROCESSES] = {"ann", "bob", "cem", "dao"};
    for (int i = 1; i < PROCESSES; i++)
        OK(store_add_labeller(s, names[i], LABELLER_HUMAN, NULL, &ids[i], &err));
    store_close(s);
    char path[320];
    strcpy(path, in(p, "a.db"));
    for (int i = 0; i < PROCESSES; i++) {
        child[i] = fork();
        if (child[i] == 0) work(path, ids[i]);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int how;
        waitpid(child[i], &how, 0);
        if (how) fail_msg("process %d ended at step %d", i, WEXITSTATUS(how));
    }
    OK(store_open(path, STORE_READER, &s, &err));
    OK(sql_get(s, &n, NULL, "SELECT count(*) FROM ranking", SQL_NONE, &err));
    assert_int_equal(n, TASKS * WANT);
    OK(sql_get(s, &n, NULL, "SELECT count(*) FROM task WHERE have = want", SQL_NONE, &err));
    assert_int_equal(n, TASKS);
    assert_sound(s);
    store_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(processes_share_the_tasks, place_make, place_remove),
    };
    return cmocka_run_group_tests_name("store_race", tests, NULL, NULL);
}
