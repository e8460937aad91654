/* configs/gpt3-*.yaml: each is read, and its model has as many parameters as the paper says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "datasets/session.h"
#include "tests/support/golden.h"
#include "tests/support/model_cases.h"

/* Brown et al. 2020, table 2.1: the paper's number, and that of the shape by hand: embeddings V d and context
   d, in each block 12 d^2 + 13 d, the last norm 2 d. */
static const struct size {
    const char *name;
    double paper; /* millions */
    int d_model, n_layer, head_dim;
} SIZES[] = {{"small", 125, 768, 12, 64},   {"medium", 350, 1024, 24, 64},   {"large", 760, 1536, 24, 96},
             {"xl", 1300, 2048, 24, 128},   {"2.7b", 2700, 2560, 32, 80},    {"6.7b", 6700, 4096, 32, 128},
             {"13b", 13000, 5120, 40, 128}, {"175b", 175000, 12288, 96, 128}};

static void test_parameters(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        const struct size *s = &SIZES[i];
        char path[64];
        struct config c;
        model_config shape;
        snprintf(path, sizeof path, "configs/gpt3-%s.yaml", s->name);
        OK(config_load_file(path, NULL, 0, &c, err));
        OK(session_shape(&c, c.tokenizer.vocab, &shape, err));
        double d = s->d_model, count = (double)model_count_parameters(&shape);
        assert_near(count, (50257.0 + 2048) * d + s->n_layer * (12 * d * d + 13 * d) + 2 * d, 1e-6);
        assert_near(count, 1e6 * s->paper, 0.02);
        assert_int_equal(shape.head_dim, s->head_dim);
        assert_int_equal(shape.context, 2048);
        /* 300 billion tokens, 375 million of warm-up. */
        assert_near((double)c.pretrain.batch_tokens * c.pretrain.steps, 300e9, 1e-4);
        assert_near((double)c.pretrain.batch_tokens * c.pretrain.optimizer.warmup, 375e6, 1e-2);
        config_free(NULL, &c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parameters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
