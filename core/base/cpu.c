#include "core/base/cpu.h"

#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *cpu_isa_name(cpu_isa isa) { return isa == CPU_AVX512 ? "avx512" : "avx2"; }

static bool has(cpu_isa isa) {
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == CPU_AVX2) return avx2;
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
    (void)isa;
    return false;
#endif
}

status cpu_choose_isa(cpu_isa *out, error *err) {
    const char *forced = getenv("RLHF_ISA");
    *out = has(CPU_AVX512) ? CPU_AVX512 : CPU_AVX2;
    if (forced && forced[0]) {
        if (strcmp(forced, "avx2") == 0)
            *out = CPU_AVX2;
        else if (strcmp(forced, "avx512") == 0)
            *out = CPU_AVX512;
        else
            return error_set(err, STATUS_USAGE, "RLHF_ISA must be avx2 or avx512, not \"%s\"", forced);
    }
    if (has(*out)) return STATUS_OK;
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
