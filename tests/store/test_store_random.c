/* Random operations, each compared with a model that holds everything in a few arrays. RLHF_STORE_OPERATIONS
   sets how many (10,000 by default), RLHF_SEED which. */
#include "core/base/random.h"
#include "datasets/store/internal.h"
#include "tests/store/store_test.h"

enum {
    ROUNDS = 3,
    LABELLERS = 4,
    TASKS = 400,
    LEASES = 600,
    ROWS = 6,
    LINES = 12,
    FROZEN = 6,
    PER_STORE = 250
};

typedef struct model_row {
    uint8_t uuid[STORE_UUID];
    store_verdict verdict;
    int n_rank, rank[STORE_ANSWERS];
    int64_t id;
} model_row;

typedef struct model_lease {
    uint8_t uuid[STORE_UUID];
    int task, labeller, n_row;
    int64_t expires;
    model_row row[ROWS];
} model_lease;

typedef struct model {
    store *s;
    place *p;
    int store_number;
    uint64_t draw;
    random_key key;
    int64_t now, labeller[LABELLERS], n_ranking;
    bool closed[ROUNDS + 1];
    int n_run[ROUNDS + 1];
    int n_task, n_lease, n_frozen;
    struct {
        int64_t id, round;
        int answers, want;
    } task[TASKS];
    model_lease lease[LEASES];
    int64_t line[LINES]; /* ranking id; 0: not imported */
    struct {
        int64_t n;
        hash sha256;
    } frozen[FROZEN];
} model;

static int below(model *m, int n) { return (int)random_below(m->key, m->draw++, 0, (uint64_t)n); }

/* ---- what the model says */

static bool is_withdrawn(const model_lease *l) {
    for (int i = 0; i < l->n_row; i++)
        if (l->row[i].verdict == VERDICT_WITHDRAWN) return true;
    return false;
}

static const model_row *live_row(const model_lease *l) {
    return l->n_row && !is_withdrawn(l) ? &l->row[l->n_row - 1] : NULL;
}

static bool has_ranked(const model *m, int task, int labeller) {
    for (int i = 0; i < m->n_lease; i++)
        if (m->lease[i].task == task && m->lease[i].labeller == labeller && live_row(&m->lease[i]))
            return true;
    return false;
}

static bool is_open(const model *m, int task, int labeller) {
    int have = 0, out = 0;
    for (int b = 0; b < LABELLERS; b++) have += has_ranked(m, task, b);
    for (int i = 0; i < m->n_lease; i++) {
        const model_lease *l = &m->lease[i];
        if (l->task != task || l->n_row || l->expires <= m->now) continue;
        if (l->labeller == labeller) return false;
        out++;
    }
    return m->task[task].want - have > out && !has_ranked(m, task, labeller);
}

/* The row that counts of a task and labeller is the latest live one; only ranked ones are trained on. */
static bool is_trained_on(const model *m, const model_lease *l) {
    const model_row *row = live_row(l);
    if (!row || !row->n_rank) return false;
    for (int i = 0; i < m->n_lease; i++) {
        const model_row *other = live_row(&m->lease[i]);
        if (m->lease[i].task == l->task && m->lease[i].labeller == l->labeller && other &&
            other->id > row->id)
            return false;
    }
    return true;
}

static int64_t expected_training(const model *m, int64_t *sum) {
    int64_t n = 0;
    *sum = 0;
    for (int i = 0; i < LINES; i++)
        if (m->line[i]) n++, *sum += m->line[i] * 12;
    for (int i = 0; i < m->n_lease; i++) {
        if (!is_trained_on(m, &m->lease[i])) continue;
        const model_row *row = live_row(&m->lease[i]);
        int64_t digits = 0;
        for (int k = 0; k < row->n_rank; k++) digits = 10 * digits + row->rank[k];
        n++, *sum += row->id * digits;
    }
    return n;
}

