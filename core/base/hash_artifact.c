#include <stdlib.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/base/file.h"
#include "core/base/lineage.h"

static int ends_with(const char *name, const char *tail) {
    size_t n = strlen(name), m = strlen(tail);
    return n >= m && strcmp(name + n - m, tail) == 0;
}

static int belongs_to_model(const char *name) {
    if (ends_with(name, FILE_TEMPORARY)) return 0;
    return strcmp(name, "config.json") == 0 || strcmp(name, "generation_config.json") == 0 ||
           strcmp(name, "adapter_config.json") == 0 || strcmp(name, "base.json") == 0 ||
           ends_with(name, ".safetensors") || ends_with(name, ".index.json") ||
           (strncmp(name, "tokenizer", 9) == 0 && ends_with(name, ".json"));
}

static int compare_lines(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "sha256  name\n" of one file, malloc'd into *line; its size is added to *bytes. */
static status hash_line(const char *directory, const char *name, char **line, uint64_t *bytes, error *err) {
    hash h;
    uint64_t size = 0;
    char hex[2 * HASH_BYTES + 1];
    char *path = path_join(directory, name);
    if (!path) return error_memory(err, "a path");
    status s = hash_file(path, &h, &size, err);
    free(path);
    TRY(s);
    *bytes += size;
    hash_hex(&h, hex);
    size_t length = strlen(hex) + 2 + strlen(name) + 2;
    *line = malloc(length);
    if (!*line) return error_memory(err, "a hash");
    snprintf(*line, length, "%s  %s\n", hex, name);
    return STATUS_OK;
}

static status hash_directory(const char *directory, hash *out, uint64_t *bytes, error *err) {
    char **names;
    int n, n_line = 0;
    TRY(path_list(directory, &names, &n, err));
    char **line = calloc(n ? (size_t)n : 1, sizeof *line);
    status s = line ? STATUS_OK : error_memory(err, "a hash");
    for (int i = 0; i < n && s == STATUS_OK; i++)
        if (belongs_to_model(names[i])) {
            s = hash_line(directory, names[i], &line[n_line], bytes, err);
            if (s == STATUS_OK) n_line++;
        }
    if (s == STATUS_OK && n_line == 0)
        s = error_set(err, STATUS_DATA, "%s: is not a model directory: it has no config.json", directory);
    buffer all = {0};
    if (s == STATUS_OK) qsort(line, (size_t)n_line, sizeof *line, compare_lines);
    for (int i = 0; i < n_line; i++) {
        buffer_string(&all, line[i]);
        free(line[i]);
    }
    if (s == STATUS_OK) s = buffer_check(&all, err);
    if (s == STATUS_OK) *out = hash_bytes(all.data, all.len);
    buffer_free(&all);
    free(line);
    path_free_list(names, n);
    return s;
}

status hash_artifact(const char *path, hash *out, uint64_t *bytes, error *err) {
    *bytes = 0;
    if (path_is_directory(path)) return hash_directory(path, out, bytes, err);
    return hash_file(path, out, bytes, err);
}
