/* rlhf convert as a user runs it: the directory is whole, works, and appears whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/signal.h"
#include "core/files/safetensors.h"
#include "core/text/tokenizer.h"
#include "rlhf/commands.h"
#include "tests/support/command.h"
#include "tests/support/gguf_model.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"

enum { VOCAB = 300, TOKENS = 257 };

/* DIRECTORY/ours, a model directory, and DIRECTORY/x.gguf, the same with a tokenizer. */
static void write_files(const char *directory, void (*fault)(gguf_file *f)) {
    model_config c = case_config(CASE_LLAMA);
    const char *ours = path_in(directory, "ours");
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    gguf_file f = gguf_file_new();
    c.n_score = 0;
    assert_int_equal(c.vocab_size, VOCAB);
    model *m = case_model(dev, &c, 3, 0);
    OK(model_save(m, NULL, ours, err));
    gguf_file_model(&f, &c, ours);
    if (fault)
        fault(&f);
    else
        gguf_file_tokenizer(&f, TOKENS, VOCAB);
    gguf_file_write(&f, path_in(directory, "x.gguf"));
    gguf_file_free(&f);
    model_free(m);
    device_close(dev);
}

static status convert(const char *directory, const char *option, buffer *out, error *err) {
    const char *const words[] = {"convert", path_in(directory, "x.gguf"), path_in(directory, "new/model"),
                                 option, NULL};
    return run_command_line(convert_command, words, out, err);
}

static int names_in(const char *directory) {
    char **names;
    int n;
    OK(path_list(directory, &names, &n, err));
    path_free_list(names, n);
    return n;
}

static void a_file_becomes_a_whole_directory(void **state) {
    const char *made = path_in(*state, "new/model");
    buffer out = {0};
    tokenizer *tok;
    model *m;
    write_files(*state, NULL);
    OK(convert(*state, NULL, &out, err));
    buffer_append(&out, "", 1);
    assert_non_null(strstr(out.data, "3 layers, 0.1 million parameters, a vocabulary of 257"));
    assert_int_equal(names_in(made), 5);
    assert_int_equal(names_in(path_in(*state, "new")), 1);
    buffer generation = read_all(path_in(made, "generation_config.json"));
    assert_string_equal(generation.data, "{\"bos_token_id\": 256, \"eos_token_id\": 256}\n");
    OK(tokenizer_load(made, &tok, err));
    assert_int_equal(tokenizer_vocab(tok), TOKENS);
    device *dev = case_device(DEVICE_CPU, 1, NULL);
    model_options o = {.language_head = 1, .n_vocab = TOKENS};
    OK(model_load(dev, made, &o, &m, err));
    assert_int_equal(model_get_config(m)->n_vocab, TOKENS);
    assert_int_equal(model_get_config(m)->eos_token, TOKENS - 1);
    model_free(m);
    device_close(dev);
    tokenizer_free(tok);
    buffer_free(&generation);
    buffer_free(&out);
}

static void the_stored_type_can_be_chosen(void **state) {
    safetensors *s;
    write_files(*state, NULL);
    OK(convert(*state, "--dtype=bf16", NULL, err));
    OK(safetensors_open(path_in(*state, "new/model"), &s, err));
    for (int i = 0; i < safetensors_count(s); i++)
        assert_int_equal(safetensors_entry(s, i)->dtype, DTYPE_BF16);
    safetensors_close(s);
    buffer config = read_all(path_in(*state, "new/model/config.json"));
    assert_non_null(strstr(config.data, "\"torch_dtype\": \"bfloat16\""));
    buffer_free(&config);
}

static void a_bad_command_line_is_refused(void **state) {
    write_files(*state, NULL);
    REFUSED(convert(*state, "--dtype=q4", NULL, err), STATUS_USAGE,
            "--dtype is \"q4\", must be f32, bf16 or f16");
    OK(convert(*state, NULL, NULL, err));
    REFUSED(convert(*state, NULL, NULL, err), STATUS_USAGE, "new/model: is there already");
    const char *const words[] = {"convert", path_in(*state, "none.gguf"), path_in(*state, "other"), NULL};
    REFUSED(run_command_line(convert_command, words, NULL, err), STATUS_DATA, "none.gguf: No such file");
    assert_false(path_exists(path_in(*state, "other")));
}

static void no_tokenizer(gguf_file *f) { (void)f; }
static void long_tokenizer(gguf_file *f) { gguf_file_tokenizer(f, VOCAB + 1, VOCAB + 1); }

static void what_fails_leaves_nothing(void **state) {
    const char *new = path_in(*state, "new");
    write_files(*state, no_tokenizer);
    REFUSED(convert(*state, NULL, NULL, err), STATUS_DATA, "\"tokenizer.ggml.tokens\" is missing");
    assert_false(path_exists(new));
    write_files(*state, long_tokenizer);
    REFUSED(convert(*state, NULL, NULL, err), STATUS_DATA, "the tokenizer has ids up to 300, the model 300");
    assert_false(path_exists(new));
}

/* What a kill left is in nobody's way. */
static void a_full_disk_leaves_nothing(void **state) {
    static const size_t limits[] = {0, 100, 5000, 100000};
    const char *new = path_in(*state, "new");
    write_files(*state, NULL);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        error err;
        disk_holds(limits[i]);
        status s = convert(*state, NULL, NULL, &err);
        disk_is_free();
        assert_int_equal(s, STATUS_FAILED);
        assert_non_null(strstr(err.message, "File too large"));
        assert_int_equal(names_in(new), 0);
    }
    OK(path_make_directories(path_in(*state, "new/model" FILE_TEMPORARY "/left"), err));
    OK(convert(*state, NULL, NULL, err));
    assert_int_equal(names_in(new), 1);
}

/* The last test: the request stays. */
static void a_signal_leaves_nothing(void **state) {
    write_files(*state, NULL);
    signal_install();
    raise(SIGTERM);
    REFUSED(convert(*state, NULL, NULL, err), STATUS_INTERRUPTED, "stopped by a signal");
    assert_int_equal(names_in(path_in(*state, "new")), 0);
}

int main(void) {
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(a_file_becomes_a_whole_directory), IN_DIRECTORY(the_stored_type_can_be_chosen),
        IN_DIRECTORY(a_bad_command_line_is_refused),    IN_DIRECTORY(what_fails_leaves_nothing),
        IN_DIRECTORY(a_full_disk_leaves_nothing),       IN_DIRECTORY(a_signal_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
