#include "core/base/progress.h"

#include <time.h>
#include <unistd.h>

static const double TTY_SECONDS = 0.1, PLAIN_SECONDS = 30;

double clock_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_begin(progress *p, logger *log, const char *what, const char *unit, int64_t first,
                    int64_t total) {
    double now = clock_seconds();
    *p = (progress){
        .log = log, .what = what, .unit = unit, .total = total, .first = first, .started = now, .shown = now};
}

/* "1:02:03", "2:03" or "3 s". */
static void format_duration(double seconds, char out[32]) {
    long long s = seconds < 0 ? 0 : seconds > 3.6e8 ? 360000000 : (long long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, 32, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else if (s >= 60)
        snprintf(out, 32, "%lld:%02lld", s / 60, s % 60);
    else
        snprintf(out, 32, "%lld s", s);
}

static void format_line(const progress *p, int64_t step, double seconds, const char *figures, char out[512]) {
    char left[32];
    int64_t done = step - p->first;
    double rate = seconds > 0 ? p->tokens / seconds : 0;
    format_duration(done > 0 ? seconds / (double)done * (double)(p->total - step) : 0, left);
    snprintf(out, 512, "%s  %s %lld/%lld  %s%s%.0f tokens/s  %s left", p->what, p->unit, (long long)step,
             (long long)p->total, figures ? figures : "", figures ? "  " : "", rate, left);
}

void progress_step(progress *p, int64_t step, int64_t tokens, const char *figures) {
    double now = clock_seconds();
    bool tty = isatty(STDERR_FILENO) && !(p->log && p->log->quiet);
    p->tokens += (double)tokens;
    if (step < p->total && now - p->shown < (tty ? TTY_SECONDS : PLAIN_SECONDS)) return;
    p->shown = now;
    char line[512];
    format_line(p, step, now - p->started, figures, line);
    if (!tty) {
        log_line(p->log, "%s", line);
        return;
    }
    fprintf(stderr, "\r\x1b[K%s", line);
    fflush(stderr);
    if (p->log) p->log->tty = true;
}

void progress_end(progress *p) {
    if (!p->log || !p->log->tty) return;
    fputs("\n", stderr);
    p->log->tty = false;
}
