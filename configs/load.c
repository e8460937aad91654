#include <stdlib.h>
#include <string.h>

#include "configs/schema.h"

static const char *program_name(char **argv) {
    const char *slash = strrchr(argv[0], '/');
    return slash ? slash + 1 : argv[0];
}

static int has_section(const char *const *sections, const char *name) {
    for (; sections && *sections; sections++)
        if (strcmp(*sections, name) == 0) return 1;
    return !sections;
}

/* One command line as it is parsed. */
typedef struct command {
    int argc;
    char **argv;
    const char *const *sections;
    struct config_options *options;
    error *err;
} command;

static void print_usage(const command *c, buffer *out) {
    buffer_format(out, "usage: %s CONFIG [--set section.key=value]... [--resume] [--dry-run]%s [--help]",
                  program_name(c->argv), has_section(c->sections, "ppo") ? " [--trace DIR]" : "");
}

static status refuse(const command *c, const char *what, const char *word) {
    buffer usage = {0};
    print_usage(c, &usage);
    status s = buffer_check(&usage, c->err);
    if (s == STATUS_OK) s = error_set(c->err, STATUS_USAGE, "%s%s\n%s", what, word, usage.data);
    buffer_free(&usage);
    return s;
}

/* Takes the value of option argv[*i], "--name value" or "--name=value"; NULL when there is none. */
static const char *option_value(int argc, char **argv, int *i) {
    const char *equals = strchr(argv[*i], '=');
    if (equals) return equals + 1;
    return *i + 1 < argc ? argv[++*i] : NULL;
}

static int is_option(const char *argument, const char *name, int takes_value) {
    size_t n = strlen(name);
    return strncmp(argument, name, n) == 0 && (argument[n] == 0 || (takes_value && argument[n] == '='));
}

static status parse_arguments(const command *c) {
    struct config_options *o = c->options;
    for (int i = 1; i < c->argc; i++) {
        const char *a = c->argv[i], *value = a;
        if (is_option(a, "--help", 0) || is_option(a, "-h", 0))
            o->help = true;
        else if (is_option(a, "--resume", 0))
            o->resume = true;
        else if (is_option(a, "--dry-run", 0))
            o->dry_run = true;
        else if (is_option(a, "--set", 1))
            o->setting[o->n_setting++] = value = option_value(c->argc, c->argv, &i);
        else if (is_option(a, "--trace", 1) && has_section(c->sections, "ppo"))
            o->trace = value = option_value(c->argc, c->argv, &i);
        else if (a[0] == '-' && a[1])
            return refuse(c, "unknown option ", a);
        else if (o->file)
            return refuse(c, "one CONFIG is enough: ", a);
        else
            o->file = a;
        if (!value) return refuse(c, "a value is missing behind ", a);
    }
    if (!o->file && !o->help && o->n_setting == 0) return refuse(c, "no CONFIG is given", "");
    return STATUS_OK;
}

static status check_needed(const struct config *c, const char *file, const char *const *needed, error *err) {
    for (; needed && *needed; needed++)
        for (int k = 0; k < CONFIG_TABLE.n_key; k++) {
            const config_key *key = &CONFIG_TABLE.key[k];
            if (strcmp(key->name, *needed) != 0) continue;
            const void *field = (const char *)c + key->offset;
            int missing =
                (key->type == CONFIG_STRING || key->type == CONFIG_PATH) && !*(const char *const *)field;
            if (key->type == CONFIG_STRINGS || key->type == CONFIG_PATHS)
                missing = ((const config_strings *)field)->n == 0;
            if (missing)
                return error_set(err, STATUS_USAGE, "%s: \"%s\" is needed: %s", file ? file : "--set",
                                 key->name, key->help);
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

static void print_help(const command *c) {
    buffer usage = {0};
    print_usage(c, &usage);
    printf("%s\n\n"
           "  CONFIG       a YAML file of sections\n"
           "  --set        overrides a key; may be given several times\n"
           "  --resume     goes on with an unfinished run\n"
           "  --dry-run    checks the config and prints the memory plan\n%s\nKeys:\n",
           usage.data ? usage.data : "",
           has_section(c->sections, "ppo") ? "  --trace DIR  writes what each PPO iteration computed\n" : "");
    buffer_free(&usage);
    config_print_help(&CONFIG_TABLE, c->sections, stdout);
}

status config_load(int argc, char **argv, const char *const *sections, const char *const *needed,
                   struct config_options *options, struct config *out, error *err) {
    *options = (struct config_options){.setting = calloc((size_t)argc + 1, sizeof *options->setting)};
    memset(out, 0, sizeof *out);
    if (!options->setting) return error_memory(err, "a command line");
    command c = {argc, argv, sections, options, err};
    status s = parse_arguments(&c);
    if (s == STATUS_OK && options->help) {
        print_help(&c);
        return STATUS_OK;
    }
    if (s == STATUS_OK) s = config_load_file(options->file, options->setting, options->n_setting, out, err);
    if (s == STATUS_OK) s = check_needed(out, options->file, needed, err);
    if (s != STATUS_OK) config_free(options, out);
    return s;
}

void config_free(struct config_options *options, struct config *c) {
    if (options) {
        free(options->setting);
        *options = (struct config_options){0};
    }
    if (c) {
        config_release(c->source);
        memset(c, 0, sizeof *c);
    }
}
