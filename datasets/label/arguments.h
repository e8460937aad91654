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
    const char **words;       /* [argc], set by the caller */
    int n_word;
    bool help; /* --help was given: the usage was printed, nothing else is to be done */
} command_line;

/* argv[0] is the command. "--name value" and "--name=value"; "--" ends the options. STATUS_USAGE names what
 * is wrong. */
status read_arguments(command_line *line, int argc, char **argv, error *err);
/* STATUS_USAGE: the option is needed. */
status need_argument(const command_line *line, const char *name, const char *value, error *err);

#endif
