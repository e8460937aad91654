#include "datasets/label/arguments.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static status parse_value(const command_line *line, const argument *a, const char *text, error *err) {
    char *end = NULL;
    errno = 0;
    if (a->type == ARGUMENT_TEXT) {
        *(const char **)a->value = text;
        return STATUS_OK;
    }
    double number = a->type == ARGUMENT_INT ? (double)strtoll(text, &end, 10) : strtod(text, &end);
    if (!*text || *end || errno || !(number >= a->low && number <= a->high))
        return error_set(err, STATUS_USAGE,
                         a->type == ARGUMENT_INT
                             ? "%s: %s is \"%s\", must be a whole number from %.0f to %.0f"
                             : "%s: %s is \"%s\", must be a number from %g to %g",
                         line->command, a->name, text, a->low, a->high);
    if (a->type == ARGUMENT_INT)
        *(int64_t *)a->value = strtoll(text, NULL, 10);
    else
        *(double *)a->value = number;
    return STATUS_OK;
}

static const argument *find_argument(const command_line *line, const char *text, size_t len) {
    for (int i = 0; i < line->n; i++)
        if (strlen(line->arguments[i].name) == len && memcmp(line->arguments[i].name, text, len) == 0)
            return &line->arguments[i];
    return NULL;
}

static status read_option(command_line *line, int argc, char **argv, int *i, error *err) {
    const char *text = argv[*i], *equals = strchr(text, '=');
    const argument *a = find_argument(line, text, equals ? (size_t)(equals - text) : strlen(text));
    if (!a) return error_set(err, STATUS_USAGE, "%s: no option %s\n%s", line->command, text, line->usage);
    if (a->type == ARGUMENT_FLAG) {
        *(bool *)a->value = true;
        return STATUS_OK;
    }
    if (!equals && *i + 1 >= argc)
        return error_set(err, STATUS_USAGE, "%s: %s needs a value\n%s", line->command, a->name, line->usage);
    return parse_value(line, a, equals ? equals + 1 : argv[++*i], err);
}

static status read_arguments(command_line *line, int argc, char **argv, error *err) {
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            puts(line->usage);
            if (line->example) printf("Example: rlhf %s %s\n", line->command, line->example);
            line->help = true;
            return STATUS_OK;
        }
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && argv[i][0] == '-' && argv[i][1]) /* "-" alone is standard output */
            TRY(read_option(line, argc, argv, &i, err));
        else
            line->words[line->n_word++] = argv[i];
    }
    if (line->n_word >= line->min_words && line->n_word <= line->max_words) return STATUS_OK;
    if (line->n_word > line->max_words)
        return error_set(err, STATUS_USAGE, "%s: \"%s\" is too much\n%s", line->command,
                         line->words[line->max_words], line->usage);
    return error_set(err, STATUS_USAGE, "%s: at least %d argument%s needed, %d given\n%s", line->command,
                     line->min_words, line->min_words == 1 ? " is" : "s are", line->n_word, line->usage);
}

status run_with_arguments(command_line *line, int argc, char **argv, arguments_work *work, void *options,
                          error *err) {
    line->words = calloc((size_t)argc, sizeof *line->words);
    if (!line->words) return error_memory(err, "arguments");
    status s = read_arguments(line, argc, argv, err);
    if (s == STATUS_OK && !line->help) s = work(line, options, err);
    free(line->words);
    line->words = NULL;
    return s;
}

status need_argument(const command_line *line, const char *name, const char *value, error *err) {
    if (value) return STATUS_OK;
    return error_set(err, STATUS_USAGE, "%s: %s is needed\n%s", line->command, name, line->usage);
}
