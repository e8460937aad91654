#include "core/base/cpu.h"

#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"avx2", "avx512", "avx512bf16"};
enum { N_ISA = sizeof names / sizeof *names };

const char *cpu_isa_name(cpu_isa isa) { return names[isa]; }

static bool has(cpu_isa isa) {
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return avx2 && (isa < CPU_AVX512 || avx512) &&
           (isa < CPU_AVX512BF16 || __builtin_cpu_supports("avx512bf16"));
#else
    (void)isa;
    return false;
#endif
}

status cpu_choose_isa(cpu_isa *out, error *err) {
    const char *forced = getenv("RLHF_ISA");
    int isa = N_ISA - 1;
    if (forced && forced[0]) {
        while (isa >= 0 && strcmp(forced, names[isa]) != 0) isa--;
        if (isa < 0)
            return error_set(err, STATUS_USAGE, "RLHF_ISA must be avx2, avx512 or avx512bf16, not \"%s\"",
                             forced);
    } else {
        while (isa > CPU_AVX2 && !has((cpu_isa)isa)) isa--;
    }
    *out = (cpu_isa)isa;
    if (has(*out)) return STATUS_OK;
    if (*out == CPU_AVX512BF16)
        return error_set(err, STATUS_USAGE,
                         "RLHF_ISA=avx512bf16: this processor has no AVX512-BF16; unset it, or use avx512");
    if (*out == CPU_AVX512)
        return error_set(
            err, STATUS_USAGE,
            "RLHF_ISA=avx512: this processor has no AVX-512 F, BW, DQ and VL; unset it, or use avx2");
    return error_set(err, STATUS_USAGE, "this processor has no AVX2 and FMA, which rlhf needs");
}

int cpu_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}
