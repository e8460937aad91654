#include "datasets/label/screen.h"

#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/base/printable.h"

int screen_width(int fd) {
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
    return size.ws_col;
}

/* A line ends here: "\n" or "\r\n"; its length, or 0. */
static size_t line_end(const char *text, size_t len) {
    if (text[0] == '\n') return 1;
    return len > 1 && text[0] == '\r' && text[1] == '\n' ? 2 : 0;
}

/* The length of the word, or of the run of spaces, at text, in bytes and columns. */
static size_t measure_word(const char *text, size_t len, int *columns) {
    size_t n = 0;
    *columns = 0;
    bool space = text[0] == ' ';
    while (n < len && !line_end(text + n, len - n) && text[n] != '\t' && (text[n] == ' ') == space) {
        printable p = printable_character(text + n, len - n);
        *columns += p.columns;
        n += p.used;
    }
    return n;
}

typedef struct pen {
    buffer *out;
    const char *prefix;
    int width, column; /* column: used in this line behind the prefix; -1: the line has not begun */
} pen;

static void begin_line(pen *p) {
    if (p->column < 0) buffer_string(p->out, p->prefix);
    if (p->column < 0) p->column = 0;
}

static void end_line(pen *p) {
    begin_line(p);
    buffer_string(p->out, "\n");
    p->column = -1;
}

static void put_word(pen *p, const char *text, size_t len) {
    for (size_t i = 0; i < len;) {
        printable c = printable_character(text + i, len - i);
        if (p->column > 0 && p->column + c.columns > p->width) end_line(p);
        begin_line(p);
        buffer_append(p->out, c.bytes, c.len);
        p->column += c.columns;
        i += c.used;
    }
}

void screen_text(buffer *out, const char *prefix, int width, const char *text, size_t len) {
    int room = width - (int)strlen(prefix);
    pen p = {out, prefix, room < 10 ? 10 : room, -1};
    for (size_t i = 0; i < len;) {
        size_t end = line_end(text + i, len - i);
        if (end) {
            end_line(&p);
            i += end;
        } else if (text[i] == '\t') {
            put_word(&p, "    ", 4);
            i++;
        } else {
            int columns;
            size_t n = measure_word(text + i, len - i, &columns);
            bool fits = p.column < 0 || p.column + columns <= p.width;
            if (!fits && (text[i] == ' ' || columns <= p.width)) end_line(&p);
            if (fits || text[i] != ' ') put_word(&p, text + i, n);
            i += n;
        }
    }
    if (p.column >= 0 || len == 0) end_line(&p);
}
