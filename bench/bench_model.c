/* A whole training step and decoding at GPT-2 124M's shape (random weights), each beside what the machine
   allows, and the time from exec to the first step of configs/tiny.yaml's pre-training. Usage: bench_model
   [THREADS]; default all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/limits.h"
#include "core/model/model.h"
#include "core/train/optimizer.h"

enum { TOKENS = 1024, LENGTH = 512, MOST = 64, REPEAT = 3 };

static model_config gpt2_124m(void) {
    model_config c = model_config_of_family(FAMILY_GPT2);
    c.vocab_size = c.n_vocab = 50257;
    c.context = 1024;
    c.d_model = 768;
    c.n_layer = c.n_head = c.n_kv_head = 12;
    c.head_dim = 64;
    c.d_ff = 3072;
    return c;
}

static int fail(const error *err) {
    fprintf(stderr, "bench_model: %s\n", err->message);
    return 1;
}

/* Rows of `length` tokens each, all of them targets but the first. */
static batch make_batch(int length, int32_t *token, int32_t *start, uint64_t *id, int32_t *row,
                        int32_t *target) {
    batch b = {TOKENS, TOKENS / length, 0, token, start, id, row, target};
    for (int i = 0; i < TOKENS; i++) token[i] = (int32_t)((unsigned)i * 2654435761u % 50257u);
    for (int s = 0; s <= b.n_seq; s++) start[s] = s * length;
    for (int s = 0; s < b.n_seq; s++) {
        id[s] = (uint64_t)s;
        for (int i = start[s]; i + 1 < start[s + 1]; i++) {
            row[b.n_row] = i;
            target[b.n_row++] = token[i + 1];
        }
    }
    return b;
}

/* ---- training ---- */

static status train_step(model *m, workspace *ws, optimizer *o, const batch *b, const float *grad,
                         float *logprob, error *err) {
    forward_options how = {.temperature = 1, .for_backward = 1};
    row_values values = {.logprob = logprob};
    model_zero_grad(m);
    TRY(model_forward(m, ws, b, &how, err));
    TRY(model_backward(m, ws, &(row_grads){.logprob = grad}, &values, err));
    TRY(optimizer_step(o, 1e-5, NULL, err));
    model_changed(m);
    return STATUS_OK;
}

static status bench_training(model *m, const struct machine *machine, error *err) {
    device *dev = model_device(m);
    struct optimizer_options how = {.beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .clip = 1};
    limits l = {.max_token = TOKENS, .max_row = TOKENS, .max_seq = TOKENS, .max_len = TOKENS, .backward = 1};
    int32_t *ints = calloc(4 * (TOKENS + 1), sizeof *ints);
    uint64_t *id = calloc(TOKENS, sizeof *id);
    float *grad = malloc(TOKENS * sizeof *grad), *logprob = malloc(TOKENS * sizeof *logprob);
    workspace *ws = NULL;
    optimizer *o = NULL;
    status s = ints && id && grad && logprob ? STATUS_OK : error_memory(err, "a batch");
    if (s == STATUS_OK) s = workspace_create(dev, model_get_config(m), &l, &ws, err);
    if (s == STATUS_OK) s = optimizer_create(dev, model_flat(m), &how, &o, err);
    static const int lengths[] = {64, 256, 1024};
    for (int i = 0; i < 3 && s == STATUS_OK; i++) {
        batch b = make_batch(lengths[i], ints, ints + TOKENS + 1, id, ints + 2 * (TOKENS + 1),
                             ints + 3 * (TOKENS + 1));
        double best = 1e9, flops = TOKENS * model_flops_per_token(model_get_config(m), lengths[i],
                                                                  (double)b.n_row / TOKENS);
        for (int r = 0; r < b.n_row; r++) grad[r] = -1.0f / (float)b.n_row;
        for (int k = 0; k < REPEAT && s == STATUS_OK; k++) {
            double started = bench_seconds();
            s = train_step(m, ws, o, &b, grad, logprob, err);
            double seconds = bench_seconds() - started;
            if (seconds < best) best = seconds;
        }
        if (s == STATUS_OK)
            printf("training step, %d sequences of %4d  %8.1f tokens/s  %7.1f GFLOP/s  share of peak %.2f\n",
                   TOKENS / lengths[i], lengths[i], TOKENS / best, flops / best * 1e-9,
                   flops / best / machine->fma);
    }
    optimizer_free(o);
    workspace_free(ws);
    free(ints);
    free(id);
    free(grad);
    free(logprob);
    return s;
}

/* ---- decoding ---- */

/* Fills n slots with LENGTH - 1 tokens each. */
static status prefill(const model *m, workspace *ws, kv_cache *kv, int n, int32_t *token, int32_t *slot,
                      error *err) {
    for (int s = 0; s < n; s++) {
        int32_t start[2] = {0, LENGTH - 1};
        uint64_t id = (uint64_t)s;
        slot[s] = kv_open(kv, id, LENGTH + 16);
        for (int i = 0; i < LENGTH; i++) token[i] = (int32_t)((unsigned)(i + s) * 2654435761u % 50257u);
        batch b = {.n_token = LENGTH - 1, .n_seq = 1, .token = token, .seq_start = start, .seq_id = &id};
        TRY(model_extend(m, ws, kv, &b, &slot[s], 1, err));
    }
    return STATUS_OK;
}

