/* Far memory must notice the faults that it is there for: each is planted here. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/ops/far/memory.h"
#include "core/ops/ops.h"

static device *open_far(int queued) {
    device *dev;
    error err;
    if (device_open_far(2, queued, &dev, &err) != STATUS_OK) fail_msg("%s", err.message);
    return dev;
}

static void *allocate(device *dev, size_t bytes) {
    void *memory;
    error err;
    if (dev->ops->allocate(dev, bytes, &memory, &err) != STATUS_OK) fail_msg("%s", err.message);
    assert_int_equal((uintptr_t)memory % 64, 0);
    return memory;
}

static vec allocate_vec(device *dev, int64_t n, float value) {
    vec v = {allocate(dev, (size_t)n * sizeof(float)), n};
    op(dev, fill, .y = v, .value = value);
    return v;
}

static void expect_no_fault(device *dev) {
    error err;
    if (dev->ops->sync(dev, &err) != STATUS_OK) fail_msg("%s", err.message);
}

/* The next sync reports a fault whose message holds all the words, and only that one. */
static void expect_fault(device *dev, const char *first, const char *second, const char *third) {
    error err;
    assert_int_equal(dev->ops->sync(dev, &err), STATUS_FAILED);
    if (!strstr(err.message, first) || !strstr(err.message, second) || !strstr(err.message, third))
        fail_msg("\"%s\" does not say: %s, %s, %s", err.message, first, second, third);
    expect_no_fault(dev);
}

static float first_of(device *dev, vec v) {
    float value = 0;
    error err;
    if (dev->ops->download(dev, &value, v.data, sizeof value, &err) != STATUS_OK) fail_msg("%s", err.message);
    return value;
}

/* Runs the test on both modes. */
static void on_both(void (*test)(device *dev)) {
    for (int queued = 0; queued < 2; queued++) {
        device *dev = open_far(queued);
        test(dev);
        device_close(dev);
    }
}

/* ---- operands ---- */

static void operand_too_long(device *dev) {
    vec y = allocate_vec(dev, 100, 1), x = allocate_vec(dev, 100, 2);
    expect_no_fault(dev);
    y.n = 101;
    op(dev, axpby, .y = y, .x = x, .a = 1);
    expect_fault(dev, "axpby", "operand y", "404 bytes from byte 0 of an allocation of 400");
    y.data++, y.n = 100;
    op(dev, axpby, .y = y, .x = x, .a = 1);
    expect_fault(dev, "axpby", "operand y", "400 bytes from byte 4 of an allocation of 400");
    y.data--;
    assert_float_equal(first_of(dev, y), 1, 0); /* neither op ran */

    /* The last row ends where the allocation does. */
    mat m = {.data = allocate(dev, 4 * (3 * 10 + 7)), .rows = 4, .cols = 7, .ld = 10};
    op(dev, gelu, .y = m, .x = m);
    expect_no_fault(dev);
    m.cols = 8;
    op(dev, gelu, .y = m, .x = m);
    expect_fault(dev, "gelu", "operand y", "152 bytes");
}

static void host_pointer(device *dev) {
    float host[16] = {0};
    vec y = allocate_vec(dev, 16, 1);
    op(dev, lerp, .y = y, .x = {host, 16}, .t = 0.5f);
    expect_fault(dev, "lerp", "operand x", "host memory");
    weight w = {.w = mat_of(y.data, 4, 4), .forward = {host, 16}};
    op(dev, weights_pack, .w = w);
    expect_fault(dev, "weights_pack", "operand w.forward", "host memory");
    dev->ops->upload(dev, host, host, sizeof host);
    expect_fault(dev, "upload", "to", "host memory");
    dev->ops->copy(dev, y.data, host, sizeof host);
    expect_fault(dev, "copy", "from", "host memory");
    error err;
    assert_int_equal(dev->ops->download(dev, host, host + 8, 8, &err), STATUS_FAILED);
    assert_non_null(strstr(err.message, "download"));
}

