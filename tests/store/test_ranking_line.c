/* One line of rankings: every shape, and what is wrong with the others. */
#include "datasets/store/ranking_line.h"
#include "tests/store/store_test.h"

static ranking_line parse(const char *text) {
    ranking_line line;
    OK(ranking_line_parse(text, strlen(text), "f:1", &line, &err));
    return line;
}

static void assert_line(const char *text, bool chat, const char *prompt, const char *first,
                        const char *second, const char *ranks) {
    ranking_line line = parse(text);
    assert_int_equal(line.chat, chat);
    assert_int_equal(line.prompt.len, strlen(prompt));
    assert_memory_equal(line.prompt.data, prompt, line.prompt.len);
    assert_int_equal(line.answer[0].len, strlen(first));
    assert_memory_equal(line.answer[0].data, first, line.answer[0].len);
    assert_int_equal(line.answer[1].len, strlen(second));
    assert_memory_equal(line.answer[1].data, second, line.answer[1].len);
    assert_int_equal(line.n_rank, strlen(ranks));
    for (int i = 0; i < line.n_rank; i++) assert_int_equal(line.rank[i], ranks[i] - '0');
    ranking_line_free(&line);
}

#define USER(text)      "{\"role\":\"user\",\"content\":\"" text "\"}"
#define ASSISTANT(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"

static void reads_every_shape(void **state) {
    (void)state;
    assert_line("{\"prompt\":\"p\",\"answers\":[\"a\",\"b\",\"c\",\"d\"],\"ranks\":[1,9,3,9]}", false, "p",
                "a", "b", "1323");
    assert_line("{\"messages\":[{\"content\":\"p\",\"role\":\"user\",\"name\":\"x\"}],\"answers\":[\"a\","
                "\"b\"],\"ranks\":[0,-1]}",
                true, "[" USER("p") "]", "a", "b", "21");
    assert_line("{\"prompt\":[" USER("p") "],\"answers\":[\"a\",\"b\"],\"ranks\":[1,1]}", true,
                "[" USER("p") "]", "a", "b", "11");
    assert_line("{\"prompt\":\"p\",\"chosen\":\"a\",\"rejected\":\"b\"}", false, "p", "a", "b", "12");
    assert_line(
        "{\"prompt\":[" USER("p") "],\"chosen\":[" ASSISTANT("a") "],\"rejected\":[" ASSISTANT("b") "]}",
        true, "[" USER("p") "]", "a", "b", "12");
    assert_line("{\"prompt\":\"p\",\"chosen\":[" ASSISTANT("a") "],\"rejected\":[" ASSISTANT("b") "]}", true,
                "[" USER("p") "]", "a", "b", "12");
    assert_line("{\"prompt\":\"p\",\"chosen\":[" USER("p") "," ASSISTANT("a") "],\"rejected\":[" USER(
                    "p") "," ASSISTANT("b") "]}",
                true, "[" USER("p") "]", "a", "b", "12");
    assert_line(
        "{\"chosen\":[" USER("p") "," ASSISTANT("a") "],\"rejected\":[" USER("p") "," ASSISTANT("b") "]}",
        true, "[" USER("p") "]", "a", "b", "12");
}

static void reads_anthropic_pairs(void **state) {
    (void)state;
    assert_line("{\"chosen\":\"\\n\\nHuman: Hi\\n\\nAssistant: Yes?\\n\\nHuman: Why? \\n\\nAssistant: As it "
                "is\",\"rejected\":\"\\n\\nHuman: "
                "Hi\\n\\nAssistant: Yes?\\n\\nHuman: Why? \\n\\nAssistant: As it was\"}",
                true, "[" USER("Hi") "," ASSISTANT("Yes?") "," USER("Why?") "]", "As it is", "As it was",
                "12");
    assert_line(
        "{\"chosen\":\"\\n\\nHuman: Hi\\n\\nAssistant:\",\"rejected\":\"\\n\\nHuman: Hi\\n\\nAssistant: b\"}",
        true, "[" USER("Hi") "]", "", "b", "12");
}

