/* core/ops/cpu/threads: when threads are worth starting. Threads split outputs, never sums, so their number
   changes no byte. */
#ifndef RLHF_OPS_CPU_THREADS_H
#define RLHF_OPS_CPU_THREADS_H

#include "core/ops/cpu/cpu.h"

/* Work in floats read or written at memory speed, or in as many multiply-adds times 16: about 4 GFloat/s. */
enum { THREADS_MIN_WORK = 1 << 15 };

/* One thread for work of a few microseconds, else all of the device's: a team of another size would be built
   anew. */
static inline int threads_for(const device *dev, int64_t work) {
    return work < THREADS_MIN_WORK ? 1 : dev->n_thread;
}

/* for (type i = 0; i < n; i += step), the iterations split among n_thread threads. */
#define THREADS_FOR(n_thread, type, i, n, step)                                                              \
    _Pragma("omp parallel num_threads(n_thread)") for (int begin = (flush_denormals(), 1); begin; begin = 0) \
        _Pragma("omp for schedule(static)") for (type i = 0; i < (n); i += (step))

/* Columns for each of n_thread threads where every thread walks all rows: whole cache lines. */
static inline int threads_columns(int n_thread, int cols) {
    int per_thread = (cols + n_thread - 1) / n_thread;
    return (per_thread + 15) / 16 * 16;
}

#endif
