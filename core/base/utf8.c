#include "core/base/utf8.h"

#include <string.h>

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

size_t utf8_bytes(int32_t character, char *out) {
    uint32_t c = (uint32_t)character;
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xff) | c);
    return n;
}

void utf8_write(buffer *out, int32_t character) {
    char bytes[4];
    buffer_append(out, bytes, utf8_bytes(character, bytes));
}

size_t utf8_last(const char *text, size_t len) {
    for (size_t n = 1; n <= 4 && n <= len; n++) {
        size_t step;
        if (utf8_read(text + len - n, n, &step) >= 0 && step == n) return len - n;
    }
    return len - 1;
}

size_t utf8_prefix(const char *text, size_t len, int valid) {
    size_t n = 0, step;
    while (n < len) {
        uint64_t eight;
        if (valid && len - n >= sizeof eight) {
            memcpy(&eight, text + n, sizeof eight);
            if (!(eight & 0x8080808080808080u)) {
                n += sizeof eight;
                continue;
            }
        }
        if ((utf8_read(text + n, len - n, &step) >= 0) != valid) break;
        n += step;
    }
    return n;
}

int utf8_cut(const char *text, size_t len, int most) {
    if (len <= (size_t)most) return (int)len;
    while (most > 0 && ((uint8_t)text[most] & 0xc0) == 0x80) most--;
    return most;
}

int utf8_is_space(int32_t c) {
    if (c <= 0x20) return c == 0x20 || (c >= 0x09 && c <= 0x0d);
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}
