/* The schema of all programs: its table, presets, the shipped configs, the command line, the reference page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "configs/schema.h"
#include "tests/support/places.h"

static void must(status s, const error *err) {
    if (s != STATUS_OK) fail_msg("%s", err->message);
}

static void test_every_key_is_described(void **state) {
    (void)state;
    for (int i = 0; i < CONFIG_TABLE.n_key; i++) {
        const config_key *key = &CONFIG_TABLE.key[i], *before = i ? key - 1 : NULL;
        size_t n = strlen(key->help);
        if (n < 5 || key->help[n - 1] != '.') fail_msg("%s: its help is no sentence", key->name);
        if (key->low > key->high) fail_msg("%s: its range is empty", key->name);
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(key->name, CONFIG_TABLE.key[k].name);
            if (key->offset == CONFIG_TABLE.key[k].offset) fail_msg("%s: its field is another's", key->name);
        }
        /* Grouped: a section never comes twice. */
        const char *dot = strchr(key->name, '.');
        size_t section = dot ? (size_t)(dot - key->name) : 0;
        if (!before || strncmp(before->name, key->name, section + 1) == 0 || section == 0) continue;
        for (const config_key *k = CONFIG_TABLE.key; k < before; k++)
            if (strncmp(k->name, key->name, section + 1) == 0) fail_msg("%s: its section is torn", key->name);
    }
}

static void test_defaults(void **state) {
    (void)state;
    struct config c;
    error err;
    must(config_load_file(NULL, NULL, 0, &c, &err), &err);
    assert_true(c.seed == 1 && c.threads == 0);
    assert_true(c.model.bias && c.model.tied);
    assert_int_equal(c.pretrain.loss, CONFIG_LOSS_ALL);
    assert_int_equal(c.sft.loss, CONFIG_LOSS_COMPLETION);
    assert_int_equal(c.sft.optimizer.schedule, CONFIG_SCHEDULE_COSINE);
    assert_true(c.sft.optimizer.lr == 9.65e-6f);
    assert_true(c.reward.optimizer.lr == 9e-6f);
    assert_true(c.ppo.kl_coef == 0.02f && c.ppo.lambda == 0.95f && c.ppo.gamma == 1 && c.ppo.ptx_coef == 0);
    assert_int_equal(config_int_of_round(&c.ppo.iterations, 1), 100);
    assert_int_equal(c.eval.split, CONFIG_SPLIT_VALID);
    config_free(NULL, &c);
}

static void test_presets(void **state) {
    (void)state;
    struct config c;
    error err;
    const char *llama[] = {"model.family=llama", "model.tied=true"};
    must(config_load_file(NULL, llama, 2, &c, &err), &err);
    assert_int_equal(c.model.norm, CONFIG_NORM_RMS);
    assert_int_equal(c.model.position, CONFIG_POSITION_ROPE);
    assert_int_equal(c.model.activation, CONFIG_ACTIVATION_SWIGLU);
    assert_true(!c.model.bias && c.model.tied);
    config_free(NULL, &c);
    const char *instruct[] = {"ppo.preset=instructgpt"};
    must(config_load_file(NULL, instruct, 1, &c, &err), &err);
    assert_true(c.ppo.batch == 512 && c.ppo.minibatches == 8 && c.ppo.epochs == 1 && c.ppo.kl_coef == 0.02f);
    assert_true(c.ppo.ptx_coef == 27.8f && c.ppo.ptx_per_answer == 8 && c.ppo.ema == 0.992f);
    assert_true(c.ppo.optimizer.warmup == 10 && c.ppo.optimizer.warmup_from == 0.1f);
    assert_int_equal(c.ppo.max_tokens, 1024);
    config_free(NULL, &c);
    const char *demo[] = {"ppo.preset=demo", "ppo.kl_coef=0"};
    must(config_load_file(NULL, demo, 2, &c, &err), &err);
    assert_true(c.ppo.batch == 64 && c.ppo.minibatches == 2 && c.ppo.epochs == 4 && c.ppo.kl_coef == 0);
    assert_true(c.ppo.unfinished_score == -3 && c.ppo.optimizer.flat == 0.6f && c.ppo.value_lr == 3e-4f);
    assert_int_equal(c.ppo.value_schedule, CONFIG_SCHEDULE_CONSTANT);
    assert_int_equal(config_int_of_round(&c.ppo.iterations, 2), 20);
    config_free(NULL, &c);
}