static void memory_used_after_release(device *dev) {
    vec y = allocate_vec(dev, 16, 1), gone = allocate_vec(dev, 16, 3);
    op(dev, axpby, .y = y, .x = gone, .a = 1);
    dev->ops->release(dev, gone.data);
    assert_float_equal(first_of(dev, y), 3, 0); /* what came before the release saw it whole */
    vec next = allocate_vec(dev, 16, 4);        /* does not stand in for it */
    op(dev, axpby, .y = y, .x = gone, .a = 1);
    expect_fault(dev, "axpby", "operand x", "released");
    dev->ops->release(dev, gone.data);
    expect_fault(dev, "release", "no allocation", "");
    dev->ops->release(dev, next.data + 1);
    expect_fault(dev, "release", "no allocation", "");
    dev->ops->release(dev, NULL);
    expect_no_fault(dev);
}

static void transfer_too_long(device *dev) {
    float host[20] = {0};
    vec y = allocate_vec(dev, 16, 1);
    dev->ops->upload(dev, y.data + 8, host, 9 * sizeof(float));
    expect_fault(dev, "upload", "36 bytes from byte 32", "64 bytes");
    dev->ops->copy(dev, y.data + 8, y.data, 9 * sizeof(float));
    expect_fault(dev, "copy: to", "36 bytes from byte 32", "64 bytes");
    error err;
    assert_int_equal(dev->ops->download(dev, host, y.data, 17 * sizeof(float), &err), STATUS_FAILED);
    assert_non_null(strstr(err.message, "68 bytes"));
}

static void shapes_disagree(device *dev) {
    mat x = mat_of(allocate_vec(dev, 8 * 16, 1).data, 8, 16),
        y = mat_of(allocate_vec(dev, 8 * 16, 2).data, 8, 16);
    vec gain = allocate_vec(dev, 16, 1), rstd = allocate_vec(dev, 7, 0);
    op(dev, norm, .y = y, .x = x, .gain = gain, .rstd = rstd, .kind = NORM_RMS, .eps = 1e-5f);
    expect_fault(dev, "norm", "rstd holds 7", "x.rows is 8");
    op(dev, norm, .y = mat_rows(y, 0, 7), .x = x, .gain = gain, .kind = NORM_RMS, .eps = 1e-5f);
    expect_fault(dev, "norm", "y.rows is 7", "x.rows is 8");
    op(dev, head_norm, .y = y, .x = x, .gain = gain, .n_head = 3, .eps = 1e-5f);
    expect_fault(dev, "head_norm", "x.cols modulo n_head is 1", "0");
    op(dev, head_norm, .y = y, .x = x, .gain = gain, .rstd = mat_of(rstd.data, 7, 1), .n_head = 1,
       .eps = 1e-5f);
    expect_fault(dev, "head_norm", "rstd.rows is 7", "x.rows is 8");
    weight w = {.w = mat_of(gain.data, 1, 16), .forward = {rstd.data, 7}};
    op(dev, weights_pack, .w = w);
    expect_fault(dev, "weights_pack", "w.forward holds 7", "its pack is");
    assert_float_equal(first_of(dev, (vec){y.data, 1}), 2, 0); /* none of them ran */
}

static void types_disagree(device *dev) {
    mat x = mat_of(allocate_vec(dev, 8 * 16, 1).data, 8, 16), half = x;
    half.type = TYPE_BF16;
    vec gain = allocate_vec(dev, 16, 1);
    op(dev, gelu, .y = half, .x = x);
    expect_fault(dev, "gelu", "x is f32", "y is bf16");
    op(dev, weights_pack, .w = {.w = half, .forward = gain});
    expect_fault(dev, "weights_pack", "w is bf16", "must be f32");
    op(dev, linear, .y = half, .x = half, .w = {.w = x, .forward = gain});
    expect_fault(dev, "linear", "w is f32", "x is bf16");
    op(dev, embed_dw, .d_table = half, .dout = half);
    expect_fault(dev, "embed_dw", "d_table is bf16", "must be f32");
}

