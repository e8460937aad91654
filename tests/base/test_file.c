/* Standard output as a file writer: a reader who had enough, a full disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"

enum { LENGTH = 200000 }; /* more than a stream keeps */

/* Puts fd in the place of standard output; returns what was there. */
static int redirect(int fd) {
    fflush(stdout);
    int kept = dup(STDOUT_FILENO);
    assert_true(kept >= 0 && fd >= 0);
    assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
    close(fd);
    return kept;
}

/* Prints len bytes to fd, whole and then by pieces: what file_commit says of the pieces. */
static status print_to(int fd, size_t len, int *failed, error *err) {
    static const char text[LENGTH];
    int kept = redirect(fd);
    status whole = file_print(text, len, err);
    file_writer w;
    file_begin_output(&w);
    for (size_t i = 0; i < len; i += 1000) file_put(&w, text, 1000);
    *failed = w.failed;
    status pieces = file_commit(&w, err);
    close(redirect(kept));
    assert_int_equal(whole, pieces);
    assert_null(w.stream);
    return pieces;
}

static void test_a_reader_who_had_enough(void **state) {
    int end[2], failed;
    error err;
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as every program does */
    for (size_t len = 1000; len <= LENGTH; len += LENGTH - 1000) {
        assert_int_equal(pipe(end), 0);
        close(end[0]);
        assert_int_equal(print_to(end[1], len, &failed, &err), STATUS_OK);
        if (len == LENGTH) assert_int_equal(failed, EPIPE); /* known before the end */
    }
}

static void test_a_full_disk(void **state) {
    int failed;
    error err;
    (void)state;
    for (size_t len = 1000; len <= LENGTH; len += LENGTH - 1000) {
        assert_int_equal(print_to(open("/dev/full", O_WRONLY), len, &failed, &err), STATUS_FAILED);
        assert_string_equal(err.message, "standard output: cannot write: No space left on device");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reader_who_had_enough),
        cmocka_unit_test(test_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
