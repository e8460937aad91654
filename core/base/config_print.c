#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/config_internal.h"
#include "core/base/path.h"

/* The length of the key's section in its name; 0 at the top. */
static size_t section_length(const config_key *key) {
    const char *dot = strchr(key->name, '.');
    return dot ? (size_t)(dot - key->name) : 0;
}

static bool in_section(const config_key *key, const char *section) {
    size_t n = section_length(key);
    return strlen(section) == n && strncmp(key->name, section, n) == 0;
}

static bool is_wanted(const char *section, const char *const *sections) {
    if (!sections) return true;
    for (; *sections; sections++)
        if (strcmp(*sections, section) == 0) return true;
    return false;
}

static bool is_key_wanted(const config_key *key, const char *const *sections) {
    if (!sections) return true;
    for (; *sections; sections++)
        if (in_section(key, *sections)) return true;
    return false;
}

/* ---- values as text ---- */

/* How the values are written: one form for YAML and JSON alike but for plain words. */
typedef struct writer {
    buffer *out;
    const char *directory; /* paths are written as seen from here; NULL: absolute */
    bool json;
} writer;

/* Text that YAML reads back as itself without quotes, whatever stands around it. */
static bool is_plain(const char *text) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-";
    if (text[0] == 0 || text[0] == '-' || strcmp(text, "null") == 0) return false;
    return text[strspn(text, letters)] == 0;
}

/* Characters that JSON takes as they are and YAML does not: C1 controls, line and paragraph separators, byte
   order marks and non-characters. Returns their length in bytes, 0 for others, and the code point. */
static size_t yaml_special(const unsigned char *s, unsigned *code) {
    if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f) return *code = s[1], 2;
    if (s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9))
        return *code = 0x2000u + (s[2] & 0x3fu), 3;
    if (s[0] == 0xef && s[1] == 0xbb && s[2] == 0xbf) return *code = 0xfeff, 3;
    if (s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe) return *code = 0xffc0u + (s[2] & 0x3fu), 3;
    return 0;
}

static void write_text(const writer *w, const char *text) {
    if (!w->json && is_plain(text)) {
        buffer_string(w->out, text);
        return;
    }
    buffer quoted = {0};
    buffer_json_string(&quoted, text, strlen(text));
    const unsigned char *s = (const unsigned char *)(quoted.data ? quoted.data : "\"\"");
    for (size_t i = 0; s[i];) {
        unsigned code;
        size_t n = yaml_special(s + i, &code);
        if (n)
            buffer_format(w->out, "\\u%04x", code);
        else
            buffer_append(w->out, s + i, n = 1);
        i += n;
    }
    if (quoted.failed) w->out->failed = 1;
    buffer_free(&quoted);
}

/* Both absolute: do they lie in one directory other than the root? */
static bool share_a_directory(const char *a, const char *b) {
    size_t n = strcspn(a + 1, "/") + 1;
    return n > 1 && strncmp(a, b, n) == 0 && (b[n] == '/' || b[n] == 0);
}

static void write_path(const writer *w, const char *path) {
    char *shown = path_absolute(path), *from = w->directory ? path_absolute(w->directory) : NULL;
    if (shown && from && share_a_directory(from, shown)) {
        free(shown);
        shown = path_relative(from, path);
    }
    if (shown && (from || !w->directory))
        write_text(w, shown);
    else
        w->out->failed = 1;
    free(shown);
    free(from);
}

static void write_one(const writer *w, bool is_path, const char *text) {
    if (!text)
        buffer_string(w->out, "null");
    else if (is_path)
        write_path(w, text);
    else
        write_text(w, text);
}

static void write_strings(const writer *w, bool is_path, const config_strings *list) {
    buffer_string(w->out, "[");
    for (int i = 0; i < list->n; i++) {
        if (i) buffer_string(w->out, w->json ? "," : ", ");
        write_one(w, is_path, list->value[i]);
    }
    buffer_string(w->out, "]");
}

static void write_ints(const writer *w, const config_ints *list) {
    buffer_string(w->out, "[");
    for (int i = 0; i < list->n; i++)
        buffer_format(w->out, "%s%d", i == 0 ? "" : w->json ? "," : ", ", list->value[i]);
    buffer_string(w->out, "]");
}

/* 60 rather than 6e+01. */
static void write_float(const writer *w, float value) {
    if (value == floorf(value) && fabsf(value) < 1e7f)
        buffer_format(w->out, "%.0f", value + 0.0f);
    else
        buffer_json_float(w->out, value);
}

static void write_value(const writer *w, const config_key *key, const void *values) {
    const void *field = (const char *)values + key->offset;
    switch (key->type) {
    case CONFIG_BOOL:
        buffer_string(w->out, *(const bool *)field ? "true" : "false");
        break;
    case CONFIG_INT:
        buffer_format(w->out, "%d", *(const int *)field);
        break;
    case CONFIG_INT64:
        buffer_format(w->out, "%lld", (long long)*(const int64_t *)field);
        break;
    case CONFIG_FLOAT:
        write_float(w, *(const float *)field);
        break;
    case CONFIG_WORD:
        write_text(w, key->words[*(const int *)field]);
        break;
    case CONFIG_STRING:
        write_one(w, false, *(const char *const *)field);
        break;
    case CONFIG_PATH:
        write_one(w, true, *(const char *const *)field);
        break;
    case CONFIG_INTS:
        write_ints(w, field);
        break;
    case CONFIG_STRINGS:
        write_strings(w, false, field);
        break;
    case CONFIG_PATHS:
        write_strings(w, true, field);
        break;
    }
}

