/* Sampled answers, their lines in answers.jsonl, and the same lines read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/json.h"
#include "datasets/answers.h"
#include "tests/support/data_cases.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"

enum { K = 3, MOST = 12 };

static logger quiet = {.quiet = true};
static tokenizer *tok;

static int setup(void **state) {
    (void)state;
    tok = bytes_tokenizer();
    return 0;
}
static int teardown(void **state) {
    (void)state;
    tokenizer_free(tok);
    return 0;
}

static model_config shape(void) {
    model_config c = case_config(CASE_GPT2);
    c.vocab_size = c.n_vocab = tokenizer_vocab(tok);
    return c;
}

/* Tokens of the answers that were sampled. */
typedef struct counted {
    const answers *a;
    int tokens;
} counted;

static status count(void *context, int i, error *e) {
    counted *c = context;
    (void)e;
    c->tokens += c->a->n_token[i];
    return STATUS_OK;
}

static void sample(answers *a, const prompts *p, const model_config *c, uint64_t seed) {
    device *dev = case_device(DEVICE_CPU, 2, NULL);
    model *m = case_model(dev, c, seed, 0);
    sampler s;
    sampling how = {.temperature = 1, .top_p = 1, .key = random_make_key(seed, RANDOM_SAMPLE, 0, 0)};
    counted got = {a, 0};
    int want = 0;
    OK(answers_create(p->n, K, MOST, a, err));
    for (int i = 0; i < p->n; i++)
        a->prompt[i] = (generate_prompt){prompt_tokens(p, i), p->entry[i].n_token, 99 + (uint64_t)i * K};
    OK(sampler_create(dev, c, 4, K, p->longest, MOST, &s, err));
    OK(answers_sample(a, &s, m, &how, 0, count, &got, err));
    for (int i = 0; i < p->n * K; i++) {
        want += a->n_token[i];
        assert_in_range(a->n_token[i], 1, MOST);
        assert_int_equal(a->finished[i], answer_tokens(a, i)[a->n_token[i] - 1] == 0);
    }
    assert_int_equal(got.tokens, want);
    /* Answers that are there stay as they are; the others are the same once more. */
    int32_t *kept = malloc(sizeof *kept * (size_t)p->n * K * MOST);
    memcpy(kept, a->token, sizeof *kept * (size_t)p->n * K * MOST);
    for (int i = 0; i < p->n; i++) a->there[i] = i % 2;
    for (int i = 0; i < p->n * K; i++)
        if (a->there[i / K]) want -= a->n_token[i];
    memset(a->token, 0, sizeof *kept * K * MOST);
    got.tokens = 0;
    double flops = answers_flops(a, c);
    OK(answers_sample(a, &s, m, &how, 0, count, &got, err));
    assert_int_equal(got.tokens, want);
    assert_memory_equal(kept, a->token, sizeof *kept * (size_t)p->n * K * MOST);
    memset(a->there, 1, (size_t)p->n);
    OK(answers_sample(a, &s, m, &how, 0, count, &got, err));
    assert_int_equal(got.tokens, want);
    assert_true(flops > 0 && answers_flops(a, c) == 0);
    memset(a->there, 0, (size_t)p->n);
    assert_true(answers_flops(a, c) > flops);
    free(kept);
    sampler_free(&s);
    model_free(m);
    device_close(dev);
}

/* Every number of a line is there again. */
static void expect_line(const char *line, const answers *a, int i, const prompt_entry *p) {
    json_t *root;
    OK(parse_json(line, strlen(line), "line", &root, err));
    const json_t *ids = json_object_get(root, "tokens"), *logprob = json_object_get(root, "logprob");
    assert_int_equal(json_array_size(ids), a->n_token[i]);
    assert_int_equal(json_array_size(logprob), a->n_token[i]);
    for (int t = 0; t < a->n_token[i]; t++) {
        assert_int_equal(json_integer_value(json_array_get(ids, (size_t)t)), answer_tokens(a, i)[t]);
        assert_true((float)json_number_value(json_array_get(logprob, (size_t)t)) == answer_logprobs(a, i)[t]);
    }
    assert_int_equal(json_integer_value(json_object_get(root, "sample")), i % K);
    assert_int_equal(json_integer_value(json_object_get(root, "seq_id")), 99 + i);
    assert_string_equal(json_string_value(json_object_get(root, "finish")),
                        a->finished[i] ? "stop" : "length");
    assert_string_equal(json_string_value(json_object_get(root, "split")), split_name(p->split));
    assert_non_null(json_object_get(root, p->prompt.text ? "prompt" : "messages"));
    assert_true(json_number_value(json_object_get(root, "score")) == 1.5);
    json_decref(root);
}

