#include "rlhf/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/text/template.h"
#include "datasets/texts.h"
#include "rlhf/commands.h"

static const char USAGE[] =
    "usage: rlhf tokenizer TEXT... --vocab N [--template plain|chatml] [--separator TEXT] DIRECTORY\n"
    "  Trains a byte-level BPE tokenizer of N tokens on .txt and .jsonl files (.gz too).";

/* Into a temporary directory beside the target, which it then becomes. */
static status save_whole(const tokenizer *tok, const char *chat_template, const char *directory, error *err) {
    size_t n = strlen(directory);
    char *temporary = malloc(n + sizeof FILE_TEMPORARY);
    if (!temporary) return error_memory(err, "a path");
    while (n > 1 && directory[n - 1] == '/') n--;
    sprintf(temporary, "%.*s%s", (int)n, directory, FILE_TEMPORARY);
    status s = path_remove_tree(temporary, err);
    if (s == STATUS_OK) s = path_make_directories(temporary, err);
    if (s == STATUS_OK) s = tokenizer_save(tok, chat_template, temporary, err);
    if (s == STATUS_OK) s = path_sync_tree(temporary, err);
    if (s == STATUS_OK) s = path_rename(temporary, directory, err);
    if (s != STATUS_OK) path_remove_tree(temporary, NULL);
    free(temporary);
    return s;
}

status tokenizer_make(const char *const *files, int n_file, const char *separator, int max_bad, int vocab,
                      const char *chat_template, const char *directory, logger *log, error *err) {
    static const char *const special[] = {TOKEN_END_OF_TEXT, TOKEN_TURN_START, TOKEN_TURN_END};
    bad_lines bad = {.most = max_bad, .log = log};
    const struct chat_template *chat;
    texts t;
    tokenizer *tok = NULL;
    if (path_exists(directory))
        return error_set(err, STATUS_USAGE, "%s: is there already; name a new directory", directory);
    TRY(template_find(chat_template, &chat, err));
    TRY(texts_load(files, n_file, separator, &bad, &t, err));
    int n_special = strcmp(chat_template, "plain") == 0 ? 1 : 3;
    status s = tokenizer_train(t.entry, t.n, vocab, special, n_special, &tok, err);
    if (s == STATUS_OK) s = save_whole(tok, chat_template, directory, err);
    if (s == STATUS_OK)
        log_line(log, "%s: a tokenizer of %d tokens from %zu texts", directory, tokenizer_vocab(tok), t.n);
    tokenizer_free(tok);
    texts_free(&t);
    return s;
}

typedef struct arguments {
    const char **file;
    int n_file, vocab;
    const char *chat_template, *separator;
} arguments;

static status read_arguments(int argc, char **argv, arguments *a, error *err) {
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (argv[i][0] != '-') {
            a->file[a->n_file++] = argv[i];
            continue;
        }
        if (!value) return error_set(err, STATUS_USAGE, "tokenizer: %s needs a value\n%s", argv[i], USAGE);
        if (strcmp(argv[i], "--template") == 0)
            a->chat_template = value;
        else if (strcmp(argv[i], "--separator") == 0)
            a->separator = value;
        else if (strcmp(argv[i], "--vocab") == 0) {
            char *end;
            long n = strtol(value, &end, 10);
            if (*end || n < 257 || n > 1 << 20)
                return error_set(err, STATUS_USAGE, "tokenizer: --vocab is \"%s\", must be from 257 to %d",
                                 value, 1 << 20);
            a->vocab = (int)n;
        } else
            return error_set(err, STATUS_USAGE, "tokenizer: no option %s\n%s", argv[i], USAGE);
        i++;
    }
    if (!a->vocab || a->n_file < 2)
        return error_set(err, STATUS_USAGE, "tokenizer: texts, --vocab and a directory are needed\n%s",
                         USAGE);
    return STATUS_OK;
}

status tokenizer_command(int argc, char **argv, error *err) {
    if (argc == 2 && strcmp(argv[1], "--help") == 0) return puts(USAGE), STATUS_OK;
    arguments a = {.file = calloc((size_t)argc, sizeof *a.file), .chat_template = "plain"};
    if (!a.file) return error_memory(err, "arguments");
    status s = read_arguments(argc, argv, &a, err);
    if (s == STATUS_OK)
        s = tokenizer_make(a.file, a.n_file - 1, a.separator, 0, a.vocab, a.chat_template,
                           a.file[a.n_file - 1], NULL, err);
    free(a.file);
    return s;
}
