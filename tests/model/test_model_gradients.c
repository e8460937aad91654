/* Values and gradients of whole models against f64, and against finite differences of their own. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model/internal.h"
#include "tests/support/model_cases.h"
#include "tests/support/reference_model.h"

static const int lengths[3][5] = {{1, 66, 7, 64, 20}, {130, 2, 1, 3, 9}, {31, 5, 17, 65, 33}};

static forward_options options_of(float temperature, float dropout) {
    return (forward_options){.temperature = temperature,
                             .dropout = dropout,
                             .dropout_key = random_make_key(7, RANDOM_DROPOUT, 0, 3),
                             .for_backward = 1};
}

static double *widen(const float *x, int64_t n) {
    double *out = malloc(sizeof *out * (size_t)n);
    assert_non_null(out);
    for (int64_t i = 0; i < n; i++) out[i] = (double)x[i];
    return out;
}

/* ---- f64 beside f32 and bf16 ---- */

/* How far off may be: a row's value, relative to it or to 1; the values of all rows, and a parameter's
   gradient, relative to their length. An element of bf16 is off by up to 1 / 256. */
typedef struct tolerance {
    double row, rows, gradient;
} tolerance;

static tolerance tolerance_of(dtype type) {
    return type == TYPE_BF16 ? (tolerance){0.5, 0.05, 0.08} : (tolerance){1e-5, 1e-5, 1e-5};
}

static void near_rows(const char *name, const char *what, const float *got, const double *want, int n,
                      tolerance near) {
    double difference = 0, length = 0;
    for (int i = 0; i < n; i++) {
        double off = fabs((double)got[i] - want[i]);
        if (!(off <= near.row * fmax(1, fabs(want[i]))))
            fail_msg("%s: %s of row %d is %.9g, in f64 %.9g", name, what, i, (double)got[i], want[i]);
        difference += off * off;
        length += want[i] * want[i];
    }
    if (!(sqrt(difference) < near.rows * sqrt(length)))
        fail_msg("%s: %s of all rows is off by %.3g of its length", name, what, sqrt(difference / length));
}

static void near_params(const char *name, const flat *f, const float *got, const double *want,
                        tolerance near) {
    for (int i = 0; i < f->n_param; i++) {
        const param *p = &f->param[i];
        double difference = 0, length = 0;
        for (int64_t j = p->offset; j < p->offset + p->count; j++) {
            difference += ((double)got[j] - want[j]) * ((double)got[j] - want[j]);
            length += want[j] * want[j];
        }
        if (!(sqrt(difference) < near.gradient * sqrt(length)))
            fail_msg("%s: the gradient of %s has length %.6g and is off by %.3g", name, p->name, sqrt(length),
                     sqrt(difference));
    }
}

/* The second run adds to the first one's gradient, which was left in place. */
static void compare(const char *name, model *m, workspace *ws, const case_batch *cb,
                    const forward_options *o) {
    const flat *f = model_flat(m);
    const model_config *c = model_get_config(m);
    float *parameters = case_parameters(m);
    double *wide = widen(parameters, f->count), *grad = calloc((size_t)f->count, sizeof *grad);
    double *rows = calloc(3 * CASE_TOKENS, sizeof *rows);
    assert_true(grad && rows);
    struct reference_values want = {rows, rows + CASE_TOKENS, rows + 2 * CASE_TOKENS};
    row_grads g = case_grads(cb, c);
    tolerance near = tolerance_of(c->compute);
    reference_model(c, f, wide, &cb->b, o, want, &g, grad);

    case_values *got = calloc(1, sizeof *got);
    row_values values = case_read(got, c), fused = {.logprob = got->logprob, .entropy = got->entropy};
    model_zero_grad(m);
    for (int again = 0; again < 2; again++) {
        OK(model_forward(m, ws, &cb->b, o, err));
        if (!again || !c->language_head) OK(model_read(m, ws, &values, err));
        OK(model_backward(m, ws, &g, again && c->language_head ? &fused : NULL, err));
        if (c->language_head) {
            near_rows(name, "logprob", got->logprob, want.logprob, cb->b.n_row, near);
            near_rows(name, "entropy", got->entropy, want.entropy, cb->b.n_row, near);
        }
        if (!again) near_rows(name, "score", got->score, want.score, cb->b.n_row, near);
        float *gradients = case_gradients(m);
        for (int64_t i = 0; i < f->count && again; i++) grad[i] *= 2;
        near_params(name, f, gradients, grad, near);
        free(gradients);
    }
    free(got);
    free(parameters);
    free(wide);
    free(grad);
    free(rows);
}

