/* Model directories that others wrote: what is published is read, anything else is refused by name, before
   memory is taken for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/files/safetensors.h"
#include "core/model/model.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"

static const model_options as_it_is = {.trained = 1, .language_head = -1, .n_score = -1, .score_bias = -1};

/* A directory taken apart: a list of tensors to change, and the config's text. */
enum { MOST_TENSORS = 24 };

typedef struct written {
    const char *directory;
    model_config c;
    device *dev;
    tensor_entry tensor[MOST_TENSORS];
    char name[MOST_TENSORS][64];
    float value[MOST_TENSORS][2048];
    int n;
    buffer config; /* as it was saved */
} written;

static int written_setup(void **state) {
    written *w = calloc(1, sizeof *w);
    void *directory;
    if (directory_setup(&directory) != 0) return -1;
    w->directory = directory;
    w->dev = case_device(DEVICE_FAR, 1, NULL);
    *state = w;
    return 0;
}

/* Saves a numbered model and takes its files apart. */
static void write_model(written *w, const model_config *c) {
    model *m = case_numbered(w->dev, c);
    safetensors *s;
    OK(model_save(m, NULL, w->directory, err));
    OK(safetensors_open(w->directory, &s, err));
    w->c = *c;
    w->n = safetensors_count(s);
    for (int i = 0; i < w->n; i++) {
        w->tensor[i] = *safetensors_entry(s, i);
        snprintf(w->name[i], sizeof w->name[i], "%s", w->tensor[i].name);
        memcpy(w->value[i], w->tensor[i].data, w->tensor[i].bytes);
        w->tensor[i].name = w->name[i];
        w->tensor[i].data = w->value[i];
    }
    safetensors_close(s);
    model_free(m);
    buffer_free(&w->config);
    w->config = read_all(path_in(w->directory, "config.json"));
}

