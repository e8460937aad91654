#include "tests/support/sine_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/files/safetensors.h"
#include "core/text/tokenizer.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"

enum { D = 8, HEAD = 4, FF = 16, VOCAB = 257 };

static const struct shape {
    const char *name;
    int n_dim, rows, cols;
} SHAPES[] = {{"model.embed_tokens.weight", 2, VOCAB, D},
              {"lm_head.weight", 2, VOCAB, D},
              {"model.norm.weight", 1, D, 1},
              {"model.layers.0.input_layernorm.weight", 1, D, 1},
              {"model.layers.0.post_attention_layernorm.weight", 1, D, 1},
              {"model.layers.0.self_attn.q_proj.weight", 2, D, D},
              {"model.layers.0.self_attn.k_proj.weight", 2, HEAD, D},
              {"model.layers.0.self_attn.v_proj.weight", 2, HEAD, D},
              {"model.layers.0.self_attn.o_proj.weight", 2, D, D},
              {"model.layers.0.mlp.gate_proj.weight", 2, FF, D},
              {"model.layers.0.mlp.up_proj.weight", 2, FF, D},
              {"model.layers.0.mlp.down_proj.weight", 2, D, FF}};
enum { N_SHAPE = sizeof SHAPES / sizeof *SHAPES };

/* Element j is sin(j + 1 + the sum of the name's bytes). */
static float *make_values(const struct shape *s) {
    size_t n = (size_t)s->rows * (size_t)s->cols;
    int sum = 1;
    float *value = malloc(n * sizeof *value);
    assert_non_null(value);
    for (const char *c = s->name; *c; c++) sum += *c;
    for (size_t j = 0; j < n; j++) value[j] = (float)sin((double)j + sum);
    return value;
}

static void write_weights(const char *directory) {
    tensor_entry entry[N_SHAPE];
    float *value[N_SHAPE];
    for (int i = 0; i < N_SHAPE; i++) {
        const struct shape *s = &SHAPES[i];
        value[i] = make_values(s);
        entry[i] = (tensor_entry){.name = s->name,
                                  .dtype = DTYPE_F32,
                                  .n_dim = s->n_dim,
                                  .shape = {s->rows, s->cols},
                                  .data = value[i]};
    }
    OK(safetensors_write(path_in(directory, "model.safetensors"), entry, N_SHAPE, err));
    for (int i = 0; i < N_SHAPE; i++) free(value[i]);
}

void make_sine_model(const char *directory) {
    static const char *const special[] = {TOKEN_END_OF_TEXT};
    tokenizer *tok;
    model_config c = model_config_of_family(FAMILY_LLAMA);
    c.vocab_size = c.n_vocab = VOCAB;
    c.context = 64;
    c.d_model = D;
    c.n_layer = 1;
    c.n_head = 2;
    c.n_kv_head = 1;
    c.head_dim = HEAD;
    c.d_ff = FF;
    c.norm_eps = 1e-5f;
    c.rope_theta = 10000;
    OK(path_make_directories(directory, err));
    OK(tokenizer_train(NULL, 0, VOCAB, special, 1, &tok, err));
    OK(tokenizer_save(tok, "plain", directory, err));
    tokenizer_free(tok);
    OK(model_config_save(&c, DTYPE_F32, directory, err));
    write_weights(directory);
}
