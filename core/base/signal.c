#include "core/base/signal.h"

#include <signal.h>
#include <stddef.h>

/* A handler can reach nothing but a global. */
static volatile sig_atomic_t stop_requested;

static void request_stop(int number) {
    (void)number;
    stop_requested = 1;
    struct sigaction next = {.sa_handler = SIG_DFL};
    sigaction(SIGINT, &next, NULL);
    sigaction(SIGTERM, &next, NULL);
}

void signal_install(void) {
    struct sigaction stop = {.sa_handler = request_stop, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
}

bool signal_stop_requested(void) { return stop_requested; }
