/* Transposition of elements of four bytes, in squares of 8. */
#include "core/ops/cpu/transpose.h"

enum { PIECE = 64 };
typedef uint32_t __attribute__((may_alias)) word;

static void transpose_8(const word *from, int64_t ld_from, word *to, int64_t ld_to) {
    __m256 row[8], pair[8], four[8];
    for (int i = 0; i < 8; i++) row[i] = _mm256_loadu_ps((const float *)(from + i * ld_from));
    for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
        pair[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        four[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
        four[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xee);
        four[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
        four[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps((float *)(to + i * ld_to), _mm256_permute2f128_ps(four[i], four[i + 4], 0x20));
        _mm256_storeu_ps((float *)(to + (i + 4) * ld_to), _mm256_permute2f128_ps(four[i], four[i + 4], 0x31));
    }
}

/* A piece of at most PIECE x PIECE: both sides stay in the first-level cache. */
static void transpose_piece(const word *from, int64_t ld_from, int64_t rows, int64_t cols, word *to,
                            int64_t ld_to) {
    int64_t whole_rows = rows / 8 * 8, whole_cols = cols / 8 * 8;
    for (int64_t r = 0; r < whole_rows; r += 8)
        for (int64_t c = 0; c < whole_cols; c += 8)
            transpose_8(from + r * ld_from + c, ld_from, to + c * ld_to + r, ld_to);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = r < whole_rows ? whole_cols : 0; c < cols; c++)
            to[c * ld_to + r] = from[r * ld_from + c];
}

void ISA_NAME(cpu_transpose)(const void *from, int64_t ld_from, int64_t rows, int64_t cols, void *to,
                             int64_t ld_to) {
    const word *in = from;
    word *out = to;
    for (int64_t r = 0; r < rows; r += PIECE)
        for (int64_t c = 0; c < cols; c += PIECE)
            transpose_piece(in + r * ld_from + c, ld_from, min_of(PIECE, rows - r), min_of(PIECE, cols - c),
                            out + c * ld_to + r, ld_to);
}