static void test_float64(void **state) {
    (void)state;
    static case_batch cb;
    device *dev = case_device(DEVICE_CPU, 2, NULL);
    for (int which = 0; which < 2 * CASES; which++)
        for (int seed = 0; seed < 3; seed++) {
            model_config c = case_config(which);
            model *m = case_model(dev, &c, (uint64_t)(10 * which + seed), 1);
            workspace *ws = case_workspace(dev, &c, 1, seed % 2 ? KEEP_LAYER_INPUT : KEEP_ALL);
            forward_options o = options_of(seed == 1 ? 0.7f : 1, seed == 2 ? 0.2f : 0);
            case_draw(&cb, &c, (uint64_t)(which + 100 * seed), 5, lengths[seed]);
            if (seed > 0) case_draw_rows(&cb, &c, (uint64_t)which, 60);
            compare(case_name(which), m, ws, &cb, &o);
            workspace_free(ws);
            model_free(m);
        }
    device_close(dev);
}

/* ---- finite differences ---- */

static double loss_of(const model *m, workspace *ws, const case_batch *cb, const forward_options *o) {
    static case_values v;
    const model_config *c = model_get_config(m);
    double sum = 0;
    case_forward(m, ws, &cb->b, o, &v);
    for (int r = 0; r < cb->b.n_row; r++) {
        if (c->language_head)
            sum += (double)cb->dlogprob[r] * (double)v.logprob[r] +
                   (double)cb->dentropy[r] * (double)v.entropy[r];
        sum += (double)cb->dscore[r] * (double)v.score[r];
    }
    return sum;
}

/* Along the gradient itself the loss of a small step s rises by s |g|. */
static void check_differences(const char *name, model *m, workspace *ws, const case_batch *cb,
                              const forward_options *o, double tolerance) {
    const flat *f = model_flat(m);
    row_grads g = case_grads(cb, model_get_config(m));
    model_zero_grad(m);
    loss_of(m, ws, cb, o);
    OK(model_backward(m, ws, &g, NULL, err));
    float *parameters = case_parameters(m), *gradients = case_gradients(m);
    float *moved = malloc(sizeof *moved * (size_t)f->count);
    assert_non_null(moved);
    for (int i = 0; i < f->n_param; i++) {
        const param *p = &f->param[i];
        double length = 0, size = 0, loss[2];
        for (int64_t j = p->offset; j < p->offset + p->count; j++) {
            length += (double)gradients[j] * (double)gradients[j];
            size += (double)parameters[j] * (double)parameters[j];
        }
        length = sqrt(length);
        double step = 4e-3 * (sqrt(size) + 0.1);
        if (length * step > 1) step = 1 / length; /* where the loss bends at once */
        for (int down = 0; down < 2; down++) {
            memcpy(moved, parameters, sizeof *moved * (size_t)f->count);
            for (int64_t j = p->offset; j < p->offset + p->count; j++)
                moved[j] += (float)((down ? -step : step) * (double)gradients[j] / length);
            case_set_parameters(m, moved);
            loss[down] = loss_of(m, ws, cb, o);
        }
        double rise = (loss[0] - loss[1]) / (2 * step);
        if (!(fabs(rise - length) <= tolerance * length + 1e-4))
            fail_msg("%s: %s: the gradient's length is %.6g, by differences %.6g", name, p->name, length,
                     rise);
    }
    case_set_parameters(m, parameters);
    free(parameters);
    free(gradients);
    free(moved);
}

static void test_differences(void **state) {
    (void)state;
    static case_batch cb;
    device *dev = case_device(DEVICE_CPU, 2, NULL);
    for (int which = 0; which < CASES; which++) {
        model_config c = case_config(which);
        model *m = case_model(dev, &c, 3, 1);
        workspace *ws = case_workspace(dev, &c, 1, KEEP_ALL);
        /* With dropout: the backward pass must drop what the forward pass dropped. */
        forward_options o = options_of(1.3f, which % 2 ? 0.1f : 0);
        case_draw(&cb, &c, 5, 5, lengths[2]);
        case_draw_rows(&cb, &c, 6, 40);
        check_differences(case_name(which), m, ws, &cb, &o, 0.02);
        workspace_free(ws);
        model_free(m);
    }
    device_close(dev);
}

