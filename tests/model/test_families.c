/* Every family beside transformers: small random models that it wrote (tests/golden/families.py) give its
   log-probabilities, gradients, scores and greedy answers, and what is saved holds the same numbers. With
   RLHF_SAVE_FAMILIES=DIRECTORY the saved ones stay there, for tests/golden/families_check.py. */
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
#include "core/base/json.h"
#include "core/files/safetensors.h"
#include "core/model/internal.h"
#include "tests/support/golden.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"

static const char *const FAMILY[] = {"gpt2",    "llama-2", "llama-3.1", "llama-biases", "smollm2",
                                     "mistral", "qwen2",   "qwen3",     "gemma"};
enum { N_FAMILY = sizeof FAMILY / sizeof *FAMILY, N_TEXT = 4, ANSWER = 24 };

static const model_options as_it_is = {.trained = 1, .language_head = -1, .n_score = -1, .score_bias = -1};

/* A family's model, its figures and the texts as one batch. */
typedef struct scene {
    const char *name;
    char directory[128];
    json_t *figures;
    device *dev;
    model *m;
    workspace *ws;
    case_batch cb;
} scene;

/* The texts; a row for each token that has a next one, or the last row of each. */
static void take_texts(scene *s, int last_only) {
    const json_t *texts = golden_get(s->figures, "texts");
    case_batch *cb = &s->cb;
    cb->b = (batch){.n_seq = N_TEXT,
                    .token = cb->token,
                    .seq_start = cb->seq_start,
                    .seq_id = cb->seq_id,
                    .row_pos = cb->row_pos,
                    .row_target = cb->row_target};
    assert_int_equal(json_array_size(texts), N_TEXT);
    cb->seq_start[0] = 0;
    for (int t = 0; t < N_TEXT; t++) {
        const json_t *text = json_array_get(texts, (size_t)t);
        int n = (int)json_array_size(text);
        cb->seq_id[t] = (uint64_t)t;
        for (int i = 0; i < n; i++) {
            int at = cb->b.n_token++, last = i + 1 == n;
            cb->token[at] = (int32_t)json_integer_value(json_array_get(text, (size_t)i));
            if (last != last_only) continue;
            cb->row_target[cb->b.n_row] =
                last ? 0 : (int32_t)json_integer_value(json_array_get(text, (size_t)i + 1));
            cb->row_pos[cb->b.n_row++] = at;
        }
        cb->seq_start[t + 1] = cb->b.n_token;
    }
}

static void open_scene(scene *s, const char *name, const char *part, int last_only) {
    char path[160];
    error err;
    memset(s, 0, sizeof *s);
    s->name = name;
    snprintf(s->directory, sizeof s->directory, "tests/golden/families/%s%s", name, part);
    snprintf(path, sizeof path, "tests/golden/families/%s/figures.json", name);
    if (parse_json_file(path, 1 << 20, &s->figures, &err) != STATUS_OK) fail_msg("%s", err.message);
    s->dev = case_device(DEVICE_CPU, 2, NULL);
    OK(model_load(s->dev, s->directory, &as_it_is, &s->m, err));
    s->ws = case_workspace(s->dev, model_get_config(s->m), 1, KEEP_ALL);
    take_texts(s, last_only);
}

static void close_scene(scene *s) {
    workspace_free(s->ws);
    model_free(s->m);
    device_close(s->dev);
    json_decref(s->figures);
}

static void run_forward(scene *s, case_values *out) {
    forward_options o = {.temperature = 1, .for_backward = 1};
    case_forward(s->m, s->ws, &s->cb.b, &o, out);
}

/* ---- numbers ---- */

static void test_logprobs(void **state) {
    (void)state;
    static scene s;
    static case_values got;
    for (int f = 0; f < N_FAMILY; f++) {
        open_scene(&s, FAMILY[f], "", 0);
        run_forward(&s, &got);
        const json_t *lines = golden_get(s.figures, "logprobs");
        double worst = 0;
        for (int t = 0, r = 0; t < N_TEXT; t++) {
            const json_t *line = json_array_get(lines, (size_t)t);
            for (size_t i = 0; i < json_array_size(line); i++, r++)
                worst =
                    fmax(worst, fabs((double)got.logprob[r] - json_number_value(json_array_get(line, i))));
        }
        if (!(worst < 2e-4)) fail_msg("%s: a log-probability differs by %g", s.name, worst);
        print_message("%s: log-probabilities differ by %.1e\n", s.name, worst);
        close_scene(&s);
    }
}

static double relative_l2(const float *got, const float *want, int64_t n) {
    double difference = 0, square = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += pow((double)got[i] - (double)want[i], 2);
        square += pow((double)want[i], 2);
    }
    return sqrt(difference) / sqrt(square);
}

/* Gradients saved in the place of parameters have the family's names and transposes. */
static void compare_gradients(const scene *s, const char *saved) {
    char path[160];
    safetensors *got, *want;
    double worst = 0;
    snprintf(path, sizeof path, "%s/gradients.safetensors", s->directory);
    OK(safetensors_open(saved, &got, err));
    OK(safetensors_open(path, &want, err));
    assert_int_equal(safetensors_count(got), safetensors_count(want));
    for (int i = 0; i < safetensors_count(want); i++) {
        const tensor_entry *e = safetensors_entry(want, i), *g = safetensors_find(got, e->name);
        if (!g || g->bytes != e->bytes) fail_msg("%s: no gradient of %s", s->name, e->name);
        double l2 = relative_l2(g->data, e->data, (int64_t)(e->bytes / sizeof(float)));
        if (!(l2 < 1e-3)) fail_msg("%s: the gradient of %s differs by %g", s->name, e->name, l2);
        worst = fmax(worst, l2);
    }
    print_message("%s: gradients differ by %.1e\n", s->name, worst);
    safetensors_close(got);
    safetensors_close(want);
}

