/* Memory plans are what devices are asked for, to the byte, and after the first step nothing is taken from
 * the heap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/generate/generate.h"
#include "core/train/optimizer.h"
#include "tests/support/allocations.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"

/* ---- plans ---- */

/* The CPU with an op table that counts what allocate is asked for. */
static device *counting;
static status (*real_allocate)(device *, size_t, void **, error *);
static size_t asked;

static status count_bytes(device *dev, size_t bytes, void **out, error *err) {
    asked += bytes;
    return real_allocate(dev, bytes, out, err);
}

static int counting_setup(void **state) {
    static struct ops table;
    counting = case_device(DEVICE_CPU, 3, NULL);
    table = *counting->ops;
    real_allocate = table.allocate;
    table.allocate = count_bytes;
    counting->ops = &table;
    return directory_setup(state);
}

static int counting_teardown(void **state) {
    device_close(counting);
    return directory_teardown(state);
}

/* Bytes on the device; those on the host are named so. */
static size_t device_bytes(const memory_plan *plan, size_t *host) {
    size_t bytes = 0;
    *host = 0;
    for (int i = 0; i < plan->n; i++)
        *(strstr(plan->item[i].purpose, "host") ? host : &bytes) += plan->item[i].bytes;
    assert_int_equal(bytes + *host, plan_total(plan));
    return bytes;
}

/* Whether the files of its family can hold it. */
static int has_files(const model_config *c) {
    error err;
    return model_config_check(c, 1, &err) == STATUS_OK;
}

/* A trained one is new, a frozen one is read. asked counts what it takes. */
static model *make_model(const model_config *c, int trained, const char *directory) {
    model *m, *read;
    asked = 0;
    OK(model_init(counting, c, 1, trained, &m, err));
    if (trained) return m;
    OK(model_save(m, NULL, directory, err));
    model_options o = {.language_head = c->language_head,
                       .n_score = c->n_score,
                       .score_bias = c->score_bias,
                       .n_vocab = c->n_vocab,
                       .compute = c->compute};
    asked = 0;
    OK(model_load(counting, directory, &o, &read, err));
    model_free(m);
    return read;
}

static void test_plans(void **state) {
    for (int which = 0; which < 2 * CASES; which++)
        for (int trained = 0; trained < 2; trained++) {
            model_config c = case_config(which);
            if (!trained && !has_files(&c)) continue;
            memory_plan model_bytes = {0}, workspace_bytes = {0}, kv_bytes = {0}, optimizer_bytes = {0};
            limits l = case_limits(&c, trained, which % 2 ? KEEP_LAYER_INPUT : KEEP_ALL);
            struct optimizer_options how = {.ema = which % 2 ? 0.9f : 0};
            size_t host;
            model *m;
            workspace *ws;
            kv_cache *kv;
            optimizer *o;
            OK(model_plan(counting, &c, trained, "a", &model_bytes, err));
            m = make_model(&c, trained, *state);
            assert_int_equal(asked, device_bytes(&model_bytes, &host));
            OK(workspace_plan(counting, &c, &l, "b", &workspace_bytes, err));
            asked = 0;
            OK(workspace_create(counting, &c, &l, &ws, err));
            assert_int_equal(asked, device_bytes(&workspace_bytes, &host));
            assert_true(host > 0);
            OK(kv_plan(&c, &l, "c", &kv_bytes, err));
            asked = 0;
            OK(kv_create(counting, &c, &l, &kv, err));
            assert_int_equal(asked, device_bytes(&kv_bytes, &host));
            assert_true(host > 0);
            if (trained) {
                optimizer_plan(model_flat(m)->count, &how, "d", &optimizer_bytes);
                asked = 0;
                OK(optimizer_create(counting, model_flat(m), &how, &o, err));
                assert_int_equal(asked, device_bytes(&optimizer_bytes, &host));
                optimizer_free(o);
            }
            kv_free(kv);
            workspace_free(ws);
            model_free(m);
        }
}

/* Recomputation, frozen models and bf16 are there to save memory. */
static void test_plans_shrink(void **state) {
    (void)state;
    model_config c = case_config(CASE_GPT2);
    memory_plan trained = {0}, frozen = {0}, all = {0}, some = {0}, none = {0};
    limits keep_all = case_limits(&c, 1, KEEP_ALL), recompute = case_limits(&c, 1, KEEP_LAYER_INPUT),
           score = case_limits(&c, 0, KEEP_ALL);
    OK(model_plan(counting, &c, 1, "", &trained, err));
    OK(model_plan(counting, &c, 0, "", &frozen, err));
    OK(workspace_plan(counting, &c, &keep_all, "", &all, err));
    OK(workspace_plan(counting, &c, &recompute, "", &some, err));
    OK(workspace_plan(counting, &c, &score, "", &none, err));
    /* No gradients, and packs for the forward products alone. */
    assert_true(plan_total(&frozen) < plan_total(&trained) / 10 * 6);
    assert_true(plan_total(&none) < plan_total(&some) && plan_total(&some) < plan_total(&all));
    model_config half = case_config(CASES + CASE_GPT2);
    memory_plan half_frozen = {0}, half_all = {0}, pages = {0}, half_pages = {0};
    OK(model_plan(counting, &half, 0, "", &half_frozen, err));
    OK(workspace_plan(counting, &half, &keep_all, "", &half_all, err));
    OK(kv_plan(&c, &keep_all, "", &pages, err));
    OK(kv_plan(&half, &keep_all, "", &half_pages, err));
    assert_true(plan_total(&half_frozen) < plan_total(&frozen));
    assert_true(plan_total(&half_all) < plan_total(&all) / 10 * 7);
    assert_true(plan_total(&half_pages) < plan_total(&pages) / 10 * 6);
}

