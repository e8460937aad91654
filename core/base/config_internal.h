/* core/base/config_internal: what the parts of core/base/config share. */
#ifndef RLHF_BASE_CONFIG_INTERNAL_H
#define RLHF_BASE_CONFIG_INTERNAL_H

#include "core/base/config.h"

/* ---- config_parse.c: YAML text to entries ---- */

typedef struct config_scalar {
    char *text; /* [length], no zero byte inside, one behind */
    size_t length;
    bool quoted;
    int line, column; /* from 1 */
} config_scalar;

typedef enum config_shape { CONFIG_SCALAR, CONFIG_LIST, CONFIG_MAPPING } config_shape;

typedef struct config_entry {
    char *name; /* "section.key" */
    config_shape shape;
    int n_scalar;
    config_scalar *scalar;
    int line, column; /* of the key */
    int value_line, value_column;
    const char *file;    /* NULL: of a setting, a preset or a default */
    const char *setting; /* "--set key=value", "preset ..." */
    int key;             /* index in the table, once it is looked up */
} config_entry;

typedef struct config_entries {
    config_entry *entry;
    int n;
} config_entries;

void config_entries_free(config_entries *list);
/* Reads the file's entries. A mapping in a section is one entry of shape CONFIG_MAPPING, a section without
 * keys none. */
status config_parse_file(const char *file, config_entries *out, error *err);
/* Adds one entry from "section.key=value". what: "--set", "preset ..."; `setting` is what messages show and
 * is kept. */
status config_parse_setting(const char *text, const char *setting, config_entries *out, error *err);

/* The place of line and column in the entry: "file:3:5" or the setting. Cut if it is too long. */
void config_format_place(const config_entry *entry, int line, int column, char out[512]);

/* ---- config_value.c: entries to fields ---- */

int config_find_key(const config_table *table, const char *name); /* -1: there is none */
/* The valid name nearest to a wrong one, NULL when none is near. */
const char *config_nearest(const config_table *table, const char *name);
status config_check_name(const config_table *table, config_entry *entry, error *err);
/* Writes the entry's value into its field. Relative paths are joined to directory (NULL: left). */
status config_store(const config_table *table, config_source *source, const config_entry *entry,
                    const char *directory, void *values, error *err);
/* The key's type and range for people: "float, 0 to 1". */
void config_describe(const config_key *key, buffer *out);

/* ---- config.c ---- */

/* Memory that lives as long as the source; NULL when there is none. */
void *config_take(config_source *source, size_t size);

#endif
