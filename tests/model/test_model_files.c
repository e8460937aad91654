/* Model directories: saved and loaded to the last bit, with Hugging Face's names and transposes; anything
   else is refused by name, before memory is taken for it. */
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
#include "core/model/model.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"

static const model_options as_it_is = {.trained = 1, .language_head = -1, .n_score = -1, .score_bias = -1};

static model *load(device *dev, const char *directory, const model_options *options) {
    model *m;
    OK(model_load(dev, directory, options, &m, err));
    return m;
}

static void expect_same_model(model *a, model *b) {
    static case_batch cb;
    static case_values u, v;
    const model_config *c = model_get_config(a), *d = model_get_config(b);
    assert_true(model_config_same_body(c, d));
    assert_int_equal(model_flat(a)->count, model_flat(b)->count);
    float *x = case_parameters(a), *y = case_parameters(b);
    case_same("parameters", model_device(b), y, x, model_flat(a)->count);
    free(x);
    free(y);
    workspace *ws = case_workspace(model_device(a), c, 0, KEEP_ALL);
    forward_options o = {.temperature = 1};
    case_draw(&cb, c, 1, 2, (const int[]){9, 70});
    case_forward(a, ws, &cb.b, &o, &u);
    case_forward(b, ws, &cb.b, &o, &v);
    if (c->language_head) case_same("logprob", model_device(b), v.logprob, u.logprob, cb.b.n_row);
    if (c->n_score) case_same("score", model_device(b), v.score, u.score, cb.b.n_row);
    workspace_free(ws);
}

/* ---- round trips ---- */

/* All families, tied and not, with every head and bias that their files can have. */
static void test_round_trips(void **state) {
    device *dev = case_device(DEVICE_FAR, 2, NULL);
    static const int which[] = {CASE_GPT2,  CASE_LLAMA, CASE_LLAMA_HEADS_64, CASE_MISTRAL,
                                CASE_QWEN2, CASE_QWEN3, CASE_GEMMA};
    for (size_t i = 0; i < sizeof which / sizeof *which; i++)
        for (int variant = 0; variant < 8; variant++) {
            const char *directory = path_in(*state, "model");
            model_config c = case_config(which[i]);
            c.tied = variant & 1;
            c.n_score = (variant & 2) != 0;
            c.score_bias = c.n_score && (variant & 4);
            c.language_head = !c.n_score || (variant & 4);
            if (c.family == FAMILY_LLAMA) c.mlp_bias = variant & 1;
            if (c.family == FAMILY_QWEN3) c.qkv_bias = c.out_bias = variant & 1;
            if (c.family == FAMILY_QWEN2) c.window = variant & 2 ? 33 : 0;
            c.n_vocab = c.vocab_size;
            c.reward_mean = 0.1f + (float)variant;
            c.reward_std = 1.7f;
            c.bos_token = 4;
            c.eos_token = 5;
            model *m = case_model(dev, &c, (uint64_t)variant, 1);
            OK(model_save(m, NULL, directory, err));
            /* A language model's directory tells of no score head, unless it is asked for. */
            model_options o = as_it_is;
            if (c.language_head) o.n_score = c.n_score, o.score_bias = c.score_bias;
            model *again = load(dev, directory, &o);
            expect_same_model(m, again);
            const model_config *d = model_get_config(again);
            assert_int_equal(d->language_head, c.language_head);
            assert_int_equal(d->bos_token, 4);
            assert_int_equal(d->eos_token, 5);
            if (c.n_score && !c.language_head) {
                assert_true(d->reward_mean == c.reward_mean && d->reward_std == c.reward_std);
                assert_int_equal(d->score_bias, c.score_bias);
            }
            /* In place, over other values. */
            float *other = calloc((size_t)model_flat(m)->count, sizeof *other);
            case_set_parameters(again, other);
            free(other);
            OK(model_restore(again, directory, err));
            expect_same_model(m, again);
            model_free(again);
            model_free(m);
        }
    device_close(dev);
}

/* A frozen model keeps no matrix but the packs of it: the same rows, and the same files when it is saved
 * again. */
