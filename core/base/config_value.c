#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/config_internal.h"
#include "core/base/file.h"
#include "core/base/path.h"

int config_find_key(const config_table *table, const char *name) {
    for (int i = 0; i < table->n_key; i++)
        if (strcmp(table->key[i].name, name) == 0) return i;
    return -1;
}

static bool is_section(const config_table *table, const char *name) {
    for (int i = 0; i < table->n_section; i++)
        if (name[0] && strcmp(table->section[i].name, name) == 0) return true;
    return false;
}

/* ---- the nearest name ---- */

enum { NAME_LIMIT = 64 };

static int least(int a, int b) { return a < b ? a : b; }

/* Letters to insert, remove, replace or swap with their neighbour to make b of a (optimal string alignment).
   Both at most NAME_LIMIT long. */
static int edit_distance(const char *a, const char *b) {
    int n = (int)strlen(a), m = (int)strlen(b), row[3][NAME_LIMIT + 1];
    for (int j = 0; j <= m; j++) row[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            int same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            now[j] = least(least(last[j], now[j - 1]) + 1, last[j - 1] + !same);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return row[n % 3][m];
}

static const char *last_part(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

/* Letters that both begin with. */
static int common_letters(const char *a, const char *b) {
    int n = 0;
    while (a[n] && tolower((unsigned char)a[n]) == tolower((unsigned char)b[n])) n++;
    return n;
}

/* In eighths of a letter. One word that begins with the other (batch_size, batch) is as near as a letter and
   some for the difference in length; a right key in a wrong section as two letters. */
static int name_distance(const char *wrong, const char *right) {
    const char *a = last_part(wrong), *b = last_part(right);
    int edits = edit_distance(wrong, right), n = (int)strlen(a), m = (int)strlen(b);
    int distance =
        edits <= (n + 1) / 2 ? 8 * edits : 8 * NAME_LIMIT; /* half of it another: nothing in common */
    bool same_section = a - wrong == b - right && strncmp(wrong, right, (size_t)(a - wrong)) == 0;
    if (same_section && common_letters(a, b) >= 2 && common_letters(a, b) == least(n, m))
        distance = least(distance, 8 + least(abs(n - m), 7));
    if (strcmp(a, b) == 0) distance = least(distance, 16);
    return distance;
}

const char *config_nearest(const config_table *table, const char *name) {
    if (strlen(name) > NAME_LIMIT || !name[0]) return NULL;
    const char *nearest = NULL;
    int best = 8 * (2 + (int)strlen(last_part(name)) / 4) + 1;         /* of more letters nothing is left */
    int n = table->n_key + (strchr(name, '.') ? 0 : table->n_section); /* a section has no dot */
    for (int i = 0; i < n; i++) {
        const char *candidate = i < table->n_key ? table->key[i].name : table->section[i - table->n_key].name;
        int distance = candidate[0] ? name_distance(name, candidate) : best;
        if (distance < best) best = distance, nearest = candidate;
    }
    return nearest;
}

status config_check_name(const config_table *table, config_entry *entry, error *err) {
    char place[512];
    config_format_place(entry, entry->line, entry->column, place);
    entry->key = config_find_key(table, entry->name);
    if (entry->key >= 0) return STATUS_OK;
    if (is_section(table, entry->name)) {
        bool nothing = entry->shape == CONFIG_SCALAR && !entry->scalar[0].length && !entry->scalar[0].quoted;
        if (entry->shape == CONFIG_MAPPING || (nothing && entry->file)) return STATUS_OK;
        return error_set(err, STATUS_USAGE, "%s: \"%s\" is a section: its keys stand below it", place,
                         entry->name);
    }
    const char *nearest = config_nearest(table, entry->name);
    if (!nearest) return error_set(err, STATUS_USAGE, "%s: unknown key \"%s\"", place, entry->name);
    return error_set(err, STATUS_USAGE, "%s: unknown key \"%s\", did you mean \"%s\"?", place, entry->name,
                     nearest);
}

/* ---- what a key wants, for people ---- */

static void describe_number(double value, buffer *out) {
    if (fabs(value) < 1e15 && value == floor(value))
        buffer_format(out, "%.0f", value);
    else
        buffer_json_float(out, (float)value);
}

static void describe_range(const config_key *key, buffer *out) {
    bool low = isfinite(key->low), high = isfinite(key->high);
    if (low && high) {
        describe_number(key->low, out);
        buffer_string(out, " to ");
        describe_number(key->high, out);
    } else if (low) {
        buffer_string(out, "at least ");
        describe_number(key->low, out);
    } else if (high) {
        buffer_string(out, "at most ");
        describe_number(key->high, out);
    } else {
        buffer_string(out, "any");
    }
}

static void describe_words(const config_key *key, const char *between, const char *last, buffer *out) {
    for (int i = 0; key->words[i]; i++) {
        if (i) buffer_string(out, key->words[i + 1] ? between : last);
        buffer_string(out, key->words[i]);
    }
}

void config_describe(const config_key *key, buffer *out) {
    static const char *const name[] = {
        [CONFIG_BOOL] = "true, false",
        [CONFIG_INT] = "int",
        [CONFIG_INT64] = "int",
        [CONFIG_FLOAT] = "float",
        [CONFIG_STRING] = "text",
        [CONFIG_PATH] = "path",
        [CONFIG_WORD] = "",
        [CONFIG_INTS] = "list of ints",
        [CONFIG_STRINGS] = "list of texts",
        [CONFIG_PATHS] = "list of paths",
    };
    buffer_string(out, name[key->type]);
    if (key->type == CONFIG_WORD) describe_words(key, ", ", ", ", out);
    if (key->type == CONFIG_INT || key->type == CONFIG_INT64 || key->type == CONFIG_FLOAT ||
        key->type == CONFIG_INTS) {
        buffer_string(out, ", ");
        describe_range(key, out);
    }
}

/* ---- values ---- */

typedef struct store {
    const config_key *key;
    const config_entry *entry;
    config_source *source;
    const char *directory; /* of relative paths, or NULL */
    error *err;
} store;

/* "PLACE: "key" must be WANTED, not GIVEN". */
static status refuse(const store *s, int line, int column, const char *wanted, const char *given) {
    char place[512];
    config_format_place(s->entry, line, column, place);
    return error_set(s->err, STATUS_USAGE, "%s: \"%s\" must be %s, not %s", place, s->key->name, wanted,
                     given);
}

static status refuse_scalar(const store *s, const config_scalar *v, const char *wanted) {
    char given[160];
    if (v->length == 0 && !v->quoted)
        snprintf(given, sizeof given, "nothing");
    else if (v->quoted)
        snprintf(given, sizeof given, "the quoted text \"%.100s\"", v->text);
    else
        snprintf(given, sizeof given, "\"%.100s\"", v->text);
    return refuse(s, v->line, v->column, wanted, given);
}

static status refuse_range(const store *s, const config_scalar *v) {
    buffer wanted = {0};
    if (isfinite(s->key->low) && isfinite(s->key->high)) buffer_string(&wanted, "in the range ");
    describe_range(s->key, &wanted);
    status result = buffer_check(&wanted, s->err);
    if (result == STATUS_OK) {
        char given[120];
        snprintf(given, sizeof given, "%.100s", v->text);
        result = refuse(s, v->line, v->column, wanted.data, given);
    }
    buffer_free(&wanted);
    return result;
}

static status read_int(const store *s, const config_scalar *v, int64_t *out) {
    const char *digits = v->text + (v->text[0] == '-' || v->text[0] == '+');
    if (v->quoted || !digits[0] || digits[strspn(digits, "0123456789")])
        return refuse_scalar(s, v,
                             s->key->type == CONFIG_INTS ? "a list of whole numbers" : "a whole number");
    errno = 0;
    long long value = strtoll(v->text, NULL, 10);
    double low = s->key->low, high = s->key->high;
    if (errno == ERANGE || (double)value < low || (double)value > high) return refuse_range(s, v);
    *out = value;
    return STATUS_OK;
}

/* Decimal notation alone: no hexadecimal, no inf, no nan. */
static bool is_decimal(const char *text) {
    text += *text == '-' || *text == '+';
    size_t whole = strspn(text, "0123456789"), part = 0;
    text += whole;
    if (*text == '.') text += 1 + (part = strspn(text + 1, "0123456789"));
    if (whole + part == 0) return false;
    if (*text == 'e' || *text == 'E') {
        text += 1 + (text[1] == '-' || text[1] == '+');
        size_t exponent = strspn(text, "0123456789");
        if (!exponent) return false;
        text += exponent;
    }
    return *text == 0;
}

static status read_float(const store *s, const config_scalar *v, float *out) {
    if (v->quoted || !is_decimal(v->text)) return refuse_scalar(s, v, "a number");
    float value = strtof(v->text, NULL);
    /* The range is compared as floats, so that 0.1 is not below a limit of 0.1. */
    if (!isfinite(value) || value < (float)s->key->low || value > (float)s->key->high)
        return refuse_range(s, v);
    *out = value;
    return STATUS_OK;
}

static status read_word(const store *s, const config_scalar *v, int *out) {
    for (int i = 0; s->key->words[i]; i++)
        if (strcmp(s->key->words[i], v->text) == 0) {
            *out = i;
            return STATUS_OK;
        }
    buffer wanted = {0};
    describe_words(s->key, ", ", " or ", &wanted);
    status result = buffer_check(&wanted, s->err);
    if (result == STATUS_OK) result = refuse_scalar(s, v, wanted.data);
    buffer_free(&wanted);
    return result;
}

static bool is_null(const config_scalar *v) {
    return !v->quoted && (!v->length || strcmp(v->text, "~") == 0 || strcmp(v->text, "null") == 0);
}

static status read_text(const store *s, const config_scalar *v, bool is_path, const char **out) {
    json_t *utf8 = json_stringn(v->text, v->length);
    if (!utf8) return refuse(s, v->line, v->column, "UTF-8", "other bytes");
    json_decref(utf8);
    if (is_path && !v->length) return refuse_scalar(s, v, "a path");
    char *joined = is_path && s->directory ? path_join(s->directory, v->text) : strdup(v->text);
    char *text = joined;
    if (joined && is_path) {
        text = path_normal(joined);
        free(joined);
    }
    char *kept = text ? config_take(s->source, strlen(text) + 1) : NULL;
    if (kept) strcpy(kept, text);
    free(text);
    *out = kept;
    return kept ? STATUS_OK : error_memory(s->err, "a config");
}

static status store_scalar(const store *s, void *field) {
    const config_scalar *v = &s->entry->scalar[0];
    int64_t whole = 0;
    switch (s->key->type) {
    case CONFIG_BOOL:
        if (v->quoted || (strcmp(v->text, "true") != 0 && strcmp(v->text, "false") != 0))
            return refuse_scalar(s, v, "true or false");
        *(bool *)field = v->text[0] == 't';
        return STATUS_OK;
    case CONFIG_INT:
        TRY(read_int(s, v, &whole));
        *(int *)field = (int)whole;
        return STATUS_OK;
    case CONFIG_INT64:
        return read_int(s, v, (int64_t *)field);
    case CONFIG_FLOAT:
        return read_float(s, v, (float *)field);
    case CONFIG_WORD:
        return read_word(s, v, (int *)field);
    default:
        break;
    }
    *(const char **)field = NULL;
    return is_null(v) ? STATUS_OK : read_text(s, v, s->key->type == CONFIG_PATH, (const char **)field);
}

static status store_list(const store *s, void *field) {
    const config_entry *e = s->entry;
    int n = e->shape == CONFIG_SCALAR && is_null(&e->scalar[0]) ? 0 : e->n_scalar;
    if (s->key->type == CONFIG_INTS) {
        if (n == 0 && s->key->fallback)
            return refuse(s, e->value_line, e->value_column, "a list of whole numbers", "empty");
        int *value = config_take(s->source, ((size_t)n + 1) * sizeof *value);
        if (!value) return error_memory(s->err, "a config");
        for (int i = 0; i < n; i++) {
            int64_t whole;
            TRY(read_int(s, &e->scalar[i], &whole));
            value[i] = (int)whole;
        }
        *(config_ints *)field = (config_ints){n, value};
        return STATUS_OK;
    }
    const char **value = config_take(s->source, ((size_t)n + 1) * sizeof *value);
    if (!value) return error_memory(s->err, "a config");
    for (int i = 0; i < n; i++) TRY(read_text(s, &e->scalar[i], s->key->type == CONFIG_PATHS, &value[i]));
    *(config_strings *)field = (config_strings){n, value};
    return STATUS_OK;
}

status config_store(const config_table *table, config_source *source, const config_entry *entry,
                    const char *directory, void *values, error *err) {
    const config_key *key = &table->key[entry->key];
    store s = {.key = key, .entry = entry, .source = source, .directory = directory, .err = err};
    bool list = key->type == CONFIG_INTS || key->type == CONFIG_STRINGS || key->type == CONFIG_PATHS;
    if (entry->shape == CONFIG_MAPPING || (entry->shape == CONFIG_LIST && !list)) {
        static const char *const wanted[] = {
            [CONFIG_BOOL] = "true or false",      [CONFIG_INT] = "a whole number",
            [CONFIG_INT64] = "a whole number",    [CONFIG_FLOAT] = "a number",
            [CONFIG_STRING] = "a text",           [CONFIG_PATH] = "a path",
            [CONFIG_WORD] = "one word",           [CONFIG_INTS] = "a list of whole numbers",
            [CONFIG_STRINGS] = "a list of texts", [CONFIG_PATHS] = "a list of paths",
        };
        return refuse(&s, entry->value_line, entry->value_column, wanted[key->type],
                      entry->shape == CONFIG_LIST ? "a list" : "a section");
    }
    void *field = (char *)values + key->offset;
    return list ? store_list(&s, field) : store_scalar(&s, field);
}
