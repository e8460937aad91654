/* Settings: what is read, what is refused and in which words, what is printed and compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/config.h"
#include "core/base/file.h"

struct sample {
    const char *run;
    int64_t seed;
    int threads;
    int device;
    bool fast;
    float kl_coef, rate;
    const char *command, *model;
    config_ints iterations;
    config_strings names, files;
    int preset;
};

static const char *const DEVICE[] = {"auto", "cpu", NULL};
static const char *const PRESET_WORD[] = {"none", "demo", NULL};
static const config_section SECTION[] = {{"", ""}, {"ppo", "The stage."}, {"data", "The files."}};
static const config_key KEY[] = {
    {"run", CONFIG_PATH, offsetof(struct sample, run), NULL, 0, 0, NULL, "", true, "Where."},
    {"seed", CONFIG_INT64, offsetof(struct sample, seed), "1", 0, 9e18, NULL, "", false, "Seed."},
    {"threads", CONFIG_INT, offsetof(struct sample, threads), "0", 0, 64, NULL, "", true, "Threads."},
    {"device", CONFIG_WORD, offsetof(struct sample, device), "auto", 0, 0, DEVICE, "", false, "Device."},
    {"ppo.preset", CONFIG_WORD, offsetof(struct sample, preset), "none", 0, 0, PRESET_WORD, "", false,
     "Recipe."},
    {"ppo.fast", CONFIG_BOOL, offsetof(struct sample, fast), "false", 0, 0, NULL, "", false, "Fast."},
    {"ppo.kl_coef", CONFIG_FLOAT, offsetof(struct sample, kl_coef), "0.02", 0, 10, NULL, "", false,
     "beta | KL."},
    {"ppo.lr", CONFIG_FLOAT, offsetof(struct sample, rate), "1e-5", 0, INFINITY, NULL, "", false, "Rate."},
    {"ppo.command", CONFIG_STRING, offsetof(struct sample, command), NULL, 0, 0, NULL, "", false, "Command."},
    {"ppo.model", CONFIG_PATH, offsetof(struct sample, model), NULL, 0, 0, NULL, "", false, "Model."},
    {"ppo.iterations", CONFIG_INTS, offsetof(struct sample, iterations), "[30, 20]", 1, 1000, NULL, "", false,
     "n."},
    {"data.names", CONFIG_STRINGS, offsetof(struct sample, names), NULL, 0, 0, NULL, "", false, "Names."},
    {"data.files", CONFIG_PATHS, offsetof(struct sample, files), NULL, 0, 0, NULL, "", false, "Files."},
};
static const char *const DEMO[] = {"ppo.kl_coef=0.1", "ppo.iterations=[3, 2]", "ppo.fast=true", NULL};
static const config_preset PRESET[] = {{"ppo.preset", "demo", DEMO}};
static const config_table TABLE = {.size = sizeof(struct sample),
                                   .section = SECTION,
                                   .n_section = 3,
                                   .key = KEY,
                                   .n_key = 13,
                                   .preset = PRESET,
                                   .n_preset = 1};

static char directory[64];
static char path[128];

static int set_up(void **state) {
    (void)state;
    strcpy(directory, "/tmp/rlhf-config-XXXXXX");
    if (!mkdtemp(directory) || chdir(directory)) return -1;
    strcpy(path, "a.yaml");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return chdir("/") || path_remove_tree(directory, NULL) != STATUS_OK;
}

static void write_text(const char *file, const char *text, size_t length) {
    error err;
    if (file_write(file, text, length, &err) != STATUS_OK) fail_msg("%s", err.message);
}

/* Reads text as a.yaml, with one setting or none. */
static status read_text(const char *text, size_t length, const char *setting, struct sample *out,
                        config_source **source, error *err) {
    write_text(path, text, length);
    return config_read(&TABLE, path, &setting, setting ? 1 : 0, out, source, err);
}

static struct sample must_read(const char *text, const char *setting, config_source **source) {
    struct sample out;
    error err;
    if (read_text(text, strlen(text), setting, &out, source, &err) != STATUS_OK) fail_msg("%s", err.message);
    return out;
}

