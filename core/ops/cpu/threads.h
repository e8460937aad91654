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

/* Every thread makes the call, whose loops share their iterations by `omp for nowait` or by take_unit. One
   thread alone stays outside OpenMP, where entering a region costs half a microsecond and an allocation. */
#define ON_THREADS(n_thread, call)                                                                           \
    do {                                                                                                     \
        int team = (n_thread);                                                                               \
        if (team == 1) {                                                                                     \
            call;                                                                                            \
        } else {                                                                                             \
            _Pragma("omp parallel num_threads(team)") {                                                      \
                flush_denormals();                                                                           \
                call;                                                                                        \
            }                                                                                                \
        }                                                                                                    \
    } while (0)

/* The next unit of uneven work, which no other thread gets: next starts at 0 and is shared. */
static inline int64_t take_unit(int64_t *next) {
    int64_t unit;
#pragma omp atomic capture
    unit = (*next)++;
    return unit;
}

/* Elements of a matrix, for threads_for. */
static inline int64_t mat_elements(mat m) { return (int64_t)m.rows * m.cols; }

/* Columns for each of n_thread threads where every thread walks all rows: whole cache lines. */
static inline int threads_columns(int n_thread, int cols) {
    int per_thread = (cols + n_thread - 1) / n_thread;
    return (per_thread + 15) / 16 * 16;
}

#endif
