/* Prompts to be answered, and rankings to learn from, as token ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "configs/schema.h"
#include "datasets/prompts.h"
#include "datasets/rankings.h"
#include "tests/support/data_cases.h"
#include "tests/support/places.h"

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

/* ---- prompts ---- */

static prompts load_prompts(const data_options *o, split_kind split, const char *file) {
    prompts p;
    error err;
    if (prompts_load(o, split, &file, 1, &p, &err) != STATUS_OK) fail_msg("%s", err.message);
    return p;
}

static void refuse_prompts(const data_options *o, const char *file, const char *says) {
    prompts p;
    error err;
    o->bad->n = 0;
    assert_int_equal(prompts_load(o, SPLIT_ANY, &file, 1, &p, &err), STATUS_DATA);
    if (!strstr(err.message, says)) fail_msg("\"%s\" does not say \"%s\"", err.message, says);
    assert_int_equal(p.n, 0);
}

#define USER(text)      "{\"role\":\"user\",\"content\":\"" text "\"}"
#define ASSISTANT(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"

/* Every shape that has a prompt; the same prompt is met once, in whatever shape it comes again. */
static void test_prompts(void **state) {
    bad_lines bad = {.log = &quiet};
    data_options o = bytes_options(tok, "chatml", 100, &bad);
    prompts p =
        load_prompts(&o, SPLIT_ANY,
                     data_file(*state, "a.jsonl",
                               "{\"prompt\": \"one\"}\n"
                               "{\"prompt\": \"two\", \"completion\": \"left alone\"}\n"
                               "{\"prompt\": \"one\", \"answers\": [\"a\", \"b\"], \"ranks\": [1, 2]}\n"
                               "{\"messages\": [" USER("q") ", " ASSISTANT(
                                   "dropped") "]}\n"
                                              "{\"messages\": [{\"content\": \"q\", \"role\": \"user\", "
                                              "\"name\": \"x\"}], \"note\": 1}\n"
                                              "{\"prompt\": [" USER("q") ", " ASSISTANT("kept") ", " USER(
                                                  "r") "]}\n"
                                                       "{\"prompt\": [" USER(
                                                           "one") "]}\n")); /* a chat is no text, though its
                                                                               ids are the same here */
    assert_int_equal(p.n, 5);
    static const char *const json[] = {
        "\"prompt\":\"one\"", "\"prompt\":\"two\"", "\"messages\":[" USER("q") "]",
        "\"messages\":[" USER("q") "," ASSISTANT("kept") "," USER("r") "]", "\"messages\":[" USER("one") "]"};
    static const char *const ids[] = {
        "one", "two", "q", "q<|im_end|>\n<|im_start|>assistant\nkept<|im_end|>\n<|im_start|>user\nr", "one"};
    int longest = 0;
    for (int i = 0; i < p.n; i++) {
        buffer b = {0}, want = {0};
        prompt_json(&p.entry[i], &b);
        assert_string_equal(b.data, json[i]);
        buffer_format(&want, "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n", ids[i]);
        expect_ids(tok, prompt_tokens(&p, i), p.entry[i].n_token, want.data);
        if (p.entry[i].n_token > longest) longest = p.entry[i].n_token;
        buffer_free(&b);
        buffer_free(&want);
    }
    assert_int_equal(p.longest, longest);
    prompts_free(&p);
}

/* How many lines were passed over is told. */
static void test_prompts_met_twice(void **state) {
    const char *path = path_in(*state, "log");
    logger log = {.quiet = true, .file = fopen(path, "w")};
    bad_lines bad = {.log = &log};
    data_options o = bytes_options(tok, "plain", 100, &bad);
    const char *file = data_file(*state, "a.jsonl",
                                 "{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n"
                                 "{\"prompt\": \"a\"}\n{\"prompt\": \"a\"}\n");
    prompts p = load_prompts(&o, SPLIT_ANY, file);
    assert_int_equal(p.n, 2);
    prompts_free(&p);
    fclose(log.file);
    buffer said = read_all(path);
    assert_non_null(strstr(said.data, "a.jsonl: 2 of 4 prompts are there twice or more: each is used once"));
    buffer_free(&said);
}

