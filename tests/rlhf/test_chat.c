/* rlhf chat through a pipe and at a terminal (a pty). */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "rlhf/commands.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"
#include "tests/support/speaking_model.h"

enum { WAIT_MS = 60000 };

/* A chat in a process of its own. */
typedef struct chatting {
    pid_t pid;
    int in, out; /* what it reads, what it writes; a terminal: the same */
    buffer heard;
} chatting;

static void be_the_chat(const char *const *words) {
    char *argv[16];
    int argc = 0;
    error err = {0};
    for (; words[argc]; argc++) argv[argc] = strdup(words[argc]);
    status s = chat_command(argc, argv, &err);
    if (s != STATUS_OK) fprintf(stderr, "error: %s\n", err.message);
    fflush(NULL);
    _exit(status_exit_code(s));
}

static chatting start_piped(const char *const *words) {
    int in[2], out[2];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    fflush(NULL);
    chatting c = {.pid = fork()};
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        dup2(out[1], STDERR_FILENO);
        close(in[1]);
        close(out[0]);
        be_the_chat(words);
    }
    close(in[0]);
    close(out[1]);
    c.in = in[1];
    c.out = out[0];
    return c;
}

/* The other end of a new terminal, which becomes the chat's own, so that Ctrl-C reaches it. */
static chatting start_on_terminal(const char *const *words) {
    terminal_needed();
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    fflush(NULL);
    chatting c = {.pid = fork(), .in = master, .out = master};
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        setsid();
        int end = open(ptsname(master), O_RDWR);
        for (int fd = 0; fd < 3; fd++) dup2(end, fd);
        close(master);
        be_the_chat(words);
    }
    return c;
}

static void say(const chatting *c, const char *text) {
    assert_int_equal(write(c->in, text, strlen(text)), strlen(text));
}

/* Reads until the text stands behind byte `from`, and returns where it ends; NULL: until the end. */
static size_t hear(chatting *c, size_t from, const char *text) {
    for (;;) {
        char piece[4096], *found = text && c->heard.len > from ? strstr(c->heard.data + from, text) : NULL;
        struct pollfd p = {.fd = c->out, .events = POLLIN};
        if (found) return (size_t)(found - c->heard.data) + strlen(text);
        if (poll(&p, 1, WAIT_MS) <= 0) fail_msg("nothing more comes after \"%s\"", c->heard.data);
        ssize_t n = read(c->out, piece, sizeof piece);
        if (n <= 0 && !text) return c->heard.len;
        if (n <= 0) fail_msg("\"%s\" never came: \"%s\"", text, c->heard.data ? c->heard.data : "");
        buffer_append(&c->heard, piece, (size_t)n);
    }
}

/* Waits for something behind byte `from`. */
static void hear_more(chatting *c, size_t from) {
    char byte;
    if (c->heard.len > from) return;
    if (read(c->out, &byte, 1) != 1) fail_msg("the chat has ended");
    buffer_append(&c->heard, &byte, 1);
}

static void expect_end(chatting *c, int code) {
    int result;
    hear(c, 0, NULL);
    assert_int_equal(waitpid(c->pid, &result, 0), c->pid);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), code);
    close(c->in);
    if (c->out != c->in) close(c->out);
    buffer_free(&c->heard);
}

static int count(const char *text, char what) {
    int n = 0;
    for (; text && *text; text++) n += *text == what;
    return n;
}

/* Nothing but answers comes through a pipe; the same messages get the same ones. */
static void test_pipe(void **state) {
    const char *model = path_in(*state, "model");
    make_speaking_model(model, "plain", 256, 3);
    const char *words[] = {"chat", "--model", model, "--threads", "1", "--max-tokens", "5", "--greedy", NULL};
    buffer first = {0};
    for (int i = 0; i < 2; i++) {
        chatting c = start_piped(words);
        say(&c, "hello\n\n  \nand\r\n/reset\nhello\n/quit\nnever read\n");
        hear(&c, 0, NULL);
        assert_true(count(c.heard.data, '\n') >= 3);
        assert_null(strstr(c.heard.data, "> "));
        if (i == 0) buffer_append(&first, c.heard.data, c.heard.len);
        assert_string_equal(c.heard.data, first.data);
        expect_end(&c, 0);
    }
    buffer_free(&first);
}

static void test_end_of_input(void **state) {
    const char *model = path_in(*state, "model");
    make_speaking_model(model, "chatml", 256, 3);
    chatting c =
        start_piped((const char *[]){"chat", "--model", model, "--threads", "1", "--max-tokens", "3", NULL});
    say(&c, "/rest\nno newline at the end");
    close(c.in);
    c.in = c.out;
    size_t at = hear(&c, 0, "there are /reset and /quit");
    hear(&c, at + 2, "\n");
    expect_end(&c, 0);
}

/* Random weights, greedily, go on until the context ends: time enough for a Ctrl-C. */
static void test_control_c(void **state) {
    const char *model = path_in(*state, "model");
    make_speaking_model(model, "plain", 1 << 17, 3);
    chatting c = start_on_terminal((const char *[]){"chat", "--model", model, "--threads", "1", "--greedy",
                                                    "--max-tokens", "100000000", NULL});
    size_t at = hear(&c, 0, "> ");
    assert_non_null(strstr(c.heard.data, "template plain"));
    say(&c, "hello\n");
    at = hear(&c, at, "hello\r\n");
    hear_more(&c, at);
    say(&c, "\x03");
    at = hear(&c, at, "(stopped)");
    at = hear(&c, at, "> ");
    say(&c, "\x03");
    expect_end(&c, 0);
}

static void test_quit_on_terminal(void **state) {
    const char *model = path_in(*state, "model");
    make_speaking_model(model, "plain", 128, 3);
    const char *words[] = {"chat", "--model", model, "--threads", "1", "--max-tokens", "3", NULL};
    chatting c = start_on_terminal(words);
    size_t at = hear(&c, 0, "> ");
    say(&c, "/reset\n");
    at = hear(&c, at, "(a new chat)");
    at = hear(&c, at, "> ");
    say(&c, "/quit\n");
    expect_end(&c, 0);
    c = start_on_terminal(words);
    hear(&c, 0, "> ");
    say(&c, "\x04");
    expect_end(&c, 0);
}

static void test_terminated(void **state) {
    const char *model = path_in(*state, "model");
    make_speaking_model(model, "plain", 128, 3);
    chatting c = start_on_terminal((const char *[]){"chat", "--model", model, "--threads", "1", NULL});
    hear(&c, 0, "> ");
    kill(c.pid, SIGTERM);
    expect_end(&c, 0);
}

static void test_refused(void **state) {
    static const struct {
        const char *word[6];
        status want;
    } lines[] = {
        {{"chat"}, STATUS_USAGE},
        {{"chat", "--model", "/no/model"}, STATUS_DATA},
        {{"chat", "model"}, STATUS_USAGE},
        {{"chat", "--model", "/no/model", "--temperature", "hot"}, STATUS_USAGE},
        {{"chat", "--model", "/no/model", "--template", "none"}, STATUS_USAGE},
        {{"chat", "--help"}, STATUS_OK},
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        chatting c = start_piped(lines[i].word);
        expect_end(&c, status_exit_code(lines[i].want));
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, directory_setup, directory_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_pipe),       TEST(test_end_of_input),
                                       TEST(test_control_c),  TEST(test_quit_on_terminal),
                                       TEST(test_terminated), TEST(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
