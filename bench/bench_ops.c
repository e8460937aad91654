/* Matrix products and the vocabulary head at GPT-2 124M's shapes, each figure beside the machine's limit.
   Weights are cold, as in a model: every call takes the next ones of a pool larger than the caches.
   Usage: bench_ops [THREADS ...]; default 1 and all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/limits.h"
#include "core/base/cpu.h"
#include "core/ops/ops.h"

enum { MAX_ROWS = 1024, WIDEST = 3072, VOCAB = 50257, WIDTH = 768 };
static const int64_t pool_floats = (int64_t)96 << 20;

struct bench {
    device *dev;
    struct machine limits;
    float *pool, *x, *y, *z, *scratch; /* pool: weights; x, y, z: activations [MAX_ROWS, WIDEST] */
    int64_t pool_at;
    int32_t *target;
    float *per_row; /* 5 vectors of MAX_ROWS */
};

struct shape {
    const char *name;
    int n, k;
};
static const struct shape shapes[] = {
    {"qkv", 2304, 768}, {"out", 768, 768}, {"up", 3072, 768}, {"down", 768, 3072}};
static const int row_counts[] = {1, 4, 8, 16, 32, 64, 256, 1024};
enum { N_SHAPE = sizeof shapes / sizeof *shapes, N_ROWS = sizeof row_counts / sizeof *row_counts };

/* The next n floats of the pool, cold. */
static float *cold(struct bench *b, int64_t n) {
    if (b->pool_at + n > pool_floats) b->pool_at = 0;
    float *p = b->pool + b->pool_at;
    b->pool_at += (n + 15) / 16 * 16;
    return p;
}

typedef void bench_op(struct bench *b, int m, int n, int k);

static void run_forward(struct bench *b, int m, int n, int k) {
    int64_t size = b->dev->ops->forward_pack(b->dev, TYPE_F32, n, k);
    weight w = {.w = mat_of(NULL, n, k), .forward = {cold(b, size), size}};
    op(b->dev, linear, .y = mat_of(b->y, m, n), .x = mat_of(b->x, m, k), .w = w);
}

static void run_dx(struct bench *b, int m, int n, int k) {
    int64_t size = b->dev->ops->backward_pack(b->dev, TYPE_F32, n, k);
    weight w = {.w = mat_of(NULL, n, k), .backward = {cold(b, size), size}};
    op(b->dev, linear_dx, .dx = mat_of(b->y, m, k), .dy = mat_of(b->x, m, n), .w = w);
}

static void run_dw(struct bench *b, int m, int n, int k) {
    op(b->dev, linear_dw, .dw = mat_of(cold(b, (int64_t)n * k), n, k), .dy = mat_of(b->x, m, n),
       .x = mat_of(b->z, m, k), .scratch = {b->scratch, 1});
}

static weight vocab_weight(struct bench *b) {
    int64_t forward = b->dev->ops->forward_pack(b->dev, TYPE_F32, VOCAB, WIDTH),
            backward = b->dev->ops->backward_pack(b->dev, TYPE_F32, VOCAB, WIDTH);
    return (weight){.w = mat_of(NULL, VOCAB, WIDTH),
                    .forward = {b->pool, forward},
                    .backward = {b->pool + forward, backward}};
}

static void run_vocab(struct bench *b, int m, int n, int k) {
    (void)n, (void)k;
    op(b->dev, vocab, .hidden = mat_of(b->x, m, WIDTH), .w = vocab_weight(b), .n_vocab = VOCAB,
       .temperature = 1, .target = {b->target, m}, .logprob = {b->per_row, m},
       .entropy = {b->per_row + MAX_ROWS, m}, .scratch = {b->scratch, 1});
}

static void run_sample(struct bench *b, int m, int n, int k) {
    static uint64_t sequence[MAX_ROWS];
    (void)n, (void)k;
    op(b->dev, sample, .token = {b->target, m}, .logprob = {b->per_row, m}, .hidden = mat_of(b->x, m, WIDTH),
       .w = vocab_weight(b), .n_vocab = VOCAB, .temperature = 1, .top_p = 1, .sequence = {sequence, m},
       .position = {b->target, m}, .scratch = {b->scratch, 1});
}

static void run_vocab_dx(struct bench *b, int m, int n, int k) {
    (void)n, (void)k;
    weight w = vocab_weight(b);
    float *v = b->per_row;
    op(b->dev, vocab_dx, .dhidden = mat_of(b->y, m, WIDTH),
       .dw = mat_of(w.backward.data + w.backward.n, VOCAB, WIDTH), .hidden = mat_of(b->x, m, WIDTH), .w = w,
       .n_vocab = VOCAB, .temperature = 1, .target = {b->target, m}, .logprob = {v, m},
       .entropy = {v + MAX_ROWS, m}, .lse = {v + 2 * MAX_ROWS, m}, .dlogprob = {v + 3 * MAX_ROWS, m},
       .dentropy = {v + 4 * MAX_ROWS, m}, .compute = 1, .scratch = {b->scratch, 1});
}

/* Seconds of one call: the best of at least five groups of calls. */
static double time_op(struct bench *b, bench_op *run, int m, int n, int k) {
    double flop = 2.0 * m * n * k, best = 1e9, spent = 0;
    int calls = 1 + (int)(2e9 / (flop + 50e6));
    run(b, m, n, k);
    for (int i = 0; i < 5 || (spent < 0.3 && i < 40); i++) {
        double t = bench_seconds();
        for (int c = 0; c < calls; c++) run(b, m, n, k);
        t = bench_seconds() - t;
        spent += t;
        if (t / calls < best) best = t / calls;
    }
    return best;
}

