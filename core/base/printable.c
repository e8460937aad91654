#include "core/base/printable.h"

#include <stdbool.h>
#include <string.h>

#include "core/base/utf8.h"

/* Characters that show nothing, or change how others show. */
static bool is_hidden(int32_t c) {
    return (c >= 0x80 && c < 0xa0) || c == 0xad || c == 0x34f || c == 0x61c || (c >= 0x115f && c <= 0x1160) ||
           (c >= 0x17b4 && c <= 0x17b5) || (c >= 0x180b && c <= 0x180f) || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0x3164 || c == 0xfeff ||
           c == 0xffa0 || (c >= 0xfff0 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

/* Two columns: East Asian wide and emoji, by their blocks. */
static bool is_wide(int32_t c) {
    return (c >= 0x1100 && c < 0x1160) || (c >= 0x2e80 && c < 0xa4d0) || (c >= 0xac00 && c < 0xd7a4) ||
           (c >= 0xf900 && c < 0xfb00) || (c >= 0xfe30 && c < 0xfe70) || (c >= 0xff00 && c < 0xff61) ||
           (c >= 0xffe0 && c < 0xffe7) || (c >= 0x1f300 && c < 0x1f650) || (c >= 0x1f900 && c < 0x1fa00) ||
           (c >= 0x20000 && c < 0x40000);
}

static bool is_combining(int32_t c) {
    return (c >= 0x300 && c < 0x370) || (c >= 0x1ab0 && c < 0x1b00) || (c >= 0x1dc0 && c < 0x1e00) ||
           (c >= 0x20d0 && c < 0x2100) || (c >= 0xfe00 && c < 0xfe10) || (c >= 0xfe20 && c < 0xfe30);
}

printable printable_character(const char *text, size_t len) {
    printable p = {.columns = 1};
    int32_t c = utf8_read(text, len, &p.used);
    if (c < 0)
        p.len = (size_t)sprintf(p.bytes, "\xef\xbf\xbd");
    else if (c < 0x20 || c == 0x7f) /* the pictures of control characters, U+2400 on */
        p.len = (size_t)sprintf(p.bytes, "\xe2\x90%c", c == 0x7f ? 0xa1 : 0x80 + c);
    else if (is_hidden(c))
        p.columns = (int)(p.len = (size_t)sprintf(p.bytes, "<U+%04X>", (unsigned)c));
    else {
        memcpy(p.bytes, text, p.used);
        p.len = p.used;
        p.columns = is_combining(c) ? 0 : is_wide(c) ? 2 : 1;
    }
    return p;
}

/* indent: what stands behind a newline. */
static void write_indented(FILE *out, const char *text, const char *indent) {
    for (size_t len = strlen(text); len;) {
        printable p = printable_character(text, len);
        bool stands = *text == '\n' || *text == '\t';
        fwrite(stands ? text : p.bytes, 1, stands ? 1 : p.len, out);
        if (*text == '\n') fputs(indent, out);
        text += p.used;
        len -= p.used;
    }
}

void printable_write(FILE *out, const char *text) { write_indented(out, text, ""); }
void printable_write_message(FILE *out, const char *text) { write_indented(out, text, "  "); }
