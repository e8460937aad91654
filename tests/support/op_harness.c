#include "tests/support/op_harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmmintrin.h>

#include <cmocka.h>

/* ---- backends ---- */

enum { MAX_BACKEND = 16, N_NORMAL = 1 << 20 };

struct backends {
    device *dev[MAX_BACKEND];
    int n;
    float normal[N_NORMAL]; /* drawn once: operands are pieces of it */
};

static void add_instruction_set(backends *b, const char *isa, int n_threads) {
    static const int threads[] = {1, 8, 2, 3};
    setenv("RLHF_ISA", isa, 1);
    for (int i = 0; i < n_threads; i++) {
        device *dev;
        error err;
        if (device_open_cpu(threads[i], &dev, &err) == STATUS_OK) {
            b->dev[b->n++] = dev;
        } else {
            print_message("skipped: %s (%s)\n", isa, err.message);
            break;
        }
    }
    unsetenv("RLHF_ISA");
}

int harness_setup(void **state) {
    backends *b = calloc(1, sizeof *b);
    if (!b) return -1;
    random_normal(random_make_key(1, RANDOM_TEST, 0, 0), N_NORMAL, b->normal);
    add_instruction_set(b, "avx512bf16", 4);
    add_instruction_set(b, "avx512", 2);
    add_instruction_set(b, "avx2", 4);
    for (int queued = 0; queued < 2; queued++) {
        device *dev;
        error err;
        if (device_open_far(2, queued, &dev, &err) != STATUS_OK) {
            print_error("%s\n", err.message);
            return -1;
        }
        b->dev[b->n++] = dev;
    }
    *state = b;
    return 0;
}

int harness_teardown(void **state) {
    backends *b = *state;
    for (int i = 0; i < b->n; i++) device_close(b->dev[i]);
    free(b);
    return 0;
}

/* ---- a run ---- */

struct operand {
    char *device, *host;
    size_t bytes;
};

struct result {
    const char *what;
    mat at; /* host memory; integers are compared by their bytes too */
};

static void grow(void *list, int n, size_t size) {
    void **items = list;
    if (n & (n - 1)) return; /* grows when n is a power of two or zero */
    *items = realloc(*items, (size_t)(n ? 2 * n : 1) * size);
    assert_non_null(*items);
}

void harness_fail(harness *h, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fail_msg("%s, %s, seed %llu, %s: %s", h->name, h->type == TYPE_BF16 ? "bf16" : "f32",
             (unsigned long long)h->seed, h->dev->name, text);
    abort();
}

void *harness_memory(harness *h, size_t bytes) {
    grow(&h->memory, h->n_memory, sizeof *h->memory);
    void *memory = calloc(1, bytes + 1);
    assert_non_null(memory);
    return h->memory[h->n_memory++] = memory;
}

static void check_sync(harness *h) {
    error err;
    if (h->dev->ops->sync(h->dev, &err) != STATUS_OK) harness_fail(h, "%s", err.message);
}

/* Releases the operands; host memory lives on with the results. */
static void end_run(harness *h) {
    check_sync(h);
    for (int i = 0; i < h->n_operand; i++) h->dev->ops->release(h->dev, h->operands[i].device);
    check_sync(h);
}

static void free_run(harness *h) {
    for (int i = 0; i < h->n_memory; i++) free(h->memory[i]);
    free(h->memory);
    free(h->operands);
    free(h->results);
    *h = (harness){0};
}

static void compare_runs(harness *h, const harness *first) {
    if (h->n_result != first->n_result)
        harness_fail(h, "%d results, %d on %s", h->n_result, first->n_result, first->dev->name);
    for (int i = 0; i < h->n_result; i++) {
        mat a = first->results[i].at, b = h->results[i].at;
        if (a.rows != b.rows || a.cols != b.cols) harness_fail(h, "%s has another shape", h->results[i].what);
        for (int r = 0; r < a.rows; r++)
            for (int c = 0; c < a.cols; c++)
                if (memcmp(mat_at(a, r, c), mat_at(b, r, c), dtype_size(a.type)) != 0)
                    harness_fail(h, "%s[%d, %d] of [%d, %d] is %a, on %s %a", h->results[i].what, r, c,
                                 a.rows, a.cols, at(b, r, c), first->dev->name, at(a, r, c));
    }
}

