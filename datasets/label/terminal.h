/* datasets/label/terminal: asking a person for lines, on a terminal or through a pipe. */
#ifndef RLHF_LABEL_TERMINAL_H
#define RLHF_LABEL_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

#include "core/base/buffer.h"
#include "core/base/error.h"

typedef struct terminal {
    int in;    /* a file descriptor */
    FILE *out; /* what the person reads */
    bool bold; /* headings may be bold */
    int width;
    buffer pending; /* read, not yet asked for */
    bool ended;
} terminal;

typedef enum terminal_event {
    TERMINAL_LINE,
    TERMINAL_END,     /* of the input */
    TERMINAL_STOP,    /* SIGINT or SIGTERM */
    TERMINAL_TIMEOUT, /* nothing came for the given time */
} terminal_event;

void terminal_open(terminal *t, int in, FILE *out);
void terminal_close(terminal *t);
/* Waits for a line, at most timeout_ms; longer ones than 4095 bytes are cut. line: at least 4096 bytes. */
terminal_event terminal_read(terminal *t, int timeout_ms, char *line);

#endif