/* ---- the heap ---- */

static void test_training_takes_nothing(void **state) {
    (void)state;
    static case_batch cb;
    static case_values v;
    long before = allocations_so_far(); /* where they cannot be counted, nothing is left behind */
    device *dev = case_device(DEVICE_CPU, 3, NULL);
    for (int which = 0; which < 2 * CASES; which++) {
        model_config c = case_config(which);
        model *m = case_model(dev, &c, 1, 1);
        workspace *ws = case_workspace(dev, &c, 1, which % 2 ? KEEP_LAYER_INPUT : KEEP_ALL);
        struct optimizer_options how = {.beta1 = 0.9f, .beta2 = 0.9f, .eps = 1e-8f, .clip = 1, .ema = 0.9f};
        forward_options f = {.temperature = 1, .dropout = 0.1f, .for_backward = 1};
        optimizer *o;
        OK(optimizer_create(dev, model_flat(m), &how, &o, err));
        for (int step = 0; step < 5; step++) {
            double norm;
            if (step == 1) before = allocations_so_far();
            case_draw(&cb, &c, (uint64_t)step, 3 - step % 2, (const int[]){90, 20 + step, 3});
            row_grads g = case_grads(&cb, &c);
            row_values fused = {.logprob = v.logprob};
            model_zero_grad(m);
            case_forward(m, ws, &cb.b, &f, &v);
            OK(model_backward(m, ws, &g, step % 2 && c.language_head ? &fused : NULL, err));
            OK(optimizer_step(o, 1e-3, &norm, err));
            model_changed(m);
        }
        assert_int_equal(allocations_so_far() - before, 0);
        optimizer_free(o);
        workspace_free(ws);
        model_free(m);
    }
    device_close(dev);
}

static status ignore(void *context, const generate_answer *a, error *err) {
    (void)err;
    *(int *)context += a->n_token;
    return STATUS_OK;
}

static void test_sampling_takes_nothing(void **state) {
    (void)state;
    static case_batch cb;
    long before = allocations_so_far(); /* where they cannot be counted, nothing is left behind */
    device *dev = case_device(DEVICE_CPU, 3, NULL);
    for (int which = 0; which < 2 * CASES; which++) {
        if (which % CASES == CASE_SCORE) continue;
        model_config c = case_config(which);
        model *m = case_model(dev, &c, 1, 0);
        limits l = generator_limits(6, 2, c.context, 40);
        workspace *ws;
        kv_cache *kv;
        generator *g;
        OK(workspace_create(dev, &c, &l, &ws, err));
        OK(kv_create(dev, &c, &l, &kv, err));
        OK(generator_create(&l, 20, &g, err));
        case_draw(&cb, &c, 3, 4, (const int[]){90, 20, 3, 64});
        generate_prompt prompt[4];
        for (int i = 0; i < 4; i++)
            prompt[i] = (generate_prompt){cb.token + cb.seq_start[i], cb.seq_start[i + 1] - cb.seq_start[i],
                                          2 * (uint64_t)i};
        generate_options how = {
            .how = {.temperature = 1, .top_p = 0.9f, .top_k = 50}, .n_answer = 2, .max_tokens = 20};
        int tokens = 0;
        OK(generate_run(g, m, ws, kv, prompt, 2, &how, ignore, &tokens, err));
        before = allocations_so_far();
        OK(generate_run(g, m, ws, kv, prompt, 4, &how, ignore, &tokens, err));
        assert_int_equal(allocations_so_far() - before, 0);
        assert_true(tokens > 0);
        generator_free(g);
        kv_free(kv);
        workspace_free(ws);
        model_free(m);
    }
    device_close(dev);
}

/* The counter itself: it hears of every way to take memory. */
static void test_the_counter(void **state) {
    (void)state;
    long before = allocations_so_far();
    void *volatile a = malloc(10), *volatile b = calloc(1, 10), *volatile c = aligned_alloc(64, 64),
                   *d = NULL;
    assert_int_equal(posix_memalign(&d, 64, 10), 0);
    a = realloc(a, 1000);
    long after = allocations_so_far();
    free(a);
    free(b);
    free(c);
    free(d);
    assert_int_equal(after - before, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plans, counting_setup, counting_teardown),
        cmocka_unit_test_setup_teardown(test_plans_shrink, counting_setup, counting_teardown),
        cmocka_unit_test(test_the_counter),
        cmocka_unit_test(test_training_takes_nothing),
        cmocka_unit_test(test_sampling_takes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
