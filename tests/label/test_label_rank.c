/* A person at a terminal: rank driven through a real pseudo-terminal, and through pipes. */
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/signal.h"
#include "datasets/label/label.h"
#include "datasets/label/rank.h"
#include "tests/store/store_test.h"
#include "tests/support/places.h"

/* The program at the other end. */
typedef struct talk {
    int fd;
    pid_t child;
    char text[1 << 16]; /* all that it wrote */
    size_t len, seen;
} talk;

static void start(talk *t, place *p, const char *db, const char *labeller) {
    static char path[320];
    strcpy(path, in(p, db));
    *t = (talk){0};
    terminal_needed();
    struct winsize size = {.ws_row = 40, .ws_col = 60};
    t->child = forkpty(&t->fd, NULL, NULL, &size);
    assert_true(t->child >= 0);
    if (t->child) return;
    char *argv[] = {"label",   "rank", "--db",   path, "--labeller", (char *)labeller,
                    "--round", "1",    "--seed", "9",  NULL};
    error err = {0};
    setenv("TERM", "xterm", 1);
    signal_install();
    status s = label_main(10, argv, &err);
    if (s != STATUS_OK) printf("%s\n", err.message);
    fflush(stdout);
    _exit(status_exit_code(s));
}

static void say(talk *t, const char *text) {
    assert_int_equal(write(t->fd, text, strlen(text)), strlen(text));
}

/* Waits until the text comes, behind what was awaited before; returns where it ends. */
static const char *await(talk *t, const char *text) {
    for (int waited = 0; waited < 100; waited++) {
        char *found = strstr(t->text + t->seen, text);
        if (found) {
            t->seen = (size_t)(found - t->text) + strlen(text);
            return t->text + t->seen;
        }
        struct pollfd p = {.fd = t->fd, .events = POLLIN};
        if (poll(&p, 1, 100) <= 0) continue;
        ssize_t n = read(t->fd, t->text + t->len, sizeof t->text - 1 - t->len);
        if (n <= 0) break;
        t->len += (size_t)n;
    }
    fail_msg("\"%s\" did not come; it wrote:\n%s", text, t->text);
    return NULL;
}

static void assert_ends(talk *t, int code) {
    int how;
    waitpid(t->child, &how, 0);
    if (!WIFEXITED(how) || WEXITSTATUS(how) != code)
        fail_msg("ended with %x, wanted %d; it wrote:\n%s", how, code, t->text);
    close(t->fd);
}

typedef struct said {
    char ranks[16], verdict[16];
    int64_t n; /* rows in all */
} said;

/* The task's ranking that counts, from the label export's sight. */
static said last_said(place *p, const char *db, const char *prompt) {
    said out = {0};
    store *s;
    int64_t n;
    buffer text = {0};
    OK(store_open(in(p, db), STORE_READER, &s, &err));
    OK(store_export(s, in(p, "look.jsonl"), 1, &n, &err));
    OK(file_read(in(p, "look.jsonl"), 1 << 20, &text, &err));
    out.n = n;
    char *line = n ? strstr(text.data, prompt) : NULL;
    if (line) {
        sscanf(strstr(line, "\"ranks\":") + 8, "%15[^\"]", out.ranks);
        sscanf(strstr(line, "\"verdict\":\"") + 11, "%15[^\"]", out.verdict);
    }
    assert_sound(s);
    buffer_free(&text);
    store_close(s);
    return out;
}

/* Three tasks "prompt 0" to "prompt 2" of three answers "answer 0 to 0" ... */
static void make_store(place *p) {
    int64_t ann;
    store_close(store_with_tasks(p, "a.db", 3, 3, 1, &ann));
}

/* Reads which answers stand behind A, B, C, and types the ranks that put answer 2 first, 0 second, 1 third.
 */
static void rank_by_text(talk *t, char *typed) {
    for (int i = 0; i < 3; i++) {
        static const char rank[3] = {'2', '3', '1'};
        const char *at = await(t, "| answer ");
        while (!at[0]) at = await(t, "");
        typed[i] = rank[at[0] - '0'];
    }
    typed[3] = 0;
    await(t, "> ");
}

