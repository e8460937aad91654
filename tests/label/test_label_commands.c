/* The commands as a user types them, one after the other, and what they say of a bad command line. */
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/label/label.h"
#include "datasets/label/screen.h"
#include "tests/store/store_test.h"

typedef struct result {
    status status;
    char said[1 << 14]; /* on standard output */
    error err;
} result;

/* "import --db %/a.db %/run": % is the test's directory; no argument holds a space. */
static result *run(place *p, const char *command) {
    static result r;
    char text[2048] = "", *argv[32] = {"label"};
    int argc = 1;
    size_t n = 0;
    memset(&r, 0, sizeof r);
    for (const char *c = command; *c; c++)
        n += (size_t)(*c == '%' ? sprintf(text + n, "%s", p->directory) : sprintf(text + n, "%c", *c));
    for (char *save, *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    const char *path = in(p, "said.txt");
    fflush(stdout);
    int kept = dup(STDOUT_FILENO);
    assert_non_null(freopen(path, "w", stdout));
    r.status = label_main(argc, argv, &r.err);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    buffer said = {0};
    OK(file_read(path, sizeof r.said - 1, &said, &err));
    memcpy(r.said, said.data, said.len);
    buffer_free(&said);
    return &r;
}

static void works(place *p, const char *command, const char *says) {
    result *r = run(p, command);
    if (r->status != STATUS_OK) fail_msg("%s: %s", command, r->err.message);
    if (!strstr(r->said, says)) fail_msg("%s: does not say \"%s\" but\n%s", command, says, r->said);
}

static void fails(place *p, const char *command, status wanted, const char *says) {
    result *r = run(p, command);
    if (r->status != wanted)
        fail_msg("%s: status %d, wanted %d: %s", command, r->status, wanted, r->err.message);
    if (!strstr(r->err.message, says))
        fail_msg("%s: does not say \"%s\" but\n%s", command, says, r->err.message);
}

/* A run that read the snapshot and made a reward model. */
static void make_reward_run(place *p) {
    lineage l = {.kind = strdup("reward"),
                 .code = strdup("test"),
                 .round = 1,
                 .attempt = 1,
                 .started_ms = 1,
                 .ended_ms = 2};
    OK(path_make_directories(in(p, "reward/model"), &err));
    write_text(p, "reward/model/config.json", "{}");
    write_text(p, "reward/model/model.safetensors", "weights");
    OK(lineage_make_uuid(l.uuid, &err));
    OK(lineage_add_in(&l, in(p, "reward"), "snapshot", -1, in(p, "s.jsonl"), &err));
    OK(lineage_add_in(&l, in(p, "reward"), "model", -1, in(p, "model.bin"), &err));
    OK(lineage_add_out(&l, in(p, "reward"), "reward", -1, in(p, "reward/model"), &err));
    OK(lineage_write(in(p, "reward/lineage.json"), &l, &err));
    lineage_free(&l);
}

static void the_whole_way(void **state) {
    place *p = *state;
    buffer answers = {0};
    make_answers(&answers, "prompt", 12, 4);
    make_run(p, "run", 1, "model", answers.data);
    works(p, "import --db %/a.db %/run", "48 new answers, 0 were there");
    works(p, "import --db %/a.db %/run", "0 new answers, 48 were there");
    works(p, "tasks --db %/a.db --round 1 --answers 3",
          "round 1: 12 new tasks; 12 in all, 0 of 12 rankings done");
    works(p, "tasks --db=%/a.db --round=1 --answers=3",
          "round 1: 0 new tasks; 12 in all, 0 of 12 rankings done\n"
          "  12 of 12 prompts had their task before; --part makes one of their next answers\n");
    works(p, "tasks --db %/a.db --round 1 --answers 3 --part 1",
          "round 1: 0 new tasks; 12 in all, 0 of 12 rankings done\n"
          "  12 of 12 prompts get none: fewer than two different answers are left for this part\n");
    fails(p, "tasks --db %/a.db --round 2", STATUS_DATA, "no answers of round 2 are in it");
    fails(p, "tasks --db %/a.db --round 2", STATUS_DATA, "`rlhf generate --round 2`");
    fails(p, "tasks --db %/a.db --round 2 --split test", STATUS_DATA, "round 2 to prompts of split test");
    works(p, "add-labeller --db %/a.db ann", "labeller 1: ann, human");
    write_text(p, "judge.sh", "#!/bin/sh\nwhile read -r line; do echo '{\"ranks\":[1,2,2]}'; done\n");
    assert_int_equal(chmod(in(p, "judge.sh"), 0755), 0);
    works(p, "simulate --db %/a.db --labeller sim --limit 5 --ranker %/judge.sh", "sim: 5 rankings");
    fails(p, "simulate --db %/a.db --labeller sim --noise 1 --ranker %/judge.sh", STATUS_DATA,
          "another kind or spec");
    works(p, "snapshot --db %/a.db --round 1 --labellers any --name early %/early.jsonl",
          "snapshot early, 5 rankings, sha256 ");
    assert_null(
        strstr(run(p, "snapshot --db %/a.db --round 1 --labellers any --name early %/early.jsonl")->said,
               "sealed before"));
    works(p, "simulate --db %/a.db --labeller sim --ranker %/judge.sh", "sim: 7 rankings");
    works(p, "snapshot --db %/a.db --round 1 --labellers any --name early %/early.jsonl",
          "early was sealed before: 7 rankings that count now are not in it, 0 in it were undone;");
    fails(p, "snapshot --db %/a.db --round 1 %/s.jsonl", STATUS_DATA,
          "none of the 12 rankings that may be trained on is of kind human; --labellers any takes them");
    fails(p, "snapshot --db %/a.db --round 1 --labellers rule %/s.jsonl", STATUS_DATA, "is of kind rule;");
    works(p, "snapshot --db %/a.db --round 1 --labellers simulated %/s.jsonl",
          "snapshot round-01, 12 rankings, sha256 ");
    make_reward_run(p);
    works(p, "import --db %/a.db %/reward", "0 new answers");
    works(p, "lineage --db %/a.db %/reward/model", "rankings: 12\n  1-12\n");
    works(p, "lineage --db %/a.db --ranking 7", "  reward  ");
    fails(p, "lineage --db %/a.db %/model.bin", STATUS_DATA, "no run that was imported made it");
    works(p, "stats --db %/a.db",
          "labellers   name ann  kind human  rankings 0  withdrawn 0  seconds -\n            name sim  kind "
          "simulated  rankings 12");
    works(p, "stats --db %/a.db --json", "\"trainable\":12,\"pairs\":24,");
    works(p, "export --db %/a.db",
          "\"ranks\":[1,2,2],\"verdict\":\"ranked\",\"labeller\":\"sim\",\"kind\":\"simulated\"");
    works(p, "export --db %/a.db %/out.jsonl", "12 rankings");
    works(p, "import --db %/b.db %/out.jsonl", "12 new rankings");
    works(p, "import --db %/c.db %/run", "48 new answers");
    works(
        p, "tasks --db %/c.db --round 1 --limit 1",
        "round 1: 1 new tasks; 1 in all, 0 of 1 rankings done\n  11 prompts are left for a higher --limit\n");
    works(p, "simulate --db %/c.db --labeller sim --round 2 --ranker %/judge.sh",
          "sim: 0 rankings: no task is open\n");
    works(p, "tasks --db %/a.db --round 1 --close", "round 1 is closed");
    works(p, "fsck --db %/a.db", "sound");
    works(p, "fsck --db %/b.db", "sound");
    buffer_free(&answers);
}

static void the_demos_rule_ranks(void **state) {
    place *p = *state;
    buffer answers = {0};
    static const char *const texts[] = {"The fox lives in the forest.", "Shut up.", "Maybe, who knows."};
    for (int k = 0; k < 3; k++)
        buffer_format(&answers,
                      "{\"prompt\":\"Q: Where does the fox "
                      "live?\\nA:\",\"sample\":%d,\"text\":\"%s\",\"tokens\":[1],\"finish\":\"stop\"}\n",
                      k, texts[k]);
    make_run(p, "run", 1, "model", answers.data);
    works(p, "import --db %/a.db %/run", "3 new answers");
    works(p, "tasks --db %/a.db --round 1", "1 new tasks");
    works(p, "simulate --db %/a.db --labeller gold --rule demo", "gold: 1 rankings");
    works(p, "export --db %/a.db", "\"kind\":\"rule\"");
    works(p, "export --db %/a.db", "\"ranks\":[1,");
    buffer_free(&answers);
}

/* fsck tells of promises that were broken from outside. */
static void fsck_finds_what_is_broken(void **state) {
    place *p = *state;
    int64_t ann;
    store_close(store_with_tasks(p, "a.db", 2, 2, 1, &ann));
    sqlite3 *db;
    assert_int_equal(sqlite3_open(in(p, "a.db"), &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "DROP TRIGGER task_u; UPDATE task SET have = 7 WHERE id = 2", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    fails(p, "fsck --db %/a.db", STATUS_DATA, "1 broken promises");
    assert_non_null(strstr(run(p, "fsck --db %/a.db")->said, "task: have is not its number of labellers 2"));
}

static void bad_command_lines(void **state) {
    place *p = *state;
    works(p, "--help", "usage: rlhf label COMMAND");
    fails(p, "", STATUS_USAGE, "a command is needed");
    fails(p, "impart", STATUS_USAGE, "no command \"impart\"");
    static const char *const commands[] = {"import",   "export",   "add-labeller", "tasks", "rank",
                                           "simulate", "snapshot", "stats",        "fsck",  "lineage"};
    for (int i = 0; i < 10; i++) {
        char text[100];
        snprintf(text, sizeof text, "%s --help", commands[i]);
        works(p, text, "usage: rlhf label ");
        snprintf(text, sizeof text, "%s --nonsense", commands[i]);
        fails(p, text, STATUS_USAGE, "no option --nonsense\nusage: rlhf label ");
        snprintf(text, sizeof text, "%s --db", commands[i]);
        fails(p, text, STATUS_USAGE, "--db needs a value");
    }
    fails(p, "stats", STATUS_USAGE, "--db is needed");
    fails(p, "stats --db %/none.db", STATUS_DATA, "no such store");
    fails(p, "tasks --db %/none.db --round 1", STATUS_DATA, "no such store");
    fails(p, "rank --db %/none.db --labeller x", STATUS_DATA, "no such store");
    works(p, "add-labeller --db %/a.db somebody", "");
    fails(p, "fsck --db %/a.db more", STATUS_USAGE, "\"more\" is too much");
    fails(p, "import --db %/a.db", STATUS_USAGE, "at least 1 argument is needed, 0 given");
    fails(p, "import --db %/a.db -x", STATUS_USAGE, "no option -x");
    fails(p, "tasks --db %/a.db --round 0", STATUS_USAGE, "--round is \"0\", must be a whole number from 1");
    fails(p, "tasks --db %/a.db --round 1x", STATUS_USAGE, "--round is \"1x\"");
    fails(p, "tasks --db %/a.db --round 1 --answers 12", STATUS_USAGE, "from 2 to 9");
    fails(p, "tasks --db %/a.db --round 1 --split dev", STATUS_USAGE, "\"dev\" is not train");
    fails(p, "add-labeller --db %/a.db x --kind robot", STATUS_USAGE, "\"robot\" is not human");
    fails(p, "simulate --db %/a.db --labeller x", STATUS_USAGE,
          "one of --rule, --model, --command, --ranker");
    fails(p, "simulate --db %/a.db --labeller x --rule demo --noise nan", STATUS_USAGE, "--noise is \"nan\"");
    fails(p, "simulate --db %/a.db --labeller x --rule other", STATUS_USAGE, "no rule \"other\"");
    fails(p, "lineage --db %/a.db", STATUS_USAGE, "either a weight or --ranking");
    fails(p, "snapshot --db %/a.db --round 1 %/s.jsonl", STATUS_DATA, "no round 1");
    fails(p, "import --db %/a.db %/nothing.jsonl", STATUS_DATA, "nothing.jsonl");
    assert_false(path_exists(in(p, "s.jsonl")));
}

static void assert_shown(const char *text, size_t len, const char *wanted) {
    buffer out = {0};
    screen_text(&out, "> ", 14, text, len);
    if (strcmp(out.data, wanted) != 0) fail_msg("\"%s\" is shown, wanted \"%s\"", out.data, wanted);
    buffer_free(&out);
}

static void texts_are_wrapped_and_disarmed(void **state) {
    (void)state;
    assert_shown("", 0, "> \n");
    assert_shown("a\n\nb\r\n", 6, "> a\n> \n> b\n");
    assert_shown("one two three four", 18, "> one two \n> three four\n");
    assert_shown("abcdefghijklmnopqrstuvwxyz", 26, "> abcdefghijkl\n> mnopqrstuvwx\n> yz\n");
    assert_shown("\033[31m\177\r.", 8, "> \xe2\x90\x9b[31m\xe2\x90\xa1\xe2\x90\x8d.\n");
    assert_shown("a\0b", 3,
                 "> a\xe2\x90\x80"
                 "b\n");
    assert_shown("\xff\xc0\xaf\xe2\x80", 5,
                 "> \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\n");
    assert_shown("\xe2\x80\xae\xef\xbb\xbf", 6, "> <U+202E>\n> <U+FEFF>\n");
    assert_shown("\xf3\xa0\x81\x81", 4, "> <U+E0041>\n");
    assert_shown("\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0", 21,
                 "> \xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\n> "
                 "\xe4\xbd\xa0\n"); /* two
                                       columns
                                       each
                                     */
}

#define T(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(the_whole_way),
        T(the_demos_rule_ranks),
        T(fsck_finds_what_is_broken),
        T(bad_command_lines),
        cmocka_unit_test(texts_are_wrapped_and_disarmed),
    };
    return cmocka_run_group_tests_name("label_commands", tests, NULL, NULL);
}
