/* Adapters that PEFT wrote, over a model that transformers wrote: what both compute, we compute
   (tests/golden/adapters.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/path.h"
#include "core/model/model.h"
#include "tests/support/golden.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"

enum { N_SEQ = 3, MOST = 64 };

static json_t *expected(void) {
    json_t *root = json_load_file("tests/golden/adapters/expected.json", 0, NULL);
    assert_non_null(root);
    return root;
}

static void copy_file(const char *from, const char *to) {
    buffer b = read_all(from);
    write_all(to, b.data, b.len);
    buffer_free(&b);
}

/* The adapter as one finds it published, its model elsewhere: base.json, written by hand, says where. */
static const char *place(const char *directory, const char *name) {
    char from[512];
    for (const char *const *f =
             (const char *const[]){"adapter_config.json", "adapter_model.safetensors", NULL};
         *f; f++) {
        snprintf(from, sizeof from, "tests/golden/adapters/%s/%s", name, *f);
        copy_file(from, path_in(directory, *f));
    }
    char *base = path_absolute("tests/golden/adapters/base"), text[600];
    snprintf(text, sizeof text, "{\"path\": \"%s\"}", base);
    free(base);
    write_all(path_in(directory, "base.json"), text, strlen(text));
    return directory;
}

/* The golden's sequences, a row for each token that has a next one, or for the last alone. */
typedef struct batch_of {
    int32_t token[MOST], start[N_SEQ + 1], pos[MOST], target[MOST];
    uint64_t id[N_SEQ];
    float weight[MOST];
    batch b;
} batch_of;

static void fill(batch_of *x, const json_t *root, int last_alone) {
    const json_t *all = golden_get(root, "token"), *weights = golden_get(root, "weight");
    *x = (batch_of){.b = {.n_seq = N_SEQ}};
    for (int s = 0; s < N_SEQ; s++) {
        const json_t *ids = json_array_get(all, (size_t)s), *w = json_array_get(weights, (size_t)s);
        int n = (int)json_array_size(ids);
        x->id[s] = (uint64_t)s;
        for (int i = 0; i < n; i++) {
            int at = x->b.n_token++;
            x->token[at] = (int32_t)json_integer_value(json_array_get(ids, (size_t)i));
            if (last_alone ? i < n - 1 : i == n - 1) continue;
            x->pos[x->b.n_row] = at;
            if (!last_alone) {
                x->target[x->b.n_row] = (int32_t)json_integer_value(json_array_get(ids, (size_t)i + 1));
                x->weight[x->b.n_row] = (float)json_number_value(json_array_get(w, (size_t)i));
            }
            x->b.n_row++;
        }
        x->start[s + 1] = x->b.n_token;
    }
    x->b.token = x->token, x->b.seq_start = x->start, x->b.seq_id = x->id, x->b.row_pos = x->pos;
    x->b.row_target = last_alone ? NULL : x->target;
}

static workspace *lend(const model *m) {
    limits l = {.max_token = MOST, .max_row = MOST, .max_seq = N_SEQ, .max_len = MOST, .backward = 1};
    workspace *ws;
    OK(workspace_create(model_device(m), model_get_config(m), &l, &ws, err));
    return ws;
}

/* PEFT's norm of a tensor's gradient beside that of our slice of it. */
static void check_gradient_norms(const model *m, const json_t *root) {
    const flat *f = model_flat(m);
    float *g = case_gradients(m);
    const char *name;
    json_t *norm;
    double ours = 0, theirs = 0;
    int n = 0;
    json_object_foreach(json_object_get(root, "gradient"), name, norm) {
        theirs += json_number_value(norm) * json_number_value(norm);
        n++;
    }
    for (int64_t i = 0; i < f->count; i++) ours += (double)g[i] * (double)g[i];
    assert_int_equal(n, 2 * 5 * 2);
    assert_near(sqrt(ours), sqrt(theirs), 1e-5);
    /* One of each kind by name: B of a whole matrix, and A of one, which has a site of its own. */
    for (int i = 0; i < f->n_param; i++) {
        const param *p = &f->param[i];
        const char *as = strcmp(p->name, "layer.1.down.lora_a") == 0
                             ? "base_model.model.model.layers.1.mlp.down_proj.lora_A.weight"
                         : strcmp(p->name, "layer.0.out.0.lora_b") == 0
                             ? "base_model.model.model.layers.0.self_attn.o_proj.lora_B.weight"
                             : NULL;
        double sum = 0;
        if (!as) continue;
        for (int64_t j = p->offset; j < p->offset + p->count; j++) sum += (double)g[j] * (double)g[j];
        assert_near(sqrt(sum), golden_number(golden_get(root, "gradient"), as), 1e-5);
    }
    free(g);
}

static void test_language_model(void **state) {
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    json_t *root = expected();
    lora_options how = {.rank = 3,
                        .alpha = 6,
                        .n_target = 5,
                        .target =
                            (const char *const[]){"q_proj", "v_proj", "o_proj", "up_proj", "down_proj"}};
    model_options o = {.trained = 1, .language_head = 1, .lora = &how};
    model *m;
    batch_of x;
    float logprob[MOST];
    OK(model_load(dev, place(*state, "policy"), &o, &m, err));
    OK(model_check_base(m, *state, err));
    workspace *ws = lend(m);
    fill(&x, root, 0);
    OK(model_forward(m, ws, &x.b, &(forward_options){.temperature = 1, .for_backward = 1}, err));
    OK(model_read(m, ws, &(row_values){.logprob = logprob}, err));
    const json_t *want = golden_get(root, "logprob");
    for (int s = 0, r = 0; s < N_SEQ; s++)
        for (size_t i = 0; i < json_array_size(json_array_get(want, (size_t)s)); i++, r++)
            assert_true(fabs((double)logprob[r] -
                             json_number_value(json_array_get(json_array_get(want, (size_t)s), i))) < 2e-5);
    model_zero_grad(m);
    OK(model_backward(m, ws, &(row_grads){.logprob = x.weight}, NULL, err));
    check_gradient_norms(m, root);
    workspace_free(ws);
    model_free(m);
    json_decref(root);
    device_close(dev);
}

static void test_classifier(void **state) {
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    json_t *root = expected();
    model_options o = {.language_head = -1, .n_score = -1, .score_bias = -1};
    model *m;
    batch_of x;
    float score[MOST];
    double want[GOLDEN_MAX];
    OK(model_load(dev, place(*state, "judge"), &o, &m, err));
    assert_int_equal(model_get_config(m)->n_score, 1);
    assert_int_equal(model_get_config(m)->language_head, 0);
    workspace *ws = lend(m);
    fill(&x, root, 1);
    OK(model_forward(m, ws, &x.b, &(forward_options){.temperature = 1}, err));
    OK(model_read(m, ws, &(row_values){.score = score}, err));
    assert_int_equal(golden_doubles(root, "score", want), N_SEQ);
    assert_all_near(score, want, N_SEQ, 1e-5);
    workspace_free(ws);
    model_free(m);
    json_decref(root);
    device_close(dev);
}

/* Published with a name of somewhere else: the message says what to do. */
static void test_base_elsewhere(void **state) {
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model *m;
    place(*state, "judge");
    remove(path_in(*state, "base.json"));
    REFUSED(model_load(dev, *state, &(model_options){.language_head = -1, .n_score = -1, .score_bias = -1},
                       &m, err),
            STATUS_DATA, "base.json");
    device_close(dev);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
int main(void) {
    const struct CMUnitTest tests[] = {IN_DIRECTORY(test_language_model), IN_DIRECTORY(test_classifier),
                                       IN_DIRECTORY(test_base_elsewhere)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