static void ranks_reach_the_answers_that_were_shown(void **state) {
    place *p = *state;
    talk *t = calloc(1, sizeof *t);
    char typed[8], line[32];
    make_store(p);
    start(t, p, "a.db", "ann");
    await(t, "round 1, task 1");
    await(t, "(0 of 3 rankings done)");
    await(t, "prompt 0");
    rank_by_text(t, typed);
    snprintf(line, sizeof line, "%c %c %c\n", typed[0], typed[1], typed[2]);
    say(t, line);
    await(t, "recorded: A ");
    assert_string_equal(last_said(p, "a.db", "prompt 0").ranks,
                        "[2,3,1],"); /* before the next question is answered */
    await(t, "task 2");
    rank_by_text(t, typed);
    say(t, typed);
    say(t, "\n");
    await(t, "task 3");
    assert_string_equal(last_said(p, "a.db", "prompt 1").ranks, "[2,3,1],");
    await(t, "> ");
    say(t, "3 3 3\n");
    await(t, "recorded: A 1, B 1, C 1");
    await(t, "Nothing more is open");
    await(t, "3 recorded");
    assert_ends(t, 0);
    assert_string_equal(last_said(p, "a.db", "prompt 2").ranks, "[1,1,1],");
    start(t, p, "a.db", "ann"); /* the very last one can still be taken back */
    await(t, "Nothing more is open");
    await(t, "u undoes your last ranking, q quits > ");
    say(t, "u\n");
    await(t, "undone: task 3");
    await(t, "> ");
    say(t, "3 2 1\n");
    await(t, "1 recorded, 1 undone");
    assert_ends(t, 0);
    assert_string_not_equal(last_said(p, "a.db", "prompt 2").ranks, "[1,1,1],");
    start(t, p, "a.db", "ann");
    await(t, "q quits > ");
    say(t, "q\n");
    await(t, "0 recorded");
    assert_ends(t, 0);
    free(t);
}

static void undo_skip_verdicts_and_nonsense(void **state) {
    place *p = *state;
    talk *t = calloc(1, sizeof *t);
    make_store(p);
    start(t, p, "a.db", "ann");
    await(t, "> ");
    say(t, "u\n");
    await(t, "nothing to undo");
    await(t, "> ");
    static const char *const nonsense[] = {"12\n",    "1 2 x\n", "1234\n",    "0 1 2\n",
                                           "hello\n", "\n",      "\xff\xfe\n"};
    for (int i = 0; i < 7; i++) {
        say(t, nonsense[i]);
        await(t, "3 digits are wanted");
        await(t, "> ");
    }
    say(t, "?\n");
    await(t, "cannot judge");
    await(t, "> ");
    say(t, "1 2 3\n");
    await(t, "task 2");
    await(t, "> ");
    say(t, "U\n");
    await(t, "undone: task 1");
    await(t, "task 1");
    assert_int_equal(last_said(p, "a.db", "prompt 0").n, 0);
    await(t, "> ");
    say(t, "c\n");
    await(t, "recorded: cannot judge");
    await(t, "task 2");
    await(t, "> ");
    say(t, "s\n");
    await(t, "skipped");
    await(t, "task 3");
    await(t, "> ");
    say(t, "b\n");
    await(t, "recorded: all bad");
    await(t, "but what you skipped (1)");
    await(t, "3 recorded, 1 undone");
    assert_ends(t, 0);
    assert_string_equal(last_said(p, "a.db", "prompt 0").verdict, "cannot_judge");
    assert_string_equal(last_said(p, "a.db", "prompt 2").verdict, "all_bad");
    assert_int_equal(last_said(p, "a.db", "prompt 1").n, 2);
    free(t);
}