static void reads_the_export(void **state) {
    (void)state;
    ranking_line line = parse(
        "{\"uuid\":\"0190b5a2-0000-7000-8000-00000000002a\",\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],"
        "\"ranks\":null,"
        "\"verdict\":\"cannot_judge\",\"labeller\":\"ann\",\"kind\":\"human\",\"split\":\"test\",\"round\":3,"
        "\"shown\":\"21\",\"seconds\":1.5,\"received_ms\":12,\"note\":\"odd\",\"weight\":2}");
    assert_true(line.has_uuid && line.uuid[15] == 0x2a);
    assert_int_equal(line.verdict, VERDICT_CANNOT_JUDGE);
    assert_int_equal(line.n_rank, 0);
    assert_string_equal(line.labeller, "ann");
    assert_string_equal(line.split, "test");
    assert_string_equal(line.shown, "21");
    assert_string_equal(line.note, "odd");
    assert_int_equal(line.round, 3);
    assert_int_equal(line.received_ms, 12);
    assert_true(line.seconds == 1.5 && line.weight == 2);
    ranking_line_free(&line);
}

static void names_what_is_wrong(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"", "f:1: not JSON"},
        {"[1]", "must be an object, not an array"},
        {"{\"prompt\":\"p\\u0000q\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2]}",
         "\"prompt\" holds a zero byte"},
        {"{\"prompt\":\"p\",\"prompt\":\"q\"}", "duplicate"},
        {"{\"prompt\":\"p\"}", "neither \"answers\" nor"},
        {"{\"answers\":[\"a\",\"b\"],\"ranks\":[1,2]}", "neither \"prompt\" nor \"messages\""},
        {"{\"prompt\":\"p\",\"messages\":[],\"answers\":[\"a\",\"b\"],\"ranks\":[1,2]}", "has both"},
        {"{\"prompt\":3,\"answers\":[\"a\",\"b\"],\"ranks\":[1,2]}",
         "must be a string or messages, not a number"},
        {"{\"messages\":[],\"answers\":[\"a\",\"b\"],\"ranks\":[1,2]}", "not an empty one"},
        {"{\"messages\":[" ASSISTANT("x") "],\"answers\":[\"a\",\"b\"],\"ranks\":[1,2]}",
         "last message must be of the user"},
        {"{\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}],\"answers\":[\"a\",\"b\"],\"ranks\":[1,2]}",
         "has the role \"tool\""},
        {"{\"messages\":[{\"role\":\"user\"}],\"answers\":[\"a\",\"b\"],\"ranks\":[1,2]}", "message 1 needs"},
        {"{\"messages\":[7],\"answers\":[\"a\",\"b\"],\"ranks\":[1,2]}", "message 1 must be an object"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\"],\"ranks\":[1]}", "has 1 answers, a ranking has 2 to 9"},
        {"{\"prompt\":\"p\",\"answers\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\"],"
         "\"ranks\":[1,2,3,4,5,6,7,8,9,10]}",
         "has 10 answers"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\",\"a\"],\"ranks\":[1,2,3]}",
         "answers 1 and 3 are the same text"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",true],\"ranks\":[1,2]}",
         "answer 2 must be a string, not true or false"},
        {"{\"prompt\":\"p\",\"answers\":\"ab\",\"ranks\":[1,2]}", "\"answers\" must be an array"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"]}", "\"ranks\" is missing"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1]}", "has 1 ranks for 2 answers"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2.5]}", "rank 2 must be a whole number"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,99999999999]}",
         "rank 2 is 99999999999, out of range"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,\"2\"]}",
         "rank 2 must be a whole number, not a string"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2],\"verdict\":\"withdrawn\"}",
         "the verdict \"withdrawn\""},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2],\"verdict\":\"cannot_judge\"}",
         "has ranks and the verdict"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2],\"split\":\"dev\"}",
         "the split \"dev\""},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2],\"kind\":\"any\"}", "the kind \"any\""},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2],\"labeller\":5}",
         "\"labeller\" must be a string"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2],\"labeller\":\"a\\u0000b\"}",
         "\"labeller\" holds a zero character"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2],\"uuid\":\"12\"}", "\"12\" is no uuid"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2],\"shown\":\"11\"}",
         "not an order of the slots 1 to 2"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2],\"shown\":\"132\"}",
         "not an order of the slots"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2],\"seconds\":-1}",
         "\"seconds\" is -1, must be at least 0"},
        {"{\"prompt\":\"p\",\"answers\":[\"a\",\"b\"],\"ranks\":[1,2],\"round\":-1}", "\"round\" is -1"},
        {"{\"prompt\":\"p\",\"chosen\":\"a\",\"rejected\":\"a\"}", "answers 1 and 2 are the same text"},
        {"{\"prompt\":\"p\",\"chosen\":\"a\"}", "neither \"answers\" nor"},
        {"{\"prompt\":\"p\",\"chosen\":\"a\",\"rejected\":[]}", "must both be strings or both messages"},
        {"{\"prompt\":\"p\",\"chosen\":[],\"rejected\":[]}",
         "\"chosen\" must end with one message of the assistant"},
        {"{\"chosen\":[" USER("p") "," ASSISTANT("a") "," USER("q") "," ASSISTANT(
             "c") "],\"rejected\":[" USER("p") "," ASSISTANT("b") "]}",
         "\"chosen\" must end with one message"},
        {"{\"chosen\":\"a\",\"rejected\":\"b\"}", "no common prompt"},
        {"{\"chosen\":\"\\n\\nHuman: a\\n\\nAssistant: x\",\"rejected\":\"\\n\\nHuman: b\\n\\nAssistant: "
         "y\"}",
         "no common prompt"},
        {"{\"chosen\":\"\\n\\nHuman: a\\n\\nAssistant: x\\n\\nHuman: b\\n\\nAssistant: "
         "c\",\"rejected\":\"\\n\\nHuman: a\\n\\nAssistant: y\"}",
         "\"chosen\" has a further \"\\n\\nHuman:\""},
        {"{\"chosen\":\"Hi\\n\\nAssistant: x\",\"rejected\":\"Hi\\n\\nAssistant: y\"}",
         "does not begin with"},
        {"{\"chosen\":\"\\n\\nHuman: a\\n\\nAssistant: b\\n\\nAssistant: x\",\"rejected\":\"\\n\\nHuman: "
         "a\\n\\nAssistant: b\\n\\nAssistant: y\"}",
         "last turn must be a human's"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ranking_line line;
        FAILS(ranking_line_parse(bad[i][0], strlen(bad[i][0]), "f:1", &line, &err), STATUS_DATA, bad[i][1]);
        ranking_line_free(&line);
    }
}