static void refuses_bytes(const char *text, size_t length, const char *setting, const char *message) {
    struct sample out, zero;
    config_source *source;
    error err;
    memset(&zero, 0, sizeof zero);
    memset(&out, 1, sizeof out);
    assert_int_equal(read_text(text, length, setting, &out, &source, &err), STATUS_USAGE);
    assert_int_equal(err.code, STATUS_USAGE);
    assert_string_equal(err.message, message);
    assert_null(source);
    assert_memory_equal(&out, &zero, sizeof out);
}

static void refuses(const char *text, const char *message) {
    refuses_bytes(text, strlen(text), NULL, message);
}
static void refuses_set(const char *setting, const char *message) { refuses_bytes("", 0, setting, message); }

static void test_defaults(void **state) {
    (void)state;
    config_source *source;
    struct sample s = must_read("# nothing\n", NULL, &source);
    assert_null(s.run);
    assert_true(s.seed == 1);
    assert_int_equal(s.device, 0);
    assert_true(s.kl_coef == 0.02f);
    assert_int_equal(s.iterations.n, 2);
    assert_int_equal(s.names.n, 0);
    assert_string_equal(config_place(source, "seed"), "default");
    assert_false(config_is_given(source, "seed"));
    /* "default" is no place that a user could look at. */
    error err;
    assert_int_equal(config_refuse_key(source, "seed", STATUS_USAGE, &err, "is %d", 1), STATUS_USAGE);
    assert_string_equal(err.message, "seed is 1");
    config_release(source);
}

static void test_values(void **state) {
    (void)state;
    config_source *source;
    struct sample s =
        must_read("run: ../runs/x\nseed: 9000000000000000000\ndevice: cpu\n"
                  "ppo:\n  fast: true\n  kl_coef: 1.5e-1\n  command: \"a \\\"b\\\"\"\n  iterations: 7\n"
                  "  model: /m//n/\n"
                  "data:\n  names: [a, 'b c', ~x]\n  files:\n    - one.jsonl\n    - sub/../two.jsonl\n",
                  NULL, &source);
    assert_string_equal(s.run, "../runs/x");
    assert_true(s.seed == 9000000000000000000);
    assert_int_equal(s.device, 1);
    assert_true(s.fast);
    assert_true(s.kl_coef == 0.15f);
    assert_string_equal(s.command, "a \"b\"");
    assert_string_equal(s.model, "/m/n");
    assert_int_equal(s.iterations.n, 1);
    assert_int_equal(config_int_of_round(&s.iterations, 1), 7);
    assert_int_equal(config_int_of_round(&s.iterations, 9), 7);
    assert_int_equal(s.names.n, 3);
    assert_string_equal(s.names.value[1], "b c");
    assert_string_equal(s.names.value[2], "~x");
    assert_string_equal(s.files.value[0], "one.jsonl");
    assert_string_equal(s.files.value[1], "two.jsonl");
    assert_string_equal(config_place(source, "ppo.kl_coef"), "a.yaml:6:3");
    error err;
    assert_int_equal(config_refuse_key(source, "ppo.kl_coef", STATUS_DATA, &err, "is %s", "odd"),
                     STATUS_DATA);
    assert_string_equal(err.message, "a.yaml:6:3: ppo.kl_coef is odd");
    assert_true(config_is_given(source, "ppo.kl_coef"));
    config_release(source);
}

static void test_rounds(void **state) {
    (void)state;
    const int value[] = {30, 20};
    config_ints list = {2, value};
    assert_int_equal(config_int_of_round(&list, 1), 30);
    assert_int_equal(config_int_of_round(&list, 2), 20);
    assert_int_equal(config_int_of_round(&list, 3), 20);
}

static void test_nothing_is_none(void **state) {
    (void)state;
    config_source *source;
    struct sample s =
        must_read("run: null\nppo:\n  command: ~\n  model:\ndata:\n  names: []\n", NULL, &source);
    assert_null(s.run);
    assert_null(s.command);
    assert_null(s.model);
    assert_int_equal(s.names.n, 0);
    config_release(source);
    s = must_read("ppo:\ndata:\n", NULL, &source); /* sections whose keys are all commented out */
    config_release(source);
}

