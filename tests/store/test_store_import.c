/* Rankings in and out of JSONL. */
#include <unistd.h>
#include <zlib.h>

#include "datasets/store/internal.h"
#include "tests/store/store_test.h"

static store_imported import(store *s, const char *path) {
    store_imported n;
    store_import_options o = {0};
    OK(store_import_rankings(s, path, &o, &n, &err));
    return n;
}

static void read_export(store *s, place *p, const char *name, buffer *out) {
    int64_t n;
    OK(store_export(s, in(p, name), -1, &n, &err));
    OK(file_read(in(p, name), 1 << 28, out, &err));
}

/* Exports, imports into an empty store, exports again: the same bytes. */
static void assert_round_trip(store *s, place *p) {
    buffer first = {0}, second = {0};
    read_export(s, p, "first.jsonl", &first);
    unlink(in(p, "copy.db"));
    store *copy = open_store(p, "copy.db");
    import(copy, in(p, "first.jsonl"));
    assert_sound(copy);
    read_export(copy, p, "second.jsonl", &second);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    assert_int_equal(import(copy, in(p, "first.jsonl")).added, 0);
    store_close(copy);
    buffer_free(&first);
    buffer_free(&second);
}

static const char three[] =
    "{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,5],\"labeller\":\"one\"}\n"
    "\n"
    "{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[2,1],\"labeller\":\"two\",\"split\":\"test\"}\n"
    "{\"chosen\":\"\\n\\nHuman: Hi\\n\\nAssistant: \\u4f60\",\"rejected\":\"\\n\\nHuman: Hi\\n\\nAssistant: "
    "\\u0000b\",\"weight\":3}\n"
    "{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,5],\"labeller\":\"one\"}\n";

/* Each ranking of a tree stands or falls alone. */
static void a_tree_has_many_rankings(void **state) {
    place *p = *state;
    store *s = open_store(p, "a.db");
    const char *path =
        write_text(p, "trees.jsonl",
                   "{\"message_tree_id\":\"t\",\"prompt\":{\"role\":\"prompter\",\"text\":\"q\",\"replies\":["
                   "{\"role\":\"assistant\",\"text\":\"a\",\"rank\":1,\"replies\":["
                   "{\"role\":\"prompter\",\"text\":\"r\",\"replies\":["
                   "{\"role\":\"assistant\",\"text\":\"c\",\"rank\":0},"
                   "{\"role\":\"assistant\",\"text\":\"c\",\"rank\":1}]}]},"
                   "{\"role\":\"assistant\",\"text\":\"b\",\"rank\":0}]}}\n");
    store_imported n;
    store_import_options o = {.max_bad = 1};
    OK(store_import_rankings(s, path, &o, &n, &err));
    assert_int_equal(n.added, 1);
    assert_int_equal(n.bad, 1); /* two answers with one text */
    assert_sound(s);
    store_close(s);
}

static void importing_twice_is_nothing(void **state) {
    place *p = *state;
    store *s = open_store(p, "a.db");
    const char *path = write_text(p, "data.jsonl", three);
    store_imported n = import(s, path);
    assert_int_equal(n.added, 3);
    assert_int_equal(n.present, 1); /* the fourth line is the first again */
    assert_int_equal(n.weighted, 1);
    int64_t before = sqlite3_total_changes64(s->db);
    n = import(s, path);
    assert_int_equal(n.added, 0);
    assert_int_equal(n.present, 4);
    assert_int_equal(sqlite3_total_changes64(s->db), before);
    int64_t tasks;
    OK(sql_get(s, &tasks, NULL, "SELECT count(*) FROM task", SQL_NONE, &err));
    assert_int_equal(tasks, 2); /* one and two ranked the same answers: one task */
    assert_sound(s);
    assert_round_trip(s, p);
    store_close(s);
}

static void the_first_split_wins(void **state) {
    place *p = *state;
    store *s = open_store(p, "a.db");
    store_imported n =
        import(s, write_text(p, "a.jsonl",
                             "{\"prompt\":\"p\",\"chosen\":\"a\",\"rejected\":\"b\",\"split\":\"test\"}\n"
                             "{\"prompt\":\"p\",\"chosen\":\"a\",\"rejected\":\"c\",\"split\":\"train\"}\n"));
    assert_int_equal(n.added, 2);
    assert_int_equal(n.split_differs, 1);
    assert_sound(s);
    store_close(s);
}