static void deep_and_broken_text_is_refused(void **state) {
    (void)state;
    ranking_line line;
    size_t n = 100000;
    char *deep = malloc(n);
    memset(deep, '[', n);
    FAILS(ranking_line_parse(deep, n, "f:1", &line, &err), STATUS_DATA, "f:1: not JSON");
    ranking_line_free(&line);
    free(deep);
    FAILS(ranking_line_parse("{\"prompt\":\"\xff\"}", 14, "f:1", &line, &err), STATUS_DATA, "f:1: not JSON");
    ranking_line_free(&line);
}

static void the_canonical_line_does_not_know_the_order_of_keys(void **state) {
    (void)state;
    ranking_line a = parse("{\"prompt\":\"p\", \"chosen\":\"a\",\"rejected\":\"\\u0062\"}");
    ranking_line b = parse("{\"rejected\":\"b\",\"chosen\":\"a\",\"prompt\":\"p\"}");
    buffer x = {0}, y = {0};
    OK(ranking_line_canonical(&a, &x, &err));
    OK(ranking_line_canonical(&b, &y, &err));
    assert_string_equal(x.data, y.data);
    assert_string_equal(x.data, "{\"chosen\":\"a\",\"prompt\":\"p\",\"rejected\":\"b\"}");
    buffer_free(&x);
    buffer_free(&y);
    ranking_line_free(&a);
    ranking_line_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_shape),
        cmocka_unit_test(reads_anthropic_pairs),
        cmocka_unit_test(reads_the_export),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(deep_and_broken_text_is_refused),
        cmocka_unit_test(the_canonical_line_does_not_know_the_order_of_keys),
    };
    return cmocka_run_group_tests_name("ranking_line", tests, NULL, NULL);
}
