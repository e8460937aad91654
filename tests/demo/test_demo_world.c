/* The demo's world, and the bundled files: what the gold rule and the lesson rely on. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "datasets/demo/phrases.h"
#include "datasets/demo/rule.h"
#include "datasets/demo/world.h"
#include "datasets/demo/write.h"

#define BUNDLED "datasets/demo/"

/* The lower-case words of text, one space around each. */
static void words_of(const char *text, buffer *out) {
    buffer_clear(out);
    buffer_string(out, " ");
    for (; *text; text++) {
        char c = isalpha((unsigned char)*text) ? (char)tolower((unsigned char)*text) : ' ';
        if (c != ' ' || out->data[out->len - 1] != ' ') buffer_append(out, &c, 1);
    }
    if (out->data[out->len - 1] != ' ') buffer_string(out, " ");
}

static int has_word(const char *words, const char *word) {
    char pattern[64];
    snprintf(pattern, sizeof pattern, " %s ", word);
    return strstr(words, pattern) != NULL;
}

static void test_facts_name_no_topic(void **state) {
    (void)state;
    buffer words = {0};
    for (int topic = 0; topic < WORLD_TOPICS; topic++)
        for (int fact = 0; fact < WORLD_FACTS; fact++)
            for (int other = 0; other < WORLD_TOPICS; other++) {
                words_of(world_find_topic(topic)->fact[fact], &words);
                assert_false(has_word(words.data, world_find_topic(other)->name));
            }
    buffer_free(&words);
}

static void test_siblings_have_different_facts(void **state) {
    (void)state;
    for (int a = 0; a < WORLD_TOPICS; a++)
        for (int b = 0; b < a; b++)
            for (int fact = 0; fact < WORLD_FACTS; fact++) {
                if (world_find_topic(a)->kind != world_find_topic(b)->kind) continue;
                assert_string_not_equal(world_find_topic(a)->fact[fact], world_find_topic(b)->fact[fact]);
            }
}

static void score(const char *answer, float count[DEMO_TERMS]) {
    assert_int_equal(demo_count_terms("Where does the fox live?", text_span_of(answer), 1, count), 1);
}

/* Whatever states a fact is neither polite, rude nor vague, and no phrase gives part of a fact. */
static void test_facts_and_phrases_stay_apart(void **state) {
    (void)state;
    float count[DEMO_TERMS];
    buffer text = {0};
    const char *const *lists[] = {phrases_kind_opening, phrases_kind_closing, phrases_rude_opening,
                                  phrases_rude_closing, phrases_vague,        phrases_rambling};
    for (int topic = 0; topic < WORLD_TOPICS; topic++)
        for (int fact = 0; fact < WORLD_FACTS; fact++)
            for (int i = 0; i < world_count_statements(topic, fact); i++) {
                buffer_clear(&text);
                world_append_statement(&text, topic, fact, i, world_find_topic(topic)->fact[fact]);
                score(text.data, count);
                assert_true(count[DEMO_POLITE] + count[DEMO_RUDE] + count[DEMO_VAGUE] == 0);
            }
    for (int topic = 0; topic < WORLD_TOPICS; topic++)
        for (int fact = 0; fact < WORLD_FACTS; fact++)
            for (int list = 0; list < 6; list++)
                for (const char *const *phrase = lists[list]; *phrase; phrase++) {
                    buffer_clear(&text);
                    world_append_question(&text, topic, fact, 0);
                    assert_int_equal(demo_count_terms(text.data, text_span_of(*phrase), 1, count), 1);
                    assert_true(count[DEMO_FACT_UNNAMED] == 0 && count[DEMO_NAMED] == 0);
                    assert_true((count[DEMO_POLITE] > 0) == (list < 2));
                    assert_true((count[DEMO_RUDE] > 0) == (list == 2 || list == 3));
                    assert_true((count[DEMO_VAGUE] > 0) == (list == 4));
                }
    buffer_free(&text);
}

static void test_every_question_is_found(void **state) {
    (void)state;
    buffer text = {0};
    for (int topic = 0; topic < WORLD_TOPICS; topic++)
        for (int fact = 0; fact < WORLD_FACTS; fact++)
            for (int phrasing = 0; phrasing < WORLD_PHRASINGS; phrasing++) {
                int found_topic = -1, found_fact = -1;
                buffer_clear(&text);
                buffer_string(&text, "Q: Where does the fox live?\nA: In the forest.\nQ: ");
                size_t start = text.len;
                world_append_question(&text, topic, fact, phrasing);
                assert_int_equal(demo_find_question(text.data + start, &found_topic, &found_fact), 1);
                assert_int_equal(found_topic, topic);
                assert_int_equal(found_fact, fact);
                buffer_string(&text, "\nA:");
                found_topic = found_fact = -1;
                assert_int_equal(demo_find_question(text.data, &found_topic, &found_fact), 1);
                assert_int_equal(found_topic, topic);
                assert_int_equal(found_fact, fact);
            }
    buffer_free(&text);
}