static void test_paths_are_relative_to_their_file(void **state) {
    (void)state;
    struct sample s;
    config_source *source;
    error err;
    const char *setting[] = {"ppo.model=here/m", "data.files=[x, sub/y]"};
    assert_int_equal(path_make_directories("configs", &err), STATUS_OK);
    write_text("configs/a.yaml", "run: ../runs/a\nppo: {model: m}\n", 31);
    assert_int_equal(config_read(&TABLE, "configs/a.yaml", NULL, 0, &s, &source, &err), STATUS_OK);
    assert_string_equal(s.run, "runs/a");
    assert_string_equal(s.model, "configs/m");
    config_release(source);
    assert_int_equal(config_read(&TABLE, "configs/a.yaml", setting, 2, &s, &source, &err), STATUS_OK);
    assert_string_equal(s.model, "here/m");
    assert_string_equal(s.files.value[1], "sub/y");
    assert_string_equal(config_place(source, "ppo.model"), "--set ppo.model=here/m");
    config_release(source);
}

static void test_settings(void **state) {
    (void)state;
    config_source *source;
    struct sample s = must_read("ppo: {kl_coef: 1}\n", "ppo.kl_coef=0.5", &source);
    assert_true(s.kl_coef == 0.5f);
    config_release(source);
    s = must_read("", "ppo.command=python3 score.py: # \"x\" --- [", &source);
    assert_string_equal(s.command, "python3 score.py: # \"x\" --- [");
    config_release(source);
    s = must_read("", "ppo.command=\"null\"", &source);
    assert_string_equal(s.command, "null");
    config_release(source);
    s = must_read("ppo: {command: x}\n", "ppo.command=", &source);
    assert_null(s.command);
    config_release(source);
}

static void test_presets(void **state) {
    (void)state;
    config_source *source;
    struct sample s = must_read("ppo: {kl_coef: 0.3, preset: demo}\n", NULL, &source);
    assert_true(s.kl_coef == 0.3f); /* the file wins, wherever it stands */
    assert_true(s.fast);
    assert_int_equal(s.iterations.value[0], 3);
    config_release(source);
    s = must_read("ppo: {preset: none}\n", "ppo.preset=demo", &source);
    assert_true(s.kl_coef == 0.1f);
    config_release(source);
}

static void test_unknown_keys(void **state) {
    (void)state;
    refuses("ppo:\n  kl_cof: 1\n", "a.yaml:2:3: unknown key \"ppo.kl_cof\", did you mean \"ppo.kl_coef\"?");
    refuses("ppo: {lr: 1, KL_COEF: 1}",
            "a.yaml:1:14: unknown key \"ppo.KL_COEF\", did you mean \"ppo.kl_coef\"?");
    refuses("opp:\n  kl_coef: 1\n", "a.yaml:1:1: unknown key \"opp\", did you mean \"ppo\"?");
    refuses("kl_coef: 1\n", "a.yaml:1:1: unknown key \"kl_coef\", did you mean \"ppo.kl_coef\"?");
    refuses("\n\n  something_else: 1\n", "a.yaml:3:3: unknown key \"something_else\"");
    refuses_set("ppo.iteration=3",
                "--set ppo.iteration=3: unknown key \"ppo.iteration\", did you mean \"ppo.iterations\"?");
    /* before values are looked at */
    refuses("seed: x\nsed: 1\n", "a.yaml:2:1: unknown key \"sed\", did you mean \"seed\"?");
}

