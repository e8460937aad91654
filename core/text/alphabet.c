#include "core/text/alphabet.h"

/* The letters in ascending order: '!' to '~', U+00A1 to U+00AC, U+00AE to U+00FF stand for themselves, and
   from U+0100 on for the other 68 bytes in ascending order: 0 to 0x20, 0x7f to 0xa0, 0xad. */
enum { FIRST_OTHER = 0x100, N_PRINTABLE = 188, N_OTHER = 68 };

static int is_printable(int byte) { return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad); }

static uint8_t nth_printable(int n) {
    return (uint8_t)(n < 94 ? 0x21 + n : n < 106 ? 0xa1 + n - 94 : 0xae + n - 106);
}
static uint8_t nth_other(int n) { return (uint8_t)(n < 33 ? n : n < 67 ? 0x7f + n - 33 : 0xad); }

uint8_t alphabet_byte(int i) { return i < N_PRINTABLE ? nth_printable(i) : nth_other(i - N_PRINTABLE); }

static int letter_of(uint8_t byte) {
    if (is_printable(byte)) return byte;
    return FIRST_OTHER + (byte < 33 ? byte : byte == 0xad ? 67 : 33 + byte - 0x7f);
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
    return letter < FIRST_OTHER + N_OTHER ? nth_other(letter - FIRST_OTHER) : -1;
}

int alphabet_read(buffer *out, const char *letters, size_t len) {
    size_t before = out->len;
    if (!buffer_reserve(out, len)) return 1; /* out remembers */
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
        out->data[out->len++] = (char)byte;
    }
    out->data[out->len] = 0;
    return 1;
}