static void test_many_prompts(void **state) {
    bad_lines bad = {.log = &quiet};
    data_options o = bytes_options(tok, "plain", 100, &bad);
    buffer lines = {0};
    for (int i = 0; i < 6000; i++) buffer_format(&lines, "{\"prompt\": \"p%d\"}\n", i * i % 3001);
    const char *file = data_file(*state, "a.jsonl", lines.data);
    prompts all = load_prompts(&o, SPLIT_ANY, file);
    assert_int_equal(all.n, 1501); /* squares modulo a prime */
    int n[SPLIT_TEST + 1] = {0};
    for (int i = 0; i < all.n; i++) n[all.entry[i].split]++;
    for (split_kind s = SPLIT_TRAIN; s <= SPLIT_TEST; s++) {
        prompts part = load_prompts(&o, s, file);
        assert_int_equal(part.n, n[s]);
        for (int i = 0; i < part.n; i++) assert_int_equal(part.entry[i].split, s);
        prompts_free(&part);
    }
    prompts_free(&all);
    buffer_free(&lines);
}

static void test_prompts_that_are_bad(void **state) {
    bad_lines bad = {.log = &quiet};
    data_options o = bytes_options(tok, "plain", 5, &bad);
    refuse_prompts(&o, data_file(*state, "a", "{\"prompt\": \"12345\"}\n{\"prompt\": \"123456\"}\n"),
                   "a:2: the prompt has 6 tokens, at most 5 fit");
    refuse_prompts(&o, data_file(*state, "b", "{\"text\": \"x\"}\n"),
                   "b:1: has neither \"prompt\" nor \"messages\"");
    refuse_prompts(&o, data_file(*state, "c", "{\"prompt\": \"\"}\n"), "c:1: an empty prompt");
    refuse_prompts(&o, data_file(*state, "d", "{\"prompt\": 7}\n"),
                   "a prompt must be a string or a list of messages");
    refuse_prompts(&o, data_file(*state, "e", "{\"messages\": [" ASSISTANT("a") "]}\n"), "e:1");
    refuse_prompts(&o, data_file(*state, "f", "{\"messages\": []}\n"), "f:1");
    refuse_prompts(&o, data_file(*state, "g", "7\n"), "g:1: must be an object, not a number");
    refuse_prompts(&o, data_file(*state, "h", "{\"prompt\": \"a\", \"split\": \"x\"}\n"),
                   "split \"x\" is none of");
    refuse_prompts(&o, data_file(*state, "z", "{\"prompt\": \"a\\u0000b\"}\n"),
                   "z:1: \"prompt\" holds a zero byte");
    refuse_prompts(&o, data_file(*state, "i", ""), "i: no prompt (0 read, 0 bad)");
    refuse_prompts(&o, path_in(*state, "none"), "none: No such file");
    bad = (bad_lines){.most = 1, .log = &quiet};
    prompts p = load_prompts(&o, SPLIT_ANY, path_in(*state, "a"));
    assert_int_equal(p.n, 1);
    expect_ids(tok, prompt_tokens(&p, 0), p.entry[0].n_token, "12345");
    prompts_free(&p);
}

/* ---- rankings ---- */

static rankings load_rankings(const data_options *o, split_kind split, const char *file) {
    rankings r;
    error err;
    if (rankings_load(o, split, &file, 1, &r, &err) != STATUS_OK) fail_msg("%s", err.message);
    return r;
}

static void refuse_rankings(const data_options *o, const char *file, const char *says) {
    rankings r;
    error err;
    o->bad->n = 0;
    assert_int_equal(rankings_load(o, SPLIT_ANY, &file, 1, &r, &err), STATUS_DATA);
    if (!strstr(err.message, says)) fail_msg("\"%s\" does not say \"%s\"", err.message, says);
    assert_int_equal(r.n, 0);
}