static void test_wrong_types(void **state) {
    (void)state;
    refuses("ppo:\n  kl_coef: much\n", "a.yaml:2:12: \"ppo.kl_coef\" must be a number, not \"much\"");
    refuses("ppo: {kl_coef: \"0.1\"}\n",
            "a.yaml:1:16: \"ppo.kl_coef\" must be a number, not the quoted text \"0.1\"");
    refuses("ppo: {kl_coef: }\n", "a.yaml:1:16: \"ppo.kl_coef\" must be a number, not nothing");
    refuses("ppo: {kl_coef: 0x1p3}\n", "a.yaml:1:16: \"ppo.kl_coef\" must be a number, not \"0x1p3\"");
    refuses("ppo: {kl_coef: .nan}\n", "a.yaml:1:16: \"ppo.kl_coef\" must be a number, not \".nan\"");
    refuses("ppo: {kl_coef: inf}\n", "a.yaml:1:16: \"ppo.kl_coef\" must be a number, not \"inf\"");
    refuses("ppo: {kl_coef: 1e}\n", "a.yaml:1:16: \"ppo.kl_coef\" must be a number, not \"1e\"");
    refuses("ppo: {kl_coef: [1]}\n", "a.yaml:1:16: \"ppo.kl_coef\" must be a number, not a list");
    refuses("ppo: {kl_coef: {a: [1, {b: c}]}}\n",
            "a.yaml:1:16: \"ppo.kl_coef\" must be a number, not a section");
    refuses("threads: 1.5\n", "a.yaml:1:10: \"threads\" must be a whole number, not \"1.5\"");
    refuses("ppo: {fast: yes}\n", "a.yaml:1:13: \"ppo.fast\" must be true or false, not \"yes\"");
    refuses("device: gpu\n", "a.yaml:1:9: \"device\" must be auto or cpu, not \"gpu\"");
    refuses("ppo: {iterations: [1, x]}\n",
            "a.yaml:1:23: \"ppo.iterations\" must be a list of whole numbers, not \"x\"");
    refuses("ppo: {iterations: []}\n",
            "a.yaml:1:19: \"ppo.iterations\" must be a list of whole numbers, not empty");
    refuses("run: [a]\n", "a.yaml:1:6: \"run\" must be a path, not a list");
    refuses("run: ''\n", "a.yaml:1:6: \"run\" must be a path, not the quoted text \"\"");
    refuses("data:\n  files:\n    a: b\n",
            "a.yaml:3:5: \"data.files\" must be a list of paths, not a section");
    refuses("data: {names: [[a]]}\n", "a.yaml:1:16: a list holds plain values only");
    refuses("ppo: 4\n", "a.yaml:1:1: \"ppo\" is a section: its keys stand below it");
    refuses_set("ppo=4", "--set ppo=4: \"ppo\" is a section: its keys stand below it");
    refuses_set("ppo.kl_coef=x", "--set ppo.kl_coef=x: \"ppo.kl_coef\" must be a number, not \"x\"");
    refuses_set("ppo.kl_coef", "--set ppo.kl_coef: must be section.key=value");
    refuses_set("=1", "--set =1: must be section.key=value");
    refuses_set("ppo.command=\xff", "--set ppo.command=\xff: \"ppo.command\" must be UTF-8, not other bytes");
}

static void test_ranges(void **state) {
    (void)state;
    refuses("ppo: {kl_coef: -1}\n", "a.yaml:1:16: \"ppo.kl_coef\" must be in the range 0 to 10, not -1");
    refuses("ppo: {lr: -1e-9}\n", "a.yaml:1:11: \"ppo.lr\" must be at least 0, not -1e-9");
    refuses("ppo: {lr: 1e99}\n", "a.yaml:1:11: \"ppo.lr\" must be at least 0, not 1e99");
    refuses("threads: 65\n", "a.yaml:1:10: \"threads\" must be in the range 0 to 64, not 65");
    refuses("threads: 99999999999999999999\n",
            "a.yaml:1:10: \"threads\" must be in the range 0 to 64, not 99999999999999999999");
    refuses("ppo: {iterations: [3, 0]}\n",
            "a.yaml:1:23: \"ppo.iterations\" must be in the range 1 to 1000, not 0");
}

