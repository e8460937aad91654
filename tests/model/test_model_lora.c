/* Adapted models: their values and gradients against f64 models whose matrices are W + (alpha / rank) B A,
   PEFT directories, weights that are shared, merging. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/files/safetensors.h"
#include "core/model/adapter.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"
#include "tests/support/reference_model.h"

static const int lengths[] = {31, 5, 70, 1};
static const int cases[] = {CASE_GPT2,  CASE_LLAMA, CASE_LLAMA_HEADS_64, CASE_MISTRAL,
                            CASE_QWEN2, CASE_QWEN3, CASE_GEMMA};

static const param *find(const flat *f, const char *name) {
    for (int i = 0; i < f->n_param; i++)
        if (strcmp(f->param[i].name, name) == 0) return &f->param[i];
    return NULL;
}

/* ---- against f64 ---- */

/* The adapted model as the f64 reference takes it: the layout is a whole model's. */
typedef struct merged {
    model *layout;
    double *parameters, *grad;
} merged;

/* Calls visit for every target of every layer with its place in the whole model and in the adapter. */
typedef void target_visit(const adapter *a, double scale, double *whole, int64_t ld, const float *b,
                          const float *low, int n, int k, int64_t at_b, int64_t at_low, void *context);

static void each_target(const adapter *a, const float *host, const flat *f, double *whole,
                        target_visit *visit, void *context) {
    static const char *const site[] = {"qkv", "out", "up", "down"};
    for (int l = 0; l < a->config.n_layer; l++)
        for (int i = 0; i < a->n_part; i++) {
            const struct adapter_part *part = &a->part[i];
            const lora_target *t = &part->target;
            char name[48];
            snprintf(name, sizeof name, "layer.%d.%s.weight", l, site[t->site]);
            int64_t at_low = a->a[l * ADAPTER_SITES + (int)t->site].w.data - a->flat.master +
                             (int64_t)part->column * t->k,
                    at_b = a->b[l * a->n_part + i].w.data - a->flat.master;
            visit(a, (double)a->how.alpha / a->how.rank,
                  whole + find(f, name)->offset + (int64_t)t->first * t->k, t->k, host + at_b, host + at_low,
                  t->n, t->k, at_b, at_low, context);
        }
}

static void add_low(const adapter *a, double scale, double *w, int64_t ld, const float *b, const float *low,
                    int n, int k, int64_t at_b, int64_t at_low, void *context) {
    (void)at_b, (void)at_low, (void)context;
    for (int r = 0; r < n; r++)
        for (int c = 0; c < k; c++)
            for (int i = 0; i < a->how.rank; i++)
                w[r * ld + c] += scale * (double)b[r * a->how.rank + i] * (double)low[i * k + c];
}

/* d B = scale dW A^T, d A = scale B^T dW. */
static void chain_rule(const adapter *a, double scale, double *dw, int64_t ld, const float *b,
                       const float *low, int n, int k, int64_t at_b, int64_t at_low, void *context) {
    double *want = context;
    for (int r = 0; r < n; r++)
        for (int c = 0; c < k; c++)
            for (int i = 0; i < a->how.rank; i++) {
                want[at_b + r * a->how.rank + i] += scale * dw[r * ld + c] * (double)low[i * k + c];
                want[at_low + i * k + c] += scale * dw[r * ld + c] * (double)b[r * a->how.rank + i];
            }
}

static merged merge_wide(const model *m) {
    merged x = {0};
    model *body; /* the frozen weights themselves are in their packs alone */
    model_options as_it_is = {.trained = 1, .language_head = -1, .n_score = -1, .score_bias = -1};
    OK(model_init(m->dev, &m->config, 1, 1, &x.layout, err));
    const flat *f = model_flat(x.layout);
    x.parameters = calloc((size_t)f->count, sizeof *x.parameters);
    x.grad = calloc((size_t)f->count, sizeof *x.grad);
    OK(model_load(m->dev, model_base(m), &as_it_is, &body, err));
    const flat *base = model_flat(body);
    float *weights = case_parameters(body), *own = case_parameters(m);
    assert_true(x.parameters && x.grad);
    for (int i = 0; i < f->n_param; i++) {
        const param *to = &f->param[i], *from = find(base, to->name), *head = find(model_flat(m), to->name);
        assert_true(from || head);
        for (int64_t j = 0; j < to->count; j++)
            x.parameters[to->offset + j] = (double)(from ? weights[from->offset + j] : own[head->offset + j]);
    }
    each_target(m->adapter, own, f, x.parameters, add_low, NULL);
    model_free(body);
    free(weights);
    free(own);
    return x;
}

