#include "core/base/log.h"

#include <stdarg.h>
#include <time.h>

#include "core/base/printable.h"

static void write_line(logger *log, const char *prefix, const char *format, va_list args) {
    char text[2048];
    vsnprintf(text, sizeof text, format, args);
    if (!log || !log->quiet) {
        if (log && log->tty) fputs("\r\x1b[K", stderr);
        fputs(prefix, stderr);
        printable_write_message(stderr, text);
        fputs("\n", stderr);
    }
    if (log) log->tty = false;
    if (!log || !log->file) return;
    time_t now = time(NULL);
    struct tm utc;
    char clock[32] = "";
    if (gmtime_r(&now, &utc)) strftime(clock, sizeof clock, "%Y-%m-%dT%H:%M:%SZ", &utc);
    fprintf(log->file, "%s %s", clock, prefix);
    printable_write_message(log->file, text);
    fputs("\n", log->file);
    fflush(log->file);
}

void log_line(logger *log, const char *format, ...) {
    va_list args;
    va_start(args, format);
    write_line(log, "", format, args);
    va_end(args);
}

void log_warning(logger *log, const char *format, ...) {
    va_list args;
    va_start(args, format);
    write_line(log, "warning: ", format, args);
    va_end(args);
}
