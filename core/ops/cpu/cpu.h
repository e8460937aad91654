/* core/ops/cpu: the kernels of the CPU. Each .c file here is compiled for every instruction set, and what
   touches activations for each of their types (elem.h) as well. What functions share across files is named by
   ISA_NAME or ELEM_NAME, so that the copies stand side by side in one binary. */
#ifndef RLHF_OPS_CPU_CPU_H
#define RLHF_OPS_CPU_CPU_H

#include "core/ops/ops.h"

extern const struct ops cpu_ops_avx2, cpu_ops_avx512, cpu_ops_avx512bf16;

/* Memory is the same for both tables (core/ops/device_cpu.c); struct ops says what each promises. */
status cpu_allocate(device *dev, size_t bytes, void **out, error *err);
void cpu_release(device *dev, void *memory);
void cpu_upload(device *dev, void *to, const void *host, size_t bytes);
void cpu_copy(device *dev, void *to, const void *from, size_t bytes);
status cpu_download(device *dev, void *host, const void *from, size_t bytes, error *err);
status cpu_sync(device *dev, error *err);
void cpu_close(device *dev);

#ifdef ISA

#include "core/ops/cpu/vec.h"

/* Ops whose operands have no type. */
void ISA_NAME(cpu_adamw)(device *, const struct op_adamw *);
void ISA_NAME(cpu_sumsq)(device *, const struct op_sumsq *);
void ISA_NAME(cpu_axpby)(device *, const struct op_axpby *);
void ISA_NAME(cpu_lerp)(device *, const struct op_lerp *);
void ISA_NAME(cpu_fill)(device *, const struct op_fill *);

/* Denormals count as zero and are flushed to it: part of the one arithmetic. The table's entry points call
   this on the calling thread (and put its mode back afterwards); every parallel region calls it first, as the
   pool's threads have modes of their own. */
static inline void flush_denormals(void) { _mm_setcsr(_mm_getcsr() | 0x8040u); }

static inline int64_t round_up(int64_t n, int64_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}
static inline int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }

#endif
#endif
