/* Lineage files, artifact hashes, paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/lineage.h"
#include "core/base/path.h"

static char directory[64];

static int set_up(void **state) {
    (void)state;
    strcpy(directory, "/tmp/rlhf-lineage-XXXXXX");
    return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return chdir("/") || path_remove_tree(directory, NULL) != STATUS_OK;
}

static void must(status s, const error *err) {
    if (s != STATUS_OK) fail_msg("%s", err->message);
}

static void write_text(const char *file, const char *text) {
    error err;
    must(file_write(file, text, strlen(text), &err), &err);
}

static void test_uuid(void **state) {
    (void)state;
    char a[LINEAGE_UUID], b[LINEAGE_UUID];
    error err;
    int64_t before = lineage_now_ms();
    must(lineage_make_uuid(a, &err), &err);
    must(lineage_make_uuid(b, &err), &err);
    assert_int_equal(strlen(a), 36);
    assert_int_equal(a[14], '7');
    assert_non_null(strchr("89ab", a[19]));
    assert_string_not_equal(a, b);
    char head[16] = "";
    memcpy(head, a, 8);
    memcpy(head + 8, a + 9, 4);
    int64_t ms = strtoll(head, NULL, 16);
    assert_true(ms >= before && ms <= before + 10000);
}

static void test_model_hash_is_that_of_the_shell(void **state) {
    (void)state;
    error err;
    hash of_model, of_file;
    uint64_t bytes;
    char hex[2 * HASH_BYTES + 1];
    must(path_make_directories("model", &err), &err);
    assert_int_equal(hash_artifact("model", &of_model, &bytes, &err), STATUS_DATA);
    assert_string_equal(err.message, "model: is not a model directory: it has no config.json");
    write_text("model/config.json", "{}");
    write_text("model/tokenizer.json", "t");
    write_text("model/tokenizer_config.json", "tc");
    write_text("model/model.safetensors", "weights");
    write_text("model/optimizer.bin", "not a part");
    write_text("model/README.md", "neither");
    must(hash_artifact("model", &of_model, &bytes, &err), &err);
    assert_true(bytes == 2 + 1 + 2 + 7);
    /* LC_ALL=C; sha256sum config.json tokenizer.json tokenizer_config.json model.safetensors | sort |
     * sha256sum */
    hash_hex(&of_model, hex);
    assert_string_equal(hex, "59113bdad07a027a6f4f4380da959290003a7e9941947f55584e506186aa1e52");
    must(hash_artifact("model/config.json", &of_file, &bytes, &err), &err);
    hash_hex(&of_file, hex);
    assert_string_equal(hex, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    assert_int_equal(hash_artifact("nothing", &of_file, &bytes, &err), STATUS_DATA);
}

static void test_round_trip(void **state) {
    (void)state;
    error err;
    lineage l = {.round = 2, .seed = 9000000000000000000u, .attempt = 3, .started_ms = 1700000000123}, r;
    must(lineage_make_uuid(l.uuid, &err), &err);
    l.kind = strdup("ppo");
    l.code = strdup("0.1.0");
    must(path_make_directories("runs/x", &err), &err);
    write_text("prompts \"1\".jsonl", "abc");
    must(lineage_add_in(&l, "runs/x", "prompts", -1, "prompts \"1\".jsonl", &err), &err);
    write_text("runs/x/answers.jsonl", "1");
    must(lineage_add_out(&l, "runs/x", "answers", 5, "runs/x/answers.jsonl", &err), &err);
    write_text("runs/x/answers.jsonl", "12");
    must(lineage_add_out(&l, "runs/x", "answers", 5, "runs/x/answers.jsonl", &err), &err); /* replaces */
    must(lineage_write("runs/x/lineage.json", &l, &err), &err);
    must(lineage_read("runs/x/lineage.json", &r, &err), &err);
    assert_string_equal(r.uuid, l.uuid);
    assert_string_equal(r.kind, "ppo");
    assert_true(r.round == 2 && r.seed == l.seed && r.attempt == 3 && r.started_ms == l.started_ms &&
                r.ended_ms == 0);
    assert_int_equal(r.n_in, 1);
    assert_string_equal(r.in[0].path, "../../prompts \"1\".jsonl");
    assert_true(r.in[0].step == -1 && r.in[0].bytes == 3 && hash_equal(&r.in[0].sha256, &l.in[0].sha256));
    assert_int_equal(r.n_out, 1);
    assert_true(r.out[0].step == 5 && r.out[0].bytes == 2);
    lineage_free(&l);
    lineage_free(&r);
}

static void refuses(const char *text, const char *message) {
    error err;
    lineage l;
    write_text("bad.json", text);
    assert_int_equal(lineage_read("bad.json", &l, &err), STATUS_DATA);
    assert_string_equal(err.message, message);
}

static void test_damaged(void **state) {
    (void)state;
    refuses("[]", "bad.json: must be an object");
    refuses("{\"uuid\":\"x\"}", "bad.json: \"uuid\" is not a uuid");
    refuses("{\"uuid\":\"00000000-0000-7000-8000-000000000000\",\"kind\":\"a\",\"code\":\"b\",\"config_"
            "sha256\":\"c\"}",
            "bad.json: \"config_sha256\" must be 64 hexadecimal digits");
#define HEAD                                                                                                 \
    "{\"uuid\":\"00000000-0000-7000-8000-000000000000\",\"kind\":\"a\",\"code\":\"b\",\"config_sha256\":"    \
    "\"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\",\"round\":null,\"seed\":1,"        \
    "\"attempt\":1,"                                                                                         \
    "\"started_ms\":1,\"ended_ms\":null,"
    refuses(HEAD "\"in\":{}}", "bad.json: \"in\" must be an array");
    refuses(HEAD "\"in\":[{\"role\":\"r\",\"path\":\"p\",\"step\":\"x\"}]}",
            "bad.json: \"step\" must be a whole number, not a string");
}

static void test_paths(void **state) {
    (void)state;
    static const char *const normal[][2] = {
        {"a", "a"},
        {"a//b/./c/", "a/b/c"},
        {"a/..", "."},
        {"a/../b", "b"},
        {"../a", "../a"},
        {"../../a/..", "../.."},
        {"/", "/"},
        {"/../a", "/a"},
        {"//a//", "/a"},
        {".", "."},
        {"", "."},
        {"a/b/../../..", ".."},
        {"a/b/../c", "a/c"},
        {"/a/..", "/"},
        {"..a/.b", "..a/.b"},
    };
    for (size_t i = 0; i < sizeof normal / sizeof *normal; i++) {
        char *p = path_normal(normal[i][0]);
        assert_string_equal(p, normal[i][1]);
        free(p);
    }
    static const char *const relative[][3] = {
        {"/a/b", "/a/c", "../c"}, {"/a/b", "/a/b", "."},
        {"/a", "/a/b/c", "b/c"},  {"/a/b", "/", "../.."},
        {"/", "/x", "x"},         {"/a/b", "/a", ".."},
        {"/ab", "/a", "../a"},    {"/a", "/ab/c", "../ab/c"},
        {"/", "/", "."},          {"x/y", "z", "../../z"},
        {".", "x", "x"},          {"x", "../q", "../../q"},
    };
    for (size_t i = 0; i < sizeof relative / sizeof *relative; i++) {
        char *p = path_relative(relative[i][0], relative[i][1]);
        assert_string_equal(p, relative[i][2]);
        free(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uuid),       cmocka_unit_test(test_model_hash_is_that_of_the_shell),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