static tensor_entry *tensor_of(written *w, const char *name) {
    for (int i = 0; i < w->n; i++)
        if (strcmp(w->name[i], name) == 0) return &w->tensor[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void add_tensor(written *w, const char *name, int64_t n) {
    snprintf(w->name[w->n], sizeof w->name[0], "%s", name);
    w->tensor[w->n] = (tensor_entry){
        .name = w->name[w->n], .dtype = DTYPE_F32, .n_dim = 1, .shape = {n}, .data = w->value[w->n]};
    w->n++;
}

static void write_tensors(written *w) {
    OK(safetensors_write(path_in(w->directory, "model.safetensors"), w->tensor, w->n, err));
}

/* config.json with one text replaced by another. */
static void write_config(written *w, const char *from, const char *to) {
    buffer b = {0};
    const char *at = strstr(w->config.data, from);
    if (!at) fail_msg("config.json has no %s", from);
    buffer_append(&b, w->config.data, (size_t)(at - w->config.data));
    buffer_string(&b, to);
    buffer_string(&b, at + strlen(from));
    write_all(path_in(w->directory, "config.json"), b.data, b.len);
    buffer_free(&b);
}

static int written_teardown(void **state) {
    written *w = *state;
    void *directory = (void *)(uintptr_t)w->directory;
    device_close(w->dev);
    buffer_free(&w->config);
    free(w);
    return directory_teardown(&directory);
}

static void expect_load(written *w) {
    model *m, *want = case_numbered(w->dev, &w->c);
    OK(model_load(w->dev, w->directory, &as_it_is, &m, err));
    float *x = case_parameters(m), *y = case_parameters(want);
    case_same("parameters", w->dev, x, y, model_flat(m)->count);
    free(x);
    free(y);
    model_free(m);
    model_free(want);
}

static void refuse_load(written *w, status code, const char *says) {
    model *m;
    REFUSED(model_load(w->dev, w->directory, &as_it_is, &m, err), code, says);
    assert_null(m);
}

/* Published GPT-2: no "transformer." before the names, masks among the tensors, a copy of the tied head. */
static void test_published_gpt2(void **state) {
    written *w = *state;
    model_config c = case_tiny(FAMILY_GPT2);
    write_model(w, &c);
    for (int i = 0; i < w->n; i++)
        memmove(w->name[i], w->name[i] + strlen("transformer."),
                strlen(w->name[i]) - strlen("transformer.") + 1);
    add_tensor(w, "h.0.attn.bias", 4);
    add_tensor(w, "h.0.attn.masked_bias", 1);
    add_tensor(w, "lm_head.weight", 12);
    write_tensors(w);
    expect_load(w);
    add_tensor(w, "h.1.ln_1.bias", 4); /* of a layer that the config does not have */
    write_tensors(w);
    refuse_load(w, STATUS_DATA, "tensor \"h.1.ln_1.bias\" is none of this model's");
}

static void test_published_llama(void **state) {
    written *w = *state;
    model_config c = case_tiny(FAMILY_LLAMA);
    write_model(w, &c);
    add_tensor(w, "model.layers.0.self_attn.rotary_emb.inv_freq", 1);
    write_tensors(w);
    write_config(w, "\"rope_theta\"", "\"rope_scaling\": null, \"rope_theta\"");
    expect_load(w);
    /* As transformers writes it from version 5 on. */
    write_config(w, "\"rope_theta\": 1e+04",
                 "\"rope_parameters\": {\"rope_theta\": 500.0, \"rope_type\": \"default\"}");
    model *m;
    OK(model_load(w->dev, w->directory, &as_it_is, &m, err));
    assert_true(model_get_config(m)->rope_theta == 500);
    model_free(m);
}

static void test_tensors_that_are_refused(void **state) {
    written *w = *state;
    model_config c = case_tiny(FAMILY_LLAMA);
    write_model(w, &c);
    tensor_entry *k = tensor_of(w, "model.layers.0.self_attn.k_proj.weight");
    k->shape[0] = 4, k->shape[1] = 2; /* as many elements */
    write_tensors(w);
    refuse_load(w, STATUS_DATA, "k_proj.weight\": has shape [4, 2], wanted is [2, 4]");
    k->shape[0] = 8, k->n_dim = 1;
    write_tensors(w);
    refuse_load(w, STATUS_DATA, "k_proj.weight\": has shape [8], wanted is [2, 4]");
    k->shape[0] = 2, k->shape[1] = 4, k->n_dim = 2, k->dtype = DTYPE_I32;
    write_tensors(w);
    refuse_load(w, STATUS_DATA, "k_proj.weight\": has dtype I32");
    k->dtype = DTYPE_F32;
    add_tensor(w, "model.layers.0.self_attn.k_proj.bias", 2);
    write_tensors(w);
    refuse_load(w, STATUS_DATA, "k_proj.bias\" is none of this model's");
    w->n--;
    tensor_entry last = w->tensor[--w->n];
    write_tensors(w);
    char says[128];
    snprintf(says, sizeof says, "tensor \"%s\": is missing", last.name);
    refuse_load(w, STATUS_DATA, says);
    assert_int_equal(remove(path_in(w->directory, "model.safetensors")), 0);
    refuse_load(w, STATUS_DATA, "model.safetensors");
    assert_int_equal(remove(path_in(w->directory, "config.json")), 0);
    refuse_load(w, STATUS_DATA, "config.json");
}

static void test_configs_that_are_refused(void **state) {
    static const struct {
        model_family family;
        const char *from, *to, *says;
    } bad[] = {
        {FAMILY_LLAMA, "\"model_type\": \"llama\"", "\"model_type\": \"bloom\"",
         "model_type \"bloom\" is not known; gpt2, llama, mistral, qwen2, qwen3 and gemma are"},
        {FAMILY_LLAMA, "\"model_type\": \"llama\",", "", "\"model_type\" is missing"},
        {FAMILY_LLAMA, "\"silu\"", "\"relu\"", "\"hidden_act\" is \"relu\""},
        {FAMILY_GPT2, "\"gelu_new\"", "\"gelu\"", "\"activation_function\" is \"gelu\""},
        {FAMILY_LLAMA, "\"rope_theta\"", "\"rope_scaling\": {\"type\": \"linear\"}, \"rope_theta\"",
         "rope's factor is 0"},
        {FAMILY_LLAMA, "\"rope_theta\"",
         "\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
         "\"high_freq_factor\": 1}, "
         "\"rope_theta\"",
         "low_freq_factor is 4, high_freq_factor 1"},
        {FAMILY_LLAMA, "\"rope_theta\"",
         "\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
         "\"high_freq_factor\": 4}, "
         "\"rope_theta\"",
         "rope's original context is 0"},
        {FAMILY_LLAMA, "\"rope_theta\"", "\"rope_parameters\": {\"rope_type\": \"yarn\"}, \"rope_theta\"",
         "rope_parameters: \"rope_type\" is \"yarn\""},
        {FAMILY_LLAMA, "\"rope_theta\"",
         "\"rope_scaling\": {\"rope_type\": \"dynamic\", \"factor\": 2}, \"rope_theta\"",
         "rope_scaling: \"rope_type\" is \"dynamic\""},
        {FAMILY_LLAMA, "\"rope_theta\"",
         "\"rope_parameters\": {\"rope_type\": \"default\", \"attention_factor\": 1.5}, \"rope_theta\"",
         "rope_parameters: \"attention_factor\" is 1.5, which this program does not know"},
        {FAMILY_LLAMA, "\"rope_theta\"", "\"partial_rotary_factor\": 0.5, \"rope_theta\"",
         "\"partial_rotary_factor\" is 0.5, which"},
        {FAMILY_LLAMA, "\"rope_theta\"", "\"sliding_window\": 4096, \"rope_theta\"",
         "\"sliding_window\" is 4096, which this program does not know"},
        {FAMILY_LLAMA, "\"rope_theta\"", "\"attn_logit_softcapping\": 50.0, \"rope_theta\"",
         "\"attn_logit_softcapping\" is 50.0, which this program does not know"},
        {FAMILY_LLAMA, "\"rope_theta\"", "\"position_embedding_type\": \"alibi\", \"rope_theta\"",
         "\"position_embedding_type\" is \"alibi\", which this program does not know"},
        {FAMILY_LLAMA, "\"rope_theta\"", "\"quantization_config\": {\"bits\": 4}, \"rope_theta\"",
         "the weights are quantised"},
        {FAMILY_LLAMA, "\"rope_theta\"", "\"eos_token_id\": \"</s>\", \"rope_theta\"",
         "\"eos_token_id\" must be an id"},
        {FAMILY_MISTRAL, "\"sliding_window\": null", "\"sliding_window\": -1", "window is -1"},
        {FAMILY_MISTRAL, "\"sliding_window\": null", "\"sliding_window\": 0", "\"sliding_window\" is 0"},
        {FAMILY_MISTRAL, "\"sliding_window\": null", "\"layer_types\": [\"chunked_attention\"]",
         "layer 0 is \"chunked_attention\""},
        {FAMILY_MISTRAL, "\"sliding_window\": null", "\"layer_types\": []", "must be a list of 1"},
        {FAMILY_MISTRAL, "\"rope_theta\"", "\"attention_bias\": true, \"rope_theta\"",
         "\"attention_bias\" is true, which this program does not know"},
        {FAMILY_MISTRAL, "\"num_key_value_heads\": 1,", "", "\"num_key_value_heads\" is missing"},
        {FAMILY_QWEN2, "\"sliding_window\": null",
         "\"sliding_window\": null, \"layer_types\": [\"sliding_attention\"]", "a window for 1 of 1 layers"},
        {FAMILY_QWEN3, "\"silu\"", "\"gelu\"", "\"hidden_act\" is \"gelu\""},
        {FAMILY_GEMMA, "\"gelu_pytorch_tanh\"", "\"silu\"", "\"hidden_act\" is \"silu\""},
        {FAMILY_GEMMA, "\"rope_theta\"", "\"use_bidirectional_attention\": true, \"rope_theta\"",
         "\"use_bidirectional_attention\" is true, which this program does not know"},
        {FAMILY_LLAMA, "\"rope_theta\"", "\"rope_parameters\": 7, \"rope_theta\"",
         "\"rope_parameters\" must be an object"},
        {FAMILY_GPT2, "\"n_ctx\"", "\"scale_attn_by_inverse_layer_idx\": true, \"n_ctx\"",
         "\"scale_attn_by_inverse_layer_idx\" is true, which this program does not know"},
        {FAMILY_GPT2, "\"n_ctx\"", "\"scale_attn_weights\": false, \"n_ctx\"",
         "\"scale_attn_weights\" is false"},
        {FAMILY_GPT2, "\"n_embd\": 4", "\"n_embd\": 1073741824", "d_model is 1073741824"},
        {FAMILY_GPT2, "\"n_embd\": 4", "\"n_embd\": 4294967300", "\"n_embd\" is 4294967300, must be from"},
        {FAMILY_GPT2, "\"n_embd\": 4", "\"n_embd\": -4", "\"n_embd\" is -4"},
        {FAMILY_GPT2, "\"n_embd\": 4", "\"n_embd\": 4.5", "\"n_embd\" must be a whole number"},
        {FAMILY_GPT2, "\"n_embd\": 4", "\"n_embd\": 5", "n_embd 5 is not a multiple of n_head 2"},
        {FAMILY_GPT2, "\"n_head\": 2", "\"n_head\": 0", "n_embd 4 is not a multiple of n_head 0"},
        {FAMILY_GPT2, "\"n_layer\": 1", "\"n_layer\": 1000000", "n_layer is 1000000"},
        {FAMILY_GPT2, "\"n_positions\": 2", "\"n_positions\": 0", "context is 0"},
        {FAMILY_GPT2, "\"n_inner\": 3", "\"n_inner\": 300000000", "d_ff is 300000000"},
        {FAMILY_GPT2, "\"vocab_size\": 3", "\"vocab_size\": 1000000000", "vocab_size is 1000000000"},
        {FAMILY_GPT2, "\"vocab_size\": 3", "\"vocab_size\": \"3\"", "\"vocab_size\" must be a whole number"},
        {FAMILY_GPT2, "\"layer_norm_epsilon\"", "\"layer_norm_epsilon\": 0, \"_x\"", "norm_eps is 0"},
        {FAMILY_GPT2, "\"layer_norm_epsilon\"", "\"layer_norm_epsilon\": 1e300, \"_x\"", "norm_eps is inf"},
        {FAMILY_GPT2, "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": 1", "must be true or false"},
        {FAMILY_LLAMA, "\"num_key_value_heads\": 1", "\"num_key_value_heads\": 3", "n_kv_head is 3"},
        {FAMILY_LLAMA, "\"head_dim\": 2", "\"head_dim\": 3", "head_dim 3 must be even"},
        {FAMILY_LLAMA, "\"head_dim\": 2", "\"head_dim\": 100000", "head_dim is 100000"},
        {FAMILY_LLAMA, "\"num_attention_heads\": 2", "\"num_attention_heads\": 0", "n_head is 0"},
        {FAMILY_LLAMA, "LlamaForCausalLM", "LlamaForSequenceClassification", "a classifier of 2 labels"},
        {FAMILY_LLAMA, "\"LlamaForCausalLM\"],",
         "\"LlamaForSequenceClassification\"], \"num_labels\": 1, "
         "\"reward_std\": 0,",
         "reward_std 0"},
        {FAMILY_LLAMA, "\"LlamaForCausalLM\"],",
         "\"LlamaForSequenceClassification\"], \"num_labels\": 1, "
         "\"reward_std\": 1e99,",
         "reward_std inf"},
        {FAMILY_LLAMA, "\"vocab_size\"", "\"vocab_size\": 3, \"vocab_size\"", "config.json"}, /* twice */
        {FAMILY_LLAMA, "{", "[{", "config.json"},
    };
    written *w = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        model_config c = case_tiny(bad[i].family);
        write_model(w, &c);
        write_config(w, bad[i].from, bad[i].to);
        refuse_load(w, STATUS_DATA, bad[i].says);
        refuse_load(w, STATUS_DATA, w->directory);
    }
}

/* A config may promise what it likes: the file must hold it before memory is taken. */
static status no_memory(device *dev, size_t bytes, void **out, error *err) {
    (void)dev;
    (void)out;
    (void)err;
    fail_msg("%zu bytes were asked for", bytes);
    return STATUS_FAILED;
}

static void test_promises(void **state) {
    written *w = *state;
    model_config c = case_tiny(FAMILY_GPT2);
    write_model(w, &c);
    struct ops table = *w->dev->ops;
    const struct ops *real = w->dev->ops;
    table.allocate = no_memory;
    w->dev->ops = &table;
    write_config(w, "\"vocab_size\": 3", "\"vocab_size\": 16000000");
    refuse_load(w, STATUS_DATA, "wte.weight\": has shape [3, 4], wanted is [16000000, 4]");
    write_config(w, "\"n_layer\": 1", "\"n_layer\": 1000");
    refuse_load(w, STATUS_DATA, "h.1.ln_1.weight\": is missing");
    write_config(w, "\"n_positions\": 2", "\"n_positions\": 1000000");
    refuse_load(w, STATUS_DATA, "wpe.weight\": has shape [2, 4]");
    /* No tensor is as long as a context of rotations. */
    c = case_tiny(FAMILY_LLAMA);
    c.head_dim = 256;
    w->dev->ops = real;
    write_model(w, &c);
    w->dev->ops = &table;
    write_config(w, "\"max_position_embeddings\": 2", "\"max_position_embeddings\": 1000000");
    refuse_load(w, STATUS_DATA, "a context of 1000000 positions is more than a model of");
    w->dev->ops = real;
}

/* A model is restored whole or not at all. */
static void test_restoring_refuses(void **state) {
    written *w = *state;
    model_config c = case_tiny(FAMILY_LLAMA), other = c;
    c.n_score = 1;
    model *m = case_numbered(w->dev, &c);
    write_model(w, &other); /* without the score head */
    float *before = case_parameters(m);
    REFUSED(model_restore(m, w->directory, err), STATUS_DATA, "\"score.weight\": is missing");
    other.d_ff = 5;
    write_model(w, &other);
    REFUSED(model_restore(m, w->directory, err), STATUS_DATA, "another shape");
    write_model(w, &c);
    tensor_of(w, "model.norm.weight")->shape[0] = 3;
    write_tensors(w);
    REFUSED(model_restore(m, w->directory, err), STATUS_DATA, "model.norm.weight");
    float *after = case_parameters(m);
    case_same("after a refusal", w->dev, after, before, model_flat(m)->count);
    free(before);
    free(after);
    model_free(m);
}

#define WRITTEN_TEST(name) cmocka_unit_test_setup_teardown(name, written_setup, written_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WRITTEN_TEST(test_published_gpt2),
        WRITTEN_TEST(test_published_llama),
        WRITTEN_TEST(test_tensors_that_are_refused),
        WRITTEN_TEST(test_configs_that_are_refused),
        WRITTEN_TEST(test_promises),
        WRITTEN_TEST(test_restoring_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
