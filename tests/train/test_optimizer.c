/* AdamW over flat parameters: golden numbers of both forms, on the CPU and behind far memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/train/optimizer.h"
#include "tests/support/golden.h"

enum { CPU, FAR, QUEUED, DEVICES };

static device *open_device(int kind) {
    device *dev;
    error err;
    status s = kind == CPU ? device_open_cpu(2, &dev, &err) : device_open_far(2, kind == QUEUED, &dev, &err);
    if (s != STATUS_OK) fail_msg("%s", err.message);
    return dev;
}

/* A model's parameters without the model. */
struct parameters {
    device *dev;
    flat flat;
    param param[8];
};

static void *get_memory(device *dev, size_t bytes) {
    void *out;
    error err;
    if (dev->ops->allocate(dev, bytes, &out, &err) != STATUS_OK) fail_msg("%s", err.message);
    return out;
}

static void make_parameters(struct parameters *p, device *dev, int n, const int *size, const int *decays) {
    memset(p, 0, sizeof *p);
    p->dev = dev;
    for (int i = 0; i < n; i++) {
        p->param[i] = (param){
            .rows = 1, .cols = size[i], .offset = p->flat.count, .count = size[i], .decays = decays[i]};
        snprintf(p->param[i].name, sizeof p->param[i].name, "part.%d", i);
        p->flat.count += (size[i] + 15) / 16 * 16;
    }
    p->flat.n_param = n;
    p->flat.param = p->param;
    p->flat.master = get_memory(dev, (size_t)p->flat.count * sizeof(float));
    p->flat.grad = get_memory(dev, (size_t)p->flat.count * sizeof(float));
    op(dev, fill, .y = {p->flat.master, p->flat.count}, .value = 0);
    op(dev, fill, .y = {p->flat.grad, p->flat.count}, .value = 0);
}

static void free_parameters(struct parameters *p) {
    p->dev->ops->release(p->dev, p->flat.master);
    p->dev->ops->release(p->dev, p->flat.grad);
    device_close(p->dev);
}

/* Host copies of device memory at the flat's offsets, and back. */
static void put(struct parameters *p, float *to, const float *host) {
    error err;
    p->dev->ops->upload(p->dev, to, host, (size_t)p->flat.count * sizeof(float));
    if (p->dev->ops->sync(p->dev, &err) != STATUS_OK) fail_msg("%s", err.message);
}

static void get(struct parameters *p, const float *from, float *host) {
    error err;
    if (p->dev->ops->download(p->dev, host, from, (size_t)p->flat.count * sizeof(float), &err) != STATUS_OK)
        fail_msg("%s", err.message);
}

static optimizer *make_optimizer(struct parameters *p, const struct optimizer_options *how) {
    optimizer *o;
    error err;
    if (optimizer_create(p->dev, &p->flat, how, &o, &err) != STATUS_OK) fail_msg("%s", err.message);
    return o;
}

/* An array of one array per parameter, spread to the flat's offsets. */
static void spread(const struct parameters *p, const json_t *parts, float *out) {
    memset(out, 0, (size_t)p->flat.count * sizeof *out);
    for (int i = 0; i < p->flat.n_param; i++)
        for (int64_t j = 0; j < p->param[i].count; j++)
            out[p->param[i].offset + j] =
                (float)json_number_value(json_array_get(json_array_get(parts, (size_t)i), (size_t)j));
}

static void assert_parts_near(const struct parameters *p, const json_t *parts, const float *got) {
    for (int i = 0; i < p->flat.n_param; i++)
        for (int64_t j = 0; j < p->param[i].count; j++)
            assert_near(got[p->param[i].offset + j],
                        json_number_value(json_array_get(json_array_get(parts, (size_t)i), (size_t)j)), 1e-6);
}