/* Puts the threads of the pool into the mode in which the host computes, with denormals, so that each op must
   flush them by itself. */
static void reset_arithmetic(int n_thread) {
#pragma omp parallel num_threads(n_thread)
    _mm_setcsr(_mm_getcsr() & ~0x8040u);
}

void harness_everywhere(void **state, const char *name, op_case *run, int n_seed, dtype type) {
    backends *b = *state;
    for (int seed = 0; seed < n_seed; seed++) {
        harness first;
        for (int i = 0; i < b->n; i++) {
            harness h = {.name = name,
                         .backends = b,
                         .dev = b->dev[i],
                         .type = type,
                         .seed = (uint64_t)seed,
                         .first = i == 0};
            reset_arithmetic(h.dev->n_thread);
            run(&h);
            end_run(&h);
            if (i == 0) {
                first = h;
                continue;
            }
            compare_runs(&h, &first);
            free_run(&h);
        }
        free_run(&first);
    }
}

/* ---- drawing ---- */

random_key harness_key(harness *h) { return random_make_key(h->seed, RANDOM_TEST, 0, h->n_drawn++); }

int harness_between(harness *h, int low, int high) {
    return low + (int)random_below(harness_key(h), 0, 0, (uint64_t)(high - low + 1));
}

void harness_normal(harness *h, int64_t n, float *out) {
    int64_t first = harness_between(h, 0, N_NORMAL - 1);
    for (int64_t i = 0; i < n; i++) out[i] = h->backends->normal[(first + i) % N_NORMAL];
}

int harness_pick(harness *h, int n, const int *choices) { return choices[harness_between(h, 0, n - 1)]; }

/* ---- operands ---- */

/* `bytes` of host memory become an operand; returns its device address. */
static void *place(harness *h, void *host, size_t bytes) {
    void *memory;
    error err;
    if (h->dev->ops->allocate(h->dev, bytes, &memory, &err) != STATUS_OK) harness_fail(h, "%s", err.message);
    h->dev->ops->upload(h->dev, memory, host, bytes);
    grow(&h->operands, h->n_operand, sizeof *h->operands);
    h->operands[h->n_operand++] = (struct operand){memory, host, bytes};
    return memory;
}

static int64_t extent(mat m) { return m.rows > 0 ? (m.rows - 1) * m.ld + m.cols : 0; }

static float *nan_floats(harness *h, int64_t n) {
    float *out = harness_memory(h, (size_t)n * sizeof *out);
    for (int64_t i = 0; i < n; i++) out[i] = NAN;
    return out;
}

static void set(mat m, int r, int c, float x) {
    if (m.type == TYPE_BF16)
        m.bf16[r * m.ld + c] = bf16_nearest(x);
    else
        m.data[r * m.ld + c] = x;
}

/* A matrix on the host, all NaN and so with NaN between its rows. */
static mat ragged_mat(harness *h, dtype type, int rows, int cols) {
    mat m = {.rows = rows, .cols = cols, .ld = cols + PICK(h, 0, 0, 1, 3, 16), .type = type};
    m.data = harness_memory(h, (size_t)extent(m) * dtype_size(type));
    mat all = mat_typed(type, m.data, 1, (int)extent(m));
    for (int i = 0; i < all.cols; i++) set(all, 0, i, NAN);
    return m;
}

static mat place_mat(harness *h, mat m) {
    m.data = place(h, m.data, (size_t)extent(m) * dtype_size(m.type));
    return m;
}

static mat mat_with(harness *h, dtype type, int rows, int cols, const float *values) {
    mat m = ragged_mat(h, type, rows, cols);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) set(m, r, c, values[(int64_t)r * cols + c]);
    return place_mat(h, m);
}

static mat drawn_mat(harness *h, dtype type, int rows, int cols, float scale) {
    mat m = ragged_mat(h, type, rows, cols);
    float *row = harness_memory(h, (size_t)cols * sizeof *row);
    for (int r = 0; r < rows; r++) {
        harness_normal(h, cols, row);
        for (int c = 0; c < cols; c++) set(m, r, c, row[c] * scale);
    }
    return place_mat(h, m);
}