static void test_bad_yaml(void **state) {
    (void)state;
    refuses("seed: 1\nppo: {}\nseed: 2\n", "a.yaml:3:1: duplicate key \"seed\", first on line 1");
    refuses("ppo: {lr: 1}\nppo: {kl_coef: 1}\n", "a.yaml:2:1: duplicate key \"ppo\", first on line 1");
    refuses("ppo:\n  lr: 1\n  lr: 1\n", "a.yaml:3:3: duplicate key \"ppo.lr\", first on line 2");
    refuses("seed: &a 1\n", "a.yaml:1:7: anchors (&name) are not allowed");
    refuses("ppo: &a {lr: 1}\n", "a.yaml:1:6: anchors (&name) are not allowed");
    refuses("seed: *a\n", "a.yaml:1:7: aliases (*name) are not allowed");
    refuses("seed: !!int 1\n", "a.yaml:1:7: tags (!name) are not allowed");
    refuses("seed: 1\n---\nseed: 2\n", "a.yaml:2:1: a second document is not allowed");
    refuses("- seed\n", "a.yaml:1:1: a config is made of `key: value` lines");
    refuses("seed\n", "a.yaml:1:1: a config is made of `key: value` lines");
    refuses("[a]: 1\n", "a.yaml:1:1: a key must be a plain word");
    refuses("run: \"a\\0b\"\n", "a.yaml:1:6: a zero byte is not allowed in a value");
    refuses("ppo:\n\tlr: 1\n", "a.yaml:2:1: not valid YAML: found character that cannot start any token");
    refuses("ppo: {lr: [\n", "a.yaml:2:1: not valid YAML: did not find expected node content");
    refuses(
        "ppo: {lr: {a: {b: {c: {d: {e: {f: {g: {h: {i: {j: {k: {l: {m: {n: {o: {p: {q: 1}}}}}}}}}}}}}}}}}}\n",
        "a.yaml:1:75: nested too deeply");
    refuses_bytes("run: a\0b\n", 9, NULL,
                  "a.yaml: not valid YAML: control characters are not allowed at byte 6");
    refuses_bytes("run: \xff\n", 7, NULL, "a.yaml: not valid YAML: invalid leading UTF-8 octet at byte 5");
    refuses_set("data.names=[a", "--set data.names=[a: not valid YAML: did not find expected ',' or ']'");
    refuses_set("data.names=[a] b",
                "--set data.names=[a] b: not valid YAML: did not find expected <document start>");
}

static void test_missing_file(void **state) {
    (void)state;
    struct sample s;
    config_source *source;
    error err;
    assert_int_equal(config_read(&TABLE, "none.yaml", NULL, 0, &s, &source, &err), STATUS_USAGE);
    assert_string_equal(err.message, "none.yaml: No such file or directory");
    assert_int_equal(config_read(&TABLE, ".", NULL, 0, &s, &source, &err), STATUS_USAGE);
    assert_string_equal(err.message, ".: is a directory, a file is wanted");
}

static void print(const struct sample *s, const char *const *sections, const char *where, buffer *out) {
    error err;
    buffer_clear(out);
    assert_int_equal(config_print(&TABLE, s, sections, where, out, &err), STATUS_OK);
}

static void test_printing_reads_back(void **state) {
    (void)state;
    config_source *source, *again;
    struct sample s =
        must_read("run: runs/x\nppo:\n  kl_coef: 0.1\n  lr: 9.65e-6\n"
                  "  command: \"a: \\\"b\\\" #c\\n\\t\\u0085\\u2028\\ufeff\\x7f \xc3\xa9\"\n"
                  "data: {files: [/abs/f, d/g], names: ['', '-x', \"null\", '~', 'true', 'a,b']}\n",
                  NULL, &source);
    buffer first = {0}, second = {0};
    print(&s, NULL, "runs/x", &first);
    assert_string_equal(first.data,
                        "run: .\nseed: 1\nthreads: 0\ndevice: auto\n\nppo:\n  preset: none\n  fast: false\n"
                        "  kl_coef: 0.1\n  lr: 9.65e-06\n"
                        "  command: \"a: \\\"b\\\" #c\\n\\t\\u0085\\u2028\\ufeff\\u007f \xc3\xa9\"\n"
                        "  model: null\n  iterations: [30, 20]\n\ndata:\n"
                        "  names: [\"\", \"-x\", \"null\", \"~\", true, \"a,b\"]\n"
                        "  files: [/abs/f, ../../d/g]\n");
    error err;
    struct sample t;
    assert_int_equal(path_make_directories("runs/x", &err), STATUS_OK);
    write_text("runs/x/config.yaml", first.data, first.len);
    assert_int_equal(config_read(&TABLE, "runs/x/config.yaml", NULL, 0, &t, &again, &err), STATUS_OK);
    assert_string_equal(t.run, "runs/x");
    assert_string_equal(t.command, s.command);
    assert_string_equal(t.files.value[1], "d/g");
    assert_string_equal(t.names.value[3], "~");
    print(&t, NULL, "runs/x", &second);
    assert_string_equal(first.data, second.data);
    config_release(source);
    config_release(again);
    buffer_free(&first);
    buffer_free(&second);
}

