/* bench/limits: what this machine can do at most, measured beside every figure. */
#ifndef RLHF_BENCH_LIMITS_H
#define RLHF_BENCH_LIMITS_H

struct machine {
    double fma;  /* floating-point operations per second of independent fused multiply-adds, f32 */
    double read; /* bytes per second read from memory */
    double copy; /* bytes per second read and written by memcpy, both counted */
};

double bench_seconds(void); /* a monotonic clock */

/* With so many threads, in about half a second. wide: AVX-512, else AVX2. */
struct machine limits_measure(int n_thread, int wide);

#endif
