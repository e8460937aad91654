/* GGUF files as model directories: what is ours comes back byte for byte; faults are refused by name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/base/half.h"
#include "core/model/from_gguf.h"
#include "tests/support/gguf_model.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"

static model_config language_model(int which) {
    model_config c = case_config(which);
    c.n_score = c.score_bias = 0;
    return c;
}

/* A model of random values in DIRECTORY/ours. */
static const char *save_model(const char *directory, const model_config *c) {
    const char *ours = path_in(directory, "ours");
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model *m = case_model(dev, c, 7, 0);
    OK(model_save(m, NULL, ours, err));
    model_free(m);
    device_close(dev);
    return ours;
}

/* Writes the file and converts it into DIRECTORY/converted, which is made anew. */
static status convert(const char *directory, gguf_file *f, tensor_dtype dtype, error *err) {
    const char *path = path_in(directory, "x.gguf"), *converted = path_in(directory, "converted");
    gguf *g;
    model_config c;
    gguf_file_write(f, path);
    gguf_file_free(f);
    OK(path_remove_tree(converted, err));
    OK(path_make_directories(converted, err));
    OK(gguf_open(path, &g, err));
    status s = model_config_from_gguf(g, &c, err);
    if (s == STATUS_OK) s = model_convert_gguf(g, &c, dtype, converted, err);
    gguf_close(g);
    return s;
}

static void expect_same_file(const char *directory, const char *name) {
    char ours[64], converted[64];
    snprintf(ours, sizeof ours, "ours/%s", name);
    snprintf(converted, sizeof converted, "converted/%s", name);
    buffer a = read_all(path_in(directory, ours)), b = read_all(path_in(directory, converted));
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    buffer_free(&a);
    buffer_free(&b);
}

static void models_come_back_byte_for_byte(void **state) {
    static const int cases[] = {CASE_GPT2,           CASE_LLAMA, CASE_GPT2_HEADS_8,
                                CASE_LLAMA_HEADS_64, CASE_QWEN2, CASE_QWEN3};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model_config c = language_model(cases[i]);
        if (c.rope_scaling.kind == ROPE_LLAMA3) c.rope_scaling.original_context = 8192; /* as published */
        gguf_file f = gguf_file_new();
        gguf_file_model(&f, &c, save_model(*state, &c));
        OK(convert(*state, &f, DTYPE_F32, err));
        expect_same_file(*state, "model.safetensors");
        expect_same_file(*state, "config.json");
    }
}

static void linear_scaling_of_rope_is_kept(void **state) {
    model_config c = language_model(CASE_LLAMA);
    c.rope_scaling = (rope_scaling){ROPE_LINEAR, 2.5f, 0, 0, 0};
    gguf_file f = gguf_file_new();
    gguf_file_model(&f, &c, save_model(*state, &c));
    OK(convert(*state, &f, DTYPE_F32, err));
    expect_same_file(*state, "config.json");
}

/* Gemma's gains are kept from one here and whole there: a rounding lies between. */
static void gains_from_one_lose_a_rounding(void **state) {
    model_config c = language_model(CASE_GEMMA);
    gguf_file f = gguf_file_new();
    safetensors *ours, *theirs;
    gguf_file_model(&f, &c, save_model(*state, &c));
    OK(convert(*state, &f, DTYPE_F32, err));
    expect_same_file(*state, "config.json");
    OK(safetensors_open(path_in(*state, "ours"), &ours, err));
    OK(safetensors_open(path_in(*state, "converted"), &theirs, err));
    assert_int_equal(safetensors_count(ours), safetensors_count(theirs));
    for (int i = 0; i < safetensors_count(ours); i++) {
        const tensor_entry *a = safetensors_entry(ours, i), *b = safetensors_entry(theirs, i);
        const float *x = a->data, *y = b->data;
        double most = strstr(a->name, "norm") ? 2e-7 : 0;
        assert_string_equal(a->name, b->name);
        for (size_t k = 0; k < a->bytes / sizeof *x; k++)
            assert_true(fabs((double)x[k] - (double)y[k]) <= most);
    }
    safetensors_close(ours);
    safetensors_close(theirs);
}

/* GPT-2's files repeat the embedding. */
static void a_head_that_repeats_the_embedding_is_tied(void **state) {
    model_config c = language_model(CASE_GPT2);
    gguf_file f = gguf_file_new();
    safetensors *s;
    gguf_file_model(&f, &c, save_model(*state, &c));
    OK(safetensors_open(path_in(*state, "ours"), &s, err));
    const tensor_entry *embedding = safetensors_find(s, "transformer.wte.weight");
    gguf_file_tensor(&f, "output.weight", 0, 2, embedding->shape, embedding->data, embedding->bytes);
    safetensors_close(s);
    OK(convert(*state, &f, DTYPE_F32, err));
    expect_same_file(*state, "model.safetensors");
    expect_same_file(*state, "config.json");
}

