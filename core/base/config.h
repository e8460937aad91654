/* core/base/config: strict settings. A table of keys says what may stand in a YAML file; a file and `--set`
   arguments fill a caller's struct, or are refused with file:line:column and the nearest valid key. The same
   table prints the help, the reference page and the resolved config of a run. */
#ifndef RLHF_BASE_CONFIG_H
#define RLHF_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/buffer.h"
#include "core/base/error.h"
#include "core/base/hash.h"

/* Lists as they lie in the caller's struct. */
typedef struct config_ints {
    int n;
    const int *value;
} config_ints;

typedef struct config_strings {
    int n;
    const char *const *value;
} config_strings;

/* The entry of a list that has one per round, round counting from 1; the last entry serves all later rounds,
   a list of one every round. The list is not empty (its key has a default). */
int config_int_of_round(const config_ints *list, int round);

typedef enum config_type {
    CONFIG_BOOL,    /* bool */
    CONFIG_INT,     /* int */
    CONFIG_INT64,   /* int64_t */
    CONFIG_FLOAT,   /* float */
    CONFIG_STRING,  /* const char *, NULL: none (null in YAML) */
    CONFIG_PATH,    /* const char *, NULL: none; relative to the working directory, or absolute */
    CONFIG_WORD,    /* int, the index in words */
    CONFIG_INTS,    /* config_ints; one value without brackets is a list of one */
    CONFIG_STRINGS, /* config_strings, likewise */
    CONFIG_PATHS,   /* config_strings, likewise */
} config_type;

typedef struct config_key {
    const char *name; /* "section.key", or "key" at the top */
    config_type type;
    size_t offset; /* of its field in the struct */
    const char
        *fallback; /* default, as it would stand in YAML; paths are then relative to the working directory */
    double low, high;         /* inclusive range of numbers, and of every number of a list */
    const char *const *words; /* of CONFIG_WORD; ends with NULL */
    const char *unit;         /* "tokens", "steps", or "" */
    bool neutral;             /* changes no byte of a result: a resumed run may have another value */
    const char *help;         /* one line */
} config_key;

/* A word of a CONFIG_WORD key that sets other keys before the file's own settings are applied. */
typedef struct config_preset {
    const char *key, *word;
    const char *const *settings; /* "section.key=value" ...; ends with NULL */
} config_preset;

typedef struct config_section {
    const char *name, *help; /* "" is the top level */
} config_section;

typedef struct config_table {
    size_t size; /* of the caller's struct */
    const config_section *section;
    int n_section;
    const config_key *key; /* grouped by section, in the order in which they are printed */
    int n_key;
    const config_preset *preset;
    int n_preset;
} config_table;

/* Owns the strings and lists of a filled struct, and knows where each value came from. */
typedef struct config_source config_source;

/* Fills out (table->size bytes): defaults, then presets, then the file (NULL: none), then the settings, each
   "section.key=value" with value a YAML scalar or a bracketed list; a later setting wins. Paths in the file
   are made relative to the file's directory, those in settings stay relative to the working directory.
   STATUS_USAGE with "file:line:column: what is wrong" (or "--set key=value: ...") for whatever the table does
   not allow; nothing but the file itself is opened. On failure *source is NULL and out is zeroed. */
status config_read(const config_table *table, const char *file, const char *const *settings, int n_setting,
                   void *out, config_source **source, error *err);
void config_release(config_source *source);

/* "file:line:column", "--set" or "default": where the key's value came from, for messages about it. The text
   belongs to the source. */
const char *config_place(const config_source *source, const char *name);
/* Fills the error with "PLACE: KEY MESSAGE" where the file or a setting gave the key, else, when it has its
   default or a preset's value, with "KEY MESSAGE". Returns code. */
status config_refuse_key(const config_source *source, const char *key, status code, error *err,
                         const char *format, ...) __attribute__((format(printf, 5, 6)));
bool config_is_given(const config_source *source, const char *name); /* by the file or a setting */

/* The functions below take the sections of one program: a NULL-ended list of names, or NULL for all of them.
 */

/* The resolved config as YAML that config_read accepts: every key, byte-stable. Paths are written relative to
   `directory`, where the text will lie, so that a whole tree can be moved; absolute ones stay so where the
   two have only the root in common. */
status config_print(const config_table *table, const void *values, const char *const *sections,
                    const char *directory, buffer *out, error *err);

/* SHA-256 of the canonical JSON of all keys that are not neutral: one object of "section.key" in the table's
   order, paths as config_print has them. */
status config_hash(const config_table *table, const void *values, const char *const *sections,
                   const char *directory, hash *out, error *err);
status config_json(const config_table *table, const void *values, const char *const *sections,
                   const char *directory, buffer *out, error *err);

/* Writes one line "key: A, was B" for each key that is not neutral and differs between two filled structs
   (paths are compared as absolute ones) and returns how many there are in *n. */
status config_compare(const config_table *table, const void *was, const void *now,
                      const char *const *sections, buffer *out, int *n, error *err);

/* --help: every key with type, unit, range, default and help. */
void config_print_help(const config_table *table, const char *const *sections, FILE *stream);
/* docs/config.md. */
void config_print_reference(const config_table *table, buffer *out);

#endif
