/* The file itself: made, migrated, refused, locked, full. */
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "datasets/store/internal.h"
#include "tests/store/store_test.h"

static void makes_and_reopens(void **state) {
    place *p = *state;
    int64_t id, again;
    store *s = open_store(p, "a.db");
    store_prompt prompt = {.body = "Why?", .len = 4, .source = "seed"};
    OK(store_add_prompt(s, &prompt, &id, NULL, &err));
    assert_sound(s);
    store_close(s);
    s = open_store(p, "a.db");
    OK(store_add_prompt(s, &prompt, &again, NULL, &err));
    assert_int_equal(id, again);
    store_close(s);
    assert_false(path_exists(in(p, "a.db-wal"))); /* the writer's close checkpointed */
    OK(store_open(in(p, "a.db"), STORE_READER, &s, &err));
    assert_sound(s);
    FAILS(store_add_prompt(s, &prompt, &again, NULL, &err), STATUS_FAILED, "opened for reading");
    store_close(s);
}

static void run_sql(const char *path, const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void assert_untouched(const char *path, const hash *before) {
    hash after;
    uint64_t bytes;
    OK(hash_file(path, &after, &bytes, &err));
    assert_true(hash_equal(before, &after));
}

static void refuses_what_is_not_ours(void **state) {
    place *p = *state;
    store *s;
    hash before;
    uint64_t bytes;
    FAILS(store_open(in(p, "missing.db"), STORE_READER, &s, &err), STATUS_DATA, "no such store");
    FAILS(store_open(p->directory, STORE_WRITER, &s, &err), STATUS_DATA, "is a directory");
    FAILS(
        store_open(write_text(p, "text.db", "Dear diary, this is a long text and no database at all, is it?"),
                   STORE_WRITER, &s, &err),
        STATUS_DATA, "is not an SQLite database");
    run_sql(in(p, "foreign.db"), "PRAGMA application_id = 1234; CREATE TABLE mine (x)");
    OK(hash_file(in(p, "foreign.db"), &before, &bytes, &err));
    FAILS(store_open(in(p, "foreign.db"), STORE_WRITER, &s, &err), STATUS_DATA,
          "another program (application_id 0x000004D2");
    assert_untouched(in(p, "foreign.db"), &before);
    assert_false(path_exists(in(p, "foreign.db.lock")));
    run_sql(in(p, "plain.db"), "CREATE TABLE mine (x)");
    FAILS(store_open(in(p, "plain.db"), STORE_READER, &s, &err), STATUS_DATA, "another program");
    store_close(open_store(p, "newer.db"));
    run_sql(in(p, "newer.db"), "PRAGMA user_version = 99");
    OK(hash_file(in(p, "newer.db"), &before, &bytes, &err));
    FAILS(store_open(in(p, "newer.db"), STORE_WRITER, &s, &err), STATUS_DATA, "newer rlhf (store version 99");
    assert_untouched(in(p, "newer.db"), &before);
    FAILS(store_open(in(p, "no/such/place.db"), STORE_WRITER, &s, &err), STATUS_FAILED, "cannot open");
}

static void an_empty_file_is_migrated_and_needs_a_writer(void **state) {
    place *p = *state;
    store *s;
    write_text(p, "empty.db", "");
    FAILS(store_open(in(p, "empty.db"), STORE_READER, &s, &err), STATUS_DATA, "store version 0");
    s = open_store(p, "empty.db");
    assert_sound(s);
    store_close(s);
    OK(store_open(in(p, "empty.db"), STORE_READER, &s, &err));
    store_close(s);
}

static int64_t version_of(store *s) {
    int64_t version;
    OK(sql_get(s, &version, NULL, "PRAGMA user_version", SQL_NONE, &err));
    return version;
}

static void migrates_forwards_after_a_backup(void **state) {
    place *p = *state;
    int64_t ann;
    store *s = store_with_tasks(p, "old.db", 3, 2, 1, &ann), *old;
    static const migration good[] = {
        {NULL}, {"BEGIN IMMEDIATE; PRAGMA user_version = 2; CREATE TABLE extra (x); COMMIT"}};
    static const migration bad[] = {
        {NULL},
        {NULL},
        {"BEGIN IMMEDIATE; PRAGMA user_version = 3; CREATE TABLE more (x); CREATE TABLE extra (x); COMMIT"}};
    OK(store_lock(s, &err));
    OK(store_migrate(s, good, 2, &err));
    assert_int_equal(version_of(s), 2);
    OK(store_open(in(p, "old.db.backup-v1"), STORE_WRITER, &old, &err)); /* whole, and of the old version */
    store_progress progress;
    OK(store_read_progress(old, 1, &progress, &err));
    assert_int_equal(progress.tasks, 3);
    store_close(old);
    FAILS(store_migrate(s, bad, 3, &err), STATUS_FAILED, "migration 3");
    assert_int_equal(version_of(s), 2);
    int64_t n;
    OK(sql_get(s, &n, NULL, "SELECT count(*) FROM sqlite_schema WHERE name = 'more'", SQL_NONE, &err));
    assert_int_equal(n, 0);
    store_unlock(s);
    store_close(s);
}

static void a_locked_store_says_by_whom(void **state) {
    place *p = *state;
    int64_t ann;
    char who[64];
    store *s = store_with_tasks(p, "a.db", 1, 2, 1, &ann), *other;
    int ready[2], go[2];
    char byte = 0;
    assert_int_equal(pipe(ready) | pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        store *mine;
        if (store_open(in(p, "a.db"), STORE_WRITER, &mine, NULL) != STATUS_OK ||
            store_begin(mine, NULL) != STATUS_OK)
            _exit(1);
        if (write(ready[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1) _exit(2);
        store_rollback(mine);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    snprintf(who, sizeof who, "locked: process %ld (test_store_file)", (long)child);
    store_set_patience(s, 50);
    FAILS(store_open_round(s, 2, &err), STATUS_FAILED, who);
    OK(store_open(in(p, "a.db"), STORE_READER, &other, &err)); /* readers never wait */
    assert_sound(other);
    store_close(other);
    assert_int_equal(write(go[1], "x", 1), 1);
    int how;
    waitpid(child, &how, 0);
    assert_int_equal(how, 0);
    OK(store_open_round(s, 2, &err));
    store_close(s);
}

/* Whoever wrote before is not named for one that says nothing of itself, and a close does not wait again. */
static void a_holder_without_a_name(void **state) {
    place *p = *state;
    store *s = open_store(p, "a.db");
    OK(store_open_round(s, 1, &err));
    int other = open(in(p, "a.db.lock"), O_RDWR);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    store_set_patience(s, 50);
    FAILS(store_open_round(s, 2, &err), STATUS_FAILED, "locked: another process has been writing it");
    store_set_patience(s, 60000);
    int64_t start = lineage_now_ms();
    store_close(s);
    assert_true(lineage_now_ms() - start < 30000);
    close(other);
}

static void a_foreign_lock_is_told_apart(void **state) {
    place *p = *state;
    store *s = open_store(p, "a.db");
    sqlite3 *db;
    assert_int_equal(sqlite3_open(in(p, "a.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_busy_timeout(s->db, 50);
    FAILS(store_open_round(s, 1, &err), STATUS_FAILED, "locked by a program that is not rlhf");
    sqlite3_close(db);
    OK(store_open_round(s, 1, &err));
    store_close(s);
}

/* What was acknowledged before the disk was full is there; what failed is not there in part; afterwards it
 * goes on. */
static void a_full_disk_loses_nothing_acknowledged(void **state) {
    place *p = *state;
    int64_t id, done = 0;
    store *s = open_store(p, "a.db");
    struct rlimit old, tight = {200 << 10, RLIM_INFINITY};
    static char body[8000];
    memset(body, 'x', sizeof body);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    tight.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_FSIZE, &tight);
    error failed = {0};
    for (; done < 1000; done++) {
        int n = snprintf(body, sizeof body, "prompt %lld", (long long)done);
        body[n] = ' ';
        store_prompt prompt = {.body = body, .len = sizeof body, .source = "seed"};
        if (store_add_prompt(s, &prompt, &id, NULL, &failed) != STATUS_OK) break;
    }
    setrlimit(RLIMIT_FSIZE, &old);
    assert_in_range(done, 1, 999);
    assert_int_equal(failed.code, STATUS_FAILED);
    assert_non_null(strstr(failed.message, "a.db: "));
    store_close(s);
    s = open_store(p, "a.db");
    assert_sound(s);
    OK(sql_get(s, &id, NULL, "SELECT count(*) FROM prompt", SQL_NONE, &err));
    assert_int_equal(id, done);
    store_prompt more = {.body = "and on", .len = 6, .source = "seed"};
    OK(store_add_prompt(s, &more, &id, NULL, &err));
    store_close(s);
}

static void a_full_disk_leaves_no_half_export(void **state) {
    place *p = *state;
    int64_t ann, n;
    hash sha256;
    store *s = store_with_tasks(p, "a.db", 20, 9, 1, &ann);
    bool found = true;
    for (;;) {
        store_lease lease;
        store_outcome outcome;
        OK(store_lease_next(s, ann, 1, NULL, 0, 1, 1000, &lease, &found, &err));
        if (!found) break;
        store_ranking r = first_answer(&lease);
        OK(store_add_ranking(s, &r, &outcome, NULL, &err));
    }
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit old, tight;
    getrlimit(RLIMIT_FSIZE, &old);
    tight = (struct rlimit){1000, old.rlim_max};
    store_snapshot_options o = {.name = "one", .round = 1, .labellers = LABELLER_ANY};
    setrlimit(RLIMIT_FSIZE, &tight);
    error e = {0};
    status exported = store_export(s, in(p, "out.jsonl"), -1, &n, &e);
    status frozen = store_snapshot(s, in(p, "snapshot.jsonl"), &o, &sha256, &n, &e);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(exported, STATUS_FAILED);
    assert_int_equal(frozen, STATUS_FAILED);
    char **names;
    int n_name;
    OK(path_list(p->directory, &names, &n_name, &err));
    for (int i = 0; i < n_name; i++) assert_null(strstr(names[i], "jsonl"));
    path_free_list(names, n_name);
    OK(store_snapshot(s, in(p, "snapshot.jsonl"), &o, &sha256, &n, &err)); /* and the name was not used up */
    assert_int_equal(n, 20);
    store_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(makes_and_reopens, place_make, place_remove),
        cmocka_unit_test_setup_teardown(refuses_what_is_not_ours, place_make, place_remove),
        cmocka_unit_test_setup_teardown(an_empty_file_is_migrated_and_needs_a_writer, place_make,
                                        place_remove),
        cmocka_unit_test_setup_teardown(migrates_forwards_after_a_backup, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_locked_store_says_by_whom, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_holder_without_a_name, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_foreign_lock_is_told_apart, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_full_disk_loses_nothing_acknowledged, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_no_half_export, place_make, place_remove),
    };
    return cmocka_run_group_tests_name("store_file", tests, NULL, NULL);
}