static void test_gradients(void **state) {
    static scene s;
    static case_values got;
    const char *saved = path_in(*state, "gradients");
    for (int f = 0; f < N_FAMILY; f++) {
        open_scene(&s, FAMILY[f], "", 0);
        run_forward(&s, &got);
        for (int r = 0; r < s.cb.b.n_row; r++) s.cb.dlogprob[r] = -1.0f / (float)s.cb.b.n_row;
        row_grads grads = {.logprob = s.cb.dlogprob};
        model_zero_grad(s.m);
        OK(model_backward(s.m, s.ws, &grads, NULL, err));
        OK(model_save(s.m, model_flat(s.m)->grad, saved, err));
        compare_gradients(&s, saved);
        close_scene(&s);
    }
}

static void test_scores(void **state) {
    (void)state;
    static scene s;
    static case_values got;
    for (int f = 0; f < N_FAMILY; f++) {
        open_scene(&s, FAMILY[f], "/score", 1);
        const model_config *c = model_get_config(s.m);
        assert_true(c->n_score == 1 && !c->language_head && !c->score_bias);
        run_forward(&s, &got);
        double want[N_TEXT], worst = 0;
        assert_int_equal(json_array_size(golden_get(s.figures, "scores")), N_TEXT);
        golden_doubles(s.figures, "scores", want);
        for (int t = 0; t < N_TEXT; t++) worst = fmax(worst, fabs((double)got.score[t] - want[t]));
        if (!(worst < 2e-4)) fail_msg("%s: a score differs by %g", s.name, worst);
        print_message("%s: scores differ by %.1e\n", s.name, worst);
        close_scene(&s);
    }
}

/* ---- greedy answers ---- */

/* The prompt's answer, token after token over pages. */
static void answer(scene *s, const int32_t *prompt, int n_prompt, int32_t *out) {
    const model_config *c = model_get_config(s->m);
    limits l = case_limits(c, 0, KEEP_ALL);
    kv_cache *kv;
    OK(kv_create(s->dev, c, &l, &kv, err));
    float logprob;
    int32_t slot = kv_open(kv, 1, n_prompt + ANSWER), start[2] = {0, n_prompt}, row = n_prompt - 1;
    uint64_t id = 1;
    batch b = {n_prompt, 1, 1, prompt, start, &id, &row, NULL};
    sampling greedy = {.temperature = 1, .greedy = 1, .top_p = 1};
    for (int i = 0; i < ANSWER; i++) {
        OK(model_extend(s->m, s->ws, kv, &b, &slot, 1, err));
        OK(model_sample(s->m, s->ws, &id, &greedy, &out[i], &logprob, err));
        start[1] = 1, row = 0;
        b.n_token = 1, b.token = &out[i];
    }
    kv_free(kv);
}

static void test_greedy_answers(void **state) {
    (void)state;
    static scene s;
    static int32_t prompt[GOLDEN_MAX], want[GOLDEN_MAX];
    double margin[GOLDEN_MAX];
    int32_t got[ANSWER];
    for (int f = 0; f < N_FAMILY; f++) {
        open_scene(&s, FAMILY[f], "", 0);
        int n_prompt = golden_ints(s.figures, "prompt", prompt);
        assert_int_equal(golden_ints(s.figures, "greedy", want), ANSWER);
        golden_doubles(s.figures, "margin", margin);
        answer(&s, prompt, n_prompt, got);
        for (int i = 0; i < ANSWER; i++) {
            if (got[i] == want[i]) continue;
            if (margin[i] > 1e-3) fail_msg("%s: token %d is %d, not %d", s.name, i, got[i], want[i]);
            break; /* as good as equal; what follows has another past */
        }
        close_scene(&s);
    }
}

/* ---- saved and loaded ---- */

/* Where a model is saved: kept, or below the test's own directory. */
static const char *place_for(const char *own, const char *family, const char *part) {
    static char path[512];
    const char *kept = getenv("RLHF_SAVE_FAMILIES");
    snprintf(path, sizeof path, "%s/%s%s", kept ? kept : own, family, part);
    return path;
}

/* One in shards, the others whole. */
static void save(const model *m, const char *directory, int in_shards) {
    if (in_shards) {
        OK(path_make_directories(directory, err));
        OK(model_config_save(model_get_config(m), DTYPE_F32, directory, err));
        OK(model_save_shards(m, model_flat(m)->master, directory, 30000, err));
    } else {
        OK(model_save(m, NULL, directory, err));
    }
}

static void test_saved_models(void **state) {
    static scene s;
    static const char *const part[] = {"", "/score"};
    for (int f = 0; f < N_FAMILY; f++)
        for (int p = 0; p < 2; p++) {
            model *again;
            open_scene(&s, FAMILY[f], part[p], 0);
            const char *directory = place_for(*state, FAMILY[f], part[p]);
            save(s.m, directory, strcmp(FAMILY[f], "mistral") == 0);
            OK(model_load(s.dev, directory, &as_it_is, &again, err));
            assert_true(model_config_same_body(model_get_config(s.m), model_get_config(again)));
            float *a = case_parameters(s.m), *b = case_parameters(again);
            case_same(FAMILY[f], s.dev, b, a, model_flat(again)->count);
            free(a);
            free(b);
            model_free(again);
            close_scene(&s);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logprobs),
        cmocka_unit_test_setup_teardown(test_gradients, directory_setup, directory_teardown),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_greedy_answers),
        cmocka_unit_test_setup_teardown(test_saved_models, directory_setup, directory_teardown),
    };
    return cmocka_run_group_tests_name("model: families", tests, NULL, NULL);
}
