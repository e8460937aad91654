#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "core/base/config_internal.h"
#include "core/base/file.h"

enum { CONFIG_FILE_LIMIT = 1 << 20, CONFIG_SCALAR_LIMIT = 4096, CONFIG_DEPTH_LIMIT = 16 };

void config_entries_free(config_entries *list) {
    for (int i = 0; i < list->n; i++) {
        config_entry *e = &list->entry[i];
        for (int k = 0; k < e->n_scalar; k++) free(e->scalar[k].text);
        free(e->scalar);
        free(e->name);
    }
    free(list->entry);
    *list = (config_entries){0};
}

void config_format_place(const config_entry *entry, int line, int column, char out[512]) {
    if (entry->file)
        snprintf(out, 512, "%s:%d:%d", entry->file, line, column);
    else
        snprintf(out, 512, "%s", entry->setting);
}

/* One YAML text being read: a file, or the value of a setting. */
typedef struct parse {
    yaml_parser_t yaml;
    yaml_event_t event; /* the last one read */
    int has_event;
    const char *file, *setting;
    error *err;
} parse;

static status parse_fail(parse *p, yaml_mark_t mark, const char *message) {
    config_entry place = {.file = p->file, .setting = p->setting};
    char text[512];
    config_format_place(&place, (int)mark.line + 1, (int)mark.column + 1, text);
    return error_set(p->err, STATUS_USAGE, "%s: %s", text, message);
}

static status parse_yaml_problem(parse *p) {
    char message[256];
    const char *problem = p->yaml.problem ? p->yaml.problem : "cannot be read";
    yaml_mark_t mark = p->yaml.problem_mark;
    if (p->yaml.error == YAML_MEMORY_ERROR) return error_memory(p->err, "a config");
    if (p->yaml.error == YAML_READER_ERROR) {
        if (p->file)
            return error_set(p->err, STATUS_USAGE, "%s: not valid YAML: %s at byte %zu", p->file, problem,
                             p->yaml.problem_offset);
        mark = (yaml_mark_t){0};
    }
    snprintf(message, sizeof message, "not valid YAML: %s", problem);
    return parse_fail(p, mark, message);
}

/* Reads the next event into p->event, refusing what settings have no use for. */
static status parse_next(parse *p) {
    if (p->has_event) yaml_event_delete(&p->event);
    p->has_event = 0;
    if (!yaml_parser_parse(&p->yaml, &p->event)) return parse_yaml_problem(p);
    p->has_event = 1;
    const yaml_event_t *e = &p->event;
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (e->type == YAML_ALIAS_EVENT) return parse_fail(p, e->start_mark, "aliases (*name) are not allowed");
    if (e->type == YAML_SCALAR_EVENT) anchor = e->data.scalar.anchor, tag = e->data.scalar.tag;
    if (e->type == YAML_SEQUENCE_START_EVENT)
        anchor = e->data.sequence_start.anchor, tag = e->data.sequence_start.tag;
    if (e->type == YAML_MAPPING_START_EVENT)
        anchor = e->data.mapping_start.anchor, tag = e->data.mapping_start.tag;
    if (anchor) return parse_fail(p, e->start_mark, "anchors (&name) are not allowed");
    if (tag) return parse_fail(p, e->start_mark, "tags (!name) are not allowed");
    return STATUS_OK;
}

static status parse_scalar(parse *p, config_scalar *out) {
    const yaml_event_t *e = &p->event;
    const char *text = (const char *)e->data.scalar.value;
    size_t length = e->data.scalar.length;
    if (memchr(text, 0, length)) return parse_fail(p, e->start_mark, "a zero byte is not allowed in a value");
    out->text = strndup(text, length);
    if (!out->text) return error_memory(p->err, "a config");
    out->length = length;
    out->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    out->line = (int)e->start_mark.line + 1;
    out->column = (int)e->start_mark.column + 1;
    return STATUS_OK;
}