static void test_lines_written_and_read(void **state) {
    bad_lines bad = {.log = &quiet};
    data_options o = bytes_options(tok, "chatml", 200, &bad);
    const char *file = data_file(*state, "prompts.jsonl",
                                 "{\"prompt\": \"say \\\"hi\\\"\\n\", \"split\": \"test\"}\n"
                                 "{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}]}\n");
    prompts p;
    answers a;
    model_config c = shape();
    OK(prompts_load(&o, SPLIT_ANY, &file, 1, &p, err));
    sample(&a, &p, &c, 3);
    buffer lines = {0};
    for (int i = 0; i < p.n * K; i++) {
        size_t first = lines.len;
        OK(answer_line(tok, &a, i, K, &p.entry[i / K], "\"score\":1.5", &lines, err));
        assert_null(strchr(lines.data + first, '\n'));
        expect_line(lines.data + first, &a, i, &p.entry[i / K]);
        buffer_string(&lines, "\n");
    }
    file = data_file(*state, "answers.jsonl", lines.data);
    answer_list list;
    OK(answer_list_load(&o, SPLIT_ANY, &file, 1, &list, err));
    assert_int_equal(list.n, p.n * K);
    int longest = 0;
    for (int i = 0; i < list.n; i++) {
        const answer_entry *e = &list.entry[i];
        const int32_t *ids = list.token.data + e->start;
        const prompt_entry *prompt = &p.entry[i / K];
        assert_int_equal(e->n_prompt, prompt->n_token);
        assert_int_equal(e->n_token, prompt->n_token + a.n_token[i]);
        assert_memory_equal(ids, prompt_tokens(&p, i / K), sizeof *ids * (size_t)e->n_prompt);
        /* The very ids that were sampled, though their bytes need not be text. */
        assert_memory_equal(ids + e->n_prompt, answer_tokens(&a, i), sizeof *ids * (size_t)a.n_token[i]);
        assert_int_equal(e->sample, i % K);
        assert_int_equal(e->finished, a.finished[i]);
        assert_int_equal(e->split, prompt->split);
        if (e->n_token > longest) longest = e->n_token;
    }
    assert_int_equal(list.longest, longest);
    answer_list_free(&list);
    OK(answer_list_load(&o, SPLIT_TEST, &file, 1, &list, err));
    assert_true(list.n >= K && list.entry[0].prompt.text != NULL);
    answer_list_free(&list);
    buffer_free(&lines);
    answers_free(&a);
    prompts_free(&p);
}