static void test_frozen(void **state) {
    device *dev = case_device(DEVICE_QUEUED, 2, NULL);
    static const int which[] = {CASE_GPT2, CASE_LLAMA, CASE_LLAMA_HEADS_64};
    for (int i = 0; i < 3; i++) {
        static case_batch cb;
        static case_values u, v;
        model_config c = case_config(which[i]);
        c.n_score = c.score_bias = 0;
        c.tied = i == 0;
        model *m = case_model(dev, &c, (uint64_t)i, 1);
        OK(model_save(m, NULL, path_in(*state, "model"), err));
        model_options o = {.language_head = 1, .n_vocab = c.n_vocab};
        model *frozen = load(dev, path_in(*state, "model"), &o);
        assert_true(model_flat(frozen)->count < model_flat(m)->count / 2);
        workspace *ws = case_workspace(dev, &c, 0, KEEP_ALL);
        forward_options f = {.temperature = 1};
        case_draw(&cb, &c, 1, 2, (const int[]){9, 70});
        case_forward(m, ws, &cb.b, &f, &u);
        for (int again = 0; again < 2; again++) {
            case_forward(frozen, ws, &cb.b, &f, &v);
            case_same("logprob", dev, v.logprob, u.logprob, cb.b.n_row);
            OK(model_restore(frozen, path_in(*state, "model"), err));
        }
        OK(model_save(frozen, NULL, path_in(*state, "again"), err));
        buffer a = read_all(path_in(*state, "model/model.safetensors")),
               b = read_all(path_in(*state, "again/model.safetensors"));
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.data, b.data, a.len);
        buffer_free(&a);
        buffer_free(&b);
        workspace_free(ws);
        model_free(frozen);
        model_free(m);
    }
    device_close(dev);
}

/* Other parameters than the model's own, an average say. */
static void test_saving_other_parameters(void **state) {
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model_config c = case_config(CASE_GPT2);
    model *a = case_model(dev, &c, 1, 0), *b = case_model(dev, &c, 2, 0);
    OK(model_save(a, model_flat(b)->master, path_in(*state, "model"), err));
    OK(model_restore(a, path_in(*state, "model"), err));
    expect_same_model(b, a);
    model_free(a);
    model_free(b);
    device_close(dev);
}

/* ---- names and transposes, by hand ---- */

static int number_of(const model *m, const char *name) {
    for (int i = 0; i < model_flat(m)->n_param; i++)
        if (strcmp(model_flat(m)->param[i].name, name) == 0) return i;
    fail_msg("no parameter %s", name);
    return -1;
}

/* Tensor element (r, c) must be element (r, c) - or (c, r), transposed - of rows `first` on of our parameter.
 */
static void expect_tensor(const model *m, const safetensors *s, const char *theirs, const char *ours,
                          int rows, int cols, int first, int transposed) {
    int i = number_of(m, ours), width = model_flat(m)->param[i].cols;
    int64_t shape[2] = {rows, cols}, vector[1] = {cols};
    float *value = calloc((size_t)(rows ? rows * cols : cols), sizeof *value);
    OK(safetensors_copy_f32(s, theirs, rows ? 2 : 1, rows ? shape : vector, value, err));
    for (int r = 0; r < (rows ? rows : 1); r++)
        for (int c = 0; c < cols; c++) {
            int j = rows == 0 ? first + c : transposed ? c * width + r : (first + r) * width + c;
            float want = (float)i + (float)j / 100, got = value[r * cols + c];
            if (got != want) fail_msg("%s[%d, %d] is %g, not %g", theirs, r, c, (double)got, (double)want);
        }
    free(value);
}

static void test_gpt2_names(void **state) {
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model_config c = case_tiny(FAMILY_GPT2);
    c.tied = 0;
    model *m = case_numbered(dev, &c);
    OK(model_save(m, NULL, *state, err));
    safetensors *s;
    OK(safetensors_open(*state, &s, err));
    assert_int_equal(safetensors_count(s), 17);
    expect_tensor(m, s, "transformer.wte.weight", "token.weight", 3, 4, 0, 0);
    expect_tensor(m, s, "transformer.wpe.weight", "position.weight", 2, 4, 0, 0);
    expect_tensor(m, s, "transformer.h.0.ln_1.weight", "layer.0.norm1.weight", 0, 4, 0, 0);
    expect_tensor(m, s, "transformer.h.0.ln_1.bias", "layer.0.norm1.bias", 0, 4, 0, 0);
    expect_tensor(m, s, "transformer.h.0.attn.c_attn.weight", "layer.0.qkv.weight", 4, 12, 0, 1);
    expect_tensor(m, s, "transformer.h.0.attn.c_attn.bias", "layer.0.qkv.bias", 0, 12, 0, 0);
    expect_tensor(m, s, "transformer.h.0.attn.c_proj.weight", "layer.0.out.weight", 4, 4, 0, 1);
    expect_tensor(m, s, "transformer.h.0.ln_2.weight", "layer.0.norm2.weight", 0, 4, 0, 0);
    expect_tensor(m, s, "transformer.h.0.mlp.c_fc.weight", "layer.0.up.weight", 4, 3, 0, 1);
    expect_tensor(m, s, "transformer.h.0.mlp.c_fc.bias", "layer.0.up.bias", 0, 3, 0, 0);
    expect_tensor(m, s, "transformer.h.0.mlp.c_proj.weight", "layer.0.down.weight", 3, 4, 0, 1);
    expect_tensor(m, s, "transformer.ln_f.weight", "norm.weight", 0, 4, 0, 0);
    expect_tensor(m, s, "transformer.ln_f.bias", "norm.bias", 0, 4, 0, 0);
    expect_tensor(m, s, "lm_head.weight", "head.weight", 3, 4, 0, 0);
    assert_string_equal(safetensors_metadata(s, "format"), "pt");
    safetensors_close(s);
    model_free(m);
    device_close(dev);
}