/* text: the answers' sequences; rank: one digit each. */
static void expect_ranking(const rankings *r, int i, const char *prompt, const char *rank,
                           const char *const *text) {
    const ranking *e = &r->entry[i];
    assert_int_equal(e->n_answer, strlen(rank));
    expect_ids(tok, r->token.data + e->start[0], e->n_prompt, prompt);
    for (int a = 0; a < e->n_answer; a++) {
        assert_int_equal(e->rank[a], rank[a] - '0');
        expect_ids(tok, r->token.data + e->start[a], (int)(e->start[a + 1] - e->start[a]), text[a]);
        /* Each begins with the prompt, id for id. */
        assert_memory_equal(r->token.data + e->start[a], r->token.data + e->start[0],
                            sizeof(int32_t) * (size_t)e->n_prompt);
    }
}

#define HH(turns) "\\n\\nHuman: q\\n\\nAssistant: a\\n\\nHuman: r\\n\\nAssistant:" turns

static void test_every_shape_of_rankings(void **state) {
    bad_lines bad = {.log = &quiet};
    data_options o = bytes_options(tok, "plain", 100, &bad);
    rankings r = load_rankings(
        &o, SPLIT_ANY,
        data_file(
            *state, "a.jsonl",
            "{\"prompt\": \"p\", \"answers\": [\"x\", \"yy\", \"z\"], \"ranks\": [2, 7, 2], \"weight\": "
            "0.5}\n"
            "{\"prompt\": \"p\", \"chosen\": \"good\", \"rejected\": \"bad\", \"round\": 4}\n"
            "{\"chosen\": \"" HH(" good") "\", \"rejected\": \"" HH(
                " bad") "\"}\n"
                        "{\"prompt\": \"p\", \"answers\": [\"x\", \"y\"], \"verdict\": \"cannot_judge\"}\n"));
    assert_int_equal(r.n, 3); /* the verdict alone is passed over */
    expect_ranking(&r, 0, "p", "121",
                   (const char *[]){"px<|endoftext|>", "pyy<|endoftext|>", "pz<|endoftext|>"});
    assert_true(r.entry[0].weight == 0.5f && r.entry[1].weight == 1);
    assert_int_equal(r.entry[0].round, -1);
    assert_int_equal(r.entry[1].round, 4);
    expect_ranking(&r, 1, "p", "12", (const char *[]){"pgood<|endoftext|>", "pbad<|endoftext|>"});
#define TALK "\n\nHuman: q\n\nAssistant: a<|endoftext|>\n\nHuman: r\n\nAssistant: "
    expect_ranking(&r, 2, TALK, "12", (const char *[]){TALK "good<|endoftext|>", TALK "bad<|endoftext|>"});
    assert_int_equal(r.longest, (int)(r.entry[2].start[1] - r.entry[2].start[0]));
    assert_int_equal(r.most_tokens, (int)(r.entry[2].start[2] - r.entry[2].start[0]));
    assert_int_equal(r.n_encoded, 0);
    assert_int_equal(bad.n, 0);
    rankings_free(&r);
}

/* A snapshot's ids are what the policy sampled: "ab" as two ids or as whatever else. */
static void test_snapshots(void **state) {
    bad_lines bad = {.log = &quiet};
    data_options o = bytes_options(tok, "plain", 100, &bad);
    char hex[2 * HASH_BYTES + 1], other[2 * HASH_BYTES + 1];
    hash h = tokenizer_hash(tok);
    hash_hex(&h, hex);
    h.byte[0] ^= 1;
    hash_hex(&h, other);
    buffer lines = {0};
    const char *format =
        "{\"ranking_id\": 1, \"prompt\": \"p\", \"answers\": [\"ab\", \"c\"], \"ranks\": [1, 2], "
        "\"tokens\": [[70, 71, 72, 0], [73]], \"tokenizer\": \"%s\", \"finish\": [\"stop\", \"length\"], "
        "\"weight\": 1}\n";
    buffer_format(&lines, format, hex);
    buffer_format(&lines, format, other);
    rankings r = load_rankings(&o, SPLIT_ANY, data_file(*state, "a.jsonl", lines.data));
    assert_int_equal(r.n, 2);
    const int32_t *ids = r.token.data + r.entry[0].start[0];
    assert_int_equal(r.entry[0].start[1] - r.entry[0].start[0], 5);
    assert_memory_equal(ids + 1, ((const int32_t[]){70, 71, 72, 0}), 16);
    /* A cut answer has no end token, and gets none. */
    assert_int_equal(r.entry[0].start[2] - r.entry[0].start[1], 2);
    assert_int_equal(ids[6], 73);
    expect_ranking(&r, 1, "p", "12", (const char *[]){"pab<|endoftext|>", "pc<|endoftext|>"});
    assert_int_equal(r.n_encoded, 2);
    rankings_free(&r);
    /* Ids that this very tokenizer cannot have made. */
    buffer_clear(&lines);
    buffer_format(
        &lines,
        "{\"prompt\": \"p\", \"answers\": [\"ab\", \"c\"], \"ranks\": [1, 2], \"tokens\": [[259], [3]], "
        "\"tokenizer\": \"%s\"}\n",
        hex);
    refuse_rankings(&o, data_file(*state, "b.jsonl", lines.data),
                    "b.jsonl:1: \"tokens\" has an id that the tokenizer");
    buffer_free(&lines);
}

