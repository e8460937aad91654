/* Log lines, progress away from a terminal, signals, the choice of vector instructions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/cpu.h"
#include "core/base/progress.h"
#include "core/base/signal.h"
#include "tests/support/places.h"

static void test_lines(void **state) {
    const char *path = path_in(*(char **)state, "log.txt");
    logger log = {.file = fopen(path, "w"), .quiet = true};
    log_line(&log, "loss %d", 3);
    log_warning(&log, "odd %s", "thing");
    fclose(log.file);
    buffer text = read_all(path);
    /* 2026-01-02T03:04:05Z loss 3 */
    assert_int_equal(text.data[10], 'T');
    assert_int_equal(text.data[19], 'Z');
    assert_non_null(strstr(text.data, "Z loss 3\n2"));
    assert_non_null(strstr(text.data, "Z warning: odd thing\n"));
    buffer_free(&text);
}

/* What strangers wrote is quoted in lines and errors: it is shown and does nothing. */
static void test_lines_of_strangers(void **state) {
    const char *path = path_in(*(char **)state, "log.txt");
    logger log = {.file = fopen(path, "w"), .quiet = true};
    log_line(&log, "sample: %s", "\x1b[31m\r\x7f\xff caf\xc3\xa9\xe2\x80\xae\xc2\x9b 5n\ttab\nsecond");
    fclose(log.file);
    buffer text = read_all(path);
    assert_non_null(strstr(text.data,
                           "Z sample: \xe2\x90\x9b[31m\xe2\x90\x8d\xe2\x90\xa1\xef\xbf\xbd caf\xc3\xa9"
                           "<U+202E><U+009B> 5n\ttab\n  second\n"));
    buffer_free(&text);
}

static void test_progress_in_a_file(void **state) {
    const char *path = path_in(*(char **)state, "log.txt");
    logger log = {.file = fopen(path, "w"), .quiet = true};
    progress p;
    progress_begin(&p, &log, "sft", "step", 2, 5);
    for (int step = 3; step <= 5; step++) progress_step(&p, step, 100, "loss 1.5");
    progress_end(&p);
    fclose(log.file);
    buffer text = read_all(path);
    /* One line: the end; the others came within 30 seconds. */
    assert_non_null(strstr(text.data, " sft  step 5/5  loss 1.5  "));
    assert_non_null(strstr(text.data, " tokens/s  0 s left\n"));
    assert_ptr_equal(strchr(text.data, '\n'), text.data + text.len - 1);
    buffer_free(&text);
}

static void test_progress_on_a_terminal(void **state) {
    (void)state;
    terminal_needed();
    int terminal;
    pid_t child = forkpty(&terminal, NULL, NULL, NULL);
    if (child == 0) {
        logger log = {0};
        progress p;
        progress_begin(&p, &log, "ppo", "iteration", 0, 2);
        p.shown = 0;
        progress_step(&p, 1, 50, NULL);
        log_line(&log, "a word");
        progress_step(&p, 2, 50, NULL);
        progress_end(&p);
        _exit(0);
    }
    char text[2048];
    size_t n = 0;
    for (ssize_t got; (got = read(terminal, text + n, sizeof text - 1 - n)) > 0;) n += (size_t)got;
    text[n] = 0;
    waitpid(child, NULL, 0);
    close(terminal);
    assert_non_null(strstr(text, "\r\x1b[Kppo  iteration 1/2  "));
    assert_non_null(strstr(text, " left\r\x1b[Ka word\r\n\r\x1b[Kppo  iteration 2/2  "));
    assert_string_equal(text + n - 6, "left\r\n");
}

/* The child waits for a stop; the second signal ends it. */
static void test_signals(void **state) {
    (void)state;
    int pipes[2], result;
    char byte = 0;
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        signal_install();
        raise(SIGPIPE);
        raise(SIGXFSZ);
        if (signal_stop_requested()) _exit(1);
        if (write(pipes[1], "r", 1) != 1) _exit(2);
        while (!signal_stop_requested()) usleep(1000);
        if (write(pipes[1], "s", 1) != 1) _exit(3);
        for (;;) pause();
    }
    assert_true(read(pipes[0], &byte, 1) == 1 && byte == 'r');
    kill(child, SIGTERM);
    assert_true(read(pipes[0], &byte, 1) == 1 && byte == 's');
    kill(child, SIGINT);
    assert_true(waitpid(child, &result, 0) == child);
    assert_true(WIFSIGNALED(result) && WTERMSIG(result) == SIGINT);
    close(pipes[0]);
    close(pipes[1]);
}

static void test_forced_instructions(void **state) {
    (void)state;
    cpu_isa widest, isa;
    error err;
    unsetenv("RLHF_ISA");
    if (cpu_choose_isa(&widest, &err) != STATUS_OK) {
        assert_int_equal(err.code, STATUS_USAGE);
        return;
    }
    setenv("RLHF_ISA", "avx2", 1);
    assert_int_equal(cpu_choose_isa(&isa, &err), STATUS_OK);
    assert_int_equal(isa, CPU_AVX2);
    assert_string_equal(cpu_isa_name(isa), "avx2");
    setenv("RLHF_ISA", "avx512", 1);
    assert_int_equal(cpu_choose_isa(&isa, &err), widest >= CPU_AVX512 ? STATUS_OK : STATUS_USAGE);
    setenv("RLHF_ISA", "neon", 1);
    assert_int_equal(cpu_choose_isa(&isa, &err), STATUS_USAGE);
    assert_string_equal(err.message, "RLHF_ISA must be avx2, avx512 or avx512bf16, not \"neon\"");
    unsetenv("RLHF_ISA");
    assert_true(cpu_count() >= 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, directory_setup, directory_teardown),
        cmocka_unit_test_setup_teardown(test_lines_of_strangers, directory_setup, directory_teardown),
        cmocka_unit_test_setup_teardown(test_progress_in_a_file, directory_setup, directory_teardown),
        cmocka_unit_test(test_progress_on_a_terminal),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_forced_instructions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