static void compare(model *m) {
    int64_t n, sum, want_sum, want = expected_training(m, &want_sum);
    OK(sql_get(m->s, &n, NULL, "SELECT count(*) FROM ranking_train", SQL_NONE, &err));
    OK(sql_get(m->s, &sum, NULL, "SELECT ifnull(sum(id * CAST(ranks AS INTEGER)), 0) FROM ranking_train",
               SQL_NONE, &err));
    assert_int_equal(n, want);
    assert_int_equal(sum, want_sum);
    OK(sql_get(m->s, &n, NULL, "SELECT count(*) FROM ranking", SQL_NONE, &err));
    assert_int_equal(n, m->n_ranking);
}

/* ---- operations */

static void do_run(model *m) {
    int round = 1 + below(m, ROUNDS);
    buffer answers = {0};
    char name[64], prefix[64];
    store_imported n;
    if (m->n_run[round] == 3) return;
    snprintf(prefix, sizeof prefix, "round %d prompt",
             m->n_run[round] == 2 ? 1 : round); /* prompts come again in others */
    make_answers(&answers, prefix, 6, 5);
    snprintf(name, sizeof name, "run-%d-%d-%d", m->store_number, round, m->n_run[round]++);
    const char *run = make_run(m->p, name, round, "model", answers.data);
    OK(store_import_run(m->s, run, &n, &err));
    assert_int_equal(n.added, 30);
    OK(store_import_run(m->s, run, &n, &err));
    assert_int_equal(n.added, 0);
    buffer_free(&answers);
}

static void do_tasks(model *m) {
    store_task_options o = {.round = 1 + below(m, ROUNDS),
                            .answers = 2 + below(m, 4),
                            .want = 1 + below(m, 3),
                            .part = below(m, 3)};
    int64_t made, last;
    error err = {0};
    OK(sql_get(m->s, &last, NULL, "SELECT max(id) FROM task", SQL_NONE, &err));
    status result = store_make_tasks(m->s, &o, &made, &err);
    assert_int_equal(result, m->closed[o.round] ? STATUS_DATA : STATUS_OK);
    if (result != STATUS_OK) return;
    for (int64_t id = last + 1; id <= last + made; id++) {
        store_task task;
        OK(store_read_task(m->s, id, &task, &err));
        assert_in_range(task.n_answer, 2, o.answers);
        assert_true(m->n_task < TASKS);
        m->task[m->n_task].id = id, m->task[m->n_task].round = o.round,
        m->task[m->n_task].answers = task.n_answer;
        m->task[m->n_task++].want = o.want;
        store_task_free(&task);
    }
}

static void do_lease(model *m) {
    int labeller = below(m, LABELLERS), round = 1 + below(m, ROUNDS), expected = -1;
    store_lease l;
    bool found;
    if (m->n_lease == LEASES) return;
    for (int t = 0; t < m->n_task && expected < 0 && !m->closed[round]; t++)
        if (m->task[t].round == round && is_open(m, t, labeller)) expected = t;
    OK(store_lease_next(m->s, m->labeller[labeller], round, NULL, 0, 3, 60000, &l, &found, &err));
    assert_int_equal(found, expected >= 0);
    if (!found) return;
    assert_int_equal(l.task_id, m->task[expected].id);
    model_lease *new_one = &m->lease[m->n_lease++];
    *new_one = (model_lease){.task = expected, .labeller = labeller, .expires = m->now + 60000};
    memcpy(new_one->uuid, l.uuid, STORE_UUID);
}

static void do_renew(model *m) {
    if (!m->n_lease) return;
    int i = below(m, m->n_lease);
    model_lease *l = &m->lease[i];
    int64_t ttl = below(m, 2) ? 0 : 30000;
    bool replaced = false;
    for (int k = i + 1; k < m->n_lease; k++)
        replaced = replaced || (m->lease[k].task == l->task && m->lease[k].labeller == l->labeller);
    bool refused = ttl && replaced && m->now + ttl > l->expires;
    error err = {0};
    assert_int_equal(store_renew_lease(m->s, l->uuid, ttl, &err), refused ? STATUS_DATA : STATUS_OK);
    if (!refused && (ttl || l->expires > m->now)) l->expires = m->now + ttl;
}

static void do_clock(model *m) {
    static const int64_t steps[] = {1000, 20000, 70000, 86400000, -40000};
    m->now += steps[below(m, 5)];
    store_set_clock(m->s, m->now);
}