/* Seconds of one step of n sequences. */
static status decode(const model *m, workspace *ws, kv_cache *kv, int n, int32_t *slot, double *seconds,
                     error *err) {
    int32_t token[MOST], start[MOST + 1], row[MOST];
    uint64_t id[MOST];
    float logprob[MOST];
    sampling how = {.temperature = 1, .top_p = 1};
    batch b = {n, n, n, token, start, id, row, NULL};
    for (int s = 0; s <= n; s++) start[s] = s;
    for (int s = 0; s < n; s++) {
        token[s] = s;
        row[s] = s;
        id[s] = (uint64_t)s;
    }
    *seconds = 1e9;
    for (int k = 0; k < 8; k++) {
        double started = bench_seconds();
        TRY(model_extend(m, ws, kv, &b, slot, 1, err));
        TRY(model_sample(m, ws, id, &how, token, logprob, err));
        double now = bench_seconds() - started;
        if (now < *seconds) *seconds = now;
    }
    return STATUS_OK;
}

static status bench_decoding(const model *m, const struct machine *machine, error *err) {
    static const int counts[] = {1, 8, 32, 64};
    const model_config *c = model_get_config(m);
    limits l = {.max_token = LENGTH,
                .max_row = MOST,
                .max_seq = MOST,
                .max_len = LENGTH,
                .n_slot = MOST,
                .n_page = MOST * 9};
    int32_t token[LENGTH], slot[MOST];
    workspace *ws = NULL;
    kv_cache *kv = NULL;
    status s = workspace_create(model_device(m), c, &l, &ws, err);
    if (s == STATUS_OK) s = kv_create(model_device(m), c, &l, &kv, err);
    double weights =
        4.0 * (c->n_layer * (12.0 * c->d_model * c->d_model) + (double)c->vocab_size * c->d_model);
    double cache = 4.0 * 2 * LENGTH * c->n_layer * c->d_model;
    for (int i = 0; i < 4 && s == STATUS_OK; i++) {
        double seconds, n = counts[i];
        kv_clear(kv);
        s = prefill(m, ws, kv, counts[i], token, slot, err);
        if (s == STATUS_OK) s = decode(m, ws, kv, counts[i], slot, &seconds, err);
        if (s != STATUS_OK) break;
        double memory = (weights + n * cache) / machine->read;
        double compute = n * model_flops_per_token(c, 2 * LENGTH, 1) / 3 / machine->fma;
        printf("decoding, %2d sequences at length %d  %8.1f tokens/s  share of the memory bound %.2f, of the "
               "compute bound %.2f\n",
               counts[i], LENGTH, n / seconds, memory / seconds, compute / seconds);
    }
    kv_free(kv);
    workspace_free(ws);
    return s;
}

/* ---- start-up ---- */

/* Seconds until rlhf-sft has written its first line of metrics: exec, config, data, model, one step. */
static double first_step(const char *program, const char *tokenizer) {
    char run[] = "/tmp/bench-XXXXXX", setting[2][128], metrics[64];
    if (!mkdtemp(run)) return -1;
    snprintf(setting[0], sizeof *setting, "run=%s/run", run);
    snprintf(setting[1], sizeof *setting, "tokenizer.path=%s", tokenizer);
    snprintf(metrics, sizeof metrics, "%s/run/metrics.jsonl", run);
    double started = bench_seconds(), seconds = -1;
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(1);
        execl(program, program, "--pretrain", "configs/tiny.yaml", "--set", setting[0], "--set", setting[1],
              (char *)NULL);
        _exit(127);
    }
    while (bench_seconds() - started < 20 && seconds < 0 && waitpid(child, NULL, WNOHANG) == 0) {
        FILE *f = fopen(metrics, "r");
        if (f && fgetc(f) != EOF) seconds = bench_seconds() - started;
        if (f) fclose(f);
        usleep(200);
    }
    waitpid(child, NULL, 0);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", run);
    if (system(command) != 0) return -1;
    return seconds;
}

static void bench_start(const char *self) {
    char program[4096], rlhf[4096], command[8400], directory[] = "/tmp/bench-XXXXXX";
    const char *slash = strrchr(self, '/');
    int n = slash ? (int)(slash - self) : 0;
    snprintf(program, sizeof program, "%.*s/rlhf-sft", n, self);
    snprintf(rlhf, sizeof rlhf, "%.*s/rlhf", n, self);
    if (!n || access(program, X_OK) != 0 || !mkdtemp(directory)) return;
    snprintf(command, sizeof command,
             "%s tokenizer configs/tiny/stories.txt configs/tiny/demonstrations.jsonl --vocab 512 %s/t "
             "2>/dev/null",
             rlhf, directory);
    if (system(command) == 0) {
        char tokenizer[64];
        double best = 1e9;
        snprintf(tokenizer, sizeof tokenizer, "%s/t", directory);
        for (int i = 0; i < 5; i++) {
            double seconds = first_step(program, tokenizer);
            if (seconds > 0 && seconds < best) best = seconds;
        }
        printf("exec to first step of configs/tiny.yaml's pre-training: %.1f ms\n", best * 1e3);
    }
    snprintf(command, sizeof command, "rm -rf %s", directory);
    if (system(command) != 0) return;
}

int main(int argc, char **argv) {
    error err;
    device *dev;
    model *m;
    model_config c = gpt2_124m();
    if (device_open_cpu(argc > 1 ? atoi(argv[1]) : 0, &dev, &err) != STATUS_OK) return fail(&err);
    struct machine machine = limits_measure(dev->n_thread, strstr(dev->name, "avx512") != NULL);
    printf("%s: FMA peak %.1f GFLOP/s, memory read %.1f GB/s\n", dev->name, machine.fma * 1e-9,
           machine.read * 1e-9);
    if (model_init(dev, &c, 1, 1, &m, &err) != STATUS_OK) return fail(&err);
    status s = bench_training(m, &machine, &err);
    if (s == STATUS_OK) s = bench_decoding(m, &machine, &err);
    model_free(m);
    device_close(dev);
    if (s != STATUS_OK) return fail(&err);
    bench_start(argv[0]);
    return 0;
}