static void test_rankings_that_are_bad(void **state) {
    bad_lines bad = {.log = &quiet};
    data_options o = bytes_options(tok, "plain", 6, &bad);
    refuse_rankings(&o, data_file(*state, "a", "{\"prompt\": \"p\", \"answers\": [\"x\"], \"ranks\": [1]}\n"),
                    "a:1: has 1 answers");
    refuse_rankings(
        &o, data_file(*state, "b", "{\"prompt\": \"p\", \"answers\": [\"x\", \"y\"], \"ranks\": [1]}\n"),
        "b:1: has 1 ranks for 2 answers");
    refuse_rankings(
        &o, data_file(*state, "c", "{\"prompt\": \"ppp\", \"chosen\": \"xx\", \"rejected\": \"yyy\"}\n"),
        "c:1: prompt and answer 2 have 7 tokens, at most 6 fit");
    refuse_rankings(
        &o, data_file(*state, "d", "{\"prompt\": \"\", \"chosen\": \"x\", \"rejected\": \"y\"}\n"), "d:1");
    refuse_rankings(&o, data_file(*state, "e", "{\"chosen\": \"x\", \"rejected\": \"y\"}\n"), "e:1");
    refuse_rankings(&o, data_file(*state, "f", ""), "f: no ranking (0 read, 0 bad)");
    /* Bad lines leave nothing of theirs among the ids. */
    const char *file =
        data_file(*state, "g",
                  "{\"prompt\": \"p\", \"chosen\": \"xxxxxxx\", \"rejected\": \"y\"}\n"
                  "{\"prompt\": \"p\", \"chosen\": \"x\", \"rejected\": \"y\", \"split\": \"valid\"}\n");
    bad = (bad_lines){.most = 1, .log = &quiet};
    rankings r = load_rankings(&o, SPLIT_ANY, file);
    assert_int_equal(r.n, 1);
    assert_int_equal(r.token.len, 6);
    assert_int_equal(r.entry[0].split, SPLIT_VALID);
    expect_ranking(&r, 0, "p", "12", (const char *[]){"px<|endoftext|>", "py<|endoftext|>"});
    rankings_free(&r);
}

#define DIRECTORY_TEST(name) cmocka_unit_test_setup_teardown(name, directory_setup, directory_teardown)

/* The words of data.template are auto and the names of the templates, in their order. */
static void test_the_words_of_templates(void **state) {
    (void)state;
    int i = 0;
    for (const chat_template *t; (t = template_at(i)) != NULL; i++) {
        assert_string_equal(CONFIG_TEMPLATES[i + 1], template_name(t));
        assert_int_equal(config_find_template(template_name(t)), i + 1);
    }
    assert_null(CONFIG_TEMPLATES[i + 1]);
    assert_int_equal(config_find_template(NULL), 0);
    assert_int_equal(config_find_template("auto"), 0);
    assert_int_equal(config_find_template("vicuna"), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_words_of_templates),
        DIRECTORY_TEST(test_prompts),
        DIRECTORY_TEST(test_prompts_met_twice),
        DIRECTORY_TEST(test_many_prompts),
        DIRECTORY_TEST(test_prompts_that_are_bad),
        DIRECTORY_TEST(test_every_shape_of_rankings),
        DIRECTORY_TEST(test_snapshots),
        DIRECTORY_TEST(test_rankings_that_are_bad),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