static void test_shipped_configs(void **state) {
    (void)state;
    static const char *const name[] = {"sft", "reward", "ppo", "rounds", "tiny", "demo"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        char file[64];
        struct config c;
        error err;
        snprintf(file, sizeof file, "configs/%s.yaml", name[i]);
        must(config_load_file(file, NULL, 0, &c, &err), &err);
        snprintf(file, sizeof file, "runs/%s", name[i]);
        assert_string_equal(c.run, file);
        /* What a config names that no program makes must be there. */
        const config_strings *lists[] = {&c.pretrain.train, &c.sft.train, &c.ppo.prompts, &c.ppo.ptx,
                                         &c.rounds.prompts};
        for (size_t k = 0; k < sizeof lists / sizeof *lists; k++)
            for (int f = 0; f < lists[k]->n; f++) {
                buffer text = read_all(lists[k]->value[f]);
                assert_true(text.len > 0);
                buffer_free(&text);
            }
        config_free(NULL, &c);
    }
}

/* ---- the command line ---- */

/* What the options of the program under test were given. */
static struct {
    bool resume;
    const char *trace;
} given;

static status load(int argc, const char **argv, struct config_options *o, struct config *c, error *err) {
    static const char *const needed[] = {"run", "sft.train", NULL};
    static const struct config_option own[] = {
        {"--train", "FILE", "the same as sft.train", NULL, "sft.train"},
        CONFIG_OPTION_RESUME(&given.resume),
        {"--trace", "DIR", "writes more", &given.trace, NULL},
    };
    static const struct config_program program = {.name = "rlhf sft",
                                                  .purpose = "  Fine-tunes.",
                                                  .example = "configs/sft.yaml",
                                                  .sections = CONFIG_OF_SFT,
                                                  .needed = needed,
                                                  .option = own,
                                                  .n_option = 3};
    given.resume = false;
    given.trace = NULL;
    return config_load(&program, argc, (char **)argv, o, c, err);
}

#define LOAD(...)                                                                                            \
    load((int)(sizeof((const char *[]){"rlhf-sft", __VA_ARGS__}) / sizeof(char *)),                          \
         (const char *[]){"rlhf-sft", __VA_ARGS__}, &o, &c, &err)

static void test_command_line(void **state) {
    (void)state;
    struct config_options o;
    struct config c;
    error err;
    must(LOAD("--set", "seed=3", "configs/sft.yaml", "--resume", "--set=sft.lr=1", "--trace=t"), &err);
    assert_true(c.seed == 3 && c.sft.optimizer.lr == 1 && given.resume && !o.help);
    assert_string_equal(given.trace, "t");
    assert_string_equal(o.file, "configs/sft.yaml");
    assert_string_equal(config_place(c.source, "sft.lr"), "--set sft.lr=1");
    config_free(&o, &c);
    assert_null(c.source);
    /* An option that is a setting by another name; the later one wins. */
    must(LOAD("--set", "run=r", "--train", "a.jsonl", "--set", "sft.train=b.jsonl", "--train=c=d.jsonl"),
         &err);
    assert_true(c.sft.train.n == 1 && !given.resume && !given.trace);
    assert_string_equal(c.sft.train.value[0], "c=d.jsonl");
    config_free(&o, &c);

#define USAGE                                                                                                \
    "\nusage: rlhf sft [CONFIG] [--train FILE] [--resume] [--trace DIR] [--set section.key=value]... "       \
    "[--help]"                                                                                               \
    "\n  Fine-tunes."
    assert_int_equal(LOAD("--resum"), STATUS_USAGE);
    assert_string_equal(err.message, "unknown option --resum" USAGE);
    assert_int_equal(LOAD("configs/sft.yaml", "--dry-run"), STATUS_USAGE);
    assert_string_equal(err.message, "unknown option --dry-run" USAGE);
    assert_int_equal(LOAD("configs/sft.yaml", "--resume=yes"), STATUS_USAGE);
    assert_string_equal(err.message, "no value may stand behind --resume" USAGE);
    assert_int_equal(LOAD("configs/sft.yaml", "--trace"), STATUS_USAGE);
    assert_string_equal(err.message, "a value is missing behind --trace" USAGE);
    assert_int_equal(LOAD("--resume"), STATUS_USAGE);
    assert_string_equal(err.message, "no CONFIG is given" USAGE);
    assert_int_equal(LOAD("a", "b"), STATUS_USAGE);
    assert_string_equal(err.message, "one CONFIG is enough: b" USAGE);
    assert_int_equal(LOAD("a", "--set"), STATUS_USAGE);
    assert_string_equal(err.message, "a value is missing behind --set" USAGE);
    assert_int_equal(LOAD("configs/reward.yaml"), STATUS_USAGE);
    assert_string_equal(err.message, "configs/reward.yaml: \"sft.train\" (or --train FILE) is needed: Files "
                                     "to train on (JSONL, .gz, .txt).");
    assert_int_equal(LOAD("configs/sft.yaml", "--set", "sft.epoch=2"), STATUS_USAGE);
    assert_string_equal(err.message,
                        "--set sft.epoch=2: unknown key \"sft.epoch\", did you mean \"sft.epochs\"?");
}

