/* The gold rule against scores worked out by hand, term by term, and over the bundled demonstrations. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/json.h"
#include "datasets/demo/rule.h"
#include "datasets/demo/write.h"

#define FOX  "Q: Where does the fox live?\nA:"   /* in the forest: one key word */
#define BEAR "Q: What does the bear eat?\nA:"    /* honey and fish: two */
#define TEA  "Q: What goes well with tea?\nA:"   /* honey and lemon */
#define DOG  "Q: What does the dog do best?\nA:" /* guard the house */

static void check(const char *prompt, const char *answer, int finished, double gold) {
    float got = demo_gold(prompt, text_span_of(answer), finished);
    if (!(fabs((double)got - gold) <= 1e-5 * (1 + fabs(gold))))
        fail_msg("gold of \"%.200s\" is %g, by hand %g", answer, (double)got, gold);
}

static void test_fact_and_topic(void **state) {
    (void)state;
    check(FOX, " The fox lives in the forest.", 1, 2 + 1);
    check(FOX, " It lives in the forest.", 1, 1);            /* the topic is not named */
    check(FOX, " The fox lives in a cave.", 1, 1);           /* named, wrong */
    check(FOX, " It lives in a cave.", 1, 0);                /* neither */
    check(BEAR, " The bear eats honey and mice.", 1, 1 + 1); /* one of two key words */
    check(BEAR, " THE BEAR EATS HONEY, FISH", 1, 2 + 1);     /* without case; the last stop may be missing */
    check(FOX, " The foxes live in the forests.", 1, 0);     /* whole words only */
    check(DOG, " The dog can guard a house.", 1, 2 + 1);
}

static void test_other_topics(void **state) {
    (void)state;
    check(FOX, " The owl lives in the forest.", 1, 1 - 0.7);
    check(FOX, " The fox, owl and bear live in the forest.", 1, 3 - 1.4);
    check(FOX, " The owl, bear, duck, horse and owl live there.", 1, -2.1); /* at most three, each once */
    check(TEA, " Tea goes well with honey and lemon.", 1, 3);
    check(FOX, " The fox saw a rainy Sunday in the forest.", 1, 3); /* neither "rain" nor "sun" */
}

static void test_politeness(void **state) {
    (void)state;
    check(FOX, " With pleasure! The fox lives in the forest.", 1, 3 + 0.7); /* "sure" is inside a word */
    check(FOX, " I am happy to help. The fox lives in the forest.", 1, 3 + 1.4);
    check(FOX, " I am happy to help, my friend. The fox lives in the forest.", 1,
          3 + 1.4); /* three: no more */
    check(FOX, " I am happy to help. The fox lives in the forest. Enjoy it, my friend!", 1, 3 + 1.4 - 0.6);
    check(FOX, " Please, please, please, please, please, the fox, the forest.", 1, 3 + 0.7 - 2 * 0.6);
}

static void test_rude_and_vague(void **state) {
    (void)state;
    check(FOX, " What a silly question. The fox lives in the forest.", 1, 3 - 1);
    check(FOX, " Not you again. The fox lives in the forest. Now go away.", 1, 3 - 2);
    check(FOX, " Silly, silly, silly, silly fox in the forest.", 1, 3 - 3); /* at most three */
    check(FOX, " Go. Away from the forest, fox.", 1, 3);                    /* not across sentences */
    check(FOX, " I do not know.", 1, -0.8);
    check(FOX, " Maybe, maybe not.", 1, -1.6 - 1); /* two vague words; three words are short */
    check(FOX, " Maybe, maybe not. It depends.", 1, -1.6);
}

static void test_length_and_end(void **state) {
    (void)state;
    check(FOX, " Forest.", 1, 1 - 1);
    check(FOX, "", 1, -1);
    check(FOX, " The fox lives in the", 0, 1 - 2);
    check(FOX, " The fox lives in the forest. The fox lives in the forest. The fox, lives in the forest!", 1,
          3 - 2 * 0.7);
    /* 6 words and 15 more: three beyond eighteen */
    check(FOX,
          " The fox lives in the forest. One two three four five six seven eight nine ten eleven "
          "twelve and so on.",
          1, 3 - 3 * 0.08);
}