/* ---- whole configs ---- */

status config_print(const config_table *table, const void *values, const char *const *sections,
                    const char *directory, buffer *out, error *err) {
    writer w = {.out = out, .directory = directory};
    for (int i = 0; i < table->n_section; i++) {
        const char *section = table->section[i].name;
        if (!is_wanted(section, sections)) continue;
        if (section[0]) buffer_format(out, "%s%s:\n", out->len ? "\n" : "", section);
        for (int k = 0; k < table->n_key; k++) {
            const config_key *key = &table->key[k];
            if (!in_section(key, section)) continue;
            size_t skip = section[0] ? strlen(section) + 1 : 0;
            buffer_format(out, "%s%s: ", section[0] ? "  " : "", key->name + skip);
            write_value(&w, key, values);
            buffer_string(out, "\n");
        }
    }
    return buffer_check(out, err);
}

status config_json(const config_table *table, const void *values, const char *const *sections,
                   const char *directory, buffer *out, error *err) {
    writer w = {.out = out, .directory = directory, .json = true};
    const char *between = "{";
    for (int k = 0; k < table->n_key; k++) {
        const config_key *key = &table->key[k];
        if (key->neutral || !is_key_wanted(key, sections)) continue;
        buffer_format(out, "%s\"%s\":", between, key->name);
        write_value(&w, key, values);
        between = ",";
    }
    buffer_string(out, "}");
    return buffer_check(out, err);
}

status config_hash(const config_table *table, const void *values, const char *const *sections,
                   const char *directory, hash *out, error *err) {
    buffer text = {0};
    status s = config_json(table, values, sections, directory, &text, err);
    if (s == STATUS_OK) *out = hash_bytes(text.data, text.len);
    buffer_free(&text);
    return s;
}

status config_compare(const config_table *table, const void *was, const void *now,
                      const char *const *sections, buffer *out, int *n, error *err) {
    buffer a = {0}, b = {0};
    writer writer_was = {.out = &a}, writer_now = {.out = &b};
    *n = 0;
    for (int k = 0; k < table->n_key; k++) {
        const config_key *key = &table->key[k];
        if (key->neutral || !is_key_wanted(key, sections)) continue;
        buffer_clear(&a);
        buffer_clear(&b);
        write_value(&writer_was, key, was);
        write_value(&writer_now, key, now);
        if (a.failed || b.failed) break;
        if (strcmp(a.data, b.data) == 0) continue;
        buffer_format(out, "%s: %s, was %s\n", key->name, b.data, a.data);
        ++*n;
    }
    out->failed |= a.failed | b.failed;
    buffer_free(&a);
    buffer_free(&b);
    return buffer_check(out, err);
}

/* ---- help and reference ---- */

static const char *default_text(const config_key *key) { return key->fallback ? key->fallback : "none"; }

/* "float, 0 to 1, seconds" */
static void describe_whole(const config_key *key, buffer *out) {
    config_describe(key, out);
    if (key->unit[0]) buffer_format(out, ", %s", key->unit);
}

void config_print_help(const config_table *table, const char *const *sections, FILE *stream) {
    buffer what = {0};
    for (int i = 0; i < table->n_section; i++) {
        const config_section *section = &table->section[i];
        if (!is_wanted(section->name, sections)) continue;
        fprintf(stream, "\n%s%s%s\n", section->name, section->name[0] ? ": " : "", section->help);
        for (int k = 0; k < table->n_key; k++) {
            const config_key *key = &table->key[k];
            if (!in_section(key, section->name)) continue;
            buffer_clear(&what);
            describe_whole(key, &what);
            fprintf(stream, "  %s (%s; default %s)\n      %s\n", key->name, what.data ? what.data : "",
                    default_text(key), key->help);
        }
    }
    buffer_free(&what);
}

/* A table cell: a bar in it would end the cell. */
static void write_cell(const char *text, buffer *out) {
    for (; *text; text++) buffer_format(out, *text == '|' ? "\\%c" : "%c", *text);
}

static void write_presets(const config_table *table, buffer *out) {
    if (table->n_preset)
        buffer_string(out, "\n## Presets\n\nA word that sets other keys; what the file says wins.\n");
    for (int i = 0; i < table->n_preset; i++) {
        buffer_format(out, "\n`%s: %s`\n\n", table->preset[i].key, table->preset[i].word);
        for (int k = 0; table->preset[i].settings[k]; k++)
            buffer_format(out, "    %s\n", table->preset[i].settings[k]);
    }
}

void config_print_reference(const config_table *table, buffer *out) {
    buffer_string(out, "# Settings\n\n"
                       "Every key of every program, written from the table in `configs/schema.c`.\n"
                       "A config is a YAML file of sections; `--set section.key=value` overrides it.\n"
                       "A path in a file is relative to that file, one in `--set` to the working directory.\n"
                       "`null` is none; a list of one may stand without brackets.\n");
    for (int i = 0; i < table->n_section; i++) {
        const config_section *section = &table->section[i];
        if (section->name[0]) buffer_format(out, "\n## %s\n\n%s\n", section->name, section->help);
        buffer_string(out, "\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
        for (int k = 0; k < table->n_key; k++) {
            const config_key *key = &table->key[k];
            if (!in_section(key, section->name)) continue;
            buffer_format(out, "| `%s` | ", key->name);
            describe_whole(key, out);
            buffer_string(out, " | `");
            write_cell(default_text(key), out);
            buffer_string(out, "` | ");
            write_cell(key->help, out);
            buffer_string(out, " |\n");
        }
    }
    write_presets(table, out);
}
