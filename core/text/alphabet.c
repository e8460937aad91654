#include "core/text/alphabet.h"

enum { FIRST_OTHER = 0x100, N_PRINTABLE = 188 };

/* The letters in ascending order: '!' to '~', U+00A1 to U+00AC, U+00AE to U+00FF stand for themselves, and
   from U+0100 on for the other 68 bytes in ascending order. */
static int is_printable(int byte) { return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad); }

/* The n-th byte that is printable, or that is not. */
static uint8_t nth(int n, int printable) {
    int byte = 0;
    while (is_printable(byte) != printable || n-- > 0) byte++;
    return (uint8_t)byte;
}

uint8_t alphabet_byte(int i) { return i < N_PRINTABLE ? nth(i, 1) : nth(i - N_PRINTABLE, 0); }

static int letter_of(uint8_t byte) {
    if (is_printable(byte)) return byte;
    int rank = 0;
    for (int b = 0; b < byte; b++) rank += !is_printable(b);
    return FIRST_OTHER + rank;
}

void alphabet_write(buffer *out, const void *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        int letter = letter_of(((const uint8_t *)bytes)[i]);
        char utf8[2] = {(char)(0xc0 | letter >> 6), (char)(0x80 | (letter & 0x3f))};
        char ascii = (char)letter;
        if (letter < 0x80)
            buffer_append(out, &ascii, 1);
        else
            buffer_append(out, utf8, 2);
    }
}

/* The byte that a letter stands for, or -1. */
static int byte_of(int letter) {
    if (letter < FIRST_OTHER) return is_printable(letter) ? letter : -1;
    return letter < FIRST_OTHER + 256 - N_PRINTABLE ? nth(letter - FIRST_OTHER, 0) : -1;
}

int alphabet_read(buffer *out, const char *letters, size_t len) {
    size_t before = out->len;
    for (size_t i = 0; i < len; i++) {
        int letter = (uint8_t)letters[i];
        if (letter >= 0x80) {
            int is_pair = (letter & 0xe0) == 0xc0 && i + 1 < len;
            letter = is_pair ? (letter & 0x1f) << 6 | ((uint8_t)letters[++i] & 0x3f) : -1;
        }
        int byte = letter < 0 ? -1 : byte_of(letter);
        if (byte < 0) {
            out->len = before;
            return 0;
        }
        char c = (char)byte;
        buffer_append(out, &c, 1);
    }
    return 1;
}
