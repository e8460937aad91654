#include "datasets/label/screen.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

int screen_width(int fd) {
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
    return size.ws_col;
}

/* One character of UTF-8; its length, or 0 when the bytes are none. */
static size_t decode(const unsigned char *p, size_t len, uint32_t *out) {
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    if (n == 0 || n > len || p[0] >= 0xf5) return 0;
    uint32_t c = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    bool overlong = (n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff));
    if (overlong || (c >= 0xd800 && c < 0xe000)) return 0;
    *out = c;
    return n;
}

/* Characters that show nothing, or change how others show. */
static bool is_hidden(uint32_t c) {
    return (c >= 0x80 && c < 0xa0) || c == 0xad || c == 0x34f || c == 0x61c || (c >= 0x115f && c <= 0x1160) ||
           (c >= 0x17b4 && c <= 0x17b5) || (c >= 0x180b && c <= 0x180f) || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0x3164 || c == 0xfeff ||
           c == 0xffa0 || (c >= 0xfff0 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

/* Two columns: East Asian wide and emoji, by their blocks. */
static bool is_wide(uint32_t c) {
    return (c >= 0x1100 && c < 0x1160) || (c >= 0x2e80 && c < 0xa4d0) || (c >= 0xac00 && c < 0xd7a4) ||
           (c >= 0xf900 && c < 0xfb00) || (c >= 0xfe30 && c < 0xfe70) || (c >= 0xff00 && c < 0xff61) ||
           (c >= 0xffe0 && c < 0xffe7) || (c >= 0x1f300 && c < 0x1f650) || (c >= 0x1f900 && c < 0x1fa00) ||
           (c >= 0x20000 && c < 0x40000);
}

static bool is_combining(uint32_t c) {
    return (c >= 0x300 && c < 0x370) || (c >= 0x1ab0 && c < 0x1b00) || (c >= 0x1dc0 && c < 0x1e00) ||
           (c >= 0x20d0 && c < 0x2100) || (c >= 0xfe00 && c < 0xfe10) || (c >= 0xfe20 && c < 0xfe30);
}

/* How a character is shown: its bytes and its columns. */
typedef struct shown {
    char bytes[16];
    size_t len;
    int columns;
} shown;

static shown show(const char *text, size_t len, size_t *used) {
    shown s = {0};
    uint32_t c = 0;
    size_t n = decode((const unsigned char *)text, len, &c);
    *used = n ? n : 1;
    s.columns = 1;
    if (!n)
        s.len = (size_t)sprintf(s.bytes, "\xef\xbf\xbd");
    else if (c < 0x20 || c == 0x7f) /* the pictures of control characters, U+2400 on */
        s.len = (size_t)sprintf(s.bytes, "\xe2\x90%c", c == 0x7f ? 0xa1 : (int)(0x80 + c));
    else if (is_hidden(c))
        s.columns = (int)(s.len = (size_t)sprintf(s.bytes, "<U+%04X>", c));
    else {
        memcpy(s.bytes, text, n);
        s.len = n;
        s.columns = is_combining(c) ? 0 : is_wide(c) ? 2 : 1;
    }
    return s;
}

/* A line ends here: "\n" or "\r\n"; its length, or 0. */
static size_t line_end(const char *text, size_t len) {
    if (text[0] == '\n') return 1;
    return len > 1 && text[0] == '\r' && text[1] == '\n' ? 2 : 0;
}

size_t screen_character(buffer *out, const char *text, size_t len) {
    size_t used;
    shown s = show(text, len, &used);
    buffer_append(out, s.bytes, s.len);
    return used;
}

/* The length of the word, or of the run of spaces, at text, in bytes and columns. */
static size_t measure_word(const char *text, size_t len, int *columns) {
    size_t n = 0, used;
    *columns = 0;
    bool space = text[0] == ' ';
    while (n < len && !line_end(text + n, len - n) && text[n] != '\t' && (text[n] == ' ') == space) {
        *columns += show(text + n, len - n, &used).columns;
        n += used;
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
    for (size_t i = 0, used; i < len; i += used) {
        shown s = show(text + i, len - i, &used);
        if (p->column > 0 && p->column + s.columns > p->width) end_line(p);
        begin_line(p);
        buffer_append(p->out, s.bytes, s.len);
        p->column += s.columns;
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