/* How far off may be: a row's value, relative to it or to 1; a parameter's gradient, relative to its length.
 */
typedef struct tolerance {
    double row, gradient;
} tolerance;

static tolerance tolerance_of(dtype type) {
    return type == TYPE_BF16 ? (tolerance){0.5, 0.15} : (tolerance){1e-5, 1e-5};
}

static void near(const char *what, int i, double got, double want, double most) {
    if (!(fabs(got - want) <= most * fmax(1, fabs(want))))
        fail_msg("%s %d is %.9g, in f64 %.9g", what, i, got, want);
}

static void compare_gradients(const model *m, const merged *x, double most) {
    const flat *f = model_flat(m), *whole = model_flat(x->layout);
    double *want = calloc((size_t)f->count, sizeof *want);
    float *own = case_parameters(m), *got = case_gradients(m);
    each_target(m->adapter, own, whole, x->grad, chain_rule, want);
    for (const char *const *name = (const char *const[]){"score.weight", "score.bias", NULL}; *name; name++)
        for (int64_t j = 0; find(f, *name) && j < find(f, *name)->count; j++)
            want[find(f, *name)->offset + j] = x->grad[find(whole, *name)->offset + j];
    for (int i = 0; i < f->n_param; i++) {
        const param *p = &f->param[i];
        double off = 0, length = 0;
        for (int64_t j = p->offset; j < p->offset + p->count; j++) {
            off += ((double)got[j] - want[j]) * ((double)got[j] - want[j]);
            length += want[j] * want[j];
        }
        if (!(length > 0) || !(sqrt(off) < most * sqrt(length)))
            fail_msg("the gradient of %s has length %.6g and is off by %.3g", p->name, sqrt(length),
                     sqrt(off));
    }
    free(want);
    free(own);
    free(got);
}

static void check_float64(const char *directory, int which, keep_kind keep, float dropout) {
    static case_batch cb;
    static case_values got;
    device *dev = case_device(DEVICE_CPU, 2, NULL);
    model_config c = case_config(which);
    model *m = case_adapted(dev, &c, (uint64_t)which, 1, directory);
    workspace *ws = case_workspace(dev, &c, 1, keep);
    forward_options o = {.temperature = 0.8f,
                         .dropout = dropout,
                         .dropout_key = random_make_key(7, RANDOM_DROPOUT, 0, 3),
                         .for_backward = 1};
    merged x = merge_wide(m);
    tolerance most = tolerance_of(c.compute);
    case_draw(&cb, &c, 5, 4, lengths);
    double *rows = calloc(3 * CASE_TOKENS, sizeof *rows);
    struct reference_values want = {rows, rows + CASE_TOKENS, rows + 2 * CASE_TOKENS};
    row_grads g = case_grads(&cb, &c);
    reference_model(&c, model_flat(x.layout), x.parameters, &cb.b, &o, want, &g, x.grad);
    model_zero_grad(m);
    case_forward(m, ws, &cb.b, &o, &got);
    OK(model_backward(m, ws, &g, NULL, err));
    for (int r = 0; r < cb.b.n_row; r++) {
        near("logprob", r, (double)got.logprob[r], want.logprob[r], most.row);
        near("score", r, (double)got.score[r], want.score[r], most.row);
    }
    compare_gradients(m, &x, most.gradient);
    free(rows);
    free(x.parameters);
    free(x.grad);
    model_free(x.layout);
    workspace_free(ws);
    model_free(m);
    device_close(dev);
}

static void test_float64(void **state) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_float64(*state, cases[i], KEEP_ALL, 0);
        check_float64(*state, cases[i], KEEP_LAYER_INPUT, 0.2f);
        check_float64(*state, CASES + cases[i], KEEP_ALL, 0);
    }
}

/* Recomputed, behind far memory, queued, on other threads and instructions: the same bytes. */
typedef struct bytes_case {
    const char *directory;
    int which;
    float *gradient; /* of the first device */
} bytes_case;