/* q, k, v and gate, up are rows of our fused matrices. */
static void test_llama_names(void **state) {
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model_config c = case_tiny(FAMILY_LLAMA);
    c.qkv_bias = c.out_bias = c.mlp_bias = 1;
    c.n_score = 1;
    c.language_head = 0;
    model *m = case_numbered(dev, &c);
    OK(model_save(m, NULL, *state, err));
    safetensors *s;
    OK(safetensors_open(*state, &s, err));
    assert_int_equal(safetensors_count(s), 19);
#define LAYER "model.layers.0."
    expect_tensor(m, s, "model.embed_tokens.weight", "token.weight", 3, 4, 0, 0);
    expect_tensor(m, s, LAYER "input_layernorm.weight", "layer.0.norm1.weight", 0, 4, 0, 0);
    expect_tensor(m, s, LAYER "self_attn.q_proj.weight", "layer.0.qkv.weight", 4, 4, 0, 0);
    expect_tensor(m, s, LAYER "self_attn.k_proj.weight", "layer.0.qkv.weight", 2, 4, 4, 0);
    expect_tensor(m, s, LAYER "self_attn.v_proj.weight", "layer.0.qkv.weight", 2, 4, 6, 0);
    expect_tensor(m, s, LAYER "self_attn.k_proj.bias", "layer.0.qkv.bias", 0, 2, 4, 0);
    expect_tensor(m, s, LAYER "self_attn.v_proj.bias", "layer.0.qkv.bias", 0, 2, 6, 0);
    expect_tensor(m, s, LAYER "self_attn.o_proj.weight", "layer.0.out.weight", 4, 4, 0, 0);
    expect_tensor(m, s, LAYER "post_attention_layernorm.weight", "layer.0.norm2.weight", 0, 4, 0, 0);
    expect_tensor(m, s, LAYER "mlp.gate_proj.weight", "layer.0.up.weight", 3, 4, 0, 0);
    expect_tensor(m, s, LAYER "mlp.up_proj.weight", "layer.0.up.weight", 3, 4, 3, 0);
    expect_tensor(m, s, LAYER "mlp.up_proj.bias", "layer.0.up.bias", 0, 3, 3, 0);
    expect_tensor(m, s, LAYER "mlp.down_proj.weight", "layer.0.down.weight", 4, 3, 0, 0);
    expect_tensor(m, s, "model.norm.weight", "norm.weight", 0, 4, 0, 0);
    expect_tensor(m, s, "score.weight", "score.weight", 1, 4, 0, 0);
    safetensors_close(s);
    model *again = load(dev, *state, &as_it_is);
    float *x = case_parameters(m), *y = case_parameters(again);
    case_same("parameters", dev, y, x, model_flat(m)->count);
    free(x);
    free(y);
    model_free(again);
    model_free(m);
    device_close(dev);
}

/* ---- heads ---- */

static void test_heads_by_option(void **state) {
    device *dev = case_device(DEVICE_FAR, 1, NULL);
    const char *directory = *state;
    model_config c = case_config(CASE_LLAMA);
    c.n_score = 0;
    c.n_vocab = c.vocab_size;
    model *m = case_model(dev, &c, 1, 0);
    OK(model_save(m, NULL, directory, err));
    /* A score head that the directory lacks is drawn, from the seed alone: N(0, 1 / (d + 1)). */
    model_options o = {
        .trained = 1, .language_head = 0, .n_score = 1, .score_bias = 1, .seed = 7, .n_vocab = 290};
    model *a = load(dev, directory, &o), *b = load(dev, directory, &o);
    assert_int_equal(model_get_config(a)->n_vocab, 290);
    assert_int_equal(model_get_config(a)->language_head, 0);
    expect_same_model(a, b);
    o.seed = 8;
    model *other = load(dev, directory, &o);
    float *x = case_parameters(a), *y = case_parameters(other);
    const param *score = &model_flat(a)->param[number_of(a, "score.weight")];
    const param *bias = &model_flat(a)->param[number_of(a, "score.bias")];
    double squares = 0;
    int differ = 0;
    for (int64_t i = score->offset; i < score->offset + score->count; i++) {
        squares += (double)x[i] * (double)x[i];
        differ += x[i] != y[i];
    }
    assert_int_equal(differ, c.d_model);
    assert_true(squares > 0.5 && squares < 1.6); /* d / (d + 1) on average */
    assert_true(x[bias->offset] == 0);
    free(x);
    free(y);
    model_free(other);
    model_free(b);
    model_free(a);
    /* More ids than the model has rows. */
    o.n_vocab = 301;
    REFUSED(model_load(dev, directory, &o, &a, err), STATUS_DATA, "ids up to 300, the model 300");
    model_free(m);
    device_close(dev);
}