/* The reference's own gradient, by differences of f64: two independent ways to the same number. */
static void test_the_reference_itself(void **state) {
    (void)state;
    static case_batch cb;
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    for (int which = 0; which < CASES; which++) {
        model_config c = case_config(which);
        model *m = case_model(dev, &c, 8, 1);
        const flat *f = model_flat(m);
        forward_options o = options_of(0.9f, 0.1f);
        case_draw(&cb, &c, 9, 3, (const int[]){6, 1, 9});
        row_grads g = case_grads(&cb, &c);
        float *parameters = case_parameters(m);
        double *x = widen(parameters, f->count), *grad = calloc((size_t)f->count, sizeof *grad);
        double rows[3][32], loss[2];
        struct reference_values v = {rows[0], rows[1], rows[2]};
        reference_model(&c, f, x, &cb.b, &o, v, &g, grad);
        for (int i = 0; i < f->n_param; i++) {
            const param *p = &f->param[i];
            double length = 0;
            for (int64_t j = p->offset; j < p->offset + p->count; j++) length += grad[j] * grad[j];
            length = sqrt(length);
            for (int down = 0; down < 2; down++) {
                double step = down ? -1e-4 : 1e-4;
                for (int64_t j = p->offset; j < p->offset + p->count; j++)
                    x[j] = (double)parameters[j] + step * grad[j] / length;
                reference_model(&c, f, x, &cb.b, &o, v, NULL, NULL);
                loss[down] = 0;
                for (int r = 0; r < cb.b.n_row; r++) {
                    if (c.language_head)
                        loss[down] +=
                            (double)cb.dlogprob[r] * rows[0][r] + (double)cb.dentropy[r] * rows[1][r];
                    loss[down] += (double)cb.dscore[r] * rows[2][r];
                }
            }
            for (int64_t j = p->offset; j < p->offset + p->count; j++) x[j] = (double)parameters[j];
            double rise = (loss[0] - loss[1]) / 2e-4;
            if (!(fabs(rise - length) <= 1e-5 * length))
                fail_msg("%s: %s: length %.9g, by differences %.9g", case_name(which), p->name, length, rise);
        }
        free(parameters);
        free(x);
        free(grad);
        model_free(m);
    }
    device_close(dev);
}

/* ---- dropout ---- */

/* The first state is dropout(embedding): both are in memory here. */
static void test_dropout_keeps_its_share(void **state) {
    (void)state;
    static case_batch cb;
    static case_values v;
    device *dev = case_device(DEVICE_CPU, 2, NULL);
    model_config c = case_config(CASE_GPT2);
    model *m = case_model(dev, &c, 1, 1);
    workspace *ws = case_workspace(dev, &c, 1, KEEP_ALL);
    case_draw(&cb, &c, 1, 3, (const int[]){200, 190, 200});
    for (int k = 1; k < 4; k++) {
        float rate = 0.2f * (float)k;
        forward_options plain = options_of(1, 0), dropping = options_of(1, rate);
        int n = cb.b.n_token * c.d_model, dropped = 0;
        float *x = malloc(sizeof *x * (size_t)n);
        case_forward(m, ws, &cb.b, &plain, &v);
        memcpy(x, ws->x[0].data, sizeof *x * (size_t)n);
        case_forward(m, ws, &cb.b, &dropping, &v);
        for (int i = 0; i < n; i++) {
            float y = ws->x[0].data[i];
            dropped += y == 0;
            if (y != 0) assert_true(fabsf(y - x[i] / (1 - rate)) <= 2e-7f * fabsf(y));
        }
        double expected = (double)rate * n, spread = sqrt(expected * (1 - (double)rate));
        if (!(fabs(dropped - expected) < 4 * spread))
            fail_msg("dropout %g dropped %d of %d", (double)rate, dropped, n);
        free(x);
    }
    workspace_free(ws);
    model_free(m);
    device_close(dev);
}

/* What is dropped follows from key, sequence, position, place: not from the batch. */
static void test_dropout_does_not_know_the_batch(void **state) {
    (void)state;
    static case_batch cb;
    static case_values whole, alone;
    device *dev = case_device(DEVICE_CPU, 2, NULL);
    model_config c = case_config(CASE_LLAMA);
    model *m = case_model(dev, &c, 1, 1);
    workspace *ws = case_workspace(dev, &c, 1, KEEP_ALL);
    forward_options o = options_of(1, 0.3f), other = o;
    case_draw(&cb, &c, 2, 5, lengths[0]);
    case_forward(m, ws, &cb.b, &o, &whole);
    for (int s = cb.b.n_seq - 1; s >= 0; s--) {
        int first = cb.seq_start[s], n = cb.seq_start[s + 1] - first;
        int32_t start[2] = {0, n};
        batch b = {n, 1, n, cb.token + first, start, cb.seq_id + s, cb.row_pos, cb.row_target + first};
        case_forward(m, ws, &b, &o, &alone);
        case_same("logprob with dropout, alone", dev, alone.logprob, whole.logprob + first, n);
    }
    other.dropout_key = random_make_key(7, RANDOM_DROPOUT, 0, 4);
    case_forward(m, ws, &cb.b, &other, &alone);
    int same = 0;
    for (int r = 0; r < cb.b.n_row; r++) same += alone.logprob[r] == whole.logprob[r];
    assert_true(same < cb.b.n_row / 10); /* another step drops others */
    workspace_free(ws);
    model_free(m);
    device_close(dev);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_reference_itself),
        cmocka_unit_test(test_float64),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_dropout_keeps_its_share),
        cmocka_unit_test(test_dropout_does_not_know_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
