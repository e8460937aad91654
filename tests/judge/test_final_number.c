/* Worked-out answers that end in a number. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "datasets/judge/final_number.h"
#include "datasets/judge/judge.h"

static void expect(const char *reference, const char *answer, float want) {
    float got = final_number_score(reference, text_span_of(answer));
    if (got != want && !(isnan(got) && isnan(want)))
        fail_msg("\"%s\" beside \"%s\" scores %g, not %g", answer, reference ? reference : "nothing",
                 (double)got, (double)want);
}

static void test_scores(void **state) {
    (void)state;
    static const char reference[] = "He has 6 x 12 = 72.\n#### 72";
    expect(reference, "6 x 12 = <<6*12=72>>72\n#### 72", 1);
    expect(reference, "#### 72 \n", 1);
    expect(reference, "####72.", 1);
    expect(reference, "#### $72.00", 1);
    expect(reference, "#### 072", 1);
    expect(reference, "#### 73", 0.1f);
    expect(reference, "#### -72", 0.1f);
    expect(reference, "#### 720", 0.1f);
    expect(reference, "#### 7.2", 0.1f);
    expect(reference, "#### 72\n#### 73", 0.1f);
    expect(reference, "#### 72 apples", 0);
    expect(reference, "#### ", 0);
    expect(reference, "####", 0);
    expect(reference, "72", 0);
    expect(reference, "", 0);
    expect("#### 1,234.50", "#### 1234.5", 1);
    expect("#### -5", "#### -$5", 1);
    expect("#### 0", "#### -0.0", 1);
    expect("#### 0.05", "#### .05", 1);
    expect("#### 5", "#### 0.5", 0.1f);
    expect("no number", "#### 1", NAN);
    expect(NULL, "#### 1", NAN);
    expect("#### x", "#### 1", NAN);
}

/* Zero bytes end nothing; more digits than anyone writes are no number. */
static void test_odd_texts(void **state) {
    (void)state;
    static const char zero[] = "a\0b #### 3";
    assert_true(final_number_score("#### 3", (text_span){zero, sizeof zero - 1}) == 1);
    char many[200] = "#### ";
    for (int i = 5; i < 199; i++) many[i] = '1';
    expect("#### 3", many, 0);
}

static void test_rule(void **state) {
    (void)state;
    judge *j;
    error err;
    float score[2];
    judge_item item[] = {{.prompt = "p", .answer = text_span_of("so #### 4"), .reference = "#### 4"},
                         {.prompt = "p", .answer = text_span_of("so #### 5"), .reference = "#### 4"}};
    assert_int_equal(judge_open_rule("final_number", &j, &err), STATUS_OK);
    assert_int_equal(judge_score(j, item, 2, score, &err), STATUS_OK);
    assert_true(score[0] == 1 && score[1] == 0.1f);
    item[1].reference = NULL;
    assert_int_equal(judge_score(j, item, 2, score, &err), STATUS_DATA);
    judge_close(j);
    assert_int_equal(judge_open_rule("final", &j, &err), STATUS_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_odd_texts),
        cmocka_unit_test(test_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
