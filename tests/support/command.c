#include "tests/support/command.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Puts fd in the place of `target`; returns what was there. */
static int redirect(int target, int fd) {
    fflush(NULL);
    int kept = dup(target);
    if (kept < 0 || fd < 0 || dup2(fd, target) < 0) fail_msg("redirect");
    close(fd);
    return kept;
}

static void read_back(FILE *from, buffer *out) {
    char piece[4096];
    size_t n;
    buffer_clear(out);
    rewind(from);
    while ((n = fread(piece, 1, sizeof piece, from)) > 0) buffer_append(out, piece, n);
}

status run_command_line(status (*command)(int argc, char **argv, error *err), const char *const *words,
                        buffer *out, error *err) {
    char *argv[32];
    int argc = 0;
    for (; words[argc]; argc++) {
        assert_true(argc < 31);
        argv[argc] = strdup(words[argc]);
    }
    argv[argc] = NULL;
    char *owned[32];
    memcpy(owned, argv, sizeof owned);
    FILE *file = tmpfile();
    assert_non_null(file);
    int kept_out = redirect(STDOUT_FILENO, dup(fileno(file)));
    int kept_err = redirect(STDERR_FILENO, open("/dev/null", O_WRONLY));
    *err = (error){0};
    status s = command(argc, argv, err);
    close(redirect(STDERR_FILENO, kept_err));
    close(redirect(STDOUT_FILENO, kept_out));
    if (out) read_back(file, out);
    fclose(file);
    for (int i = 0; i < argc; i++) free(owned[i]);
    return s;
}
