#include "datasets/label/terminal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/signal.h"
#include "datasets/label/screen.h"

enum {
    LINE = 4096,
    LOOK_MS = 200 /* how often a stop is looked for, in case it came just before the wait */
};

void terminal_open(terminal *t, int in, FILE *out) {
    const char *kind = getenv("TERM");
    *t = (terminal){.in = in, .out = out, .width = screen_width(fileno(out))};
    t->bold = isatty(fileno(out)) && !getenv("NO_COLOR") && kind && strcmp(kind, "dumb") != 0;
}

void terminal_close(terminal *t) { buffer_free(&t->pending); }

static bool take_line(terminal *t, char *line) {
    buffer *b = &t->pending;
    char *newline = b->len ? memchr(b->data, '\n', b->len) : NULL;
    if (!newline && !(t->ended && b->len)) return false;
    size_t n = newline ? (size_t)(newline - b->data) : b->len, kept = n < LINE - 1 ? n : LINE - 1;
    memcpy(line, b->data, kept);
    line[kept] = 0;
    size_t used = n + (newline != NULL);
    memmove(b->data, b->data + used, b->len - used);
    b->len -= used;
    return true;
}

static void fill(terminal *t) {
    char piece[LINE];
    ssize_t n = read(t->in, piece, sizeof piece);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n > 0) buffer_append(&t->pending, piece, (size_t)n);
    if (n <= 0 || t->pending.failed) t->ended = true;
}

terminal_event terminal_read(terminal *t, int timeout_ms, char *line) {
    for (int waited = 0;;) {
        if (signal_stop_requested()) return TERMINAL_STOP;
        if (take_line(t, line)) return TERMINAL_LINE;
        if (t->ended) return TERMINAL_END;
        if (waited >= timeout_ms) return TERMINAL_TIMEOUT;
        struct pollfd p = {.fd = t->in, .events = POLLIN};
        int ready = poll(&p, 1, LOOK_MS);
        if (ready > 0) fill(t);
        if (ready == 0) waited += LOOK_MS;
    }
}