/* products: how many of n x k x m the op computes. */
static void print_op(struct bench *b, const char *name, bench_op *run, int m, struct shape s, int products) {
    double t = time_op(b, run, m, s.n, s.k);
    double flop = 2.0 * products * m * s.n * s.k / t, bytes = 4.0 * s.n * s.k / t;
    printf("%-9s %-5s %5d x %-5d m %-5d %8.1f GFLOP/s %5.2f of peak   weights %6.1f GB/s %5.2f of read  "
           "%8.3f ms\n",
           name, s.name, s.n, s.k, m, flop * 1e-9, flop / b->limits.fma, bytes * 1e-9, bytes / b->limits.read,
           t * 1e3);
    fflush(stdout);
}

static void print_pack(struct bench *b) {
    float *from = b->pool, *forward = from + pool_floats / 3, *backward = forward + pool_floats / 3;
    int n = (int)(pool_floats / 3 / WIDTH / 64 * 64 - 64);
    int64_t size = (int64_t)n * WIDTH;
    double best = 1e9;
    for (int i = 0; i < 3; i++) {
        double t = bench_seconds();
        op(b->dev, weights_pack,
           .w = {mat_of(from, n, WIDTH), .forward = {forward, size}, .backward = {backward, size}});
        t = bench_seconds() - t;
        if (t < best) best = t;
    }
    printf("weights_pack, both: %.1f M weights, %.1f ms, %.1f GB/s read and written\n", (double)size * 1e-6,
           best * 1e3, 12.0 * (double)size / best * 1e-9);
}

static void bench_all(struct bench *b) {
    for (int s = 0; s < N_SHAPE; s++)
        for (int i = 0; i < N_ROWS; i++) print_op(b, "linear", run_forward, row_counts[i], shapes[s], 1);
    for (int i = N_ROWS - 2; i < N_ROWS; i++)
        for (int s = 0; s < N_SHAPE; s++) print_op(b, "linear_dx", run_dx, row_counts[i], shapes[s], 1);
    for (int i = N_ROWS - 2; i < N_ROWS; i++)
        for (int s = 0; s < N_SHAPE; s++) print_op(b, "linear_dw", run_dw, row_counts[i], shapes[s], 1);
    struct shape head = {"head", VOCAB, WIDTH};
    for (int i = 0; i < N_ROWS; i++) print_op(b, "vocab", run_vocab, row_counts[i], head, 1);
    for (int i = 0; i < N_ROWS - 2; i++) print_op(b, "sample", run_sample, row_counts[i], head, 1);
    for (int i = N_ROWS - 2; i < N_ROWS; i++) print_op(b, "vocab_dx", run_vocab_dx, row_counts[i], head, 3);
    print_pack(b);
}

static status take(struct bench *b, int64_t n, float **out, error *err) {
    void *memory;
    TRY(b->dev->ops->allocate(b->dev, (size_t)n * 4, &memory, err));
    *out = memory;
    for (int64_t i = 0; i < n; i++) (*out)[i] = (float)((uint32_t)i * 2654435761u >> 8) * 0x1p-30f - 0x1p-7f;
    return STATUS_OK;
}

static status run(int threads, error *err) {
    struct bench b = {0};
    TRY(device_open_cpu(threads, &b.dev, err));
    struct scratch_need need = {.max_token = MAX_ROWS,
                                .max_cols = WIDEST,
                                .max_row = MAX_ROWS,
                                .width = WIDTH,
                                .vocab = VOCAB,
                                .backward = 1};
    float *target;
    TRY(take(&b, pool_floats + ((int64_t)64 << 20), &b.pool, err));
    TRY(take(&b, MAX_ROWS * WIDEST, &b.x, err));
    TRY(take(&b, MAX_ROWS * WIDEST, &b.y, err));
    TRY(take(&b, MAX_ROWS * WIDEST, &b.z, err));
    TRY(take(&b, b.dev->ops->scratch(b.dev, &need), &b.scratch, err));
    TRY(take(&b, 5 * MAX_ROWS, &b.per_row, err));
    TRY(take(&b, MAX_ROWS, &target, err));
    memset(target, 0, MAX_ROWS * sizeof *target);
    b.target = (int32_t *)target;
    b.limits = limits_measure(b.dev->n_thread, strstr(b.dev->name, "avx512") != NULL);
    printf("%s: peak %.1f GFLOP/s f32, read %.1f GB/s, copy %.1f GB/s\n", b.dev->name, b.limits.fma * 1e-9,
           b.limits.read * 1e-9, b.limits.copy * 1e-9);
    bench_all(&b);
    float *const taken[] = {b.pool, b.x, b.y, b.z, b.scratch, b.per_row, target};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) b.dev->ops->release(b.dev, taken[i]);
    device_close(b.dev);
    return STATUS_OK;
}

int main(int argc, char **argv) {
    error err = {0};
    status s = STATUS_OK;
    for (int i = 1; i < argc && s == STATUS_OK; i++) s = run(atoi(argv[i]), &err);
    if (argc < 2) s = run(1, &err);
    if (argc < 2 && s == STATUS_OK && cpu_count() > 1) s = run(0, &err);
    if (s != STATUS_OK) fprintf(stderr, "bench_ops: %s\n", err.message);
    return status_exit_code(s);
}
