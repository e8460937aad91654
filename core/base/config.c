#include "core/base/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/config_internal.h"
#include "core/base/file.h"

struct config_source {
    const config_table *table;
    const char **place; /* [n_key]; NULL: default */
    void **block;
    int n_block;
};

int config_int_of_round(const config_ints *list, int round) {
    int i = round < 1 ? 0 : round - 1;
    return list->value[i < list->n ? i : list->n - 1];
}

void *config_take(config_source *source, size_t size) {
    void **more = realloc(source->block, (size_t)(source->n_block + 1) * sizeof *more);
    if (more) source->block = more;
    void *block = more ? calloc(1, size ? size : 1) : NULL;
    if (block) source->block[source->n_block++] = block;
    return block;
}

void config_release(config_source *source) {
    if (!source) return;
    for (int i = 0; i < source->n_block; i++) free(source->block[i]);
    free(source->block);
    free(source);
}

const char *config_place(const config_source *source, const char *name) {
    int key = config_find_key(source->table, name);
    return key >= 0 && source->place[key] ? source->place[key] : "default";
}

bool config_is_given(const config_source *source, const char *name) {
    int key = config_find_key(source->table, name);
    return key >= 0 && source->place[key];
}

status config_refuse_key(const config_source *source, const char *key, status code, error *err,
                         const char *format, ...) {
    char message[1024];
    bool given = config_is_given(source, key);
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return error_set(err, code, "%s%s%s %s", given ? config_place(source, key) : "", given ? ": " : "", key,
                     message);
}

static status check_names(const config_table *table, const config_entries *list, error *err) {
    for (int i = 0; i < list->n; i++) TRY(config_check_name(table, &list->entry[i], err));
    return STATUS_OK;
}

/* A key (or section) may stand once in the file; of settings the last one wins. */
static status check_duplicates(const config_entries *list, error *err) {
    for (int i = 0; i < list->n; i++)
        for (int k = 0; k < i; k++) {
            const config_entry *now = &list->entry[i], *first = &list->entry[k];
            if (!now->file || !first->file || strcmp(now->name, first->name) != 0) continue;
            char place[512];
            config_format_place(now, now->line, now->column, place);
            return error_set(err, STATUS_USAGE, "%s: duplicate key \"%s\", first on line %d", place,
                             now->name, first->line);
        }
    return STATUS_OK;
}

static status store_entry(const config_table *table, config_source *source, const config_entry *entry,
                          const char *directory, void *values, error *err) {
    if (entry->key < 0) return STATUS_OK; /* a section's own line */
    TRY(config_store(table, source, entry, entry->file ? directory : NULL, values, err));
    char place[512];
    config_format_place(entry, entry->line, entry->column, place);
    char *kept = config_take(source, strlen(place) + 1);
    if (!kept) return error_memory(err, "a config");
    source->place[entry->key] = strcpy(kept, place);
    return STATUS_OK;
}

/* One "name=value" of the table's own: a default or a preset's setting. Leaves no place. */
static status store_text(const config_table *table, config_source *source, const char *text, const char *what,
                         void *values, error *err) {
    config_entries one = {0};
    status s = config_parse_setting(text, what, &one, err);
    if (s == STATUS_OK) s = check_names(table, &one, err);
    if (s == STATUS_OK) s = config_store(table, source, &one.entry[0], NULL, values, err);
    config_entries_free(&one);
    return s;
}

static status store_defaults(const config_table *table, config_source *source, void *values, error *err) {
    for (int i = 0; i < table->n_key; i++) {
        const config_key *key = &table->key[i];
        if (!key->fallback) continue;
        buffer text = {0};
        buffer_format(&text, "%s=%s", key->name, key->fallback);
        status s = buffer_check(&text, err);
        if (s == STATUS_OK) s = store_text(table, source, text.data, "default", values, err);
        buffer_free(&text);
        TRY(s);
    }
    return STATUS_OK;
}

/* Applies the settings of every preset word that is chosen. The words themselves must have been stored
 * already. */
static status store_presets(const config_table *table, config_source *source, void *values, error *err) {
    for (int i = 0; i < table->n_preset; i++) {
        const config_preset *preset = &table->preset[i];
        int index = config_find_key(table, preset->key);
        if (index < 0) return error_set(err, STATUS_FAILED, "preset of unknown key %s", preset->key);
        const config_key *key = &table->key[index];
        if (strcmp(key->words[*(const int *)((const char *)values + key->offset)], preset->word) != 0)
            continue;
        for (int k = 0; preset->settings[k]; k++)
            TRY(store_text(table, source, preset->settings[k], preset->word, values, err));
    }
    return STATUS_OK;
}

/* Twice: the first pass finds the words of presets, the second lets the given values win over what they set.
 */
static status store_all(const config_table *table, config_source *source, const config_entries *list,
                        const char *directory, void *values, error *err) {
    TRY(store_defaults(table, source, values, err));
    for (int i = 0; i < list->n; i++)
        TRY(store_entry(table, source, &list->entry[i], directory, values, err));
    if (table->n_preset == 0) return STATUS_OK;
    TRY(store_presets(table, source, values, err));
    for (int i = 0; i < list->n; i++)
        TRY(store_entry(table, source, &list->entry[i], directory, values, err));
    return STATUS_OK;
}

static status parse_settings(config_source *source, const char *const *settings, int n, config_entries *out,
                             error *err) {
    for (int i = 0; i < n; i++) {
        size_t size = strlen(settings[i]) + sizeof "--set ";
        char *what = config_take(source, size);
        if (!what) return error_memory(err, "a config");
        snprintf(what, size, "--set %s", settings[i]);
        TRY(config_parse_setting(settings[i], what, out, err));
    }
    return STATUS_OK;
}

static status read_all(const config_table *table, const char *file, const char *const *settings,
                       int n_setting, void *values, config_source *source, error *err) {
    source->table = table;
    source->place = config_take(source, (size_t)table->n_key * sizeof *source->place);
    char *directory = file ? path_directory(file) : strdup(".");
    config_entries list = {0};
    status s = directory && source->place ? STATUS_OK : error_memory(err, "a config");
    if (s == STATUS_OK && file) s = config_parse_file(file, &list, err);
    if (s == STATUS_OK) s = parse_settings(source, settings, n_setting, &list, err);
    if (s == STATUS_OK) s = check_names(table, &list, err);
    if (s == STATUS_OK) s = check_duplicates(&list, err);
    if (s == STATUS_OK) s = store_all(table, source, &list, directory, values, err);
    config_entries_free(&list);
    free(directory);
    return s;
}

status config_read(const config_table *table, const char *file, const char *const *settings, int n_setting,
                   void *out, config_source **source, error *err) {
    memset(out, 0, table->size);
    *source = calloc(1, sizeof **source);
    if (!*source) return error_memory(err, "a config");
    status s = read_all(table, file, settings, n_setting, out, *source, err);
    if (s == STATUS_OK) return STATUS_OK;
    config_release(*source);
    *source = NULL;
    memset(out, 0, table->size);
    return s;
}