typedef struct reports {
    int n;
    char last[300];
} reports;

static void report(void *context, const char *message) {
    reports *r = context;
    r->n++;
    snprintf(r->last, sizeof r->last, "%s", message);
}

static void bad_lines_are_counted_and_tolerated_up_to_a_limit(void **state) {
    place *p = *state;
    store *s = open_store(p, "a.db");
    const char *path = write_text(p, "a.jsonl",
                                  "{\"prompt\":\"p\",\"chosen\":\"a\",\"rejected\":\"b\"}\nrubbish\n"
                                  "{\"prompt\":\"p\",\"chosen\":\"a\",\"rejected\":\"a\"}\n");
    reports r = {0};
    store_imported n;
    store_import_options o = {.report = report, .report_context = &r, .max_bad = 1};
    FAILS(store_import_rankings(s, path, &o, &n, &err), STATUS_DATA,
          "a.jsonl:3: answers 1 and 2 are the same text");
    assert_int_equal(r.n, 1);
    assert_non_null(strstr(r.last, "a.jsonl:2: not JSON"));
    FAILS(store_import_rankings(s, path, &o, &n, &err), STATUS_DATA,
          "(bad line number 2, 1 allowed; nothing was imported)");
    int64_t prompts;
    OK(sql_get(s, &prompts, NULL, "SELECT count(*) FROM prompt", SQL_NONE, &err));
    assert_int_equal(prompts, 0);
    r.n = 0, o.max_bad = 2;
    OK(store_import_rankings(s, path, &o, &n, &err));
    assert_int_equal(n.added, 1);
    assert_int_equal(n.bad, 2);
    assert_int_equal(r.n, 2);
    assert_non_null(strstr(r.last, "a.jsonl:3: answers 1 and 2 are the same text"));
    FAILS(store_import_rankings(s, in(p, "none.jsonl"), &o, &n, &err), STATUS_DATA,
          "none.jsonl: No such file");
    FAILS(store_import_rankings(s, p->directory, &o, &n, &err), STATUS_DATA, "is a directory");
    store_close(s);
}

static void a_file_of_another_kind_is_left_at_once(void **state) {
    place *p = *state;
    store *s = open_store(p, "a.db");
    buffer text = {0};
    reports r = {0};
    store_imported n;
    store_import_options o = {.report = report, .report_context = &r};
    for (int i = 0; i < 1000; i++) buffer_format(&text, "{\"text\":\"document %d\"}\n", i);
    FAILS(store_import_rankings(s, write_text(p, "a.jsonl", text.data), &o, &n, &err), STATUS_DATA,
          "a.jsonl:1: ");
    assert_int_equal(r.n, 0);
    store_close(s);
    buffer_free(&text);
}

static void one_uuid_means_one_ranking(void **state) {
    place *p = *state;
    store *s = open_store(p, "a.db");
    store_import_options o = {.max_bad = 9};
    store_imported n;
#define UUID "{\"uuid\":\"0190b5a2-0000-7000-8000-00000000002a\","
    import(s, write_text(p, "a.jsonl", UUID "\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2]}\n"));
    static const char *const others[][2] = {
        {UUID "\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[2,1]}",
         "another ranking stands under its uuid"},
        {UUID "\"prompt\":\"q\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2]}",
         "another labeller, prompt or answers"},
        {UUID "\"prompt\":\"p\",\"answers\":[\"b\",\"a\"],\"ranks\":[1,2]}",
         "another labeller, prompt or answers"},
        {UUID "\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2],\"labeller\":\"else\"}",
         "another labeller, prompt or answers"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2],\"labeller\":\"a\",\"kind\":\"rule\"}",
         "is human here, rule in the line"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        reports r = {0};
        o.report = report, o.report_context = &r;
        OK(store_import_rankings(s, write_text(p, "a.jsonl", others[i][0]), &o, &n, &err));
        assert_int_equal(n.bad, 1);
        if (!strstr(r.last, others[i][1])) fail_msg("\"%s\" does not say \"%s\"", r.last, others[i][1]);
    }
    assert_sound(s);
    store_close(s);
}

