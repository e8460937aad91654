#include "rlhf/chat_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* A handler can reach nothing but globals. The pipe wakes the wait for a line, whichever thread the signal
   came to. */
static volatile sig_atomic_t stops;
static int wake[2] = {-1, -1};

static void request_stop(int number) {
    int kept = errno;
    stops += number == SIGINT ? 1 : 2;
    struct sigaction next = {.sa_handler = SIG_DFL};
    if (stops > 1) sigaction(number, &next, NULL);
    ssize_t written = write(wake[1], "", 1); /* a full pipe wakes all the same */
    (void)written;
    errno = kept;
}

static void install(void) {
    struct sigaction stop = {.sa_handler = request_stop, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
}

status chat_input_open(chat_input *in, error *err) {
    *in = (chat_input){0};
    stops = 0;
    if (pipe2(wake, O_NONBLOCK | O_CLOEXEC) != 0)
        return error_set(err, STATUS_FAILED, "a pipe: %s", strerror(errno));
    install();
    return STATUS_OK;
}

void chat_input_close(chat_input *in) {
    buffer_free(&in->pending);
    buffer_free(&in->line);
    if (wake[0] < 0) return;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    close(wake[0]);
    close(wake[1]);
    wake[0] = wake[1] = -1;
}

int chat_input_stops(void) { return stops; }

void chat_input_forget_stops(void) {
    char byte;
    stops = 0;
    while (read(wake[0], &byte, 1) == 1) continue;
    install();
}

static int take_line(chat_input *in) {
    buffer *b = &in->pending;
    char *newline = b->len ? memchr(b->data, '\n', b->len) : NULL;
    if (!newline && !(in->ended && b->len)) return 0;
    size_t n = newline ? (size_t)(newline - b->data) : b->len, used = n + (newline != NULL);
    buffer_clear(&in->line);
    buffer_append(&in->line, b->data, n - (n && b->data[n - 1] == '\r'));
    memmove(b->data, b->data + used, b->len - used);
    b->len -= used;
    return !in->line.failed;
}

static void fill(chat_input *in) {
    char piece[4096];
    ssize_t n = read(STDIN_FILENO, piece, sizeof piece);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n > 0) buffer_append(&in->pending, piece, (size_t)n);
    if (n <= 0 || in->pending.failed) in->ended = 1;
}

int chat_input_read(chat_input *in) {
    while (!stops) {
        struct pollfd p[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = wake[0], .events = POLLIN}};
        if (take_line(in)) return 1;
        if (in->ended) return 0;
        if (poll(p, 2, -1) > 0 && p[0].revents) fill(in);
    }
    return 0;
}
