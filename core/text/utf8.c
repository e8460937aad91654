#include "core/text/utf8.h"

int32_t utf8_read(const char *text, size_t len, size_t *step) {
    static const int32_t smallest[] = {0, 0, 0x80, 0x800,
                                       0x10000}; /* of characters that need so many bytes */
    uint8_t first = (uint8_t)text[0];
    *step = 1;
    if (first < 0x80) return first;
    size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc0 || first > 0xf4 || n > len) return -1;
    int32_t c = first & (0x7f >> n);
    for (size_t i = 1; i < n; i++) {
        if (((uint8_t)text[i] & 0xc0) != 0x80) return -1;
        c = c << 6 | ((uint8_t)text[i] & 0x3f);
    }
    if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return -1;
    *step = n;
    return c;
}

void utf8_write(buffer *out, int32_t character) {
    uint32_t c = (uint32_t)character;
    char bytes[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6) bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xff) | c);
    buffer_append(out, bytes, n);
}