static void check_bytes(device *dev, void *context) {
    static case_batch cb;
    static case_values got;
    bytes_case *x = context;
    model_config c = case_config(x->which);
    model *m = case_adapted(dev, &c, 1, 1, x->directory);
    case_draw(&cb, &c, 5, 4, lengths);
    row_grads g = case_grads(&cb, &c);
    for (int keep = 0; keep < 2; keep++) {
        workspace *ws = case_workspace(dev, &c, 1, keep ? KEEP_LAYER_INPUT : KEEP_ALL);
        forward_options o = {.temperature = 1, .for_backward = 1};
        model_zero_grad(m);
        case_forward(m, ws, &cb.b, &o, &got);
        OK(model_backward(m, ws, &g, NULL, err));
        float *gradient = case_gradients(m);
        if (x->gradient) case_same("gradient", dev, gradient, x->gradient, model_flat(m)->count);
        if (x->gradient)
            free(gradient);
        else
            x->gradient = gradient;
        workspace_free(ws);
    }
    model_free(m);
}

static void test_same_bytes(void **state) {
    for (int i = 0; i < 2; i++) {
        bytes_case x = {.directory = *state, .which = i * CASES + CASE_LLAMA};
        case_each_device(check_bytes, &x);
        free(x.gradient);
    }
}

/* ---- directories ---- */

static const lora_options as_adapted = {.rank = CASE_RANK, .alpha = 5};

static model_options options_for(const model_config *c, int trained) {
    return (model_options){.trained = trained,
                           .language_head = c->language_head,
                           .n_score = c->n_score,
                           .score_bias = c->score_bias,
                           .n_vocab = c->n_vocab};
}

static void same_rows(const model *a, const model *b, float tolerance) {
    static case_batch cb;
    static case_values u, v;
    const model_config *c = model_get_config(a);
    workspace *ws = case_workspace(model_device(a), c, 0, KEEP_ALL);
    forward_options o = {.temperature = 1};
    case_draw(&cb, c, 1, 4, lengths);
    case_forward(a, ws, &cb.b, &o, &u);
    case_forward(b, ws, &cb.b, &o, &v);
    for (int r = 0; r < cb.b.n_row; r++) {
        assert_true(fabsf(u.logprob[r] - v.logprob[r]) <= tolerance);
        if (c->n_score) assert_true(fabsf(u.score[r] - v.score[r]) <= tolerance);
    }
    workspace_free(ws);
}

/* A fresh adapter changes nothing. */
static void test_fresh(void **state) {
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model_config c = case_config(CASE_LLAMA);
    c.n_score = 0;
    model *whole = case_model(dev, &c, 3, 0), *m;
    OK(model_save(whole, NULL, *state, err));
    model_options o = options_for(&c, 1);
    o.lora = &as_adapted;
    OK(model_load(dev, *state, &o, &m, err));
    same_rows(whole, m, 0);
    assert_string_equal(model_base(m), *state);
    model_free(m);
    model_free(whole);
    device_close(dev);
}

static void test_round_trip(void **state) {
    device *dev = case_device(DEVICE_FAR, 2, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model_config c = case_config(cases[i]);
        const char *base = path_in(*state, "base"), *home = path_in(*state, "adapter"),
                   *whole = path_in(*state, "whole");
        model *m = case_adapted(dev, &c, i, 1, base), *again, *frozen, *one;
        model_options o = options_for(&c, 1), plain = options_for(&c, 0);
        o.lora = &as_adapted;
        o.share = m;
        OK(model_save(m, NULL, home, err));
        OK(model_load(dev, home, &o, &again, err));
        assert_ptr_equal(again->w, m->w);
        float *x = case_parameters(m), *y = case_parameters(again);
        case_same("adapter", dev, y, x, model_flat(m)->count);
        for (int64_t j = 0; j < model_flat(m)->count; j++) y[j] = 0;
        case_set_parameters(again, y);
        OK(model_restore(again, home, err));
        same_rows(m, again, 0);
        OK(model_load(dev, home, &plain, &frozen, err));
        assert_null(model_flat(frozen)->grad);
        same_rows(m, frozen, 0);
        OK(model_save_merged(m, NULL, whole, err));
        OK(model_load(dev, whole, &plain, &one, err));
        assert_int_equal(model_get_config(one)->lora_rank, 0);
        same_rows(m, one, 2e-5f);
        model_free(one);
        REFUSED(model_load(dev, home,
                           &(model_options){
                               .trained = 1, .language_head = 1, .n_score = 1, .score_bias = c.score_bias},
                           &one, err),
                STATUS_USAGE, "lora_rank");
        free(x);
        free(y);
        model_free(m);
        model_free(again);
        model_free(frozen);
    }
    device_close(dev);
}

