/* core/ops/cpu/transpose: rows to columns. */
#ifndef RLHF_OPS_CPU_TRANSPOSE_H
#define RLHF_OPS_CPU_TRANSPOSE_H

#include "core/ops/cpu/cpu.h"

/* to[c, r] = from[r, c], of elements of four bytes whatever they are. */
void ISA_NAME(cpu_transpose)(const void *from, int64_t ld_from, int64_t rows, int64_t cols, void *to,
                             int64_t ld_to);

#endif
