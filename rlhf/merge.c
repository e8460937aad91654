/* rlhf merge: an adapter and its weights become one model. */
#include <stdio.h>

#include "core/base/file.h"
#include "datasets/label/arguments.h"
#include "datasets/session.h"
#include "rlhf/commands.h"

static status save(const session *s, const model *m, const char *directory, error *err) {
    char *temporary;
    TRY(directory_begin(directory, &temporary, err));
    status st = model_save_merged(m, NULL, temporary, err);
    if (st == STATUS_OK) st = session_save_tokenizer(s, temporary, err);
    if (st == STATUS_OK) return directory_commit(temporary, directory, err);
    directory_abandon(temporary);
    return st;
}

static status load_and_save(const struct config *config, const char *from, const char *to, error *err) {
    session s;
    model *m = NULL;
    TRY(session_open(config, from, NULL, &s, err));
    model_options o = {.language_head = -1, .n_score = -1, .score_bias = -1, .n_vocab = s.n_vocab};
    status st = model_load(s.dev, from, &o, &m, err);
    if (st == STATUS_OK && !model_lora(m))
        st = error_set(err, STATUS_DATA, "%s: is no adapter's directory (adapter_config.json)", from);
    if (st == STATUS_OK) st = model_check_base(m, from, err);
    if (st == STATUS_OK) st = save(&s, m, to, err);
    if (st == STATUS_OK) printf("%s: %s merged into %s\n", to, from, model_base(m));
    model_free(m);
    session_close(&s);
    return st;
}

static status merge(const command_line *line, void *unused, error *err) {
    struct config config = {0};
    (void)unused;
    if (path_exists(line->words[1]))
        return error_set(err, STATUS_USAGE, "%s: is there already; name a new directory", line->words[1]);
    TRY(config_load_file(NULL, NULL, 0, &config, err));
    status s = load_and_save(&config, line->words[0], line->words[1], err);
    config_free(NULL, &config);
    return s;
}

status merge_command(int argc, char **argv, error *err) {
    command_line line = {.command = "merge",
                         .example = "runs/sft/model runs/sft/merged",
                         .usage = "usage: rlhf merge ADAPTER DIRECTORY\n"
                                  "  Writes a model directory whose matrices are W + (alpha / rank) B A: an "
                                  "adapter and the weights that it names.",
                         .min_words = 2,
                         .max_words = 2};
    return run_with_arguments(&line, argc, argv, merge, NULL, err);
}