static void check_golden_case(const json_t *c, int kind) {
    const struct optimizer_options how = {
        .beta1 = (float)golden_number(c, "beta1"),
        .beta2 = (float)golden_number(c, "beta2"),
        .eps = (float)golden_number(c, "eps"),
        .tf1 = (int)golden_number(c, "tf1"),
        .weight_decay = (float)golden_number(c, "weight_decay"),
        .clip = (float)golden_number(c, "clip"),
        .ema = (float)golden_number(c, "ema"),
    };
    const json_t *start = golden_get(c, "start"), *steps = golden_get(c, "steps"), *step;
    int size[8], n = (int)json_array_size(start);
    int32_t decays[GOLDEN_MAX];
    float host[256];
    golden_ints(c, "decays", decays);
    for (int i = 0; i < n; i++) size[i] = (int)json_array_size(json_array_get(start, (size_t)i));
    struct parameters p;
    make_parameters(&p, open_device(kind), n, size, decays);
    assert_in_range(p.flat.count, 1, 256);
    spread(&p, start, host);
    put(&p, p.flat.master, host);
    optimizer *o = make_optimizer(&p, &how);
    for (size_t t = 0; (step = json_array_get(steps, t)); t++) {
        spread(&p, golden_get(step, "grad"), host);
        put(&p, p.flat.grad, host);
        double norm;
        error err;
        if (optimizer_step(o, golden_number(step, "lr"), &norm, &err) != STATUS_OK)
            fail_msg("%s", err.message);
        assert_near(norm, golden_number(step, "norm"), 1e-6);
        get(&p, p.flat.master, host);
        assert_parts_near(&p, golden_get(step, "p"), host);
    }
    const struct optimizer_state *s = optimizer_get_state(o);
    get(&p, s->m, host);
    assert_parts_near(&p, golden_get(c, "m"), host);
    get(&p, s->v, host);
    assert_parts_near(&p, golden_get(c, "v"), host);
    get(&p, s->ema, host);
    assert_parts_near(&p, golden_get(c, "average"), host);
    assert_int_equal(s->step, json_array_size(steps));
    optimizer_free(o);
    free_parameters(&p);
}

static void test_golden(void **state) {
    (void)state;
    json_t *golden = golden_open("train"), *c;
    size_t i;
    for (int kind = CPU; kind < DEVICES; kind++)
        json_array_foreach(golden_get(golden, "adamw"), i, c) check_golden_case(c, kind);
    json_decref(golden);
}

static const int SIZE[3] = {40000, 7, 1}, DECAYS[3] = {1, 0, 0};
static const struct optimizer_options HOW = {0.9f, 0.95f, 1e-8f, 0, 0.1f, 1, 0.5f, NULL};

/* Some gradient of update t. */
static void draw_gradient(const struct parameters *p, uint32_t t, float *host) {
    memset(host, 0, (size_t)p->flat.count * sizeof *host);
    for (int i = 0; i < p->flat.n_param; i++)
        random_normal(random_make_key(3, RANDOM_TEST, t, (uint32_t)i), (size_t)p->param[i].count,
                      host + p->param[i].offset);
}

/* Five updates; in the middle, where asked, the state goes through host memory into a new optimizer, as a
   checkpoint does. */
static float *train(int kind, int resumed, int64_t *count) {
    struct parameters p;
    make_parameters(&p, open_device(kind), 3, SIZE, DECAYS);
    size_t bytes = (size_t)p.flat.count * sizeof(float);
    float *host = malloc(bytes), *m = malloc(bytes), *v = malloc(bytes), *ema = malloc(bytes);
    assert_true(host && m && v && ema);
    draw_gradient(&p, 99, host);
    put(&p, p.flat.master, host);
    optimizer *o = make_optimizer(&p, &HOW);
    for (uint32_t t = 0; t < 5; t++) {
        error err;
        draw_gradient(&p, t, host);
        put(&p, p.flat.grad, host);
        assert_int_equal(optimizer_step(o, 0.01, NULL, &err), STATUS_OK);
        if (t != 2 || !resumed) continue;
        struct optimizer_state *s = optimizer_get_state(o);
        get(&p, s->m, m);
        get(&p, s->v, v);
        get(&p, s->ema, ema);
        optimizer_free(o);
        o = make_optimizer(&p, &HOW);
        s = optimizer_get_state(o);
        put(&p, s->m, m);
        put(&p, s->v, v);
        put(&p, s->ema, ema);
        s->step = t + 1;
    }
    float *out = malloc(2 * bytes);
    assert_non_null(out);
    get(&p, p.flat.master, out);
    get(&p, optimizer_get_state(o)->ema, out + p.flat.count);
    *count = 2 * p.flat.count;
    optimizer_free(o);
    free_parameters(&p);
    free(host), free(m), free(v), free(ema);
    return out;
}

