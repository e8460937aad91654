/* What the model room refuses, and in which words; and that a refusal leaves everything usable. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model/model.h"
#include "tests/support/model_cases.h"

typedef struct scene {
    device *dev;
    model_config c;
    model *m, *frozen;
    workspace *ws, *scoring;
    case_batch cb;
    case_values v;
} scene;

static const forward_options backward_options = {.temperature = 1, .for_backward = 1};

/* Room for 100 tokens, 60 rows, 4 sequences of 50. */
static limits small(int backward) {
    return (limits){.max_token = 100,
                    .max_row = 60,
                    .max_seq = 4,
                    .max_len = 50,
                    .backward = backward,
                    .n_slot = 3,
                    .n_page = 5};
}

static int scene_setup(void **state) {
    scene *s = calloc(1, sizeof *s);
    *state = s;
    s->dev = case_device(DEVICE_FAR, 2, NULL);
    s->c = case_config(CASE_GPT2);
    s->m = case_model(s->dev, &s->c, 1, 1);
    s->frozen = case_model(s->dev, &s->c, 1, 0);
    limits with = small(1), without = small(0);
    OK(workspace_create(s->dev, &s->c, &with, &s->ws, err));
    OK(workspace_create(s->dev, &s->c, &without, &s->scoring, err));
    case_draw(&s->cb, &s->c, 1, 3, (const int[]){5, 1, 9});
    return 0;
}

static int scene_teardown(void **state) {
    scene *s = *state;
    workspace_free(s->ws);
    workspace_free(s->scoring);
    model_free(s->m);
    model_free(s->frozen);
    device_close(s->dev);
    free(s);
    return 0;
}

static status forward(scene *s, error *err) {
    return model_forward(s->m, s->ws, &s->cb.b, &backward_options, err);
}

static status read_values(scene *s, const model *m, error *err) {
    row_values values = case_read(&s->v, &s->c);
    return model_read(m, s->ws, &values, err);
}

static status backward(scene *s, model *m, error *err) {
    row_grads g = case_grads(&s->cb, &s->c);
    return model_backward(m, s->ws, &g, NULL, err);
}

static void still_works(scene *s) {
    case_draw(&s->cb, &s->c, 1, 3, (const int[]){5, 1, 9});
    OK(forward(s, err));
    OK(read_values(s, s->m, err));
    OK(backward(s, s->m, err));
}

static void test_batches_beyond_the_plan(void **state) {
    scene *s = *state;
    case_draw(&s->cb, &s->c, 1, 3, (const int[]){50, 50, 1});
    s->cb.b.n_row = 3;
    REFUSED(forward(s, err), STATUS_TOO_LARGE, "101 tokens, 3 sequences, 3 rows; planned for 100, 4, 60");
    case_draw(&s->cb, &s->c, 1, 5, (const int[]){1, 1, 1, 1, 1});
    REFUSED(forward(s, err), STATUS_TOO_LARGE, "5 sequences");
    case_draw(&s->cb, &s->c, 1, 2, (const int[]){31, 30});
    REFUSED(forward(s, err), STATUS_TOO_LARGE, "61 rows");
    case_draw(&s->cb, &s->c, 1, 2, (const int[]){3, 51});
    REFUSED(forward(s, err), STATUS_TOO_LARGE, "sequence 1 has 51 tokens; planned for 50");
    case_draw(&s->cb, &s->c, 1, 2, (const int[]){50, 10}); /* just what was planned */
    OK(forward(s, err));
    still_works(s);
}

/* max_len may be planned beyond the context; a sequence may not. */
static void test_the_context(void **state) {
    scene *s = *state;
    limits l = case_limits(&s->c, 1, KEEP_ALL);
    l.max_len = 300;
    workspace *ws;
    OK(workspace_create(s->dev, &s->c, &l, &ws, err));
    case_draw(&s->cb, &s->c, 1, 2, (const int[]){5, 201});
    s->cb.seq_id[1] = 77;
    REFUSED(model_forward(s->m, ws, &s->cb.b, &backward_options, err), STATUS_DATA,
            "sequence 77 has 201 tokens, the model's context is 200");
    case_draw(&s->cb, &s->c, 1, 2, (const int[]){5, 200});
    OK(model_forward(s->m, ws, &s->cb.b, &backward_options, err));
    workspace_free(ws);
}

