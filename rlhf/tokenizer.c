#include "rlhf/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/text/template.h"
#include "datasets/label/arguments.h"
#include "datasets/texts.h"
#include "rlhf/commands.h"

static status save_whole(const tokenizer *tok, const char *chat_template, const char *directory, error *err) {
    char *temporary;
    TRY(directory_begin(directory, &temporary, err));
    status s = tokenizer_save(tok, chat_template, temporary, err);
    if (s == STATUS_OK) return directory_commit(temporary, directory, err);
    directory_abandon(temporary);
    return s;
}

status tokenizer_of_files(const char *const *files, int n_file, const char *separator, int max_bad, int vocab,
                          const char *chat_template, logger *log, tokenizer **out, size_t *n_text,
                          error *err) {
    const char *special[1 + TEMPLATE_MAX_CONTROLS] = {TOKEN_END_OF_TEXT};
    bad_lines bad = {.most = max_bad, .log = log};
    const struct chat_template *chat;
    texts t;
    *out = NULL;
    TRY(template_find(chat_template, &chat, err));
    TRY(texts_load(files, n_file, separator, &bad, &t, err));
    int n_special = 1 + template_controls(chat, special + 1);
    if (strcmp(special[n_special - 1], TOKEN_END_OF_TEXT) == 0) n_special--; /* plain's end */
    status s = tokenizer_train(t.entry, t.n, vocab, special, n_special, out, err);
    *n_text = t.n;
    texts_free(&t);
    return s;
}

status tokenizer_make(const char *const *files, int n_file, const char *separator, int max_bad, int vocab,
                      const char *chat_template, const char *directory, logger *log, error *err) {
    tokenizer *tok;
    size_t n_text;
    if (path_exists(directory))
        return error_set(err, STATUS_USAGE, "%s: is there already; name a new directory", directory);
    TRY(tokenizer_of_files(files, n_file, separator, max_bad, vocab, chat_template, log, &tok, &n_text, err));
    status s = save_whole(tok, chat_template, directory, err);
    if (s == STATUS_OK)
        log_line(log, "%s: a tokenizer of %d tokens from %zu texts", directory, tokenizer_vocab(tok), n_text);
    tokenizer_free(tok);
    return s;
}

typedef struct tokenizer_options {
    const char *chat_template, *separator;
    int64_t vocab;
} tokenizer_options;

static status run_tokenizer(const command_line *line, void *options, error *err) {
    const tokenizer_options *o = options;
    TRY(need_argument(line, "--vocab", o->vocab ? "" : NULL, err));
    return tokenizer_make(line->words, line->n_word - 1, o->separator, 0, (int)o->vocab, o->chat_template,
                          line->words[line->n_word - 1], NULL, err);
}

status tokenizer_command(int argc, char **argv, error *err) {
    tokenizer_options o = {.chat_template = "plain"};
    const argument arguments[] = {{"--vocab", ARGUMENT_INT, &o.vocab, 257, 1 << 20},
                                  {"--template", ARGUMENT_TEXT, &o.chat_template, 0, 0},
                                  {"--separator", ARGUMENT_TEXT, &o.separator, 0, 0}};
    command_line line = {
        .command = "tokenizer",
        .usage =
            "usage: rlhf tokenizer TEXT... --vocab N [options] DIRECTORY\n"
            "  Trains a byte-level BPE tokenizer of N tokens on .txt and .jsonl files (.gz too) and writes\n"
            "  it into a new directory.\n"
            "  --template NAME    how chats will become tokens: plain, chatml, llama3 ... (plain)\n"
            "  --separator TEXT   splits .txt files into documents (one a file)",
        .example = "datasets/demo/stories.txt --vocab 768 runs/tokenizer",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments,
        .min_words = 2,
        .max_words = argc};
    return run_with_arguments(&line, argc, argv, run_tokenizer, &o, err);
}
