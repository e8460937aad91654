#include "core/ops/cpu/units.h"

#include <string.h>

#include "core/ops/cpu/gemm.h"
#include "core/ops/cpu/transpose.h"

#ifdef ELEM_bf16

enum { PIECE_UNITS = PANEL / UNIT };

/* Pairs of columns: a row's rounded elements, which then stand beside each other, are its units. */
void ELEM_NAME(units_of_weights)(const float *w, int64_t ld, int64_t rows, int64_t k, unit *panel) {
    elem piece[PANEL][PANEL] __attribute__((aligned(64)));
    for (int64_t first = 0; first < k; first += PANEL) {
        int64_t n = min_of(PANEL, k - first);
        for (int64_t r = 0; r < rows; r++) {
            FOR_LANES(n, i, lanes) e_store(piece[r] + i, v_load_n(w + r * ld + first + i, (int)lanes));
        }
        ISA_NAME(cpu_transpose)
        (piece, PIECE_UNITS, rows, units_of(n), panel + first / UNIT * PANEL, PANEL);
    }
}

/* Pairs of rows. The second one of the last pair may be missing (NULL). */
static void weight_row_pair(const float *a, const float *b, int64_t cols, unit *to) {
    for (int i = 0; i < PANEL; i += LANES) {
        int n = (int)max_of(0, min_of(LANES, cols - i));
        v_store_pairs(to + i, v_load_n(a + i, n), b ? v_load_n(b + i, n) : v_set(0));
    }
}

static void row_pair(const elem *a, const elem *b, int64_t cols, unit *to) {
    for (int i = 0; i < PANEL; i += LANES) {
        int n = (int)max_of(0, min_of(LANES, cols - i));
        v_store_pairs(to + i, e_load_n(a + i, n), b ? e_load_n(b + i, n) : v_set(0));
    }
}

void ELEM_NAME(units_of_weight_rows)(const float *w, int64_t ld, int64_t rows, int64_t cols, unit *panel) {
    for (int64_t r = 0; r < rows; r += UNIT, panel += PANEL)
        weight_row_pair(w + r * ld, r + 1 < rows ? w + (r + 1) * ld : NULL, cols, panel);
}

void ELEM_NAME(units_of_rows)(const elem *x, int64_t ld, int64_t rows, int64_t cols, unit *panel) {
    for (int64_t r = 0; r < rows; r += UNIT, panel += PANEL)
        row_pair(x + r * ld, r + 1 < rows ? x + (r + 1) * ld : NULL, cols, panel);
}

void ELEM_NAME(units_of_columns)(const elem *x, int64_t ld, int64_t rows, int64_t cols, unit *to,
                                 int64_t ld_to) {
    unit piece[PANEL / UNIT][PANEL] __attribute__((aligned(64)));
    for (int64_t r = 0; r < rows; r += PANEL)
        for (int64_t c = 0; c < cols; c += PANEL) {
            int64_t n = min_of(PANEL, rows - r), width = min_of(PANEL, cols - c);
            ELEM_NAME(units_of_rows)(x + r * ld + c, ld, n, width, piece[0]);
            ISA_NAME(cpu_transpose)(piece, PANEL, units_of(n), width, to + c * ld_to + r / UNIT, ld_to);
        }
}

#else

void ELEM_NAME(units_of_weights)(const float *w, int64_t ld, int64_t rows, int64_t k, unit *panel) {
    ISA_NAME(cpu_transpose)(w, ld, rows, k, panel, PANEL);
}

void ELEM_NAME(units_of_weight_rows)(const float *w, int64_t ld, int64_t rows, int64_t cols, unit *panel) {
    ELEM_NAME(units_of_rows)(w, ld, rows, cols, panel);
}

void ELEM_NAME(units_of_rows)(const elem *x, int64_t ld, int64_t rows, int64_t cols, unit *panel) {
    for (int64_t r = 0; r < rows; r++, panel += PANEL) {
        memcpy(panel, x + r * ld, (size_t)cols * sizeof *x);
        if (cols < PANEL) memset(panel + cols, 0, (size_t)(PANEL - cols) * sizeof *x);
    }
}

void ELEM_NAME(units_of_columns)(const elem *x, int64_t ld, int64_t rows, int64_t cols, unit *to,
                                 int64_t ld_to) {
    ISA_NAME(cpu_transpose)(x, ld, rows, cols, to, ld_to);
}

#endif