static const float *converted_tensor(safetensors *s, const char *name, tensor_dtype dtype) {
    const tensor_entry *e = safetensors_find(s, name);
    if (!e) fail_msg("no %s", name);
    assert_int_equal(e->dtype, dtype);
    return e->data;
}

/* q in Q8_0: row r of the file has the scale 1 and holds r everywhere. */
static void blocks_are_taken_by_rows(void **state) {
    model_config c = language_model(CASE_LLAMA);
    enum { ROWS = 64, BLOCKS = 2, BLOCK = 34 };
    const int64_t shape[2] = {ROWS, 32 * BLOCKS};
    uint8_t q[ROWS][BLOCKS][BLOCK];
    gguf_file f = gguf_file_new();
    safetensors *s;
    assert_int_equal(c.n_head * c.head_dim, ROWS);
    assert_int_equal(c.d_model, 32 * BLOCKS);
    for (int r = 0; r < ROWS; r++)
        for (int k = 0; k < BLOCKS; k++) {
            memset(q[r][k], r, BLOCK);
            memcpy(q[r][k], &(uint16_t){f16_from_f32(1)}, 2);
        }
    gguf_file_shape(&f, &c);
    gguf_file_tensors(&f, &c, save_model(*state, &c), "layers.1.self_attn.q_proj.weight");
    gguf_file_tensor(&f, "blk.1.attn_q.weight", GGUF_Q8_0, 2, shape, q, sizeof q);
    OK(convert(*state, &f, DTYPE_F32, err));
    OK(safetensors_open(path_in(*state, "converted"), &s, err));
    const float *got = converted_tensor(s, "model.layers.1.self_attn.q_proj.weight", DTYPE_F32);
    for (int r = 0; r < ROWS; r++) {
        int head = r / c.head_dim, i = r % c.head_dim, half = c.head_dim / 2;
        int from = head * c.head_dim + 2 * (i % half) + i / half;
        for (int k = 0; k < 32 * BLOCKS; k++) assert_true(got[r * 32 * BLOCKS + k] == (float)from);
    }
    safetensors_close(s);
}

static void elements_may_be_stored_in_16_bits(void **state) {
    static const tensor_dtype types[] = {DTYPE_F16, DTYPE_BF16};
    for (int i = 0; i < 2; i++) {
        model_config c = language_model(CASE_GPT2);
        gguf_file f = gguf_file_new();
        safetensors *ours, *theirs;
        gguf_file_model(&f, &c, save_model(*state, &c));
        OK(convert(*state, &f, types[i], err));
        OK(safetensors_open(path_in(*state, "ours"), &ours, err));
        OK(safetensors_open(path_in(*state, "converted"), &theirs, err));
        assert_int_equal(safetensors_count(ours), safetensors_count(theirs));
        for (int k = 0; k < safetensors_count(ours); k++) {
            const tensor_entry *a = safetensors_entry(ours, k), *b = safetensors_find(theirs, a->name);
            uint16_t *wanted = malloc(a->bytes / 2);
            assert_int_equal(b->dtype, types[i]);
            (types[i] == DTYPE_F16 ? f16_narrow : bf16_narrow)(a->data, a->bytes / 4, wanted);
            assert_memory_equal(b->data, wanted, b->bytes);
            free(wanted);
        }
        safetensors_close(ours);
        safetensors_close(theirs);
    }
}

/* ---- faults ---- */

static const int64_t shape_1[] = {1}, shape_64[] = {64};

static void unknown_tensor(gguf_file *f) {
    gguf_file_tensor(f, "blk.0.attn_q.scale", 0, 1, shape_1, (const float[1]){0}, 4);
}
static void layer_too_many(gguf_file *f) {
    gguf_file_tensor(f, "blk.3.attn_norm.weight", 0, 1, shape_64, (const float[64]){0}, 256);
}
static void unknown_key(gguf_file *f) { gguf_file_u32(f, "llama.expert_count", 8); }
static void scaled_rope(gguf_file *f) { gguf_file_text(f, "llama.rope.scaling.type", "yarn"); }
static void other_divisors(gguf_file *f) {
    gguf_file_tensor(f, "rope_freqs.weight", 0, 1, (const int64_t[]){8},
                     (const float[8]){1, 1, 1, 1, 1, 2, 3, 4}, 32);
}
static void few_divisors(gguf_file *f) {
    gguf_file_tensor(f, "rope_freqs.weight", 0, 1, (const int64_t[]){7}, (const float[8]){1}, 28);
}
static void far_bos(gguf_file *f) {
    gguf_file_texts(f, "tokenizer.ggml.tokens", (const char *const[]){"a"}, 1);
    gguf_file_u32(f, "tokenizer.ggml.bos_token_id", 1);
}

