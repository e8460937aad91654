#include "core/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/printable.h"

status error_set(error *err, status code, const char *format, ...) {
    if (!err) return code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    err->code = code;
    return code;
}

status error_context(error *err, const char *format, ...) {
    if (!err) return STATUS_FAILED;
    char context[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context - 2, format, args);
    va_end(args);
    strcat(context, ": ");
    size_t n = strlen(context);
    memmove(err->message + n, err->message, sizeof err->message - n);
    memcpy(err->message, context, n);
    err->message[sizeof err->message - 1] = '\0';
    return err->code;
}

status error_memory(error *err, const char *what) {
    return error_set(err, STATUS_FAILED, "out of memory: %s", what);
}

void error_print(const char *name, const error *err) {
    fprintf(stderr, "%s: ", name);
    printable_write_message(stderr, err->message);
    fputs("\n", stderr);
}

int status_exit_code(status code) {
    switch (code) {
    case STATUS_OK:
        return 0;
    case STATUS_USAGE:
        return 2;
    case STATUS_DATA:
        return 3;
    case STATUS_WAITING:
        return 75;
    case STATUS_INTERRUPTED:
        return 130;
    case STATUS_FAILED:
    case STATUS_TOO_LARGE:
        break;
    }
    return 1;
}
