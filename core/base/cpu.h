/* core/base/cpu: which vector instructions the machine has, and how many threads. */
#ifndef RLHF_BASE_CPU_H
#define RLHF_BASE_CPU_H

#include "core/base/error.h"

typedef enum cpu_isa {
    CPU_AVX2,       /* AVX2 and FMA */
    CPU_AVX512,     /* AVX-512 F, BW, DQ and VL as well */
    CPU_AVX512BF16, /* and its dot products of bf16 */
} cpu_isa;

/* The widest that the processor and the operating system offer, or what the environment variable RLHF_ISA
   (avx2 | avx512 | avx512bf16) forces. STATUS_USAGE, saying so, when there is no AVX2, or not what is forced,
   or it is another word. */
status cpu_choose_isa(cpu_isa *out, error *err);
const char *cpu_isa_name(cpu_isa isa); /* "avx2", "avx512", "avx512bf16" */
/* Processors this process may run on: what `threads: 0` means. */
int cpu_count(void);

#endif