mat harness_mat_of(harness *h, int rows, int cols, const float *values) {
    return mat_with(h, h->type, rows, cols, values);
}
mat harness_mat_scaled(harness *h, int rows, int cols, float scale) {
    return drawn_mat(h, h->type, rows, cols, scale);
}
mat harness_mat(harness *h, int rows, int cols) { return drawn_mat(h, h->type, rows, cols, 1); }
mat harness_output(harness *h, int rows, int cols) {
    return place_mat(h, ragged_mat(h, h->type, rows, cols));
}

mat harness_param_of(harness *h, int rows, int cols, const float *values) {
    return mat_with(h, TYPE_F32, rows, cols, values);
}
mat harness_param_scaled(harness *h, int rows, int cols, float scale) {
    return drawn_mat(h, TYPE_F32, rows, cols, scale);
}
mat harness_param(harness *h, int rows, int cols) { return drawn_mat(h, TYPE_F32, rows, cols, 1); }
mat harness_param_output(harness *h, int rows, int cols) {
    return place_mat(h, ragged_mat(h, TYPE_F32, rows, cols));
}

vec harness_vec(harness *h, int64_t n) {
    float *host = harness_memory(h, (size_t)n * sizeof *host);
    harness_normal(h, n, host);
    return (vec){place(h, host, (size_t)n * sizeof *host), n};
}

vec harness_vec_output(harness *h, int64_t n) {
    return (vec){place(h, nan_floats(h, n), (size_t)n * sizeof(float)), n};
}

vec harness_vec_of(harness *h, int64_t n, const float *values) {
    float *host = harness_memory(h, (size_t)n * sizeof *host);
    memcpy(host, values, (size_t)n * sizeof *host);
    return (vec){place(h, host, (size_t)n * sizeof *host), n};
}

ivec harness_ivec(harness *h, int64_t n, const int32_t *values) {
    int32_t *host = harness_memory(h, (size_t)n * sizeof *host);
    memcpy(host, values, (size_t)n * sizeof *host);
    return (ivec){place(h, host, (size_t)n * sizeof *host), n};
}

lvec harness_lvec(harness *h, int64_t n, const uint64_t *values) {
    uint64_t *host = harness_memory(h, (size_t)n * sizeof *host);
    memcpy(host, values, (size_t)n * sizeof *host);
    return (lvec){place(h, host, (size_t)n * sizeof *host), n};
}

ivec harness_indices(harness *h, int64_t n, int bound) {
    int32_t *host = harness_memory(h, (size_t)n * sizeof *host);
    random_key key = harness_key(h);
    for (int64_t i = 0; i < n; i++) host[i] = (int32_t)random_below(key, (uint64_t)i, 0, (uint64_t)bound);
    return (ivec){place(h, host, (size_t)n * sizeof *host), n};
}

lvec harness_sequences(harness *h, int64_t n) {
    uint64_t *host = harness_memory(h, (size_t)n * sizeof *host);
    random_key key = harness_key(h);
    for (int64_t i = 0; i < n; i++) host[i] = random_below(key, (uint64_t)i, 0, UINT64_MAX);
    return (lvec){place(h, host, (size_t)n * sizeof *host), n};
}

weight harness_weight_of(harness *h, mat w, int backward) {
    const struct ops *ops = h->dev->ops;
    weight out = {.w = w, .type = h->type};
    out.forward = harness_vec_output(h, ops->forward_pack(h->dev, h->type, w.rows, w.cols));
    if (backward) out.backward = harness_vec_output(h, ops->backward_pack(h->dev, h->type, w.rows, w.cols));
    op(h->dev, weights_pack, .w = out);
    return out;
}

weight harness_weight(harness *h, int n, int k, int backward) {
    return harness_weight_of(h, harness_param(h, n, k), backward);
}

vec harness_scratch(harness *h, struct scratch_need need) {
    need.type = h->type;
    return harness_vec_output(h, h->dev->ops->scratch(h->dev, &need));
}

/* ---- twins ---- */

static struct operand *find_operand(harness *h, const void *address) {
    for (int i = 0; i < h->n_operand; i++) {
        struct operand *o = &h->operands[i];
        if ((const char *)address >= o->device && (const char *)address < o->device + o->bytes) return o;
    }
    harness_fail(h, "no operand lies at %p", address);
}

void *harness_host(harness *h, const void *device_address) {
    struct operand *o = find_operand(h, device_address);
    return o->host + ((const char *)device_address - o->device);
}

