#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configs/schema.h"

/* One command line as it is parsed. */
typedef struct command {
    const struct config_program *program;
    int argc;
    char **argv;
    struct config_options *options;
    error *err;
} command;

/* ---- usage and help ---- */

static void write_usage(const struct config_program *p, buffer *out) {
    bool by_options = false; /* what a file would say can be said by options */
    for (int i = 0; i < p->n_option; i++) by_options |= p->option[i].key != NULL;
    buffer_format(out, "usage: %s %s", p->name, by_options ? "[CONFIG]" : "CONFIG");
    for (int i = 0; i < p->n_option; i++) {
        const struct config_option *o = &p->option[i];
        buffer_format(out, " [%s%s%s]", o->name, o->value ? " " : "", o->value ? o->value : "");
    }
    buffer_format(out, " [--set section.key=value]... [--help]\n%s", p->purpose);
}

static void write_option(const char *name, const char *value, const char *help, buffer *out) {
    char shown[64];
    snprintf(shown, sizeof shown, "%s%s%s", name, value ? " " : "", value ? value : "");
    buffer_format(out, "  %-16s  %s\n", shown, help);
}

static status print_help(const command *c) {
    const struct config_program *p = c->program;
    buffer text = {0};
    write_usage(p, &text);
    buffer_string(&text, "\n\n");
    write_option("CONFIG", NULL, "a YAML file of sections", &text);
    for (int i = 0; i < p->n_option; i++)
        write_option(p->option[i].name, p->option[i].value, p->option[i].help, &text);
    write_option("--set", "KEY=VALUE", "overrides a key of the file; may be given several times", &text);
    buffer_format(&text, "\nExample: %s %s\n", p->name, p->example);
    if (p->needed) buffer_string(&text, "Needed:");
    for (int i = 0; p->needed && p->needed[i]; i++) buffer_format(&text, "%s %s", i ? "," : "", p->needed[i]);
    buffer_format(&text, "%sKeys:\n", p->needed ? "\n\n" : "\n");
    status s = buffer_check(&text, c->err);
    if (s == STATUS_OK) {
        fputs(text.data, stdout);
        config_print_help(&CONFIG_TABLE, p->sections, stdout);
    }
    buffer_free(&text);
    return s;
}

/* ---- parsing ---- */

static status refuse(const command *c, const char *what, const char *word) {
    buffer usage = {0};
    write_usage(c->program, &usage);
    status s = buffer_check(&usage, c->err);
    if (s == STATUS_OK) s = error_set(c->err, STATUS_USAGE, "%s%s\n%s", what, word, usage.data);
    buffer_free(&usage);
    return s;
}

static bool is_option(const char *argument, const char *name) {
    size_t n = strlen(name);
    return strncmp(argument, name, n) == 0 && (argument[n] == 0 || argument[n] == '=');
}

/* Takes the value of option argv[*i], "--name value" or "--name=value". */
static status take_value(const command *c, int *i, const char **out) {
    const char *equals = strchr(c->argv[*i], '=');
    if (!equals && *i + 1 >= c->argc) return refuse(c, "a value is missing behind ", c->argv[*i]);
    *out = equals ? equals + 1 : c->argv[++*i];
    return STATUS_OK;
}

/* An option that is a setting by another name: "key=value". */
static status add_setting(const command *c, const char *key, const char *value) {
    struct config_options *o = c->options;
    char *text = malloc(strlen(key) + strlen(value) + 2);
    if (!text) return error_memory(c->err, "a command line");
    sprintf(text, "%s=%s", key, value);
    o->text[o->n_text++] = text;
    o->setting[o->n_setting++] = text;
    return STATUS_OK;
}

