#include "bench/limits.h"

#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { CHAINS = 12, STEPS = 1 << 20, REPEATS = 8 };
static const size_t stream_bytes = (size_t)192 << 20;

double bench_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* CHAINS independent chains hide the latency of a fused multiply-add. Returns a value, so that nothing is
   removed. */
__attribute__((target("avx512f"))) static float fma_512(void) {
    __m512 x[CHAINS], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-3f);
    for (int j = 0; j < CHAINS; j++) x[j] = _mm512_set1_ps((float)j);
    for (int i = 0; i < STEPS; i++) {
#pragma GCC unroll 12
        for (int j = 0; j < CHAINS; j++) x[j] = _mm512_fmadd_ps(x[j], a, b);
    }
    float sum = 0;
    for (int j = 0; j < CHAINS; j++) sum += _mm512_cvtss_f32(x[j]);
    return sum;
}

__attribute__((target("avx2,fma"))) static float fma_256(void) {
    __m256 x[CHAINS], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(1e-3f);
    for (int j = 0; j < CHAINS; j++) x[j] = _mm256_set1_ps((float)j);
    for (int i = 0; i < STEPS; i++) {
#pragma GCC unroll 12
        for (int j = 0; j < CHAINS; j++) x[j] = _mm256_fmadd_ps(x[j], a, b);
    }
    float sum = 0;
    for (int j = 0; j < CHAINS; j++) sum += _mm256_cvtss_f32(x[j]);
    return sum;
}

/* One load of each cache line, and a fetch ahead of it: the most that a core gets out of memory. */
static uint64_t read_words(const uint64_t *p, size_t n) {
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i + 32 <= n; i += 32) {
        for (size_t line = 0; line < 32; line += 8) __builtin_prefetch(p + i + line + 512, 0, 2);
        a += p[i], b += p[i + 8], c += p[i + 16], d += p[i + 24];
    }
    return a + b + c + d;
}

static double measure_fma(int n_thread, int wide) {
    double best = 0;
    for (int i = 0; i < REPEATS; i++) {
        float sink = 0;
        double t = bench_seconds();
#pragma omp parallel num_threads(n_thread) reduction(+ : sink)
        sink += wide ? fma_512() : fma_256();
        t = bench_seconds() - t;
        double rate = 2.0 * (wide ? 16 : 8) * CHAINS * STEPS * n_thread / t;
        if (rate > best && sink != 0) best = rate;
    }
    return best;
}

/* Large pages, as the CPU device has. NULL without memory. */
static char *take_stream(void) {
    void *memory = NULL;
    if (posix_memalign(&memory, 2 << 20, stream_bytes) != 0) return NULL;
    madvise(memory, stream_bytes, MADV_HUGEPAGE);
    return memset(memory, 1, stream_bytes);
}

struct machine limits_measure(int n_thread, int wide) {
    struct machine limits = {.fma = measure_fma(n_thread, wide)};
    char *from = take_stream(), *to = take_stream();
    if (from && to) {
        size_t part = stream_bytes / (size_t)n_thread / 64 * 64;
        for (int i = 0; i < REPEATS; i++) {
            uint64_t sink = 0;
            double t = bench_seconds();
#pragma omp parallel for num_threads(n_thread) reduction(+ : sink)
            for (int k = 0; k < n_thread; k++)
                sink += read_words((const uint64_t *)(from + (size_t)k * part), part / 8);
            double read = (double)part * n_thread / (bench_seconds() - t);
            t = bench_seconds();
#pragma omp parallel for num_threads(n_thread)
            for (int k = 0; k < n_thread; k++) memcpy(to + (size_t)k * part, from + (size_t)k * part, part);
            double copy = 2 * (double)part * n_thread / (bench_seconds() - t);
            if (read > limits.read && sink != 0) limits.read = read;
            if (copy > limits.copy) limits.copy = copy;
        }
    }
    free(from);
    free(to);
    return limits;
}
