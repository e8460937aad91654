#include "tests/support/places.h"

#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/file.h"

enum { KEPT = 32, PATH_BYTES = 1024 };

int directory_setup(void **state) {
    const char *base = getenv("TMPDIR");
    char *path = malloc(PATH_BYTES);
    if (!path) return -1;
    snprintf(path, PATH_BYTES, "%s/rlhf-test-XXXXXX", base && *base ? base : "/tmp");
    *state = path;
    return mkdtemp(path) ? 0 : -1;
}

int directory_teardown(void **state) {
    status s = path_remove_tree(*state, NULL);
    free(*state);
    return s == STATUS_OK ? 0 : -1;
}

const char *path_in(const char *directory, const char *name) {
    static char kept[KEPT][PATH_BYTES];
    static int next;
    char *path = kept[next++ % KEPT];
    if (snprintf(path, PATH_BYTES, "%s/%s", directory, name) >= PATH_BYTES)
        fail_msg("%s: too long a path", name);
    return path;
}

const char *shared_path(const char *name) {
    const char *root = getenv("RLHF_SHARED"), *path = path_in(root && *root ? root : "../shared", name);
    if (!path_exists(path)) {
        print_message("%s: absent, the test is skipped\n", path);
        skip();
    }
    return path;
}

const char *model_path(const char *name) {
    const char *root = getenv("RLHF_MODELS"), *path = path_in(root && *root ? root : "RLHF_MODELS", name);
    if (!path_exists(path)) {
        print_message("%s: absent, the test is skipped (tests/real/fetch.sh gets it)\n", path);
        skip();
    }
    return path;
}

void terminal_needed(void) {
    int ours, theirs;
    if (openpty(&ours, &theirs, NULL, NULL, NULL) != 0) {
        print_message("no pseudo-terminal can be opened (/dev/pts), the test is skipped\n");
        skip();
    }
    close(ours);
    close(theirs);
}

static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0) fail_msg("getrlimit");
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) fail_msg("setrlimit");
}

void disk_holds(size_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    limit_files(bytes);
}

void disk_is_free(void) { limit_files(RLIM_INFINITY); }

buffer read_all(const char *path) {
    buffer text = {0};
    error err;
    if (file_read(path, SIZE_MAX / 4, &text, &err) != STATUS_OK) fail_msg("%s", err.message);
    return text;
}

void write_all(const char *path, const void *data, size_t len) {
    error err;
    struct stat st;
    if (stat(path, &st) == 0 && !(st.st_mode & S_IWUSR)) fail_msg("%s: is not to be written", path);
    if (file_write(path, data, len, &err) != STATUS_OK) fail_msg("%s", err.message);
}
