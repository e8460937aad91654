/* datasets/label/arguments: the options of one command, of `rlhf label` or of `rlhf` itself. */
#ifndef RLHF_LABEL_ARGUMENTS_H
#define RLHF_LABEL_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

typedef struct argument {
    const char *name; /* "--round" */
    enum { ARGUMENT_TEXT, ARGUMENT_INT, ARGUMENT_NUMBER, ARGUMENT_FLAG } type;
    void *value;      /* const char **, int64_t *, double * or bool * */
    double low, high; /* of numbers */
} argument;

typedef struct command_line {
    const char *command; /* "label tasks", for messages */
    const char *usage;
    const char *example; /* for --help: what may stand behind "rlhf COMMAND"; NULL: none */
    const argument *arguments;
    int n;
    bool makes_store;         /* a missing --db is made */
    int min_words, max_words; /* what stands without an option */
    const char **words;       /* [n_word], while the work is done */
    int n_word;
    bool help; /* --help was given: the usage was printed */
} command_line;

typedef status arguments_work(const command_line *line, void *options, error *err);

/* Reads the arguments, argv[0] being the command, and does the work unless --help was given. "--name value"
   and "--name=value"; "--" ends the options. STATUS_USAGE names what is wrong. */
status run_with_arguments(command_line *line, int argc, char **argv, arguments_work *work, void *options,
                          error *err);
/* STATUS_USAGE: the option is needed. */
status need_argument(const command_line *line, const char *name, const char *value, error *err);

#endif