static void to_host(void *context, void **pointer, size_t bytes) {
    if (bytes > 0) *pointer = harness_host(context, *pointer);
}

void harness_to_host(harness *h, op_id id, void *o) { op_visit_operands(id, o, to_host, h); }

static void download(harness *h, void *host, const void *from, size_t bytes) {
    error err;
    if (h->dev->ops->download(h->dev, host, from, bytes, &err) != STATUS_OK)
        harness_fail(h, "%s", err.message);
}

static mat remember(harness *h, const char *what, mat got) {
    grow(&h->results, h->n_result, sizeof *h->results);
    h->results[h->n_result++] = (struct result){what, got};
    return got;
}

mat harness_read(harness *h, const char *what, mat m) {
    size_t size = dtype_size(m.type);
    char *got = harness_memory(h, (size_t)extent(m) * size);
    const char *before = m.rows > 0 ? harness_host(h, m.data) : NULL;
    download(h, got, m.data, (size_t)extent(m) * size);
    for (int64_t i = 0; i < extent(m); i++)
        if (i % m.ld >= m.cols && memcmp(got + (size_t)i * size, before + (size_t)i * size, size) != 0)
            harness_fail(h, "%s: written beside its columns, in row %lld", what, (long long)(i / m.ld));
    m.data = (void *)got;
    return remember(h, what, m);
}

vec harness_read_vec(harness *h, const char *what, vec v) {
    float *got = harness_memory(h, (size_t)v.n * sizeof *got);
    download(h, got, v.data, (size_t)v.n * sizeof *got);
    remember(h, what, mat_of(got, 1, (int)v.n));
    return (vec){got, v.n};
}

ivec harness_read_ivec(harness *h, const char *what, ivec v) {
    vec got = harness_read_vec(h, what, (vec){(float *)(void *)v.data, v.n});
    return (ivec){(int32_t *)(void *)got.data, v.n};
}

void harness_copy_rows(harness *h, mat to, int to_row, mat from, int from_row, int n) {
    for (int r = 0; r < n; r++)
        h->dev->ops->copy(h->dev, mat_at(to, to_row + r, 0), mat_at(from, from_row + r, 0),
                          (size_t)from.cols * dtype_size(from.type));
}

void harness_keep(harness *h, mat m) {
    download(h, harness_host(h, m.data), m.data, (size_t)extent(m) * dtype_size(m.type));
}

/* ---- expectations ---- */

double harness_tolerance(const harness *h, double f32, double bf16) {
    return h->type == TYPE_BF16 ? bf16 : f32;
}

void harness_expect(harness *h, const char *what, mat got, wide want, double tolerance) {
    if (got.rows != want.rows || got.cols != want.cols)
        harness_fail(h, "%s is [%d, %d], not [%d, %d]", what, got.rows, got.cols, want.rows, want.cols);
    for (int r = 0; r < want.rows; r++)
        for (int c = 0; c < want.cols; c++) {
            double value = *value_at(want, r, c), magnitude = want.magnitude[(int64_t)r * want.cols + c];
            double difference = fabs(at(got, r, c) - value), rounding = got.type == TYPE_BF16 ? 1. / 256 : 0;
            if (!(difference <= tolerance * magnitude + rounding * fabs(value) + 1e-28))
                harness_fail(h, "%s[%d, %d] of [%d, %d] is %.9g, not %.9g: off by %.2g of its terms' %.3g",
                             what, r, c, want.rows, want.cols, at(got, r, c), value, difference / magnitude,
                             magnitude);
        }
    wide_free(want);
}

void harness_expect_vec(harness *h, const char *what, vec got, wide want, double tolerance) {
    harness_expect(h, what, mat_of(got.data, 1, (int)got.n), want, tolerance);
}

void harness_same_rows(harness *h, const char *what, mat a, int first_a, mat b, int first_b, int rows) {
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < a.cols; c++)
            if (memcmp(mat_at(a, first_a + r, c), mat_at(b, first_b + r, c), dtype_size(a.type)) != 0)
                harness_fail(h, "%s: column %d of row %d is %.9g, alone or elsewhere %.9g", what, c,
                             first_a + r, at(a, first_a + r, c), at(b, first_b + r, c));
}