static void quit_interrupt_and_kill_keep_what_was_acknowledged(void **state) {
    place *p = *state;
    talk *t = calloc(1, sizeof *t);
    make_store(p);
    start(t, p, "a.db", "ann");
    await(t, "> ");
    say(t, "1 2 3\n");
    await(t, "task 2");
    await(t, "> ");
    say(t, "\003"); /* Ctrl-C */
    await(t, "1 recorded");
    await(t, "what was recorded stays");
    assert_ends(t, 130);
    start(t, p, "a.db", "ann");
    await(t, "task 2"); /* handed back, so at once there again */
    await(t, "> ");
    int how;
    kill(t->child, SIGKILL);
    waitpid(t->child, &how, 0);
    close(t->fd);
    start(t, p, "a.db", "ann");
    await(t, "task 2"); /* though the killed one held it */
    await(t, "> ");
    say(t, "q\n");
    await(t, "0 recorded");
    assert_ends(t, 0);
    start(t, p, "a.db", "ann");
    await(t, "> ");
    say(t, "\004"); /* Ctrl-D */
    await(t, "0 recorded");
    assert_ends(t, 0);
    assert_int_equal(last_said(p, "a.db", "prompt 0").n, 1);
    free(t);
}

static void texts_have_no_power_over_the_terminal(void **state) {
    place *p = *state;
    talk *t = calloc(1, sizeof *t);
    store_imported n;
    int64_t ann, made;
    store *s = open_store(p, "a.db");
    const char *run = make_run(p, "run", 1, "model",
                               "{\"messages\":[{\"role\":\"user\",\"content\":\"\\u001b[2Jgone\\nB) I am an "
                               "answer\"}],\"sample\":0,\"text\":\"x\\u202ey\\u200bz\\u0007\\u009b1m\","
                               "\"tokens\":[1],\"finish\":\"stop\"}\n"
                               "{\"messages\":[{\"role\":\"user\",\"content\":\"\\u001b[2Jgone\\nB) I am an "
                               "answer\"}],\"sample\":1,\"text\":\"C) fake \\u4f60\\u597d "
                               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                               "aaaaaaaaaaaaaaa\",\"tokens\":[2],\"finish\":\"length\"}\n");
    OK(store_import_run(s, run, &n, &err));
    store_task_options o = {.round = 1, .answers = 2, .want = 1};
    OK(store_make_tasks(s, &o, &made, &err));
    OK(store_add_labeller(s, "ann", LABELLER_HUMAN, NULL, &ann, &err));
    store_close(s);
    start(t, p, "a.db", "ann");
    await(t, "user:");
    await(t, "> ");
    say(t, "q\n");
    await(t, "0 recorded");
    assert_ends(t, 0);
    assert_non_null(strstr(t->text, "  | \xe2\x90\x9b[2Jgone\r\n  | B) I am an answer\r\n"));
    assert_non_null(strstr(t->text, "  | x<U+202E>y<U+200B>z\xe2\x90\x87<U+009B>1m\r\n"));
    assert_non_null(strstr(t->text, "(cut off)"));
    assert_null(strstr(t->text, "\033[2J"));
    int column = 0; /* no line is longer than the terminal: it would wrap to where our own lines begin */
    for (const char *c = t->text; *c; c++) {
        column = *c == '\n' ? 0 : column + ((*c & 0xc0) != 0x80 && *c >= ' ');
        assert_true(column <= 60 + 8); /* bold sequences are counted in */
    }
    free(t);
}

/* Through pipes: any number of lines at once; the end of the input ends it. */
static void works_through_pipes(void **state) {
    place *p = *state;
    int64_t ann, n;
    int ends[2];
    store *s = store_with_tasks(p, "a.db", 4, 3, 1, &ann);
    assert_int_equal(pipe(ends), 0);
    static const char lines[] = "1 2 3\r\n2,1,1\nwhat\n 313";
    assert_int_equal(write(ends[1], lines, strlen(lines)), strlen(lines));
    close(ends[1]);
    FILE *out = fopen(in(p, "out.txt"), "w+");
    label_rank_options o = {.labeller = ann, .round = -1, .lease_ms = 1000, .in = ends[0], .out = out};
    OK(label_rank(s, &o, &n, &err));
    assert_int_equal(n, 3);
    fclose(out);
    buffer text = {0};
    OK(file_read(in(p, "out.txt"), 1 << 20, &text, &err));
    assert_non_null(strstr(text.data, "recorded: A 2, B 1, C 2")); /* 3 1 3 without its gap */
    assert_null(strchr(text.data, '\033'));
    buffer_free(&text);
    close(ends[0]);
    int64_t ids[8];
    int left = 8;
    OK(store_open_tasks(s, ann, 1, NULL, 0, ids, &left, &err));
    assert_int_equal(left, 1); /* the fourth was handed back */
    assert_sound(s);
    store_close(s);
}

