/* Writing: standard output with a reader who had enough and on a full disk; what is there and no file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "tests/support/places.h"

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

/* A link stays a link; what would be lost by being replaced is refused. */
static void test_links_and_pipes(void **state) {
    const char *file = path_in(*state, "file"), *link = path_in(*state, "link"),
               *pipe = path_in(*state, "pipe");
    struct stat there;
    error err;
    write_all(file, "old", 3);
    assert_int_equal(symlink("file", link), 0);
    assert_int_equal(file_write(link, "new", 3, &err), STATUS_OK);
    assert_int_equal(lstat(link, &there), 0);
    assert_true(S_ISLNK(there.st_mode));
    buffer text = read_all(file);
    assert_string_equal(text.data, "new");
    buffer_free(&text);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(file_write(pipe, "new", 3, &err), STATUS_FAILED);
    assert_non_null(strstr(err.message, "pipe: cannot write: it is there, and no regular file"));
    assert_int_equal(lstat(pipe, &there), 0);
    assert_true(S_ISFIFO(there.st_mode));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reader_who_had_enough),
        cmocka_unit_test(test_a_full_disk),
        cmocka_unit_test_setup_teardown(test_links_and_pipes, directory_setup, directory_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
