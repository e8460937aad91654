/* Checkpoints: what comes back is what was there, to the last bit, and training goes on as if nothing had
 * been. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/files/safetensors.h"
#include "core/train/checkpoint.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"

/* A model that is being trained. */
typedef struct trainee {
    model *m;
    optimizer *o;
    workspace *ws;
} trainee;

static trainee begin(device *dev, const model_config *c, uint64_t seed, float ema) {
    trainee t;
    struct optimizer_options how = {
        .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .weight_decay = 0.1f, .clip = 1, .ema = ema};
    t.m = case_model(dev, c, seed, 1);
    t.ws = case_workspace(dev, c, 1, KEEP_ALL);
    OK(optimizer_create(dev, model_flat(t.m), &how, &t.o, err));
    return t;
}

static void end(trainee *t) {
    optimizer_free(t->o);
    workspace_free(t->ws);
    model_free(t->m);
}

static void train(trainee *t, int first, int last) {
    static case_batch cb;
    static case_values v;
    const model_config *c = model_get_config(t->m);
    for (int step = first; step < last; step++) {
        forward_options f = {.temperature = 1,
                             .dropout = 0.1f,
                             .dropout_key = random_make_key(4, RANDOM_DROPOUT, 0, (uint32_t)step),
                             .for_backward = 1};
        case_draw(&cb, c, (uint64_t)step, 3, (const int[]){20, 66, 3});
        row_grads g = case_grads(&cb, c);
        model_zero_grad(t->m);
        case_forward(t->m, t->ws, &cb.b, &f, &v);
        OK(model_backward(t->m, t->ws, &g, NULL, err));
        OK(optimizer_step(t->o, 1e-3, NULL, err));
        model_changed(t->m);
    }
}

static float *download(device *dev, const float *from, int64_t n) {
    float *host = malloc(sizeof *host * (size_t)n);
    assert_non_null(host);
    OK(dev->ops->download(dev, host, from, sizeof *host * (size_t)n, err));
    return host;
}

static void same_memory(const char *what, device *dev, const float *a, const float *b, int64_t n) {
    float *x = download(dev, a, n), *y = download(dev, b, n);
    case_same(what, dev, x, y, n);
    free(x);
    free(y);
}

static void expect_same(const trainee *a, const trainee *b) {
    const struct optimizer_state *s = optimizer_get_state(a->o), *t = optimizer_get_state(b->o);
    device *dev = model_device(a->m);
    assert_int_equal(s->step, t->step);
    same_memory("weights", dev, model_flat(a->m)->master, model_flat(b->m)->master, s->count);
    same_memory("first moments", dev, s->m, t->m, s->count);
    same_memory("second moments", dev, s->v, t->v, s->count);
    if (s->ema) same_memory("the average", dev, s->ema, t->ema, s->count);
}

/* Every kind of model that files can hold, on the CPU and behind far memory, with an average and without. */
static void test_resumed_is_undisturbed(void **state) {
    static const int which[] = {CASE_GPT2, CASE_LLAMA, CASE_GPT2_HEADS_8, CASE_LLAMA_HEADS_64};
    for (int kind = DEVICE_CPU; kind <= DEVICE_QUEUED; kind++)
        for (int i = 0; i < 4; i++) {
            device *dev = case_device(kind, 2, NULL);
            model_config c = case_config(which[i]);
            float ema = i % 2 ? 0.9f : 0;
            trainee undisturbed = begin(dev, &c, 1, ema), killed = begin(dev, &c, 1, ema),
                    resumed = begin(dev, &c, 2, ema);
            train(&undisturbed, 0, 6);
            train(&killed, 0, 3);
            OK(checkpoint_save(*state, "policy", killed.m, killed.o, err));
            train(&killed, 3, 5); /* lost */
            train(&resumed, 8, 9);
            OK(checkpoint_load(*state, "policy", resumed.m, resumed.o, err));
            assert_int_equal(optimizer_get_state(resumed.o)->step, 3);
            train(&resumed, 3, 6);
            expect_same(&undisturbed, &resumed);
            end(&undisturbed);
            end(&killed);
            end(&resumed);
            device_close(dev);
        }
}

/* More than 32 bits of steps. */
static void test_many_steps(void **state) {
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model_config c = case_config(CASE_GPT2);
    trainee t = begin(dev, &c, 1, 0);
    optimizer_get_state(t.o)->step = 0x123456789abcdef;
    OK(checkpoint_save(*state, "m", t.m, t.o, err));
    optimizer_get_state(t.o)->step = 0;
    OK(checkpoint_load(*state, "m", t.m, t.o, err));
    assert_true(optimizer_get_state(t.o)->step == 0x123456789abcdef);
    end(&t);
    device_close(dev);
}

/* ---- damage ---- */

static void refuse(const char *directory, trainee *t, const char *says) {
    REFUSED(checkpoint_load(directory, "m", t->m, t->o, err), STATUS_DATA, says);
}