static void test_sections_and_json(void **state) {
    (void)state;
    static const char *const only[] = {"", "data", NULL};
    config_source *source;
    struct sample s = must_read("run: x\ndata: {files: [/tmp/f, a\"b]}\n", NULL, &source);
    buffer out = {0};
    error err;
    print(&s, only, ".", &out);
    assert_string_equal(out.data, "run: x\nseed: 1\nthreads: 0\ndevice: auto\n\ndata:\n  names: []\n"
                                  "  files: [../f, \"a\\\"b\"]\n");
    buffer_clear(&out);
    assert_int_equal(config_json(&TABLE, &s, only, "/tmp", &out, &err), STATUS_OK);
    char expected[256];
    snprintf(expected, sizeof expected,
             "{\"seed\":1,\"device\":\"auto\",\"data.names\":[],\"data.files\":[\"f\",\"%s/a\\\"b\"]}",
             directory + 5);
    assert_string_equal(out.data, expected);
    hash h, of_text = hash_bytes(out.data, out.len);
    assert_int_equal(config_hash(&TABLE, &s, only, "/tmp", &h, &err), STATUS_OK);
    assert_true(hash_equal(&h, &of_text));
    buffer_free(&out);
    config_release(source);
}

static void test_comparing(void **state) {
    (void)state;
    config_source *a, *b;
    struct sample s =
        must_read("threads: 2\nrun: x\nppo: {kl_coef: 0.02}\ndata: {files: [./q/../f]}\n", NULL, &a);
    struct sample t =
        must_read("threads: 3\nrun: y\nppo: {kl_coef: 0.05, model: m}\ndata: {files: [f]}\n", NULL, &b);
    buffer out = {0};
    error err;
    int n;
    char expected[256];
    assert_int_equal(config_compare(&TABLE, &s, &t, NULL, &out, &n, &err), STATUS_OK);
    snprintf(expected, sizeof expected, "ppo.kl_coef: 0.05, was 0.02\nppo.model: %s/m, was null\n",
             directory);
    assert_int_equal(n, 2);
    assert_string_equal(out.data, expected);
    static const char *const only[] = {"", "data", NULL};
    assert_int_equal(config_compare(&TABLE, &s, &t, only, &out, &n, &err), STATUS_OK);
    assert_int_equal(n, 0);
    buffer_free(&out);
    config_release(a);
    config_release(b);
}

static void test_reference_and_help(void **state) {
    (void)state;
    buffer out = {0};
    config_print_reference(&TABLE, &out);
    assert_non_null(strstr(out.data, "\n## ppo\n\nThe stage.\n"));
    assert_non_null(strstr(out.data, "| `ppo.kl_coef` | float, 0 to 10 | `0.02` | beta \\| KL. |\n"));
    assert_non_null(strstr(out.data, "| `ppo.iterations` | list of ints, 1 to 1000 | `[30, 20]` | n. |\n"));
    assert_non_null(strstr(out.data, "| `device` | auto, cpu | `auto` | Device. |\n"));
    assert_non_null(strstr(out.data, "`ppo.preset: demo`\n\n    ppo.kl_coef=0.1\n"));
    buffer_free(&out);
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    static const char *const only[] = {"ppo", NULL};
    config_print_help(&TABLE, only, stream);
    fclose(stream);
    assert_non_null(strstr(text, "  ppo.lr (float, at least 0; default 1e-5)\n      Rate.\n"));
    assert_null(strstr(text, "seed"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_rounds),
        cmocka_unit_test(test_nothing_is_none),
        cmocka_unit_test(test_paths_are_relative_to_their_file),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_bad_yaml),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_printing_reads_back),
        cmocka_unit_test(test_sections_and_json),
        cmocka_unit_test(test_comparing),
        cmocka_unit_test(test_reference_and_help),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
