/* tests/support/op_harness: runs one case of one op on every backend. A case draws shapes and operands from
   the seed, runs the op through the device and reads the results; the harness sees to it that all backends
   give the same bytes, that nothing is written beside the results, and that the first backend agrees with the
   reference. Padding between rows is NaN, so a kernel that reads it is found out. */
#ifndef RLHF_TESTS_OP_HARNESS_H
#define RLHF_TESTS_OP_HARNESS_H

#include "core/ops/ops.h"
#include "tests/support/reference.h"

typedef struct backends backends; /* every instruction set with 1, 2, 3 and 8 threads, far, far queued */

typedef struct harness {
    const char *name; /* of the case */
    const backends *backends;
    device *dev;
    dtype type;    /* of activations */
    int first;     /* this run is compared with the reference, the others with this run */
    uint64_t seed; /* of the case; the same numbers on every backend */
    uint32_t n_drawn;
    struct operand *operands; /* what lies on the device, with its host twin */
    int n_operand;
    struct result *results; /* what was read */
    int n_result;
    void **memory; /* host memory freed after the run */
    int n_memory;
} harness;

typedef void op_case(harness *h);

/* cmocka's group setup and teardown: *state is a backends. */
int harness_setup(void **state);
int harness_teardown(void **state);

/* Runs the case with seeds 0 .. n_seed-1 on every backend. Fails with op, type, seed, backend and element. */
void harness_everywhere(void **state, const char *name, op_case *run, int n_seed, dtype type);

/* With activations of f32, or of either type. */
#define OP_TEST(name, n_seed)                                                                                \
    static void test_##name(void **state) { harness_everywhere(state, #name, name##_case, n_seed, TYPE_F32); }
#define OP_TEST_TYPES(name, n_seed)                                                                          \
    static void test_##name(void **state) {                                                                  \
        harness_everywhere(state, #name, name##_case, n_seed, TYPE_F32);                                     \
        harness_everywhere(state, #name, name##_case, n_seed, TYPE_BF16);                                    \
    }

/* ---- drawing ---- */
int harness_between(harness *h, int low, int high); /* both included */
int harness_pick(harness *h, int n, const int *choices);
#define PICK(h, ...)                                                                                         \
    harness_pick((h), (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (const int[]){__VA_ARGS__})
random_key harness_key(harness *h);
void harness_normal(harness *h, int64_t n, float *out); /* standard normal values */

/* ---- operands: device memory with a host twin, released after the run ----
   Matrices have ld >= cols: those called mat are activations, of the run's type; params are f32. */
mat harness_mat(harness *h, int rows, int cols); /* standard normal values */
mat harness_mat_scaled(harness *h, int rows, int cols, float scale);
mat harness_mat_of(harness *h, int rows, int cols, const float *values);
mat harness_output(harness *h, int rows, int cols); /* NaN */
mat harness_param(harness *h, int rows, int cols);
mat harness_param_scaled(harness *h, int rows, int cols, float scale);
mat harness_param_of(harness *h, int rows, int cols, const float *values);
mat harness_param_output(harness *h, int rows, int cols);
vec harness_vec(harness *h, int64_t n);
vec harness_vec_output(harness *h, int64_t n);
vec harness_vec_of(harness *h, int64_t n, const float *values);
ivec harness_ivec(harness *h, int64_t n, const int32_t *values);
lvec harness_lvec(harness *h, int64_t n, const uint64_t *values);
ivec harness_indices(harness *h, int64_t n, int bound);        /* each in [0, bound) */
lvec harness_sequences(harness *h, int64_t n);                 /* 64-bit ids */
weight harness_weight(harness *h, int n, int k, int backward); /* packed */
weight harness_weight_of(harness *h, mat w, int backward);
vec harness_scratch(harness *h, struct scratch_need need); /* for the run's type */
/* Host memory that lives as long as the run. */
void *harness_memory(harness *h, size_t bytes);

/* ---- twins and results ---- */

/* Turns the operands of an op's struct from device memory to their host twins: what the op is given. */
void harness_to_host(harness *h, op_id id, void *o);
void *harness_host(harness *h, const void *device_address);

#define RUN(h, name, o) ((h)->dev->ops->name((h)->dev, (o)))

/* What the device holds now; the host twin keeps what it held before. These bytes must be the same on every
   backend. */
mat harness_read(harness *h, const char *what, mat m);
vec harness_read_vec(harness *h, const char *what, vec v);
ivec harness_read_ivec(harness *h, const char *what, ivec v);
/* Copies rows on the device. */
void harness_copy_rows(harness *h, mat to, int to_row, mat from, int from_row, int n);
/* The twin becomes what the device holds, for a following op. */
void harness_keep(harness *h, mat m);

/* |got - want| <= tolerance x magnitude + 1e-28 (what underflows), and where got is bf16 + |want| / 256, its
   rounding. Frees want. */
double harness_tolerance(const harness *h, double f32, double bf16); /* by the run's type */
void harness_expect(harness *h, const char *what, mat got, wide want, double tolerance);
void harness_expect_vec(harness *h, const char *what, vec got, wide want, double tolerance);

/* The same bytes in the rows of a as in those of b. */
void harness_same_rows(harness *h, const char *what, mat a, int first_a, mat b, int first_b, int rows);

/* Fails with the case's place in front. */
void harness_fail(harness *h, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
