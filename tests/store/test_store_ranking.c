/* Prompts, runs, tasks, leases, rankings, snapshots and lineage, one promise a test. */
#include "datasets/store/chat.h"
#include "datasets/store/internal.h"
#include "tests/store/store_test.h"

static int64_t count(store *s, const char *sql) {
    int64_t n;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_prepare_v2(s->db, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return n;
}

static store_lease lease(store *s, int64_t labeller) {
    store_lease l;
    bool found;
    OK(store_lease_next(s, labeller, 1, NULL, 0, 5, 60000, &l, &found, &err));
    assert_true(found);
    return l;
}

static void assert_nothing_open(store *s, int64_t labeller) {
    store_lease l;
    bool found;
    OK(store_lease_next(s, labeller, -1, NULL, 0, 5, 60000, &l, &found, &err));
    assert_false(found);
}

static void a_prompt_keeps_its_split(void **state) {
    store *s = open_store(*state, "a.db");
    const char *turn = "Who are you?";
    hash opening = hash_bytes(turn, strlen(turn));
    const char *other = strcmp(split_of_opening(&opening), "test") == 0 ? "valid" : "test";
    static const char chat[] =
        "[{\"role\":\"system\",\"content\":\"Be kind.\"},{\"role\":\"user\",\"content\":\"Who are you?\"},"
        "{\"role\":\"assistant\",\"content\":\"I.\"},{\"role\":\"user\",\"content\":\"Really?\"}]";
    store_prompt first = {.body = turn, .len = strlen(turn), .split = other, .source = "set"};
    store_prompt again = {.body = turn, .len = strlen(turn), .source = "set"};
    store_prompt same_opening = {
        .body = chat, .len = strlen(chat), .chat = true, .split = "train", .source = "set"};
    int64_t id, id2;
    bool differs;
    OK(store_add_prompt(s, &first, &id, &differs, &err));
    assert_false(differs);
    OK(store_add_prompt(s, &again, &id2, &differs, &err));
    assert_int_equal(id, id2);
    assert_false(differs);
    OK(store_add_prompt(s, &same_opening, &id, &differs, &err));
    assert_true(differs);
    assert_int_equal(count(s, "SELECT count(DISTINCT split) FROM prompt"), 1);
    FAILS(store_add_prompt(s, &(store_prompt){.body = "x", .len = 1, .split = "dev", .source = "set"}, &id,
                           NULL, &err),
          STATUS_DATA, "\"dev\" is not train, valid or test");
    assert_sound(s);
    store_close(s);
}

static void the_hash_rule_is_the_schemas(void **state) {
    store *s = open_store(*state, "a.db");
    int64_t id;
    OK(store_begin(s, &err));
    for (int i = 0; i < 300; i++) {
        char text[16];
        int n = snprintf(text, sizeof text, "question %d", i);
        store_prompt p = {.body = text, .len = (size_t)n, .source = "seed"};
        OK(store_add_prompt(s, &p, &id, NULL, &err));
        hash opening = hash_bytes(text, (size_t)n);
        int64_t same;
        OK(sql_get(s, &same, NULL, "SELECT split = ?2 FROM prompt WHERE id = ?1",
                   SQL_VALUES(sql_int64(id), sql_string(split_of_opening(&opening))), &err));
        assert_int_equal(same, 1);
    }
    OK(store_commit(s, &err));
    assert_in_range(count(s, "SELECT count(*) FROM prompt WHERE split = 'valid'"), 20, 60);
    assert_in_range(count(s, "SELECT count(*) FROM prompt WHERE split = 'test'"), 7, 40);
    store_close(s);
}

static void importing_a_run_twice_is_nothing(void **state) {
    place *p = *state;
    store *s = open_store(p, "a.db");
    store_imported n;
    const char *run = make_run(
        p, "run", 1, "model",
        "{\"prompt\":\"a\",\"sample\":0,\"text\":\"x\\u0000y\",\"tokens\":[1,0],\"finish\":\"stop\"}\n"
        "{\"messages\":[{\"content\":\"b\",\"role\":\"user\"}],\"sample\":0,\"text\":\"z\",\"tokens\":[],"
        "\"finish\":\"length\",\"split\":\"test\"}\n");
    OK(store_import_run(s, run, &n, &err));
    assert_int_equal(n.added, 2);
    int64_t before = sqlite3_total_changes64(s->db);
    OK(store_import_run(s, run, &n, &err));
    assert_int_equal(n.added, 0);
    assert_int_equal(n.present, 2);
    assert_int_equal(sqlite3_total_changes64(s->db), before);
    assert_int_equal(
        count(s, "SELECT octet FROM (SELECT length(CAST(text AS BLOB)) AS octet FROM answer WHERE id = 1)"),
        3);
    assert_int_equal(count(s, "SELECT count(*) FROM prompt WHERE split = 'test' AND kind = 'chat'"), 1);
    assert_sound(s);
    store_close(s);
}

static void a_run_that_contradicts_itself_is_refused(void **state) {
    place *p = *state;
    store *s = open_store(p, "a.db");
    store_imported n;
    char answers[400];
    const char *line =
        "{\"prompt\":\"a\",\"sample\":0,\"text\":\"x\",\"tokens\":[1,0],\"finish\":\"stop\"}\n";
    const char *run = make_run(p, "run", 1, "model", line);
    OK(store_import_run(s, run, &n, &err));
    snprintf(answers, sizeof answers, "%s/answers.jsonl", run);
    OK(file_write(answers,
                  "{\"prompt\":\"a\",\"sample\":0,\"text\":\"other\",\"tokens\":[1,0],\"finish\":\"stop\"}\n",
                  72, &err));
    FAILS(store_import_run(s, run, &n, &err), STATUS_DATA, "answer: never changes");
    static const char *const bad[][2] = {
        {"{\"prompt\":\"b\",\"sample\":0,\"text\":\"x\",\"tokens\":[-1],\"finish\":\"stop\"}",
         "answers.jsonl:2: token 1 is not an id"},
        {"{\"prompt\":\"b\",\"sample\":0,\"text\":\"x\",\"tokens\":[],\"finish\":\"soon\"}",
         "answers.jsonl:2"},
        {"{\"prompt\":\"b\",\"text\":\"x\",\"tokens\":[],\"finish\":\"stop\"}", "\"sample\" is missing"},
        {"{\"sample\":0,\"text\":\"x\",\"tokens\":[],\"finish\":\"stop\"}",
         "needs either \"prompt\" or \"messages\""},
        {"{\"prompt\":\"b\",", "answers.jsonl:2: not JSON"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[400];
        snprintf(text, sizeof text,
                 "{\"prompt\":\"new\",\"sample\":0,\"text\":\"x\",\"tokens\":[1],\"finish\":\"stop\"}\n%s\n",
                 bad[i][0]);
        OK(file_write(answers, text, strlen(text), &err));
        FAILS(store_import_run(s, run, &n, &err), STATUS_DATA, bad[i][1]);
    }
    FAILS(store_import_run(s, in(p, "nowhere"), &n, &err), STATUS_DATA, "lineage.json");
    assert_int_equal(count(s, "SELECT count(*) FROM prompt"), 1); /* nothing of the bad ones stayed */
    store_close(s);
}

static void tasks_take_k_different_texts(void **state) {
    place *p = *state;
    store *s = open_store(p, "a.db");
    store_imported n;
    buffer answers = {0};
    int64_t made;
    static const char *const texts[3][6] = {
        {"a", "b", "a", "c", "d", "e"}, {"a", "a", "a", "a", "a", "a"}, {"a", "b", "b", "a", "a", "b"}};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 6; k++)
            buffer_format(
                &answers,
                "{\"prompt\":\"p%d\",\"sample\":%d,\"text\":\"%s\",\"tokens\":[%d],\"finish\":\"stop\"}\n", i,
                k, texts[i][k], k);
    OK(store_import_run(s, make_run(p, "run", 1, "model", answers.data), &n, &err));
    buffer_free(&answers);
    store_task_options o = {.round = 1, .answers = 3, .want = 2};
    store_supply supply;
    OK(store_read_supply(s, &o, &supply, &err));
    assert_true(supply.prompts == 3 && supply.with_task == 0 && supply.alike == 1);
    OK(store_make_tasks(s, &o, &made, &err));
    assert_int_equal(made, 2); /* p0: a b c; p2: a b; p1 has but one text */
    OK(store_read_supply(s, &o, &supply, &err));
    assert_true(supply.prompts == 3 && supply.with_task == 2 && supply.alike == 1);
    OK(store_make_tasks(s, &o, &made, &err));
    assert_int_equal(made, 0);
    o.part = 1;
    OK(store_read_supply(s, &o, &supply, &err));
    assert_true(supply.prompts == 3 && supply.with_task == 0 && supply.alike == 2);
    o.round = 2;
    OK(store_read_supply(s, &o, &supply, &err));
    assert_true(supply.prompts == 0 && supply.with_task == 0 && supply.alike == 0);
    o.round = 1;
    OK(store_make_tasks(s, &o, &made, &err));
    assert_int_equal(made, 1); /* p0: d e */
    assert_int_equal(count(s, "SELECT count(*) FROM task_answer"), 7);
    store_task task;
    OK(store_read_task(s, 3, &task, &err));
    assert_int_equal(task.n_answer, 2);
    assert_string_equal(task.answer[0].text, "d");
    assert_int_equal(task.answer[0].tokens[0], 4);
    assert_string_equal(task.prompt, "p0");
    store_task_free(&task);
    FAILS(store_read_task(s, 99, &task, &err), STATUS_DATA, "no task 99");
    o.answers = 1;
    FAILS(store_make_tasks(s, &o, NULL, &err), STATUS_USAGE, "2 to 9 answers, not 1");
    o = (store_task_options){.round = 0, .answers = 2, .want = 1};
    FAILS(store_make_tasks(s, &o, NULL, &err), STATUS_USAGE, "round 0");
    o.round = 1, o.part = 5;
    OK(store_close_round(s, 1, &err));
    FAILS(store_make_tasks(s, &o, NULL, &err), STATUS_DATA, "round 1 is closed");
    assert_sound(s);
    store_close(s);
}

static void prompts_take_turns(void **state) {
    place *p = *state;
    store *s = open_store(p, "a.db");
    store_imported n;
    buffer answers = {0};
    int64_t made;
    make_answers(&answers, "prompt", 5, 2);
    for (int round = 1; round <= 3; round++) {
        char run[16];
        snprintf(run, sizeof run, "run-%d", round);
        OK(store_import_run(s, make_run(p, run, round, "model", answers.data), &n, &err));
        store_task_options o = {.round = round, .answers = 2, .want = 1, .limit = 2, .fewest_first = 1};
        OK(store_make_tasks(s, &o, &made, &err));
        assert_int_equal(made, 2);
    }
    /* Rounds 1 and 2 took four of the five; the fifth was first in round 3, then the first one again. */
    assert_int_equal(count(s, "SELECT count(DISTINCT prompt_id) FROM task WHERE round_id < 3"), 4);
    assert_int_equal(count(s, "SELECT count(DISTINCT prompt_id) FROM task"), 5);
    assert_int_equal(count(s, "SELECT count(*) FROM task WHERE prompt_id = (SELECT min(id) FROM prompt)"), 2);
    assert_sound(s);
    buffer_free(&answers);
    store_close(s);
}

static void tasks_keep_to_their_limit(void **state) {
    place *p = *state;
    int64_t ann, made;
    store *s = store_with_tasks(p, "a.db", 8, 4, 1, &ann);
    store_task_options o = {.round = 1, .answers = 2, .want = 1, .part = 1, .limit = 3};
    OK(store_make_tasks(s, &o, &made, &err));
    assert_int_equal(made, 3);
    OK(store_make_tasks(s, &o, &made, &err));
    assert_int_equal(made, 0);
    o.split = "test", o.limit = 0;
    OK(store_make_tasks(s, &o, &made, &err));
    assert_int_equal(made, 0);
    store_close(s);
}

static void leases_hand_out_each_task_once(void **state) {
    place *p = *state;
    int64_t ann, bob;
    store *s = store_with_tasks(p, "a.db", 2, 3, 1, &ann);
    OK(store_add_labeller(s, "bob", LABELLER_HUMAN, NULL, &bob, &err));
    store_set_clock(s, 1000000);
    store_lease a = lease(s, ann), b = lease(s, bob);
    assert_int_not_equal(a.task_id, b.task_id);
    assert_nothing_open(s, ann);
    FAILS(store_lease_task(s, ann, a.task_id, 5, 1000, &b, &err), STATUS_DATA,
          "the labeller holds this task");
    store_set_clock(s, 1000000 + 60001); /* both expired */
    store_lease c = lease(s, bob);
    assert_int_equal(c.task_id, a.task_id);
    OK(store_renew_lease(s, c.uuid, 0, &err)); /* handed back */
    store_lease d = lease(s, ann);
    assert_int_equal(d.task_id, a.task_id);
    assert_string_equal(d.shown, a.shown); /* by counter: the same labeller sees the same order */
    FAILS(store_renew_lease(s, a.uuid, 90000, &err), STATUS_DATA, "replaced by a later one");
    OK(store_renew_lease(s, d.uuid, 90000, &err));
    OK(store_hand_back(s, ann, &err));
    int64_t ids[4];
    int n = 4;
    OK(store_open_tasks(s, bob, 1, &d.task_id, 1, ids, &n, &err));
    assert_int_equal(n, 1); /* the one that is not skipped */
    assert_int_not_equal(ids[0], d.task_id);
    OK(store_close_round(s, 1, &err));
    assert_nothing_open(s, bob);
    store_close(s);
}

static void orders_shown_are_permutations_by_counter(void **state) {
    place *p = *state;
    int64_t ann, first[4] = {0};
    store *s = store_with_tasks(p, "a.db", 200, 4, 1, &ann);
    OK(store_begin(s, &err));
    for (int i = 0; i < 200; i++) {
        store_lease l = lease(s, ann);
        first[l.shown[0] - '1']++;
    }
    OK(store_commit(s, &err));
    for (int i = 0; i < 4; i++) assert_in_range(first[i], 25, 75);
    store_close(s);
}

static void a_doubled_ranking_is_recorded_once(void **state) {
    place *p = *state;
    int64_t ann, id, again;
    store_outcome outcome;
    store *s = store_with_tasks(p, "a.db", 1, 3, 1, &ann);
    store_lease l = lease(s, ann);
    store_ranking r = first_answer(&l);
    r.rank[0] = 1, r.rank[1] = 7, r.rank[2] = 7;
    OK(store_add_ranking(s, &r, &outcome, &id, &err));
    assert_int_equal(outcome, STORE_RECORDED);
    r.rank[1] = r.rank[2] = 2; /* the same once gaps are closed */
    OK(store_add_ranking(s, &r, &outcome, &again, &err));
    assert_int_equal(outcome, STORE_ALREADY);
    assert_int_equal(id, again);
    r.rank[2] = 3;
    FAILS(store_add_ranking(s, &r, &outcome, &again, &err), STATUS_DATA,
          "another ranking was recorded under this uuid");
    assert_int_equal(outcome, STORE_CONFLICT);
    assert_int_equal(count(s, "SELECT count(*) FROM ranking"), 1);
    assert_int_equal(count(s, "SELECT ranks = '122' FROM ranking"), 1);
    assert_nothing_open(s, ann);
    assert_sound(s);
    store_close(s);
}

static void a_late_ranking_is_accepted(void **state) {
    place *p = *state;
    int64_t ann, bob;
    store_outcome outcome;
    store *s = store_with_tasks(p, "a.db", 1, 3, 1, &ann);
    OK(store_add_labeller(s, "bob", LABELLER_HUMAN, NULL, &bob, &err));
    store_set_clock(s, 1000);
    store_lease l = lease(s, ann);
    store_set_clock(s, 1000 + 86400000);
    store_lease m = lease(s, bob); /* it was handed on meanwhile */
    OK(store_close_round(s, 1, &err));
    store_ranking r = first_answer(&l), q = first_answer(&m);
    OK(store_add_ranking(s, &q, &outcome, NULL, &err));
    OK(store_add_ranking(s, &r, &outcome, NULL, &err));
    assert_int_equal(outcome, STORE_RECORDED);
    assert_int_equal(count(s, "SELECT count(*) FROM ranking_train"), 2);
    assert_int_equal(count(s, "SELECT have FROM task"), 2);
    assert_sound(s);
    store_close(s);
}

static void a_correction_supersedes_and_never_forks(void **state) {
    place *p = *state;
    int64_t ann;
    store_outcome outcome;
    store *s = store_with_tasks(p, "a.db", 1, 3, 1, &ann);
    store_lease l = lease(s, ann);
    store_ranking r = first_answer(&l), better = r;
    OK(store_add_ranking(s, &r, &outcome, NULL, &err));
    better.rank[0] = 3, better.rank[2] = 1;
    FAILS(store_add_ranking(s, &better, &outcome, NULL, &err), STATUS_DATA, "another ranking");
    better.supersedes = l.uuid;
    FAILS(store_add_ranking(s, &better, &outcome, NULL, &err), STATUS_DATA, "supersedes nothing");
    OK(uuid_make(better.uuid, &err));
    OK(store_add_ranking(s, &better, &outcome, NULL, &err));
    OK(store_add_ranking(s, &better, &outcome, NULL, &err));
    assert_int_equal(outcome, STORE_ALREADY);
    store_ranking fork = better;
    OK(uuid_make(fork.uuid, &err));
    FAILS(store_add_ranking(s, &fork, &outcome, NULL, &err), STATUS_DATA, "was superseded before");
    assert_int_equal(outcome, STORE_CONFLICT);
    assert_int_equal(count(s, "SELECT count(*) FROM ranking_train WHERE ranks = '321'"), 1);
    assert_int_equal(count(s, "SELECT count(*) FROM ranking_train"), 1);
    assert_sound(s);
    store_close(s);
}

static void an_undone_ranking_is_skipped_in_training(void **state) {
    place *p = *state;
    int64_t ann, task;
    uint8_t last[STORE_UUID];
    bool found;
    store_outcome outcome;
    store *s = store_with_tasks(p, "a.db", 1, 3, 1, &ann);
    store_lease l = lease(s, ann);
    store_ranking r = first_answer(&l);
    OK(store_last_ranking(s, ann, last, &task, &found, &err));
    assert_false(found);
    OK(store_add_ranking(s, &r, &outcome, NULL, &err));
    OK(store_last_ranking(s, ann, last, &task, &found, &err));
    assert_true(found && task == l.task_id);
    assert_memory_equal(last, l.uuid, STORE_UUID);
    OK(store_withdraw(s, last, "undone", &err));
    OK(store_withdraw(s, last, "undone", &err));
    assert_int_equal(count(s, "SELECT count(*) FROM ranking"), 2);
    assert_int_equal(count(s, "SELECT count(*) FROM ranking_train"), 0);
    store_lease again = lease(s, ann); /* open once more */
    r = first_answer(&again);
    OK(store_add_ranking(s, &r, &outcome, NULL, &err));
    assert_int_equal(count(s, "SELECT count(*) FROM ranking_train"), 1);
    memset(last, 7, sizeof last);
    FAILS(store_withdraw(s, last, NULL, &err), STATUS_DATA, "none to withdraw");
    assert_sound(s);
    store_close(s);
}

static void rankings_that_fit_nothing_are_refused(void **state) {
    place *p = *state;
    int64_t ann;
    store_outcome outcome;
    store *s = store_with_tasks(p, "a.db", 1, 3, 1, &ann);
    store_lease l = lease(s, ann);
    store_ranking r = first_answer(&l);
    r.n_rank = 2;
    FAILS(store_add_ranking(s, &r, &outcome, NULL, &err), STATUS_DATA, "not one rank for each answer");
    assert_int_equal(outcome, STORE_INVALID);
    r.n_rank = 0;
    FAILS(store_add_ranking(s, &r, &outcome, NULL, &err), STATUS_DATA, "has no ranks");
    r = first_answer(&l);
    r.verdict = VERDICT_CANNOT_JUDGE;
    FAILS(store_add_ranking(s, &r, &outcome, NULL, &err), STATUS_DATA, "its verdict does not allow");
    r = first_answer(&l);
    r.lease[0] ^= 1, r.uuid[0] ^= 1;
    FAILS(store_add_ranking(s, &r, &outcome, NULL, &err), STATUS_DATA, "answers no lease");
    assert_int_equal(outcome, STORE_UNKNOWN);
    r = first_answer(&l);
    r.verdict = VERDICT_ALL_BAD, r.n_rank = 0;
    OK(store_add_ranking(s, &r, &outcome, NULL, &err));
    assert_int_equal(count(s, "SELECT count(*) FROM ranking_train"), 0);
    assert_int_equal(count(s, "SELECT have FROM task"), 1); /* it was judged */
    assert_sound(s);
    store_close(s);
}

static void labellers_never_change_their_kind(void **state) {
    store *s = open_store(*state, "a.db");
    int64_t id, again;
    labeller_kind kind;
    OK(store_add_labeller(s, "sim", LABELLER_SIMULATED, "{\"noise\": 0.8, \"by\": \"rule\"}", &id, &err));
    OK(store_add_labeller(s, "sim", LABELLER_SIMULATED, "{\"by\":\"rule\",\"noise\":0.8}", &again, &err));
    assert_int_equal(id, again);
    FAILS(store_add_labeller(s, "sim", LABELLER_HUMAN, NULL, &id, &err), STATUS_DATA, "another kind or spec");
    FAILS(store_add_labeller(s, "sim", LABELLER_SIMULATED, "{}", &id, &err), STATUS_DATA,
          "another kind or spec");
    FAILS(store_add_labeller(s, "x", LABELLER_RULE, NULL, &id, &err), STATUS_USAGE, "has one");
    FAILS(store_add_labeller(s, "x", LABELLER_RULE, "{", &id, &err), STATUS_DATA, "spec: not JSON");
    FAILS(store_add_labeller(s, "a\033b", LABELLER_HUMAN, NULL, &id, &err), STATUS_DATA,
          "control characters");
    OK(store_find_labeller(s, "sim", &id, &kind, &err));
    assert_int_equal(kind, LABELLER_SIMULATED);
    FAILS(store_find_labeller(s, "who", &id, &kind, &err), STATUS_DATA, "no labeller \"who\"");
    store_close(s);
}

static void a_snapshot_is_frozen(void **state) {
    place *p = *state;
    int64_t ann, n;
    store_outcome outcome;
    hash first, second;
    buffer text = {0};
    store *s = store_with_tasks(p, "a.db", 3, 2, 1, &ann);
    store_snapshot_options o = {.name = "round-01", .round = 1, .labellers = LABELLER_HUMAN};
    FAILS(store_snapshot(s, in(p, "s.jsonl"), &o, &first, &n, &err), STATUS_DATA,
          "no ranking that may be trained on");
    uint8_t ranked[STORE_UUID];
    for (int i = 0; i < 2; i++) {
        store_lease l = lease(s, ann);
        store_ranking r = first_answer(&l);
        OK(store_add_ranking(s, &r, &outcome, NULL, &err));
        memcpy(ranked, l.uuid, sizeof ranked);
    }
    OK(store_snapshot(s, in(p, "s.jsonl"), &o, &first, &n, &err));
    assert_int_equal(n, 2);
    OK(file_read(in(p, "s.jsonl"), 1 << 20, &text, &err));
    assert_non_null(
        strstr(text.data,
               "{\"ranking_id\":1,\"round\":1,\"split\":\"train\",\"labeller\":\"ann\",\"kind\":\"human\","
               "\"prompt\":"
               "\"prompt 0\",\"answers\":[\"answer 0 to 0\",\"answer 1 to 0\"],\"tokens\":[[1,1,0],[1,2,0]],"
               "\"tokenizer\":\""));
    assert_non_null(strstr(text.data, "\"finish\":[\"stop\",\"stop\"],\"ranks\":[1,2],\"weight\":1}\n"));
    store_lease l = lease(s, ann);
    store_ranking r = first_answer(&l);
    OK(store_add_ranking(s, &r, &outcome, NULL, &err));
    OK(store_withdraw(s, l.uuid, "no", &err));
    OK(store_snapshot(s, in(p, "t.jsonl"), &o, &second, &n, &err)); /* the same again */
    assert_true(hash_equal(&first, &second));
    assert_int_equal(n, 2);
    int64_t further, gone;
    OK(store_compare_snapshot(s, &o, &further, &gone, &err));
    assert_int_equal(further, 0);
    assert_int_equal(gone, 0);
    OK(store_withdraw(s, ranked, "no", &err));
    OK(store_compare_snapshot(s, &o, &further, &gone, &err));
    assert_int_equal(gone, 1);
    o.labellers = LABELLER_ANY;
    FAILS(store_snapshot(s, in(p, "t.jsonl"), &o, &second, &n, &err), STATUS_DATA, "choose another name");
    o.name = "later", o.round = 9;
    FAILS(store_snapshot(s, in(p, "t.jsonl"), &o, &second, &n, &err), STATUS_DATA, "no round 9");
    assert_sound(s);
    store_close(s);
    buffer_free(&text);
}

/* What cannot be closed is not sealed: no answer may come between the two and be ignored. */
static void a_round_is_sealed_and_closed_in_one(void **state) {
    place *p = *state;
    int64_t ann, n;
    store_progress progress;
    hash sha256;
    store_outcome outcome;
    store *s = store_with_tasks(p, "a.db", 2, 2, 1, &ann);
    store_snapshot_options o = {.name = "one", .round = 1, .labellers = LABELLER_ANY, .close = true};
    store_lease l = lease(s, ann);
    store_ranking r = first_answer(&l);
    OK(store_add_ranking(s, &r, &outcome, NULL, &err));
    OK(sql_exec(s, "CREATE TEMP TRIGGER no BEFORE UPDATE ON round BEGIN SELECT RAISE(ABORT, 'no'); END",
                &err));
    FAILS(store_snapshot(s, in(p, "s.jsonl"), &o, &sha256, &n, &err), STATUS_DATA, "refused: no");
    assert_false(path_exists(in(p, "s.jsonl")));
    OK(sql_exec(s, "DROP TRIGGER no", &err));
    l = lease(s, ann); /* the round is open, and what is ranked now counts */
    r = first_answer(&l);
    OK(store_add_ranking(s, &r, &outcome, NULL, &err));
    OK(store_snapshot(s, in(p, "s.jsonl"), &o, &sha256, &n, &err));
    assert_int_equal(n, 2);
    OK(store_read_progress(s, 1, &progress, &err));
    assert_true(progress.closed);
    store_close(s);
}

static void lineage_leads_both_ways(void **state) {
    place *p = *state;
    int64_t ann, n, id;
    store_outcome outcome;
    hash sha256;
    store *s = store_with_tasks(p, "a.db", 2, 2, 1, &ann);
    store_lease l = lease(s, ann);
    store_ranking r = first_answer(&l);
    OK(store_add_ranking(s, &r, &outcome, NULL, &err));
    store_snapshot_options o = {.name = "one", .round = 1, .labellers = LABELLER_ANY};
    OK(store_snapshot(s, in(p, "snapshot.jsonl"), &o, &sha256, &n, &err));
    const char *directory = in(p, "reward");
    lineage run = {
        .kind = strdup("reward"), .code = strdup("test"), .round = 1, .attempt = 1, .started_ms = 1};
    OK(path_make_directories(directory, &err));
    OK(lineage_make_uuid(run.uuid, &err));
    OK(lineage_add_in(&run, directory, "snapshot", -1, in(p, "snapshot.jsonl"), &err));
    OK(lineage_add_in(&run, directory, "model", -1, in(p, "model.bin"), &err));
    OK(lineage_add_out(&run, directory, "reward", -1, write_text(p, "reward.bin", "a reward model"), &err));
    OK(lineage_write(in(p, "reward/lineage.json"), &run, &err));
    store_imported imported;
    OK(store_import_run(s, directory, &imported, &err));
    char hex[2 * HASH_BYTES + 1];
    hash_hex(&run.out[0].sha256, hex);
    OK(store_find_artifact(s, hex, &id, &err));
    hex[12] = 0;
    OK(store_find_artifact(s, hex, &id, &err));
    store_lineage back, forward;
    OK(store_lineage_back(s, id, &back, &err));
    assert_int_equal(back.rankings.n, 1);
    assert_int_equal(back.rankings.id[0], 1);
    assert_int_equal(back.runs.n, 2);      /* the reward run and the one that sampled */
    assert_int_equal(back.artifacts.n, 4); /* reward, snapshot, model, tokenizer */
    assert_int_equal(back.snapshots.n, 1);
    OK(store_lineage_forward(s, 1, &forward, &err));
    assert_int_equal(forward.artifacts.n, 2); /* snapshot, reward */
    assert_int_equal(forward.artifacts.id[1], id);
    store_lineage_free(&forward);
    store_lineage_free(&back);
    buffer words = {0};
    OK(store_describe_artifact(s, id, &words, &err));
    OK(store_describe_run(s, 1, &words, &err));
    OK(store_describe_snapshot(s, 1, &words, &err));
    assert_non_null(strstr(words.data, "reward"));
    assert_non_null(strstr(words.data, "one  1 rankings"));
    buffer_free(&words);
    FAILS(store_find_artifact(s, "0123456789", &id, &err), STATUS_DATA, "no artifact 0123456789");
    FAILS(store_find_artifact(s, "xyz", &id, &err), STATUS_USAGE, "not the SHA-256");
    FAILS(store_find_ranking(s, "12", &id, &err), STATUS_DATA, "no ranking 12");
    FAILS(store_find_ranking(s, "one", &id, &err), STATUS_USAGE, "neither");
    lineage_free(&run);
    store_close(s);
}

static void stats_count_agreement(void **state) {
    place *p = *state;
    int64_t who[2];
    store_outcome outcome;
    buffer json = {0};
    store *s = store_with_tasks(p, "a.db", 2, 3, 2, &who[0]);
    OK(store_add_labeller(s, "bob", LABELLER_HUMAN, NULL, &who[1], &err));
    static const int ranks[2][2][3] = {{{1, 2, 3}, {1, 2, 3}},
                                       {{1, 2, 2}, {2, 1, 3}}}; /* by labeller, task */
    for (int w = 0; w < 2; w++)
        for (int t = 0; t < 2; t++) {
            store_lease l = lease(s, who[w]);
            store_ranking r = first_answer(&l);
            memcpy(r.rank, ranks[w][t], sizeof ranks[w][t]);
            OK(store_add_ranking(s, &r, &outcome, NULL, &err));
        }
    OK(store_stats(s, &json, &err));
    /* task 1: 12 same, 13 same, 23 against a tie; task 2: 12 opposite, 13 and 23 same */
    assert_non_null(strstr(
        json.data, "\"agreement\":{\"pairs\":5,\"rate\":0.8,\"pairs_with_ties\":6,\"rate_with_ties\":0.75}"));
    assert_non_null(strstr(json.data, "\"pairs\":11,"));
    assert_non_null(strstr(json.data, "{\"round\":1,\"open\":1,\"tasks\":2,\"wanted\":4,\"ranked\":4}"));
    buffer_free(&json);
    store_progress progress;
    OK(store_read_progress(s, 1, &progress, &err));
    assert_int_equal(progress.wanted, 4);
    assert_int_equal(progress.ranked, 4);
    store_close(s);
}

static void a_group_counts_whole_or_not_at_all(void **state) {
    place *p = *state;
    int64_t ann;
    store_outcome outcome;
    store *s = store_with_tasks(p, "a.db", 3, 2, 1, &ann);
    OK(store_begin(s, &err));
    FAILS(store_begin(s, &err), STATUS_FAILED, "open already");
    store_lease l = lease(s, ann);
    store_ranking r = first_answer(&l), wrong = r;
    OK(store_add_ranking(s, &r, &outcome, NULL, &err));
    wrong.rank[0] = 2, wrong.rank[1] = 1;
    FAILS(store_add_ranking(s, &wrong, &outcome, NULL, &err), STATUS_DATA, "another ranking"); /* alone */
    store_rollback(s);
    assert_int_equal(count(s, "SELECT count(*) FROM ranking"), 0);
    assert_int_equal(count(s, "SELECT count(*) FROM lease"), 0);
    FAILS(store_commit(s, &err), STATUS_FAILED, "no group");
    store_close(s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(a_prompt_keeps_its_split),
        T(the_hash_rule_is_the_schemas),
        T(importing_a_run_twice_is_nothing),
        T(a_run_that_contradicts_itself_is_refused),
        T(tasks_take_k_different_texts),
        T(prompts_take_turns),
        T(tasks_keep_to_their_limit),
        T(leases_hand_out_each_task_once),
        T(orders_shown_are_permutations_by_counter),
        T(a_doubled_ranking_is_recorded_once),
        T(a_late_ranking_is_accepted),
        T(a_correction_supersedes_and_never_forks),
        T(an_undone_ranking_is_skipped_in_training),
        T(rankings_that_fit_nothing_are_refused),
        T(labellers_never_change_their_kind),
        T(a_snapshot_is_frozen),
        T(a_round_is_sealed_and_closed_in_one),
        T(lineage_leads_both_ways),
        T(stats_count_agreement),
        T(a_group_counts_whole_or_not_at_all),
    };
    return cmocka_run_group_tests_name("store_ranking", tests, NULL, NULL);
}