static void test_bad_numbers_in_a_batch(void **state) {
    scene *s = *state;
    static const struct {
        int what, at, value;
        const char *says;
    } bad[] = {
        {0, 4, 300, "token 4 is id 300"},
        {0, 14, -1, "token 14 is id -1"},
        {0, 0, INT_MAX, "token 0 is id 2147483647"},
        {1, 2, 290, "row 2 wants id 290, the tokenizer has 290"},
        {1, 14, -5, "row 14 wants id -5"},
        {2, 3, 15, "row 3"},
        {2, 0, -1, "row 0"},
        {2, 5, 3, "row 5"}, /* before row 4's */
        {3, 1, 0, "sequence 0 of the batch has 0 tokens"},
        {3, 2, 4, "sequence 1 of the batch has -1 tokens"},
        {3, 3, 14, "is not one"}, /* ends before the tokens do */
        {3, 0, 1, "is not one"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        case_draw(&s->cb, &s->c, 1, 3, (const int[]){5, 1, 9});
        int32_t *array[] = {s->cb.token, s->cb.row_target, s->cb.row_pos, s->cb.seq_start};
        array[bad[i].what][bad[i].at] = bad[i].value;
        REFUSED(forward(s, err), STATUS_DATA, bad[i].says);
        REFUSED(read_values(s, s->m, err), STATUS_FAILED, "does not hold");
    }
    case_draw(&s->cb, &s->c, 1, 3, (const int[]){5, 1, 9});
    s->cb.b.n_token = 0;
    REFUSED(forward(s, err), STATUS_DATA, "0 tokens");
    case_draw(&s->cb, &s->c, 1, 3, (const int[]){5, 1, 9});
    s->cb.b.n_seq = 0;
    REFUSED(forward(s, err), STATUS_DATA, "0 sequences");
    /* Ids of the table that the tokenizer does not have are read, but never targets. */
    case_draw(&s->cb, &s->c, 1, 3, (const int[]){5, 1, 9});
    s->cb.token[3] = 299;
    OK(forward(s, err));
    still_works(s);
}

static void test_bad_options(void **state) {
    scene *s = *state;
    forward_options o = backward_options;
    o.temperature = 0;
    REFUSED(model_forward(s->m, s->ws, &s->cb.b, &o, err), STATUS_USAGE, "temperature is 0");
    o.temperature = -1;
    REFUSED(model_forward(s->m, s->ws, &s->cb.b, &o, err), STATUS_USAGE, "temperature is -1");
    o = backward_options;
    o.dropout = 1;
    REFUSED(model_forward(s->m, s->ws, &s->cb.b, &o, err), STATUS_USAGE, "dropout is 1");
    REFUSED(model_forward(s->m, s->scoring, &s->cb.b, &backward_options, err), STATUS_FAILED,
            "made without backward");
    limits l = small(1);
    l.max_token = 0;
    workspace *ws;
    REFUSED(workspace_create(s->dev, &s->c, &l, &ws, err), STATUS_USAGE, "at least one token");
    assert_null(ws);
    l.max_token = INT_MAX;
    REFUSED(workspace_create(s->dev, &s->c, &l, &ws, err), STATUS_USAGE, "too large");
    l = small(1);
    l.n_slot = 0;
    kv_cache *kv;
    REFUSED(kv_create(s->dev, &s->c, &l, &kv, err), STATUS_USAGE, "0 slots");
    still_works(s);
}

/* A workspace holds one forward of one model at one version. */
static void test_stale_workspaces(void **state) {
    scene *s = *state;
    REFUSED(read_values(s, s->m, err), STATUS_FAILED, "does not hold");
    REFUSED(backward(s, s->m, err), STATUS_FAILED, "does not hold");
    OK(forward(s, err));
    REFUSED(read_values(s, s->frozen, err), STATUS_FAILED, "does not hold");
    OK(read_values(s, s->m, err));
    model_changed(s->m);
    REFUSED(read_values(s, s->m, err), STATUS_FAILED, "does not hold");
    REFUSED(backward(s, s->m, err), STATUS_FAILED, "does not hold");
    OK(forward(s, err));
    OK(read_values(s, s->m, err));
    OK(backward(s, s->m, err));
    REFUSED(backward(s, s->m, err), STATUS_FAILED, "does not hold"); /* consumed */
    REFUSED(read_values(s, s->m, err), STATUS_FAILED, "does not hold");
    /* A forward that was not meant for backward. */
    forward_options o = {.temperature = 1};
    OK(model_forward(s->m, s->ws, &s->cb.b, &o, err));
    OK(read_values(s, s->m, err));
    REFUSED(backward(s, s->m, err), STATUS_FAILED, "does not hold");
    /* Another shape; another device. */
    model_config other = case_config(CASE_LLAMA);
    model *m = case_model(s->dev, &other, 1, 1);
    REFUSED(model_forward(m, s->ws, &s->cb.b, &backward_options, err), STATUS_FAILED,
            "another shape or device");
    model_free(m);
    device *cpu = case_device(DEVICE_CPU, 1, NULL);
    m = case_model(cpu, &s->c, 1, 1);
    REFUSED(model_forward(m, s->ws, &s->cb.b, &backward_options, err), STATUS_FAILED,
            "another shape or device");
    model_free(m);
    device_close(cpu);
    still_works(s);
}

static void test_heads_that_are_not_there(void **state) {
    scene *s = *state;
    row_grads logprob = {.logprob = s->cb.dlogprob}, score = {.score = s->cb.dscore},
              both = case_grads(&s->cb, &s->c);
    row_values want_logprob = {.logprob = s->v.logprob}, want_score = {.score = s->v.score};
    /* Frozen. */
    OK(model_forward(s->frozen, s->ws, &s->cb.b, &backward_options, err));
    OK(read_values(s, s->frozen, err));
    REFUSED(backward(s, s->frozen, err), STATUS_FAILED, "frozen");
    /* Log-probabilities neither read before nor on the way. */
    OK(forward(s, err));
    REFUSED(model_backward(s->m, s->ws, &logprob, NULL, err), STATUS_FAILED, "needs a read");
    OK(model_backward(s->m, s->ws, &score, NULL, err));
    /* Without targets only the entropy and the score can be read. */
    row_values want_entropy = {.entropy = s->v.entropy, .score = s->v.score};
    static case_values with_targets;
    OK(forward(s, err));
    OK(read_values(s, s->m, err));
    with_targets = s->v;
    s->cb.b.row_target = NULL;
    OK(forward(s, err));
    REFUSED(model_read(s->m, s->ws, &want_logprob, err), STATUS_FAILED, "targets");
    OK(model_read(s->m, s->ws, &want_entropy, err));
    case_same("entropy without targets", s->dev, s->v.entropy, with_targets.entropy, s->cb.b.n_row);
    case_same("score without targets", s->dev, s->v.score, with_targets.score, s->cb.b.n_row);
    REFUSED(model_backward(s->m, s->ws, &both, NULL, err), STATUS_FAILED, "targets");
    /* No language head; no score head. */
    model_config c = s->c;
    c.n_score = c.score_bias = 0;
    model *m = case_model(s->dev, &c, 1, 1);
    case_draw(&s->cb, &s->c, 1, 3, (const int[]){5, 1, 9});
    OK(model_forward(m, s->ws, &s->cb.b, &backward_options, err));
    REFUSED(model_read(m, s->ws, &want_score, err), STATUS_FAILED, "no score head");
    REFUSED(model_backward(m, s->ws, &score, NULL, err), STATUS_FAILED, "no score head");
    model_free(m);
    c = s->c;
    c.language_head = 0;
    m = case_model(s->dev, &c, 1, 1);
    OK(model_forward(m, s->ws, &s->cb.b, &backward_options, err));
    REFUSED(model_read(m, s->ws, &want_logprob, err), STATUS_FAILED, "language head");
    REFUSED(model_backward(m, s->ws, &logprob, NULL, err), STATUS_FAILED, "language head");
    OK(model_read(m, s->ws, &want_score, err));
    OK(model_backward(m, s->ws, &score, NULL, err));
    model_free(m);
    still_works(s);
}

/* A batch of which nothing is read, and gradients of nothing, leave no gradient. */
static void test_nothing_asked(void **state) {
    scene *s = *state;
    row_values nothing = {0};
    row_grads none = {0};
    for (int i = 0; i < 2; i++) {
        if (i) s->cb.b.n_row = 0;
        model_zero_grad(s->m);
        OK(forward(s, err));
        OK(model_read(s->m, s->ws, &nothing, err));
        OK(model_backward(s->m, s->ws, &none, NULL, err));
        float *g = case_gradients(s->m);
        for (int64_t j = 0; j < model_flat(s->m)->count; j++) assert_true(g[j] == 0);
        free(g);
    }
}

static void test_the_cache(void **state) {
    scene *s = *state;
    limits l = small(0);
    kv_cache *kv;
    OK(kv_create(s->dev, &s->c, &l, &kv, err));
    int32_t slot[3] = {kv_open(kv, 5, 70), kv_open(kv, 6, 9), -1};
    assert_true(slot[0] >= 0 && slot[1] >= 0);
    assert_int_equal(kv_free_pages(kv), 2);
    assert_int_equal(kv_open(kv, 7, 129), -1); /* three pages */
    assert_int_equal(kv_open(kv, 7, 0), -1);
    assert_int_equal(kv_open(kv, 7, s->c.context + 100), -1);
    assert_int_equal(kv_free_pages(kv), 2);
    assert_int_equal(kv_free_slots(kv), 1);
    case_draw(&s->cb, &s->c, 1, 2, (const int[]){45, 9});
    OK(model_extend(s->m, s->scoring, kv, &s->cb.b, slot, 1, err));
    assert_int_equal(kv_length(kv, slot[0]), 45);
    assert_int_equal(kv_fork(kv, slot[0], 8, 44), -1); /* shorter than what is there */
    case_draw(&s->cb, &s->c, 1, 2, (const int[]){3, 1});
    REFUSED(model_extend(s->m, s->scoring, kv, &s->cb.b, slot, 1, err), STATUS_TOO_LARGE,
            "sequence 6 would have 10 tokens; its slot holds 9");
    assert_int_equal(kv_length(kv, slot[0]), 45);
    int32_t twice[2] = {slot[0], slot[0]}, closed[2] = {slot[0], 2}, wrong[2] = {3, -1};
    REFUSED(model_extend(s->m, s->scoring, kv, &s->cb.b, twice, 1, err), STATUS_FAILED, "extended twice");
    REFUSED(model_extend(s->m, s->scoring, kv, &s->cb.b, closed, 1, err), STATUS_FAILED,
            "slot 2 of the cache");
    REFUSED(model_extend(s->m, s->scoring, kv, &s->cb.b, wrong, 1, err), STATUS_FAILED,
            "slot 3 of the cache");
    REFUSED(model_extend(s->m, s->scoring, kv, &s->cb.b, slot, 0, err), STATUS_USAGE, "temperature is 0");
    case_draw(&s->cb, &s->c, 1, 1, (const int[]){3});
    s->cb.token[1] = 300;
    REFUSED(model_extend(s->m, s->scoring, kv, &s->cb.b, slot, 1, err), STATUS_DATA, "token 1 is id 300");
    assert_int_equal(kv_length(kv, slot[0]), 45);
    /* Only what was just extended can be sampled, and it cannot be differentiated. */
    int32_t token[9];
    float logprob[9];
    uint64_t id[9] = {0};
    sampling how = {.temperature = 1, .top_p = 1};
    REFUSED(model_sample(s->m, s->scoring, id, &how, token, logprob, err), STATUS_FAILED, "extended");
    case_draw(&s->cb, &s->c, 1, 1, (const int[]){3});
    OK(model_forward(s->m, s->ws, &s->cb.b, &backward_options, err));
    REFUSED(model_sample(s->m, s->ws, id, &how, token, logprob, err), STATUS_FAILED, "extended");
    OK(model_extend(s->m, s->ws, kv, &s->cb.b, slot, 1, err));
    OK(model_sample(s->m, s->ws, id, &how, token, logprob, err));
    OK(read_values(s, s->m, err));
    REFUSED(backward(s, s->m, err), STATUS_FAILED, "does not hold");
    model_changed(s->m);
    REFUSED(model_sample(s->m, s->ws, id, &how, token, logprob, err), STATUS_FAILED, "extended");
    /* What older weights or another model began is not gone on with; what is opened anew is anybody's. */
    int fork = kv_fork(kv, slot[0], 9, kv_length(kv, slot[0]) + 5);
    assert_true(fork >= 0);
    REFUSED(model_extend(s->m, s->ws, kv, &s->cb.b, slot, 1, err), STATUS_FAILED,
            "sequence 5 was begun by an older version of this model");
    REFUSED(model_extend(s->m, s->ws, kv, &s->cb.b, &fork, 1, err), STATUS_FAILED,
            "sequence 9 was begun by an older");
    kv_clear(kv);
    slot[0] = kv_open(kv, 11, 70);
    OK(model_extend(s->m, s->ws, kv, &s->cb.b, slot, 1, err));
    OK(model_extend(s->m, s->ws, kv, &s->cb.b, slot, 1, err));
    model *twin;
    OK(model_init(s->dev, &s->c, 1, 0, &twin, err));
    REFUSED(model_extend(twin, s->ws, kv, &s->cb.b, slot, 1, err), STATUS_FAILED,
            "sequence 11 was begun by another model");
    kv_close(kv, slot[0]);
    slot[0] = kv_open(kv, 11, 70);
    OK(model_extend(twin, s->ws, kv, &s->cb.b, slot, 1, err));
    model_free(twin);
    kv_clear(kv);
    model_config deeper = s->c;
    kv_cache *other;
    deeper.n_layer++;
    OK(kv_create(s->dev, &deeper, &l, &other, err));
    slot[0] = kv_open(other, 5, 70);
    REFUSED(model_extend(s->m, s->ws, other, &s->cb.b, slot, 1, err), STATUS_FAILED, "another shape");
    kv_free(other);
    assert_int_equal(kv_free_pages(kv), 5);
    kv_free(kv);
    still_works(s);
}

static void test_shapes_that_make_no_sense(void **state) {
    scene *s = *state;
    model_config c;
    model *m;
#define BAD_SHAPE(change, says)                                                                              \
    c = case_config(CASE_LLAMA);                                                                             \
    change;                                                                                                  \
    REFUSED(model_init(s->dev, &c, 1, 1, &m, err), STATUS_USAGE, says);                                      \
    assert_null(m)
    BAD_SHAPE(c.n_kv_head = 3, "n_head 4 is not a multiple of n_kv_head 3");
    BAD_SHAPE(c.n_kv_head = 8, "n_kv_head is 8");
    BAD_SHAPE(c.head_dim = 15, "head_dim 15 must be even");
    BAD_SHAPE(c.head_dim = 257, "head_dim is 257");
    BAD_SHAPE(c.d_model = 0, "d_model is 0");
    BAD_SHAPE(c.d_model = INT_MAX, "d_model is 2147483647");
    BAD_SHAPE(c.n_layer = -1, "n_layer is -1");
    BAD_SHAPE(c.d_ff = 0, "d_ff is 0");
    BAD_SHAPE(c.context = 0, "context is 0");
    BAD_SHAPE(c.vocab_size = 0, "vocab_size is 0");
    BAD_SHAPE(c.n_vocab = 301, "n_vocab is 301");
    BAD_SHAPE(c.norm_eps = 0, "norm_eps");
    BAD_SHAPE(c.rope_theta = 0, "rope_theta");
    BAD_SHAPE(c.n_score = 2, "n_score is 2");
    BAD_SHAPE(c.n_score = c.language_head = 0, "no head at all");
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_batches_beyond_the_plan),
        SCENE_TEST(test_the_context),
        SCENE_TEST(test_bad_numbers_in_a_batch),
        SCENE_TEST(test_bad_options),
        SCENE_TEST(test_stale_workspaces),
        SCENE_TEST(test_heads_that_are_not_there),
        SCENE_TEST(test_nothing_asked),
        SCENE_TEST(test_the_cache),
        SCENE_TEST(test_shapes_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
