/* What the machine could do at most: the rate of independent multiply-adds of units. */
#include <stdlib.h>
#include <time.h>

#include "core/ops/cpu/elem.h"

/* So many chains hide the latency of a fused multiply-add and fit the registers. */
#ifdef ISA_avx512
enum { CHAINS = 12 };
#else
enum { CHAINS = 6 };
#endif
/* Pieces of some 0.1 ms, short enough that most of them have one and the same neighbour. */
enum { STEPS = 1 << 16, PIECES = 64 };

/* Returns a sum, so that nothing is left out. */
static float run_piece(void) {
    elem one[LANES * UNIT], tiny[UNIT];
    v16 x[CHAINS];
    for (int i = 0; i < UNIT; i++) {
        e_store(one + i * LANES, v_set(1));
        e_store_n(tiny + i, v_set(0x1p-20f), 1);
    }
    units a = u_set(tiny, UNIT), b = u_load((const void *)one);
    /* No two lanes are alike: a compiler would compute them once. */
    for (int j = 0; j < CHAINS; j++) x[j] = v_add(v_iota(), v_set((float)(LANES * j)));
    for (int i = 0; i < STEPS; i++) {
#pragma GCC unroll 12
        for (int j = 0; j < CHAINS; j++) x[j] = u_fma(a, b, x[j]);
    }
    for (int j = 1; j < CHAINS; j++) x[0] = v_add(x[0], x[j]);
    return v_sum(x[0]);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The thread's own: what a busy machine gives to others is not counted, however long a piece takes
   (sanitizers make it a hundred times as long). */
static double thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The median piece: not one that was interrupted, nor one that had a core to itself because a neighbour was
   through. */
static double thread_rate(void) {
    double rate[PIECES];
    for (int i = 0; i < PIECES; i++) {
        double started = thread_seconds();
        volatile float sum = run_piece();
        (void)sum;
        rate[i] = 2.0 * UNIT * LANES * CHAINS * STEPS / (thread_seconds() - started);
    }
    qsort(rate, PIECES, sizeof *rate, compare);
    return rate[PIECES / 2];
}

double ELEM_NAME(cpu_measure_peak)(int n_thread) {
    double rate = 0;
#pragma omp parallel num_threads(n_thread) reduction(+ : rate)
    rate += thread_rate();
    return rate;
}