static void test_same_bytes_on_every_device_and_after_resume(void **state) {
    (void)state;
    int64_t n, m;
    float *want = train(CPU, 0, &n);
    for (int kind = CPU; kind < DEVICES; kind++)
        for (int resumed = 0; resumed < 2; resumed++) {
            float *got = train(kind, resumed, &m);
            assert_int_equal(m, n);
            assert_memory_equal(got, want, (size_t)n * sizeof(float));
            free(got);
        }
    free(want);
}

/* A gradient that is not finite names its first parameter and changes nothing. */
static void test_refuses_what_is_not_finite(void **state) {
    (void)state;
    const float bad[3] = {NAN, INFINITY, 3e38f}; /* the last one's square is beyond f32 */
    for (int b = 0; b < 3; b++) {
        struct parameters p;
        make_parameters(&p, open_device(FAR), 3, (const int[]){20, 7, 3}, DECAYS);
        float host[64] = {0}, before[64], after[64];
        assert_int_equal(p.flat.count, 64);
        for (int i = 0; i < 20; i++) host[i] = 0.5f;
        put(&p, p.flat.master, host);
        optimizer *o = make_optimizer(&p, &HOW);
        get(&p, p.flat.master, before);
        host[p.param[1].offset + 3] = bad[b];
        put(&p, p.flat.grad, host);
        error err;
        double norm = -1;
        assert_int_equal(optimizer_step(o, 0.01, &norm, &err), STATUS_FAILED);
        assert_non_null(strstr(err.message, "before update 1 (first in part.1)"));
        assert_true(norm == -1);
        assert_int_equal(optimizer_get_state(o)->step, 0);
        get(&p, p.flat.master, after);
        assert_memory_equal(before, after, sizeof before);
        get(&p, optimizer_get_state(o)->m, after);
        for (int i = 0; i < 64; i++) assert_true(after[i] == 0);
        optimizer_free(o);
        free_parameters(&p);
    }
}

/* The clip bounds the gradient's length, not its entries: Adam's first update of a gradient that is clipped
   is the same as that of the short one. A gradient of zeros moves only by the decay. */
static void test_clip_and_zero_gradient(void **state) {
    (void)state;
    struct parameters p;
    make_parameters(&p, open_device(CPU), 3, (const int[]){16, 16, 16}, DECAYS);
    float host[48], m[48];
    for (int i = 0; i < 48; i++) host[i] = 1;
    put(&p, p.flat.master, host);
    struct optimizer_options how = {0.5f, 0.5f, 1e-8f, 0, 0.1f, 2, 0, NULL};
    optimizer *o = make_optimizer(&p, &how);
    assert_null(optimizer_get_state(o)->ema);
    error err;
    double norm;
    memset(host, 0, sizeof host);
    put(&p, p.flat.grad, host);
    assert_int_equal(optimizer_step(o, 0.5, &norm, &err), STATUS_OK);
    get(&p, p.flat.master, host);
    assert_true(norm == 0);
    assert_near(host[0], 0.95, 1e-6); /* decays: 1 - lr x 0.1 */
    assert_true(host[16] == 1 && host[47] == 1);
    memset(host, 0, sizeof host);
    host[0] = 30, host[20] = 40; /* norm 50, clipped to 2: 1.2 and 1.6 */
    put(&p, p.flat.grad, host);
    optimizer_zero(o);
    assert_int_equal(optimizer_step(o, 0, &norm, &err), STATUS_OK);
    assert_near(norm, 50, 1e-6);
    get(&p, optimizer_get_state(o)->m, m);
    assert_near(m[0], 0.6, 1e-6);
    assert_near(m[20], 0.8, 1e-6);
    get(&p, p.flat.grad, m);
    assert_true(m[0] == 30 && m[20] == 40);
    optimizer_free(o);
    free_parameters(&p);
}

static void test_plan_is_exact(void **state) {
    (void)state;
    memory_plan plan = {0};
    struct optimizer_options how = HOW;
    optimizer_plan(100000, &how, "policy", &plan);
    size_t array = (100000 * 4 + 63) / 64 * 64;
    assert_int_equal(plan_total(&plan), 3 * array + 64); /* m, v, ema; 7 partial sums */
    memory_plan without = {0};
    how.ema = 0;
    optimizer_plan(100000, &how, "policy", &without);
    assert_int_equal(plan_total(&without), 2 * array + 64);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_same_bytes_on_every_device_and_after_resume),
        cmocka_unit_test(test_refuses_what_is_not_finite),
        cmocka_unit_test(test_clip_and_zero_gradient),
        cmocka_unit_test(test_plan_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