/* Two machines share a run and label it apart: their rankings meet in the same tasks. */
static void exports_of_two_stores_meet(void **state) {
    place *p = *state;
    int64_t ann, made;
    store_imported n;
    buffer answers = {0};
    store *s = open_store(p, "a.db"), *t = open_store(p, "b.db");
    make_answers(&answers, "prompt", 5, 3);
    const char *run = make_run(p, "run", 1, "model", answers.data);
    store_task_options o = {.round = 1, .answers = 3, .want = 2};
    store *both[2] = {s, t};
    for (int i = 0; i < 2; i++) {
        OK(store_import_run(both[i], run, &n, &err));
        OK(store_make_tasks(both[i], &o, &made, &err));
        OK(store_add_labeller(both[i], i ? "bob" : "ann", LABELLER_HUMAN, NULL, &ann, &err));
        for (int k = 0; k < 5; k++) {
            store_lease l;
            store_outcome outcome;
            bool found;
            OK(store_lease_next(both[i], ann, 1, NULL, 0, 1, 1000, &l, &found, &err));
            store_ranking r = first_answer(&l);
            OK(store_add_ranking(both[i], &r, &outcome, NULL, &err));
        }
    }
    OK(store_export(t, in(p, "b.jsonl"), -1, &made, &err));
    assert_int_equal(import(s, in(p, "b.jsonl")).added, 5);
    store_progress progress;
    OK(store_read_progress(s, 1, &progress, &err));
    assert_int_equal(progress.tasks, 5);
    assert_int_equal(progress.ranked, 10);
    assert_sound(s);
    assert_round_trip(s, p);
    store_close(s);
    store_close(t);
    buffer_free(&answers);
}

static void gzip_is_read_and_a_cut_one_refused(void **state) {
    place *p = *state;
    store *s = open_store(p, "a.db");
    store_import_options o = {0};
    store_imported n;
    gzFile f = gzopen(in(p, "data.jsonl.gz"), "wb");
    for (int i = 0; i < 1000; i++)
        gzprintf(f, "{\"prompt\":\"%d\",\"chosen\":\"a%d\",\"rejected\":\"b\"}\n", i, i * i);
    gzclose(f);
    buffer whole = {0};
    OK(file_read(in(p, "data.jsonl.gz"), 1 << 20, &whole, &err));
    OK(file_write(in(p, "cut.jsonl.gz"), whole.data, whole.len / 2, &err));
    FAILS(store_import_rankings(s, in(p, "cut.jsonl.gz"), &o, &n, &err), STATUS_DATA, "cut.jsonl.gz");
    assert_int_equal(import(s, in(p, "data.jsonl.gz")).added, 1000);
    assert_sound(s);
    store_close(s);
    buffer_free(&whole);
}

/* ---- real data, where it lies beside the project */

static const char *shared(const char *name, char out[512]) {
    const char *base = getenv("RLHF_SHARED");
    snprintf(out, 512, "%s/data/rankings/%s", base ? base : "../shared", name);
    return path_exists(out) ? out : NULL;
}

static void real_rankings_go_round(void **state) {
    place *p = *state;
    static const struct {
        const char *name;
        int64_t added, bad;
    } sets[] = {{"pandalm.jsonl", 1887, 0},
                {"oasst_en.jsonl", 197, 0},
                {"oasst_zh.jsonl", 490, 5},
                {"hh_harmless_test.jsonl", 345, 0}};
    store *s = open_store(p, "a.db");
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        char path[512];
        store_imported n;
        store_import_options o = {.max_bad = 10};
        if (!shared(sets[i].name, path)) {
            print_message("%s is not here: skipped\n", sets[i].name);
            continue;
        }
        OK(store_import_rankings(s, path, &o, &n, &err));
        print_message("%s: %lld added, %lld present, %lld bad\n", sets[i].name, (long long)n.added,
                      (long long)n.present, (long long)n.bad);
        assert_int_equal(n.added + n.present, sets[i].added);
        assert_int_equal(n.bad, sets[i].bad);
        assert_int_equal(import(s, write_text(p, "none.jsonl", "")).added, 0);
    }
    assert_sound(s);
    assert_round_trip(s, p);
    store_close(s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(importing_twice_is_nothing),
        T(a_tree_has_many_rankings),
        T(the_first_split_wins),
        T(bad_lines_are_counted_and_tolerated_up_to_a_limit),
        T(a_file_of_another_kind_is_left_at_once),
        T(one_uuid_means_one_ranking),
        T(exports_of_two_stores_meet),
        T(gzip_is_read_and_a_cut_one_refused),
        T(real_rankings_go_round),
    };
    return cmocka_run_group_tests_name("store_import", tests, NULL, NULL);
}