static void expect_shape(const safetensors *f, const char *name, int64_t rows, int64_t cols) {
    const tensor_entry *t = safetensors_find(f, name);
    if (!t) fail_msg("no tensor %s", name);
    assert_int_equal(t->n_dim, 2);
    assert_int_equal(t->shape[0], rows);
    assert_int_equal(t->shape[1], cols);
}

static void test_names(void **state) {
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    safetensors *f;
    model_config g = case_config(CASE_GPT2), l = case_config(CASE_LLAMA);
    g.language_head = 1, l.language_head = 0;
    model *m = case_adapted(dev, &g, 1, 1, path_in(*state, "base"));
    OK(model_save(m, NULL, path_in(*state, "gpt2"), err));
    OK(safetensors_open(path_in(*state, "gpt2/adapter_model.safetensors"), &f, err));
    expect_shape(f, "base_model.model.transformer.h.2.attn.c_attn.lora_A.weight", CASE_RANK, 64);
    expect_shape(f, "base_model.model.transformer.h.0.attn.c_attn.lora_B.weight", 192, CASE_RANK);
    expect_shape(f, "base_model.model.transformer.h.0.mlp.c_proj.lora_A.weight", CASE_RANK, 100);
    safetensors_close(f);
    model_free(m);
    m = case_adapted(dev, &l, 1, 1, path_in(*state, "base"));
    OK(model_save(m, NULL, path_in(*state, "llama"), err));
    OK(safetensors_open(path_in(*state, "llama/adapter_model.safetensors"), &f, err));
    expect_shape(f, "base_model.model.model.layers.1.self_attn.k_proj.lora_B.weight", 32, CASE_RANK);
    expect_shape(f, "base_model.model.model.layers.1.mlp.up_proj.lora_A.weight", CASE_RANK, 64);
    expect_shape(f, "base_model.model.score.weight", 1, 64);
    safetensors_close(f);
    buffer text = read_all(path_in(*state, "llama/adapter_config.json"));
    assert_non_null(strstr(text.data, "\"self_attn.q_proj\", \"self_attn.k_proj\""));
    assert_non_null(strstr(text.data, "\"task_type\": \"SEQ_CLS\""));
    buffer_free(&text);
    model_free(m);
    device_close(dev);
}

/* ---- refusals ---- */

static void edit(const char *path, const char *from, const char *to) {
    buffer b = read_all(path), out = {0};
    const char *at = strstr(b.data, from);
    if (!at) fail_msg("%s has no %s", path, from);
    buffer_append(&out, b.data, (size_t)(at - b.data));
    buffer_string(&out, to);
    buffer_string(&out, at + strlen(from));
    write_all(path, out.data, out.len);
    buffer_free(&b);
    buffer_free(&out);
}