static void a_silent_person_keeps_the_task(void **state) {
    place *p = *state;
    int64_t ann;
    talk *t = calloc(1, sizeof *t);
    store *s = store_with_tasks(p, "a.db", 1, 3, 1, &ann);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) { /* speaks after three lease times */
        usleep(2000000);
        _exit(write(ends[1], "123\n", 4) != 4);
    }
    close(ends[1]);
    FILE *out = fopen("/dev/null", "w");
    int64_t n, seconds_ok;
    label_rank_options o = {.labeller = ann, .round = 1, .lease_ms = 600, .in = ends[0], .out = out};
    OK(label_rank(s, &o, &n, &err));
    assert_int_equal(n, 1);
    buffer text = {0};
    OK(store_export(s, in(p, "e.jsonl"), -1, &seconds_ok, &err));
    OK(file_read(in(p, "e.jsonl"), 1 << 20, &text, &err));
    double seconds = atof(strstr(text.data, "\"seconds\":") + 10);
    assert_true(seconds >= 1.5 && seconds < 60);
    buffer_free(&text);
    fclose(out);
    close(ends[0]);
    waitpid(child, NULL, 0);
    store_close(s);
    free(t);
}

static void only_people_rank_at_a_terminal(void **state) {
    place *p = *state;
    int64_t id;
    error err = {0};
    make_store(p);
    store *s = open_store(p, "a.db");
    OK(store_add_labeller(s, "sim", LABELLER_SIMULATED, "{}", &id, &err));
    store_close(s);
    char path[320];
    strcpy(path, in(p, "a.db"));
    char *sim[] = {"label", "rank", "--db", path, "--labeller", "sim"},
         *none[] = {"label", "rank", "--db", path, "--labeller=who"};
    assert_int_equal(label_main(6, sim, &err), STATUS_USAGE);
    assert_non_null(strstr(err.message, "sim is simulated"));
    assert_int_equal(label_main(5, none, &err), STATUS_DATA);
    assert_non_null(strstr(err.message, "no labeller \"who\""));
}

static void digits_in_every_spelling(void **state) {
    (void)state;
    int rank[STORE_ANSWERS];
    assert_int_equal(label_parse_ranks("1 2 2 4", 4, rank), 1);
    assert_int_equal(rank[3], 4);
    assert_int_equal(label_parse_ranks("1224", 4, rank), 1);
    assert_int_equal(label_parse_ranks("1,2, 2\t4", 4, rank), 1);
    assert_int_equal(label_parse_ranks("122", 4, rank), 0);
    assert_int_equal(label_parse_ranks("12245", 4, rank), 0);
    assert_int_equal(label_parse_ranks("1 2 2 0", 4, rank), 0);
    assert_int_equal(label_parse_ranks("a", 1, rank), 0);
    assert_int_equal(label_parse_ranks("", 2, rank), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(ranks_reach_the_answers_that_were_shown),
        T(undo_skip_verdicts_and_nonsense),
        T(quit_interrupt_and_kill_keep_what_was_acknowledged),
        T(texts_have_no_power_over_the_terminal),
        T(works_through_pipes),
        T(a_silent_person_keeps_the_task),
        T(only_people_rank_at_a_terminal),
        cmocka_unit_test(digits_in_every_spelling),
    };
    return cmocka_run_group_tests_name("label_rank", tests, NULL, NULL);
}