static void test_the_nearest_key(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"sft.lrate", "sft.lr"},
        {"sft.batch_size", "sft.batch"},
        {"ppo.kl", "ppo.kl_coef"},
        {"data.max_len", "data.max_length"},
        {"sft.weight_deacy", "sft.weight_decay"},
        {"reward.learn_rate", NULL},
        {"generate.temprature", "generate.temperature"},
        {"rounds.rounds", "rounds.count"},
        {"sft.warm", "sft.warmup"},
        {"ppo.steps", "pretrain.steps"},
        {"pretrian.lr", "pretrain.lr"},
        {"sft.x", NULL},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char setting[64], want[64] = "";
        const char *settings[] = {setting};
        struct config c;
        error err;
        snprintf(setting, sizeof setting, "%s=1", wrong[i][0]);
        if (wrong[i][1]) snprintf(want, sizeof want, ", did you mean \"%s\"?", wrong[i][1]);
        assert_int_equal(config_load_file(NULL, settings, 1, &c, &err), STATUS_USAGE);
        const char *end = strstr(err.message, "unknown key ");
        end = end ? strchr(end + 13, '"') + 1 : "no unknown key";
        if (strcmp(end, want) != 0) fail_msg("%s: %s", wrong[i][0], err.message);
    }
}

static void test_resolved_config_reads_back(void **state) {
    char **directory = (char **)state;
    const char *file = path_in(*directory, "config.yaml");
    struct config c, again;
    error err;
    buffer first = {0}, second = {0};
    must(config_load_file("configs/demo.yaml", NULL, 0, &c, &err), &err);
    must(config_print(&CONFIG_TABLE, &c, NULL, *directory, &first, &err), &err);
    write_all(file, first.data, first.len);
    must(config_load_file(file, NULL, 0, &again, &err), &err);
    must(config_print(&CONFIG_TABLE, &again, NULL, *directory, &second, &err), &err);
    assert_string_equal(first.data, second.data);
    int n;
    buffer_clear(&first);
    must(config_compare(&CONFIG_TABLE, &c, &again, NULL, &first, &n, &err), &err);
    assert_int_equal(n, 0);
    buffer_free(&first);
    buffer_free(&second);
    config_free(NULL, &c);
    config_free(NULL, &again);
}

/* RLHF_WRITE_DOCS=1 writes the page instead. */
static void test_reference_page_is_current(void **state) {
    (void)state;
    buffer page = {0};
    config_print_reference(&CONFIG_TABLE, &page);
    if (getenv("RLHF_WRITE_DOCS")) write_all("docs/config.md", page.data, page.len);
    buffer old = read_all("docs/config.md");
    if (strcmp(old.data, page.data) != 0)
        fail_msg("docs/config.md is not what configs/schema.c says: run this test with RLHF_WRITE_DOCS=1");
    buffer_free(&old);
    buffer_free(&page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_is_described),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_shipped_configs),
        cmocka_unit_test(test_command_line),
        cmocka_unit_test(test_the_nearest_key),
        cmocka_unit_test_setup_teardown(test_resolved_config_reads_back, directory_setup, directory_teardown),
        cmocka_unit_test(test_reference_page_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
