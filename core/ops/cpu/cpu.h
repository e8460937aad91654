/* core/ops/cpu: the kernels of the CPU. Each .c file here is compiled once for every instruction set; what
   its functions share across files is named by ISA_NAME, so that the copies stand side by side in one
   binary. */
#ifndef RLHF_OPS_CPU_CPU_H
#define RLHF_OPS_CPU_CPU_H

#include "core/ops/ops.h"

extern const struct ops cpu_ops_avx2, cpu_ops_avx512;

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

#define CPU_DECLARE(name) void ISA_NAME(cpu_##name)(device *, const struct op_##name *);
OPS_LIST(CPU_DECLARE)
#undef CPU_DECLARE

int64_t ISA_NAME(cpu_forward_pack)(const device *, dtype type, int n, int k);
int64_t ISA_NAME(cpu_backward_pack)(const device *, dtype type, int n, int k);
int64_t ISA_NAME(cpu_scratch)(const device *, const struct scratch_need *);
double ISA_NAME(cpu_measure_peak)(device *);
/* Floats of scratch of the single rooms; cpu_scratch is the largest of them. */
int64_t ISA_NAME(cpu_linear_dw_scratch)(int n_thread, int max_token, int max_cols);
int64_t ISA_NAME(cpu_vocab_scratch)(int n_thread, int max_row, int width, int vocab, int backward);
int64_t ISA_NAME(cpu_attention_scratch)(int n_thread, int max_len, int head_dim, int backward);

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