/* Lines that other programs wrote. */
static void test_lines_of_others(void **state) {
    bad_lines bad = {.log = &quiet};
    data_options o = bytes_options(tok, "plain", 12, &bad);
    const char *file =
        data_file(*state, "a.jsonl",
                  "{\"prompt\": \"p\", \"completion\": \"ab\"}\n"
                  "{\"prompt\": \"p\", \"text\": \"ab\", \"tokens\": []}\n"
                  "{\"prompt\": \"p\", \"text\": \"ab\", \"tokens\": [70, 259]}\n"
                  "{\"prompt\": \"p\", \"text\": \"ab\", \"tokens\": [70, 71], \"finish\": \"length\"}\n");
    answer_list list;
    OK(answer_list_load(&o, SPLIT_ANY, &file, 1, &list, err));
    assert_int_equal(list.n, 4);
    for (int i = 0; i < 3; i++) {
        expect_ids(tok, list.token.data + list.entry[i].start, list.entry[i].n_token, "pab<|endoftext|>");
        assert_true(list.entry[i].finished);
    }
    assert_int_equal(list.entry[3].n_token, 3);
    assert_false(list.entry[3].finished);
    answer_list_free(&list);
    /* A chat's closing answer is the answer. */
    file = data_file(*state, "c.jsonl",
                     "{\"messages\": [{\"role\": \"user\", \"content\": \"p\"},"
                     " {\"role\": \"assistant\", \"content\": \"ab\"}]}\n");
    o.max_length = 64;
    OK(answer_list_load(&o, SPLIT_ANY, &file, 1, &list, err));
    assert_int_equal(list.n, 1);
    assert_non_null(strstr(list.entry[0].prompt.messages, "\"p\""));
    assert_int_equal(list.entry[0].n_token - list.entry[0].n_prompt, 3);
    answer_list_free(&list);
    o.max_length = 12;
    static const char *const wrong[][2] = {
        {"{\"prompt\": \"p\"}\n", "no answer: neither"},
        {"{\"prompt\": \"p\", \"text\": 3}\n", "no answer: neither"},
        {"{\"text\": \"ab\"}\n", "b.jsonl:1"},
        {"{\"prompt\": \"\", \"text\": \"ab\"}\n", "an empty prompt"},
        {"{\"prompt\": \"p\", \"text\": \"abcdefghijkl\"}\n",
         "prompt and answer have 14 tokens, at most 12 fit"},
        {"3\n", "must be an object"},
        {"", "no answer (0 read, 0 bad)"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        bad.n = 0;
        file = data_file(*state, "b.jsonl", wrong[i][0]);
        REFUSED(answer_list_load(&o, SPLIT_ANY, &file, 1, &list, err), STATUS_DATA, wrong[i][1]);
        assert_int_equal(list.n, 0);
    }
}

/* Control tokens are no part of an answer's text. */
static void test_the_text_of_an_answer(void **state) {
    (void)state;
    answers a;
    buffer text = {0};
    OK(answers_create(1, 1, 4, &a, err));
    ints ids = {0};
    OK(tokenizer_encode(tok, "ok", 2, &ids, err));
    memcpy(a.token, ids.data, sizeof *a.token * 2);
    a.token[2] = 1; /* <|im_start|>, chosen by a model that does not know better */
    a.token[3] = 0;
    a.n_token[0] = 4;
    OK(answer_text(tok, &a, 0, &text, err));
    assert_string_equal(text.data, "ok");
    ints_free(&ids);
    buffer_free(&text);
    answers_free(&a);
}

/* On one line, with nothing that a terminal obeys. */
static void test_answers_made_flat(void **state) {
    (void)state;
    buffer text = {0};
    buffer_append(&text, "a\nb\x1b[2J\0c\xff \xe2\x82\xac", 14);
    OK(answer_flatten(&text, err));
    assert_string_equal(text.data, "a b\xe2\x90\x9b[2J\xe2\x90\x80"
                                   "c\xef\xbf\xbd \xe2\x82\xac");
    buffer_free(&text);
    OK(answer_flatten(&text, err));
    assert_string_equal(text.data, "");
    buffer_free(&text);
}

static void test_the_sampler_s_plan(void **state) {
    (void)state;
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model_config c = shape();
    memory_plan small = {0}, large = {0};
    OK(sampler_plan(dev, &c, 4, 2, 20, 10, &small, err));
    OK(sampler_plan(dev, &c, 8, 2, 20, 10, &large, err));
    assert_true(plan_total(&small) > 0 && plan_total(&small) < plan_total(&large));
    /* An answer is never longer than the context: no memory is taken for more. */
    memory_plan whole = {0}, huge = {0};
    OK(sampler_plan(dev, &c, 4, 2, 20, c.context, &whole, err));
    OK(sampler_plan(dev, &c, 4, 2, 20, 1000000000, &huge, err));
    assert_int_equal(plan_total(&whole), plan_total(&huge));
    sampler s;
    OK(sampler_create(dev, &c, 4, 2, 20, 1000000000, &s, err));
    sampler_free(&s);
    device_close(dev);
}

#define DIRECTORY_TEST(name) cmocka_unit_test_setup_teardown(name, directory_setup, directory_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        DIRECTORY_TEST(test_lines_written_and_read),  DIRECTORY_TEST(test_lines_of_others),
        cmocka_unit_test(test_the_text_of_an_answer), cmocka_unit_test(test_answers_made_flat),
        cmocka_unit_test(test_the_sampler_s_plan),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
