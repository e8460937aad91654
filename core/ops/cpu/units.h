/* core/ops/cpu/units: matrices put into the units of four bytes that products read. */
#ifndef RLHF_OPS_CPU_UNITS_H
#define RLHF_OPS_CPU_UNITS_H

#include "core/ops/cpu/elem.h"

/* What fills up a unit at the end of a sum is zero. Widths are at most PANEL = 64; panels' rows are 64 units
   wide. */

/* One panel [units_of(k)][64] of w^T from rows [rows, k] of w: sums run along k. What lies beyond the rows is
   left as it is. */
void ELEM_NAME(units_of_weights)(const float *w, int64_t ld, int64_t rows, int64_t k, unit *panel);

/* One panel [units_of(rows)][64]: sums run over the rows. Columns from cols on are zero. */
void ELEM_NAME(units_of_weight_rows)(const float *w, int64_t ld, int64_t rows, int64_t cols, unit *panel);
void ELEM_NAME(units_of_rows)(const elem *x, int64_t ld, int64_t rows, int64_t cols, unit *panel);

/* to[c] = column c of x[rows, cols] as units_of(rows) units, ld_to apart: sums run over the rows. */
void ELEM_NAME(units_of_columns)(const elem *x, int64_t ld, int64_t rows, int64_t cols, unit *to,
                                 int64_t ld_to);

#endif