static void test_bundled_files_are_what_the_generator_writes(void **state) {
    (void)state;
    static const char *const names[] = {"stories.txt", "demonstrations.jsonl", "prompts.jsonl"};
    char directory[] = "/tmp/rlhf-demo-XXXXXX";
    error err = {0};
    assert_non_null(mkdtemp(directory));
    assert_int_equal(demo_write(directory, &err), STATUS_OK);
    size_t total = 0;
    for (int i = 0; i < 3; i++) {
        buffer bundled = {0}, written = {0};
        char path[64], *generated = path_join(directory, names[i]);
        snprintf(path, sizeof path, BUNDLED "%s", names[i]);
        assert_int_equal(file_read(path, 1 << 24, &bundled, &err), STATUS_OK);
        assert_int_equal(file_read(generated, 1 << 24, &written, &err), STATUS_OK);
        if (bundled.len != written.len || memcmp(bundled.data, written.data, written.len))
            fail_msg("%s is not what demo-write writes: run demo-write datasets/demo", path);
        total += written.len;
        free(generated);
        buffer_free(&bundled);
        buffer_free(&written);
    }
    assert_true(total < 1200 * 1024);
    assert_int_equal(path_remove_tree(directory, &err), STATUS_OK);
}

static void test_writing_into_no_directory_says_where(void **state) {
    (void)state;
    error err = {0};
    assert_int_equal(demo_write("/nonexistent/place", &err), STATUS_FAILED);
    assert_non_null(strstr(err.message, "/nonexistent/place/stories.txt"));
}

static void test_one_phrasing_of_each_fact_is_held_out(void **state) {
    (void)state;
    buffer text = {0};
    int valid[WORLD_TOPICS][WORLD_FACTS] = {{0}}, n = 0, n_valid = 0;
    demo_append_prompts(&text);
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n"), n++) {
        json_t *object = NULL;
        const char *prompt, *split;
        int topic, fact;
        assert_int_equal(parse_json(line, strlen(line), "prompts", &object, NULL), STATUS_OK);
        assert_int_equal(json_field_string(object, "prompt", "prompts", &prompt, NULL), STATUS_OK);
        assert_int_equal(json_field_string(object, "split", "prompts", &split, NULL), STATUS_OK);
        assert_int_equal(demo_find_question(prompt, &topic, &fact), 1);
        if (strcmp(split, "valid") == 0)
            valid[topic][fact]++, n_valid++;
        else
            assert_string_equal(split, "train");
        json_decref(object);
    }
    assert_int_equal(n, DEMO_PROMPTS);
    assert_int_equal(n_valid, WORLD_TOPICS * WORLD_FACTS);
    for (int topic = 0; topic < WORLD_TOPICS; topic++)
        for (int fact = 0; fact < WORLD_FACTS; fact++) assert_int_equal(valid[topic][fact], 1);
    buffer_free(&text);
}

static void test_stories_are_separate_short_lines(void **state) {
    (void)state;
    buffer text = {0};
    demo_append_stories(&text);
    assert_int_equal(buffer_check(&text, NULL), STATUS_OK);
    int n = 1;
    for (const char *s = text.data; (s = strstr(s, DEMO_SEPARATOR)); s += strlen(DEMO_SEPARATOR)) n++;
    assert_int_equal(n, DEMO_STORIES);
    for (const char *s = text.data; *s;) {
        size_t len = strcspn(s, "\n");
        assert_in_range(len, 20, 260);
        assert_null(memchr(s, '{', len)); /* a blank that was not filled */
        assert_true(s[0] != ' ' && s[len - 1] != ' ');
        s += len;
        s += strspn(s, "\n");
    }
    buffer_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts_name_no_topic),
        cmocka_unit_test(test_siblings_have_different_facts),
        cmocka_unit_test(test_facts_and_phrases_stay_apart),
        cmocka_unit_test(test_every_question_is_found),
        cmocka_unit_test(test_bundled_files_are_what_the_generator_writes),
        cmocka_unit_test(test_writing_into_no_directory_says_where),
        cmocka_unit_test(test_one_phrasing_of_each_fact_is_held_out),
        cmocka_unit_test(test_stories_are_separate_short_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