static ivec upload_ints(device *dev, int64_t n, const int32_t *values) {
    ivec v = {allocate(dev, (size_t)n * sizeof *values), n};
    dev->ops->upload(dev, v.data, values, (size_t)n * sizeof *values);
    return v;
}

static void index_out_of_range(device *dev) {
    const int32_t beyond[3] = {0, 7, 8}, falling[3] = {1, 0, 2}, gap[3] = {0, 3, 2};
    mat x = mat_of(allocate_vec(dev, 8 * 4, 1).data, 8, 4),
        y = mat_of(allocate_vec(dev, 3 * 4, 2).data, 3, 4);
    op(dev, rows_gather, .out = y, .x = x, .index = upload_ints(dev, 3, beyond));
    expect_fault(dev, "rows_gather", "index[2] is 8", "[0, 8)");
    op(dev, rows_add, .x = x, .in = y, .index = upload_ints(dev, 3, falling));
    expect_fault(dev, "rows_add", "index[1] is 0", "after 1");
    op(dev, embed_dw, .d_table = x, .dout = y, .id = upload_ints(dev, 3, falling),
       .order = upload_ints(dev, 3, (const int32_t[]){0, 1, 2}));
    expect_fault(dev, "embed_dw", "order[1] is 1", "not sorted");
    struct attention_shape shape = {2, 1, 1, 1, 0};
    struct scratch_need need = {.max_len = 3, .head_dim = 1};
    vec scratch = allocate_vec(dev, dev->ops->scratch(dev, &need), 0);
    op(dev, attention, .out = mat_columns(y, 0, 2), .qkv = y, .start = upload_ints(dev, 3, gap), .max_len = 3,
       .shape = shape, .scratch = scratch);
    expect_fault(dev, "attention", "start goes from 0 to 2", "0 to 3");
    shape.window = -1;
    op(dev, attention, .out = mat_columns(y, 0, 2), .qkv = y, .start = upload_ints(dev, 2, (int32_t[]){0, 3}),
       .max_len = 3, .shape = shape, .scratch = scratch);
    expect_fault(dev, "attention", "window holds -1", "the least is 0");
    assert_float_equal(first_of(dev, (vec){y.data, 1}), 2, 0);
}

static void test_operands(void **state) {
    (void)state;
    on_both(operand_too_long);
    on_both(host_pointer);
    on_both(memory_used_after_release);
    on_both(transfer_too_long);
    on_both(shapes_disagree);
    on_both(types_disagree);
    on_both(index_out_of_range);
}

/* A kernel that wrote beside its operand would find guards there. */
static void test_guards(void **state) {
    (void)state;
    for (int place = -1; place <= 28; place += 29) {
        far_memory memory;
        void *a, *b;
        error err;
        assert_int_equal(far_memory_open(&memory, &err), STATUS_OK);
        assert_int_equal(far_memory_allocate(&memory, 28, &a, &err), STATUS_OK);
        assert_int_equal(far_memory_allocate(&memory, 28, &b, &err), STATUS_OK);
        memset(far_memory_near(&memory, a), 1, 28);
        memset(far_memory_near(&memory, b), 1, 28);
        assert_int_equal(far_memory_check_guards(&memory, &err), STATUS_OK);
        ((char *)far_memory_near(&memory, b))[place] = 1;
        assert_int_equal(far_memory_check_guards(&memory, &err), STATUS_FAILED);
        assert_non_null(strstr(err.message, "wrote outside an allocation of 28 bytes"));
        far_memory_close(&memory);
    }
}

/* ---- fresh memory ---- */

static void fresh_memory_is_nan(device *dev) {
    vec y = allocate_vec(dev, 16, 1);
    for (int round = 0; round < 3; round++) {
        vec fresh = {allocate(dev, 64), 16};
        assert_true(isnan(first_of(dev, fresh)));
        op(dev, axpby, .y = y, .x = fresh, .a = 0, .b = 1);
        assert_true(isnan(first_of(dev, y)));
        op(dev, fill, .y = fresh, .value = 0);
        op(dev, fill, .y = y, .value = 0);
        dev->ops->release(dev, fresh.data);
    }
    expect_no_fault(dev);
}

