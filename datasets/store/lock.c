#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "datasets/store/internal.h"

enum { HOLDER_BYTES = 128 };

/* Who holds the lock stands in the lock file, for the message of those who wait in vain. */
static void write_holder(int fd) {
    char text[HOLDER_BYTES];
    int n = snprintf(text, sizeof text, "process %ld (%s)", (long)getpid(), program_invocation_short_name);
    if (n >= (int)sizeof text) n = sizeof text - 1;
    memset(text + n, ' ', sizeof text - (size_t)n);
    text[sizeof text - 1] = '\n';
    ssize_t written = pwrite(fd, text, sizeof text, 0);
    (void)written; /* only a courtesy: the flock itself is the lock */
}

static void read_holder(int fd, char out[HOLDER_BYTES]) {
    ssize_t n = pread(fd, out, HOLDER_BYTES - 1, 0);
    while (n > 0 && strchr(" \n", out[n - 1])) n--;
    if (n <= 0)
        strcpy(out, "another process");
    else
        out[n] = 0;
}

status store_lock(store *s, error *err) {
    static const struct timespec pause = {0, 2 * 1000 * 1000};
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_set(err, STATUS_FAILED, "%s.lock: cannot lock: %s", s->path, strerror(errno));
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t waited = (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000;
        if (waited >= s->patience_ms) {
            char holder[HOLDER_BYTES];
            read_holder(s->lock_fd, holder);
            return error_set(
                err, STATUS_FAILED,
                "%s: locked: %s has been writing it for more than %lld ms; wait for it or stop it", s->path,
                holder, (long long)waited);
        }
        nanosleep(&pause, NULL);
    }
    write_holder(s->lock_fd);
    return STATUS_OK;
}

void store_unlock(store *s) {
    int cleared = ftruncate(s->lock_fd, 0); /* the next holder may be a program that writes no name */
    (void)cleared;
    flock(s->lock_fd, LOCK_UN);
}