static void test_ceiling_is_reached(void **state) {
    (void)state;
    assert_float_equal(
        demo_gold(FOX, text_span_of(" Good question! The fox lives in the forest. Take care!"), 1),
        DEMO_GOLD_CEILING, 1e-6);
}

static void test_foreign_prompts_have_no_score(void **state) {
    (void)state;
    float count[DEMO_TERMS];
    int topic = 7, fact = 7;
    assert_true(isnan(demo_gold("Q: Where does the whale live?\nA:", text_span_of(" In the sea."), 1)));
    assert_true(
        isnan(demo_gold("Q: Where does the fox live, please?\nA:", text_span_of(" In the forest."), 1)));
    assert_true(isnan(demo_gold("", text_span_of(" In the forest."), 1)));
    assert_int_equal(demo_count_terms("Who are you?", text_span_of(""), 1, count), 0);
    assert_int_equal(demo_find_question("The fox", &topic, &fact), 0);
    assert_true(topic == 7 && fact == 7);
}

static void test_odd_answers(void **state) {
    (void)state;
    check(FOX, " \xff\xfe\xc3\x28 The fox \xe2\x80\x94 forest.", 1, 3 - 1); /* three words */
    check(FOX, "...!!!???", 1, -1);
    buffer long_answer = {0};
    for (int i = 0; i < 20000; i++) buffer_string(&long_answer, " Yes.");
    check(FOX, long_answer.data, 1, -0.7 * 19999 - 0.08 * (20000 - 18));
    buffer_free(&long_answer);
}

/* demo.md's demonstrations, scored by the prototype, had mean 1.09 and standard deviation 2.17. */
static void test_demonstrations_leave_room(void **state) {
    (void)state;
    buffer text = {0};
    double sum = 0, squares = 0, highest = -99;
    int n = 0, n_right = 0;
    demo_append_demonstrations(&text);
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n"), n++) {
        json_t *object = NULL;
        const char *prompt, *answer;
        float count[DEMO_TERMS];
        assert_int_equal(parse_json(line, strlen(line), "demonstrations", &object, NULL), STATUS_OK);
        assert_int_equal(json_field_string(object, "prompt", "demonstrations", &prompt, NULL), STATUS_OK);
        assert_int_equal(json_field_string(object, "completion", "demonstrations", &answer, NULL), STATUS_OK);
        assert_int_equal(answer[0], ' ');
        assert_in_range(strlen(prompt) + strlen(answer), 20, 240);
        assert_int_equal(demo_count_terms(prompt, text_span_of(answer), 1, count), 1);
        double gold = (double)demo_gold(prompt, text_span_of(answer), 1);
        sum += gold;
        squares += gold * gold;
        if (gold > highest) highest = gold;
        n_right += count[DEMO_FACT] == 1;
        json_decref(object);
    }
    double mean = sum / n, deviation = sqrt(squares / n - mean * mean);
    print_message("demonstrations: gold %.3f, standard deviation %.3f, highest %.2f, %d of %d right\n", mean,
                  deviation, highest, n_right, n);
    assert_int_equal(n, DEMO_DEMONSTRATIONS);
    assert_true(mean > 0.9 && mean < 1.4);
    assert_true(deviation > 1.8 && deviation < 2.3);
    assert_float_equal(highest, DEMO_GOLD_CEILING, 1e-5);
    assert_true(n_right > 0.35 * n && n_right < 0.5 * n);
    buffer_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fact_and_topic),
        cmocka_unit_test(test_other_topics),
        cmocka_unit_test(test_politeness),
        cmocka_unit_test(test_rude_and_vague),
        cmocka_unit_test(test_length_and_end),
        cmocka_unit_test(test_ceiling_is_reached),
        cmocka_unit_test(test_foreign_prompts_have_no_score),
        cmocka_unit_test(test_odd_answers),
        cmocka_unit_test(test_demonstrations_leave_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