static void random_ranking(model *m, const model_lease *l, store_ranking *r) {
    *r = (store_ranking){.verdict = below(m, 8) ? VERDICT_RANKED : VERDICT_CANNOT_JUDGE,
                         .seconds = below(m, 100)};
    memcpy(r->lease, l->uuid, STORE_UUID);
    if (r->verdict != VERDICT_RANKED) return;
    r->n_rank = m->task[l->task].answers;
    for (int i = 0; i < r->n_rank; i++) r->rank[i] = below(m, 9);
}

static void record(model *m, model_lease *l, const store_ranking *r, int64_t id) {
    model_row *row = &l->row[l->n_row++];
    *row = (model_row){.verdict = r->verdict, .n_rank = r->n_rank, .id = id};
    memcpy(row->uuid, r->uuid, STORE_UUID);
    memcpy(row->rank, r->rank, sizeof row->rank);
    if (r->n_rank) ranks_make_dense(row->rank, r->n_rank);
    assert_int_equal(id, ++m->n_ranking);
}

/* A first answer, a correction, the same again, the same uuid with something else, or a fork. */
static void do_ranking(model *m) {
    if (!m->n_lease) return;
    model_lease *l = &m->lease[below(m, 2) ? below(m, m->n_lease)
                                           : m->n_lease - 1 - below(m, m->n_lease < 5 ? m->n_lease : 5)];
    store_ranking r;
    store_outcome outcome;
    int64_t id;
    if (l->n_row >= ROWS - 1) return;
    random_ranking(m, l, &r);
    memcpy(r.uuid, l->uuid, STORE_UUID);
    if (l->n_row == 0) {
        OK(store_add_ranking(m->s, &r, &outcome, &id, &err));
        record(m, l, &r, id);
        for (int again = below(m, 3); again > 0; again--) {
            OK(store_add_ranking(m->s, &r, &outcome, &id, &err));
            assert_int_equal(outcome, STORE_ALREADY);
            assert_int_equal(id, m->n_ranking);
        }
        r.seconds += 1;
        FAILS(store_add_ranking(m->s, &r, &outcome, &id, &err), STATUS_DATA, "another ranking");
        return;
    }
    int back = below(m, l->n_row);
    r.supersedes = l->row[back].uuid;
    OK(uuid_make(r.uuid, &err));
    if (back < l->n_row - 1) {
        FAILS(store_add_ranking(m->s, &r, &outcome, &id, &err), STATUS_DATA, "superseded before");
        return;
    }
    OK(store_add_ranking(m->s, &r, &outcome, &id, &err));
    record(m, l, &r, id);
}

static void do_withdraw(model *m) {
    if (!m->n_lease) return;
    model_lease *l = &m->lease[below(m, m->n_lease)];
    if (l->n_row == 0 || l->n_row == ROWS) {
        if (l->n_row == 0)
            FAILS(store_withdraw(m->s, l->uuid, "test", &err), STATUS_DATA, "none to withdraw");
        return;
    }
    bool again = is_withdrawn(l);
    OK(store_withdraw(m->s, l->row[below(m, l->n_row)].uuid, "test", &err));
    if (again) return;
    store_ranking r = {.verdict = VERDICT_WITHDRAWN};
    int64_t id;
    OK(sql_get(m->s, &id, NULL, "SELECT max(id) FROM ranking", SQL_NONE, &err));
    sqlite3_stmt *q;
    bool row;
    OK(sql_start(m->s, &q, "SELECT uuid FROM ranking WHERE id = ?1", SQL_VALUES(sql_int64(id)), &err));
    OK(sql_step(m->s, q, &row, &err));
    memcpy(r.uuid, sqlite3_column_blob(q, 0), STORE_UUID);
    sql_finish(q);
    record(m, l, &r, id);
}