static void test_damaged(void **state) {
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model_config c = case_config(CASE_GPT2), other = case_config(CASE_LLAMA);
    trainee t = begin(dev, &c, 1, 0.9f), without = begin(dev, &c, 1, 0), foreign = begin(dev, &other, 1, 0);
    const char *file[] = {path_in(*state, "m/optimizer.safetensors"), path_in(*state, "m/model.safetensors"),
                          path_in(*state, "m/config.json")};
    train(&t, 0, 1);
    refuse(*state, &t, "config.json");
    OK(checkpoint_save(*state, "m", t.m, t.o, err));
    refuse(*state, &foreign, "another shape");
    for (int i = 0; i < 3; i++) {
        buffer whole = read_all(file[i]);
        const size_t cuts[] = {0, 1, 7, 40, whole.len / 2, whole.len - 1};
        for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
            if (i == 2 && k == 5) continue; /* its last byte is a newline */
            assert_int_equal(truncate(file[i], (off_t)cuts[k]), 0);
            refuse(*state, &t, file[i]);
            write_all(file[i], whole.data, whole.len);
        }
        assert_int_equal(unlink(file[i]), 0);
        refuse(*state, &t, strrchr(file[i], '/') + 1);
        write_all(file[i], whole.data, whole.len);
        whole.data[i == 2 ? 0 : 9] ^= 0x40; /* in the header */
        write_all(file[i], whole.data, whole.len);
        refuse(*state, &t, file[i]);
        whole.data[i == 2 ? 0 : 9] ^= 0x40;
        write_all(file[i], whole.data, whole.len);
        buffer_free(&whole);
    }
    OK(checkpoint_load(*state, "m", t.m, t.o, err));
    /* Another optimizer's: without the average that is wanted; of other lengths; a step that cannot be. */
    OK(checkpoint_load(*state, "m", without.m, without.o, err)); /* an average more than is wanted */
    OK(checkpoint_save(*state, "m", without.m, without.o, err));
    refuse(*state, &t, "\"ema\" is not the");
    int32_t step[2] = {1, -1};
    float number = 0;
    tensor_entry entry[] = {{.name = "step", .dtype = DTYPE_I32, .n_dim = 1, .shape = {2}, .data = step},
                            {.name = "m", .dtype = DTYPE_F32, .n_dim = 1, .shape = {1}, .data = &number},
                            {.name = "v", .dtype = DTYPE_F32, .n_dim = 1, .shape = {1}, .data = &number}};
    OK(safetensors_write(file[0], entry, 3, err));
    refuse(*state, &without, "\"step\" is negative");
    step[1] = 0;
    OK(safetensors_write(file[0], entry, 3, err));
    refuse(*state, &without, "\"m\" is not the");
    end(&t);
    end(&without);
    end(&foreign);
    device_close(dev);
}

static void test_a_full_disk(void **state) {
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model_config c = case_config(CASE_GPT2);
    trainee t = begin(dev, &c, 1, 0);
    size_t bytes = (size_t)model_flat(t.m)->count * sizeof(float);
    disk_holds(bytes + bytes / 2); /* the model, not the moments */
    error err;
    status code = checkpoint_save(*state, "m", t.m, t.o, &err);
    disk_is_free();
    assert_int_equal(code, STATUS_FAILED);
    assert_non_null(strstr(err.message, "optimizer.safetensors"));
    assert_false(path_exists(path_in(*state, "m/optimizer.safetensors")));
    end(&t);
    device_close(dev);
}

/* ---- where a loop stands ---- */

static void test_loop_figures(void **state) {
    double step = 9007199254740991, loss = 0.1, tiny = 4.9406564584124654e-324, none = NAN, minus = -1.0 / 3;
    double back[5] = {0};
    loop_figure out[] = {
        {"step", &step}, {"loss", &loss}, {"tiny", &tiny}, {"best", &none}, {"minus", &minus}};
    loop_figure in[] = {
        {"minus", &back[4]}, {"best", &back[3]}, {"tiny", &back[2]}, {"loss", &back[1]}, {"step", &back[0]}};
    OK(checkpoint_save_loop(*state, out, 5, err));
    OK(checkpoint_load_loop(*state, in, 5, err));
    assert_true(back[0] == step && back[1] == loss && back[2] == tiny && back[4] == minus);
    assert_true(isnan(back[3]));
    in[0].name = "epoch";
    REFUSED(checkpoint_load_loop(*state, in, 5, err), STATUS_DATA, "\"epoch\" is missing");
    in[0].name = "minus";
    const char *file = path_in(*state, "loop.json");
    write_all(file, "{\"minus\": \"x\"}\n", 15);
    REFUSED(checkpoint_load_loop(*state, in, 1, err), STATUS_DATA, "\"minus\" must be a number");
    write_all(file, "{\"minus\": ", 10);
    REFUSED(checkpoint_load_loop(*state, in, 1, err), STATUS_DATA, "loop.json");
    assert_int_equal(unlink(file), 0);
    REFUSED(checkpoint_load_loop(*state, in, 1, err), STATUS_DATA, "loop.json");
}

#define DIRECTORY_TEST(name) cmocka_unit_test_setup_teardown(name, directory_setup, directory_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        DIRECTORY_TEST(test_resumed_is_undisturbed),
        DIRECTORY_TEST(test_many_steps),
        DIRECTORY_TEST(test_damaged),
        DIRECTORY_TEST(test_a_full_disk),
        DIRECTORY_TEST(test_loop_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