static void faults_of_a_whole_file_are_refused_by_name(void **state) {
    static const struct {
        void (*make)(gguf_file *f);
        const char *what;
    } bad[] = {
        {unknown_tensor, "tensor \"blk.0.attn_q.scale\" is none of this model's"},
        {layer_too_many, "tensor \"blk.3.attn_norm.weight\" is none of this model's"},
        {unknown_key, "metadata \"llama.expert_count\" is not known"},
        {scaled_rope, "metadata \"llama.rope.scaling.type\" is \"yarn\", which this program cannot compute"},
        {other_divisors, "tensor \"rope_freqs.weight\": element 5 is 2, 1 in Llama 3.1's scaling by 4"},
        {few_divisors, "tensor \"rope_freqs.weight\" does not hold 8 numbers of type F32"},
        {far_bos, "\"tokenizer.ggml.bos_token_id\" is 1, must be from 0 to 0"},
    };
    model_config c = language_model(CASE_LLAMA);
    const char *ours = save_model(*state, &c);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gguf_file f = gguf_file_new();
        gguf_file_model(&f, &c, ours);
        bad[i].make(&f);
        REFUSED(convert(*state, &f, DTYPE_F32, err), STATUS_DATA, bad[i].what);
        assert_false(path_exists(path_in(*state, "converted/config.json")));
    }
}

static void missing_tensors_are_refused_by_name(void **state) {
    static const struct {
        const char *without, *what;
    } bad[] = {
        {"model.embed_tokens.weight", "tensor \"token_embd.weight\" is missing"},
        {"layers.2.mlp.gate_proj.weight", "tensor \"blk.2.ffn_gate.weight\" is missing"},
        {"layers.0.self_attn.k_proj.weight", "tensor \"blk.0.attn_k.weight\" is missing"},
        {"model.norm.weight", "tensor \"output_norm.weight\" is missing"},
    };
    model_config c = language_model(CASE_LLAMA);
    const char *ours = save_model(*state, &c);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gguf_file f = gguf_file_new();
        gguf_file_shape(&f, &c);
        gguf_file_tensors(&f, &c, ours, bad[i].without);
        REFUSED(convert(*state, &f, DTYPE_F32, err), STATUS_DATA, bad[i].what);
    }
}

/* The metadata tells another shape than the tensors have. */
static void another_shape_is_refused_by_name(void **state) {
    model_config c = language_model(CASE_LLAMA), other = c;
    const char *ours = save_model(*state, &c);
    gguf_file f = gguf_file_new();
    other.d_ff = 96;
    gguf_file_shape(&f, &other);
    gguf_file_tensors(&f, &c, ours, NULL);
    REFUSED(convert(*state, &f, DTYPE_F32, err), STATUS_DATA,
            "tensor \"blk.0.ffn_gate.weight\": has shape [100, 64], wanted is [96, 64]");
    f = gguf_file_new();
    other = c;
    other.vocab_size = 299;
    gguf_file_shape(&f, &other);
    gguf_file_tensors(&f, &c, ours, NULL);
    REFUSED(convert(*state, &f, DTYPE_F32, err), STATUS_DATA, "\"llama.vocab_size\" is 299");
    f = gguf_file_new();
    other = c;
    other.n_kv_head = 3;
    gguf_file_shape(&f, &other);
    gguf_file_tensors(&f, &c, ours, NULL);
    REFUSED(convert(*state, &f, DTYPE_F32, err), STATUS_DATA, "n_head 4 is not a multiple of n_kv_head 3");
}

static void an_unknown_architecture_is_refused_by_name(void **state) {
    gguf_file f = gguf_file_new();
    gguf_file_text(&f, "general.architecture", "phi3");
    REFUSED(convert(*state, &f, DTYPE_F32, err), STATUS_DATA, "x.gguf: architecture \"phi3\" is not known");
    f = gguf_file_new();
    REFUSED(convert(*state, &f, DTYPE_F32, err), STATUS_DATA, "metadata \"general.architecture\" is missing");
    f = gguf_file_new();
    gguf_file_text(&f, "general.architecture", "llama");
    REFUSED(convert(*state, &f, DTYPE_F32, err), STATUS_DATA, "metadata \"llama.block_count\" is missing");
}

int main(void) {
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(models_come_back_byte_for_byte),
        IN_DIRECTORY(linear_scaling_of_rope_is_kept),
        IN_DIRECTORY(gains_from_one_lose_a_rounding),
        IN_DIRECTORY(a_head_that_repeats_the_embedding_is_tied),
        IN_DIRECTORY(blocks_are_taken_by_rows),
        IN_DIRECTORY(elements_may_be_stored_in_16_bits),
        IN_DIRECTORY(faults_of_a_whole_file_are_refused_by_name),
        IN_DIRECTORY(missing_tensors_are_refused_by_name),
        IN_DIRECTORY(another_shape_is_refused_by_name),
        IN_DIRECTORY(an_unknown_architecture_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