static void do_import(model *m) {
    int first = below(m, LINES), n = 1 + below(m, LINES - first), added = 0;
    buffer text = {0};
    for (int i = first; i < first + n; i++)
        buffer_format(&text,
                      "{\"prompt\":\"import "
                      "%d\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,%d],\"source\":\"elsewhere\"}\n",
                      i, i + 2);
    store_import_options o = {0};
    store_imported count;
    OK(store_import_rankings(m->s, write_text(m->p, "import.jsonl", text.data), &o, &count, &err));
    for (int i = first; i < first + n; i++)
        if (!m->line[i]) m->line[i] = ++m->n_ranking, added++;
    assert_int_equal(count.added, added);
    assert_int_equal(count.present, n - added);
    buffer_free(&text);
}

static void do_snapshot(model *m) {
    char name[32], path[64];
    int64_t n, sum, expected = expected_training(m, &sum);
    hash sha256;
    int i = below(m, FROZEN);
    if (i > m->n_frozen) i = m->n_frozen;
    snprintf(name, sizeof name, "snapshot-%d", i);
    snprintf(path, sizeof path, "%s.jsonl", name);
    store_snapshot_options o = {.name = name, .round = ROUNDS, .labellers = LABELLER_ANY};
    if (i == m->n_frozen && !expected) {
        FAILS(store_snapshot(m->s, in(m->p, path), &o, &sha256, &n, &err), STATUS_DATA, "no ranking");
        return;
    }
    OK(store_snapshot(m->s, in(m->p, path), &o, &sha256, &n, &err));
    if (i == m->n_frozen) {
        assert_int_equal(n, expected);
        m->frozen[m->n_frozen].n = n;
        m->frozen[m->n_frozen++].sha256 = sha256;
    }
    assert_int_equal(n, m->frozen[i].n);
    assert_true(hash_equal(&sha256, &m->frozen[i].sha256));
}

static void open_model(model *m) {
    char name[32];
    snprintf(name, sizeof name, "%d.db", m->store_number);
    m->s = open_store(m->p, name);
    sqlite3_exec(m->s->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL); /* power does not fail here */
    store_set_clock(m->s, m->now);
}

static void do_one(model *m) {
    int what = below(m, 100);
    if (what < 4)
        do_run(m);
    else if (what < 9)
        do_tasks(m);
    else if (what < 37)
        do_lease(m);
    else if (what < 43)
        do_renew(m);
    else if (what < 50)
        do_clock(m);
    else if (what < 80)
        do_ranking(m);
    else if (what < 88)
        do_withdraw(m);
    else if (what < 92)
        do_import(m);
    else if (what < 97)
        do_snapshot(m);
    else if (what < 98) {
        int round = 1 + below(m, ROUNDS);
        if (m->n_run[round] < 3) return;
        OK(store_close_round(m->s, round, &err));
        m->closed[round] = true;
    } else {
        store_close(m->s);
        open_model(m);
    }
}

static void run_store(place *p, uint64_t seed, int number) {
    static const char *const names[LABELLERS] = {"ann", "bob", "cem", "dao"};
    model *m = calloc(1, sizeof *m);
    *m = (model){.p = p,
                 .store_number = number,
                 .now = 1000000,
                 .key = random_make_key(seed, RANDOM_TEST, (uint32_t)number, 0)};
    open_model(m);
    for (int i = 0; i < LABELLERS; i++)
        OK(store_add_labeller(m->s, names[i], LABELLER_HUMAN, NULL, &m->labeller[i], &err));
    for (int round = 1; round <= ROUNDS; round++) OK(store_open_round(m->s, round, &err));
    for (int i = 0; i < PER_STORE; i++) {
        do_one(m);
        if (i % 10 == 9) compare(m);
    }
    compare(m);
    assert_sound(m->s);
    store_close(m->s);
    free(m);
}

static void random_operations_agree_with_the_model(void **state) {
    const char *wanted = getenv("RLHF_STORE_OPERATIONS"), *chosen = getenv("RLHF_SEED");
    long operations = wanted ? atol(wanted) : 10000;
    uint64_t seed = chosen ? strtoull(chosen, NULL, 10) : 1;
    print_message("seed %llu, %ld operations\n", (unsigned long long)seed, operations);
    for (int i = 0; i < (operations + PER_STORE - 1) / PER_STORE; i++) run_store(*state, seed, i);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_operations_agree_with_the_model, place_make, place_remove),
    };
    return cmocka_run_group_tests_name("store_random", tests, NULL, NULL);
}