static status entry_add_scalar(parse *p, config_entry *entry) {
    if (entry->n_scalar == CONFIG_SCALAR_LIMIT)
        return parse_fail(p, p->event.start_mark, "the list is too long");
    if ((entry->n_scalar & (entry->n_scalar - 1)) == 0) {
        size_t capacity = entry->n_scalar ? 2 * (size_t)entry->n_scalar : 1;
        config_scalar *more = realloc(entry->scalar, capacity * sizeof *more);
        if (!more) return error_memory(p->err, "a config");
        entry->scalar = more;
    }
    TRY(parse_scalar(p, &entry->scalar[entry->n_scalar]));
    entry->n_scalar++;
    return STATUS_OK;
}

/* Reads over a mapping that stands where a value belongs; its key is refused later, by name. */
static status skip_mapping(parse *p) {
    for (int depth = 1; depth > 0;) {
        TRY(parse_next(p));
        yaml_event_type_t type = p->event.type;
        if (type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT) depth++;
        if (type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT) depth--;
        if (depth > CONFIG_DEPTH_LIMIT) return parse_fail(p, p->event.start_mark, "nested too deeply");
    }
    return STATUS_OK;
}

/* The value that starts at the current event. */
static status parse_value(parse *p, config_entry *entry) {
    entry->value_line = (int)p->event.start_mark.line + 1;
    entry->value_column = (int)p->event.start_mark.column + 1;
    if (p->event.type == YAML_SCALAR_EVENT) {
        entry->shape = CONFIG_SCALAR;
        return entry_add_scalar(p, entry);
    }
    if (p->event.type == YAML_MAPPING_START_EVENT) {
        entry->shape = CONFIG_MAPPING;
        return skip_mapping(p);
    }
    entry->shape = CONFIG_LIST;
    for (;;) {
        TRY(parse_next(p));
        if (p->event.type == YAML_SEQUENCE_END_EVENT) return STATUS_OK;
        if (p->event.type != YAML_SCALAR_EVENT)
            return parse_fail(p, p->event.start_mark, "a list holds plain values only");
        TRY(entry_add_scalar(p, entry));
    }
}

/* A new entry in the list, its name joined from section and key. NULL when out of memory. */
static config_entry *entries_add(config_entries *list, const char *section, const char *key, const char *file,
                                 const char *setting) {
    size_t n = strlen(section) + strlen(key) + 2;
    char *name = malloc(n);
    config_entry *more = realloc(list->entry, (size_t)(list->n + 1) * sizeof *more);
    if (more) list->entry = more;
    if (!name || !more) {
        free(name);
        return NULL;
    }
    snprintf(name, n, "%s%s%s", section, section[0] ? "." : "", key);
    config_entry *e = &list->entry[list->n++];
    *e = (config_entry){.name = name, .file = file, .setting = setting, .key = -1};
    return e;
}

static status parse_mapping(parse *p, const char *section, config_entries *out);

/* One key, which is the current event, and what stands behind it. */
static status parse_pair(parse *p, const char *section, const config_scalar *key, config_entries *out) {
    TRY(parse_next(p));
    config_entry *entry = entries_add(out, section, key->text, p->file, p->setting);
    if (!entry) return error_memory(p->err, "a config");
    entry->line = key->line;
    entry->column = key->column;
    if (section[0] || p->event.type != YAML_MAPPING_START_EVENT) return parse_value(p, entry);
    entry->shape = CONFIG_MAPPING;
    entry->value_line = (int)p->event.start_mark.line + 1;
    entry->value_column = (int)p->event.start_mark.column + 1;
    return parse_mapping(p, key->text, out);
}