static void test_fresh_memory(void **state) {
    (void)state;
    on_both(fresh_memory_is_nan);
}

static void test_too_much_memory(void **state) {
    (void)state;
    device *dev = open_far(0);
    void *memory;
    error err;
    assert_int_equal(dev->ops->allocate(dev, SIZE_MAX, &memory, &err), STATUS_FAILED);
    assert_int_equal(dev->ops->allocate(dev, (size_t)64 << 30, &memory, &err), STATUS_FAILED);
    assert_non_null(strstr(err.message, "68719476736 bytes do not fit"));
    allocate(dev, 1 << 20);
    device_close(dev);
}

/* ---- host memory and time ---- */

/* A buffer that is filled again before the device has read it: queued mode shows what a device would see. */
static void test_upload_buffer_reused_too_early(void **state) {
    (void)state;
    for (int queued = 0; queued < 2; queued++) {
        device *dev = open_far(queued);
        vec a = allocate_vec(dev, 4, 0), b = allocate_vec(dev, 4, 0);
        float host[4] = {1, 1, 1, 1};
        dev->ops->upload(dev, a.data, host, sizeof host);
        host[0] = 2;
        dev->ops->upload(dev, b.data, host, sizeof host);
        assert_float_equal(first_of(dev, a), queued ? 2 : 1, 0);
        assert_float_equal(first_of(dev, b), 2, 0);
        host[0] = 3; /* after a download: allowed */
        assert_float_equal(first_of(dev, a), queued ? 2 : 1, 0);
        device_close(dev);
    }
}

/* Work runs in the order of its calls, and the op's struct may be gone by then. */
static void order_of_work(device *dev) {
    const float one = 1, ten = 10;
    vec x = allocate_vec(dev, 1, 0), y = allocate_vec(dev, 1, 0);
    for (int i = 0; i < 1000; i++) {
        dev->ops->upload(dev, x.data, i % 2 ? &ten : &one, sizeof one);
        op(dev, axpby, .y = y, .x = x, .a = 1, .b = 1);
        if (i % 100 == 99) dev->ops->copy(dev, x.data, y.data, sizeof one);
    }
    op(dev, axpby, .y = y, .x = x, .a = 1, .b = 1);
    assert_float_equal(first_of(dev, y), 11000, 0);
}

static void test_order(void **state) {
    (void)state;
    on_both(order_of_work);
}

/* What a child that touches far memory dies of; 0 when it lives. */
static int signal_of_touching(float *far, int writes) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would end the child in its own way */
        volatile float *p = far;
        if (writes)
            *p = 1;
        else
            (void)*p;
        _exit(0);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFSIGNALED(how) ? WTERMSIG(how) : 0;
}

static void host_touches_far_memory(device *dev) {
    vec x = allocate_vec(dev, 16, 1);
    expect_no_fault(dev);
    assert_int_equal(signal_of_touching(x.data, 0), SIGSEGV);
    assert_int_equal(signal_of_touching(x.data, 1), SIGSEGV);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_true(write(ends[1], x.data, 4) < 0 && errno == EFAULT);
    close(ends[0]);
    close(ends[1]);
}

static void test_host_access(void **state) {
    (void)state;
    on_both(host_touches_far_memory);
}

static void test_names(void **state) {
    (void)state;
    device *dev = open_far(0), *queued = open_far(1);
    assert_memory_equal(dev->name, "far, cpu ", 9);
    assert_memory_equal(queued->name, "far queued, cpu ", 16);
    assert_int_equal(dev->n_thread, 2);
    device_close(dev);
    device_close(queued);
    device_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operands),
        cmocka_unit_test(test_guards),
        cmocka_unit_test(test_fresh_memory),
        cmocka_unit_test(test_too_much_memory),
        cmocka_unit_test(test_upload_buffer_reused_too_early),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_host_access),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("far memory", tests, NULL, NULL);
}