static status read_option(const command *c, int *i) {
    struct config_options *o = c->options;
    const char *a = c->argv[*i], *value;
    if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) return o->help = true, STATUS_OK;
    if (is_option(a, "--set")) {
        TRY(take_value(c, i, &value));
        o->setting[o->n_setting++] = value;
        return STATUS_OK;
    }
    for (int k = 0; k < c->program->n_option; k++) {
        const struct config_option *own = &c->program->option[k];
        if (!is_option(a, own->name)) continue;
        if (!own->value && strchr(a, '=')) return refuse(c, "no value may stand behind ", own->name);
        if (!own->value) return *(bool *)own->to = true, STATUS_OK;
        TRY(take_value(c, i, &value));
        if (own->key) return add_setting(c, own->key, value);
        *(const char **)own->to = value;
        return STATUS_OK;
    }
    return refuse(c, "unknown option ", a);
}

static status parse_arguments(const command *c) {
    struct config_options *o = c->options;
    for (int i = 1; i < c->argc; i++) {
        const char *a = c->argv[i];
        if (a[0] == '-' && a[1])
            TRY(read_option(c, &i));
        else if (o->file)
            return refuse(c, "one CONFIG is enough: ", a);
        else
            o->file = a;
    }
    if (!o->file && !o->help && o->n_setting == 0) return refuse(c, "no CONFIG is given", "");
    return STATUS_OK;
}

/* The option that stands for a key: " (or --model DIR)". */
static void write_alias(const struct config_program *p, const char *key, char out[64]) {
    out[0] = 0;
    for (int i = 0; i < p->n_option; i++)
        if (p->option[i].key && strcmp(p->option[i].key, key) == 0)
            snprintf(out, 64, " (or %s %s)", p->option[i].name, p->option[i].value);
}

static status check_needed(const struct config *c, const char *file, const struct config_program *p,
                           error *err) {
    for (const char *const *needed = p->needed; needed && *needed; needed++)
        for (int k = 0; k < CONFIG_TABLE.n_key; k++) {
            const config_key *key = &CONFIG_TABLE.key[k];
            if (strcmp(key->name, *needed) != 0) continue;
            const void *field = (const char *)c + key->offset;
            int missing =
                (key->type == CONFIG_STRING || key->type == CONFIG_PATH) && !*(const char *const *)field;
            if (key->type == CONFIG_STRINGS || key->type == CONFIG_PATHS)
                missing = ((const config_strings *)field)->n == 0;
            char alias[64];
            write_alias(p, key->name, alias);
            if (missing)
                return error_set(err, STATUS_USAGE, "%s: \"%s\"%s is needed: %s",
                                 file ? file : "the command line", key->name, alias, key->help);
        }
    return STATUS_OK;
}

status config_load_file(const char *file, const char *const *settings, int n_setting, struct config *out,
                        error *err) {
    config_source *source;
    TRY(config_read(&CONFIG_TABLE, file, settings, n_setting, out, &source, err));
    out->source = source;
    return STATUS_OK;
}

status config_load(const struct config_program *program, int argc, char **argv,
                   struct config_options *options, struct config *out, error *err) {
    *options = (struct config_options){.setting = calloc((size_t)argc + 1, sizeof *options->setting),
                                       .text = calloc((size_t)argc + 1, sizeof *options->text)};
    memset(out, 0, sizeof *out);
    command c = {program, argc, argv, options, err};
    status s = options->setting && options->text ? STATUS_OK : error_memory(err, "a command line");
    if (s == STATUS_OK) s = parse_arguments(&c);
    if (s == STATUS_OK && options->help) {
        s = print_help(&c);
        if (s == STATUS_OK) return s;
    }
    if (s == STATUS_OK) s = config_load_file(options->file, options->setting, options->n_setting, out, err);
    if (s == STATUS_OK) s = check_needed(out, options->file, program, err);
    if (s != STATUS_OK) config_free(options, out);
    return s;
}

void config_free(struct config_options *options, struct config *c) {
    if (options) {
        for (int i = 0; i < options->n_text; i++) free(options->text[i]);
        free(options->text);
        free(options->setting);
        *options = (struct config_options){0};
    }
    if (c) {
        config_release(c->source);
        memset(c, 0, sizeof *c);
    }
}