static void test_refusals(void **state) {
    static const struct {
        const char *from, *to, *says;
        status code;
    } wrong[] = {
        {"\"use_dora\": false", "\"use_dora\": true", "use_dora", STATUS_DATA},
        {"\"rank_pattern\": {}", "\"rank_pattern\": {\"q_proj\": 4}", "rank_pattern", STATUS_DATA},
        {"\"bias\": \"none\"", "\"bias\": \"all\"", "bias", STATUS_DATA},
        {"\"LORA\"", "\"IA3\"", "IA3", STATUS_DATA},
        {"\"r\": 3", "\"r\": 4", "self_attn.q_proj.lora_A", STATUS_DATA},
        {"\"r\": 3", "\"r\": 0", "\"r\"", STATUS_DATA},
        {"\"mlp.up_proj\"", "\"mlp.upper\"", "mlp.upper", STATUS_USAGE},
        {"\"mlp.up_proj\", ", "", "up_proj.lora_A.weight\" is none", STATUS_DATA},
        {"\"target_modules\": [", "\"target_modules\": [3, ", "target_modules", STATUS_DATA},
        {"\"auto_mapping\": null", "\"layers_to_transform\": [1]", "layers_to_transform", STATUS_DATA},
    };
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model_config c = case_config(CASE_LLAMA);
    const char *home = path_in(*state, "adapter");
    char *config = strdup(path_in(*state, "adapter/adapter_config.json"));
    model *m = case_adapted(dev, &c, 1, 1, path_in(*state, "base")), *other;
    model_options o = options_for(&c, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        OK(model_save(m, NULL, home, err));
        edit(config, wrong[i].from, wrong[i].to);
        REFUSED(model_load(dev, home, &o, &other, err), wrong[i].code, wrong[i].says);
        assert_null(other);
    }
    OK(model_save(m, NULL, home, err));
    edit(path_in(*state, "adapter/base.json"), "\"path\": \"../base\"", "\"path\": \"../gone\"");
    REFUSED(model_load(dev, home, &o, &other, err), STATUS_DATA, "gone");
    OK(model_save(m, NULL, home, err));
    lora_options how = as_adapted;
    how.rank = 5;
    o.trained = 1;
    o.lora = &how;
    REFUSED(model_load(dev, home, &o, &other, err), STATUS_USAGE, "rank 5");
    how = (lora_options){
        .rank = CASE_RANK, .alpha = 5, .n_target = 1, .target = (const char *const[]){"q_proj"}};
    REFUSED(model_load(dev, home, &o, &other, err), STATUS_USAGE, "other targets");
    free(config);
    model_free(m);
    device_close(dev);
}

/* Of SmolLM2-135M at rank 16: policy, value, reference and reward over one base, with adapters, heads,
   gradients and moments, take less than 1.3 times what one frozen model does. */
static void test_four_models(void **state) {
    (void)state;
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model_config policy = model_config_of_family(FAMILY_LLAMA);
    policy.vocab_size = policy.n_vocab = 49152;
    policy.context = 2048;
    policy.d_model = 576, policy.n_layer = 30, policy.d_ff = 1536;
    policy.n_head = 9, policy.n_kv_head = 3, policy.head_dim = 64;
    policy.tied = 1;
    model_config reward = policy;
    reward.language_head = 0, reward.n_score = 1;
    const lora_options how = {.rank = 16, .alpha = 32};
    memory_plan base = {0}, adapters = {0};
    int64_t count;
    OK(model_plan_base(dev, &policy, 1, "", &base, err));
    OK(model_plan_adapter(dev, &policy, &how, 1, "policy", &adapters, err));
    OK(model_plan_adapter(dev, &reward, &how, 1, "value", &adapters, err));
    OK(model_plan_adapter(dev, &reward, &how, 0, "reward", &adapters, err));
    OK(model_count_adapter(&policy, &how, &count, err));
    double moments = 2 * 2 * sizeof(float) * (double)count, whole = (double)plan_total(&base);
    assert_true(whole + (double)plan_total(&adapters) + moments < 1.3 * whole);
    device_close(dev);
}

/* A workspace that was planned without adapters. */
static void test_lent_workspace(void **state) {
    static case_batch cb;
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model_config c = case_config(CASE_LLAMA);
    model *m = case_adapted(dev, &c, 1, 1, *state);
    limits l = case_limits(&c, 0, KEEP_ALL);
    c.lora_rank = CASE_RANK - 1;
    workspace *ws;
    OK(workspace_create(dev, &c, &l, &ws, err));
    case_draw(&cb, &c, 5, 4, lengths);
    REFUSED(model_forward(m, ws, &cb.b, &(forward_options){.temperature = 1}, err), STATUS_FAILED, "rank 3");
    workspace_free(ws);
    model_free(m);
    device_close(dev);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_float64),        IN_DIRECTORY(test_same_bytes),      IN_DIRECTORY(test_fresh),
        IN_DIRECTORY(test_round_trip),     IN_DIRECTORY(test_names),           IN_DIRECTORY(test_refusals),
        IN_DIRECTORY(test_lent_workspace), cmocka_unit_test(test_four_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