/* score' = (score - mean) / std, once. */
static void test_folding_the_reward_scale(void **state) {
    static case_batch cb;
    static case_values raw, folded;
    (void)state;
    device *dev = case_device(DEVICE_QUEUED, 1, NULL);
    model_config c = case_config(CASE_GPT2);
    c.reward_mean = 0.75f;
    c.reward_std = 2.5f;
    model *m = case_model(dev, &c, 1, 1);
    workspace *ws = case_workspace(dev, &c, 0, KEEP_ALL);
    forward_options o = {.temperature = 1};
    case_draw(&cb, &c, 1, 2, (const int[]){9, 70});
    case_forward(m, ws, &cb.b, &o, &raw);
    OK(model_fold_reward_scale(m, err));
    case_forward(m, ws, &cb.b, &o, &folded);
    for (int r = 0; r < cb.b.n_row; r++) {
        double want = ((double)raw.score[r] - 0.75) / 2.5;
        assert_true(fabs((double)folded.score[r] - want) < 1e-5 * (1 + fabs(want)));
    }
    assert_true(model_get_config(m)->reward_mean == 0 && model_get_config(m)->reward_std == 1);
    model_free(m);
    c.score_bias = 0;
    m = case_model(dev, &c, 1, 1);
    REFUSED(model_fold_reward_scale(m, err), STATUS_USAGE, "with a bias");
    model_free(m);
    workspace_free(ws);
    device_close(dev);
}

/* ---- what files cannot say, and disks that are full ---- */

static void test_saving_refuses(void **state) {
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    static const char *const says[CASES] = {[4] = "files of family gpt2 cannot have these positions",
                                            [5] = "files of family llama cannot have this norm",
                                            [6] = "files of family gpt2 cannot have this activation",
                                            [7] = "files of family llama cannot have this activation"};
    for (int which = CASE_MIXTURE; which <= CASE_SCORE; which++) {
        model_config c = case_config(which);
        if (which == 5) c.norm = NORM_LAYER;
        model *m = case_model(dev, &c, 1, 0);
        REFUSED(model_save(m, NULL, path_in(*state, "model"), err), STATUS_USAGE, says[which]);
        assert_false(path_exists(path_in(*state, "model/model.safetensors")));
        assert_false(path_exists(path_in(*state, "model/config.json")));
        model_free(m);
    }
    device_close(dev);
}

static void test_a_full_disk(void **state) {
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model_config c = case_config(CASE_GPT2);
    model *m = case_model(dev, &c, 1, 0), *other = case_model(dev, &c, 2, 0);
    const char *directory = path_in(*state, "model");
    OK(model_save(m, NULL, directory, err));
    disk_holds(50000);
    error err;
    status code = model_save(other, NULL, directory, &err);
    disk_is_free();
    assert_int_equal(code, STATUS_FAILED);
    if (!strstr(err.message, "model.safetensors")) fail_msg("%s", err.message);
    char **names;
    int n;
    OK(path_list(directory, &names, &n, err));
    assert_int_equal(n, 2); /* nothing half-written beside the two */
    path_free_list(names, n);
    OK(model_restore(other, directory, err));
    expect_same_model(m, other);
    model_free(m);
    model_free(other);
    device_close(dev);
}

#define DIRECTORY_TEST(name) cmocka_unit_test_setup_teardown(name, directory_setup, directory_teardown)
#define WRITTEN_TEST(name)   cmocka_unit_test_setup_teardown(name, written_setup, written_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        DIRECTORY_TEST(test_round_trips),
        DIRECTORY_TEST(test_saving_other_parameters),
        DIRECTORY_TEST(test_round_trips),
        DIRECTORY_TEST(test_frozen),
        DIRECTORY_TEST(test_gpt2_names),
        DIRECTORY_TEST(test_llama_names),
        DIRECTORY_TEST(test_frozen),
        DIRECTORY_TEST(test_heads_by_option),
        cmocka_unit_test(test_folding_the_reward_scale),
        DIRECTORY_TEST(test_saving_refuses),
        DIRECTORY_TEST(test_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