/* The keys of a mapping up to its end. At the top (section "") a mapping below is a section. */
static status parse_mapping(parse *p, const char *section, config_entries *out) {
    for (;;) {
        TRY(parse_next(p));
        if (p->event.type == YAML_MAPPING_END_EVENT) return STATUS_OK;
        if (p->event.type != YAML_SCALAR_EVENT)
            return parse_fail(p, p->event.start_mark, "a key must be a plain word");
        config_scalar key = {0};
        TRY(parse_scalar(p, &key));
        status s = parse_pair(p, section, &key, out);
        free(key.text);
        TRY(s);
    }
}

/* Stream start, the one document's start, then the event behind it; *empty when there is no document. */
static status parse_begin(parse *p, const char *text, size_t length, int *empty) {
    if (!yaml_parser_initialize(&p->yaml)) return error_memory(p->err, "a YAML parser");
    yaml_parser_set_input_string(&p->yaml, (const unsigned char *)text, length);
    TRY(parse_next(p));
    TRY(parse_next(p));
    *empty = p->event.type == YAML_STREAM_END_EVENT;
    return *empty ? STATUS_OK : parse_next(p);
}

/* Nothing may follow the document. */
static status parse_end(parse *p) {
    TRY(parse_next(p));
    TRY(parse_next(p));
    if (p->event.type == YAML_STREAM_END_EVENT) return STATUS_OK;
    return parse_fail(p, p->event.start_mark, "a second document is not allowed");
}

static void parse_free(parse *p) {
    if (p->has_event) yaml_event_delete(&p->event);
    yaml_parser_delete(&p->yaml);
}

static status parse_file_text(parse *p, const buffer *text, config_entries *out) {
    int empty;
    TRY(parse_begin(p, text->data ? text->data : "", text->len, &empty));
    if (empty) return STATUS_OK;
    const yaml_event_t *e = &p->event;
    int nothing = e->type == YAML_SCALAR_EVENT && e->data.scalar.length == 0;
    if (!nothing && e->type != YAML_MAPPING_START_EVENT)
        return parse_fail(p, e->start_mark, "a config is made of `key: value` lines");
    if (!nothing) TRY(parse_mapping(p, "", out));
    return parse_end(p);
}

status config_parse_file(const char *file, config_entries *out, error *err) {
    buffer text = {0};
    status s = file_read(file, CONFIG_FILE_LIMIT, &text, err);
    if (s == STATUS_DATA) s = err ? (err->code = STATUS_USAGE) : STATUS_USAGE;
    if (s == STATUS_OK) {
        parse p = {.file = file, .err = err};
        s = parse_file_text(&p, &text, out);
        parse_free(&p);
    }
    buffer_free(&text);
    return s;
}

/* A bracketed list or a quoted text is YAML; anything else is the value itself, so that no character of a
   command or a separator has to be quoted twice. */
static status parse_setting_value(parse *p, const char *text, config_entry *entry) {
    if (text[0] != '[' && text[0] != '"' && text[0] != '\'') {
        entry->scalar = calloc(1, sizeof *entry->scalar);
        char *copy = strdup(text);
        if (!entry->scalar || !copy) {
            free(copy);
            return error_memory(p->err, "a config");
        }
        entry->scalar[0] = (config_scalar){.text = copy, .length = strlen(text)};
        entry->n_scalar = 1;
        return STATUS_OK;
    }
    int empty;
    status s = parse_begin(p, text, strlen(text), &empty);
    if (s == STATUS_OK) s = parse_value(p, entry);
    if (s == STATUS_OK) s = parse_end(p);
    parse_free(p);
    return s;
}

status config_parse_setting(const char *text, const char *setting, config_entries *out, error *err) {
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return error_set(err, STATUS_USAGE, "%s: must be section.key=value", setting);
    char *name = strndup(text, (size_t)(equals - text));
    config_entry *entry = name ? entries_add(out, "", name, NULL, setting) : NULL;
    free(name);
    if (!entry) return error_memory(err, "a config");
    parse p = {.setting = setting, .err = err};
    return parse_setting_value(&p, equals + 1, entry);
}
