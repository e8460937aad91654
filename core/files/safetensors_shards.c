/* A model's tensors in one file, or in several with an index, as transformers names them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/base/file.h"
#include "core/files/safetensors.h"

#define WHOLE "model.safetensors"
#define INDEX "model.safetensors.index.json"

enum { NAME_SIZE = 48 };

typedef struct shard {
    char name[NAME_SIZE]; /* "model-00001-of-00003.safetensors" */
    int first, n;         /* its tensors */
    safetensors_writer *writer;
} shard;

struct safetensors_shards {
    char *directory;
    const tensor_entry *tensors;
    shard *shard;
    int n, n_shard;
    uint64_t bytes, elements; /* of all tensors */
    int current;
};

/* A tensor goes into the shard of the one before it, unless that would grow beyond shard_bytes. */
static void divide(safetensors_shards *w, uint64_t shard_bytes) {
    uint64_t filled = 0;
    for (int i = 0; i < w->n; i++) {
        uint64_t elements = 1;
        for (int d = 0; d < w->tensors[i].n_dim; d++) elements *= (uint64_t)w->tensors[i].shape[d];
        uint64_t bytes = elements * tensor_dtype_bytes(w->tensors[i].dtype);
        if (w->n_shard == 0 || (filled > 0 && filled + bytes > shard_bytes)) {
            w->shard[w->n_shard++].first = i;
            filled = 0;
        }
        w->shard[w->n_shard - 1].n++;
        filled += bytes;
        w->bytes += bytes;
        w->elements += elements;
    }
    for (int i = 0; i < w->n_shard; i++) {
        if (w->n_shard == 1)
            snprintf(w->shard[i].name, NAME_SIZE, WHOLE);
        else
            snprintf(w->shard[i].name, NAME_SIZE, "model-%05d-of-%05d.safetensors", i + 1, w->n_shard);
    }
}

static status begin_shard(safetensors_shards *w, shard *s, error *err) {
    char *path = path_join(w->directory, s->name);
    if (!path) return error_memory(err, "a path");
    status result = safetensors_begin(path, w->tensors + s->first, s->n, &s->writer, err);
    free(path);
    return result;
}

void safetensors_shards_abandon(safetensors_shards *w) {
    if (!w) return;
    for (int i = 0; i < w->n_shard; i++) safetensors_abandon(w->shard[i].writer);
    free(w->shard);
    free(w->directory);
    free(w);
}

status safetensors_shards_begin(const char *directory, const tensor_entry *tensors, int n,
                                uint64_t shard_bytes, safetensors_shards **out, error *err) {
    *out = NULL;
    safetensors_shards *w = calloc(1, sizeof *w);
    if (!w) return error_memory(err, "a model's files");
    *w = (safetensors_shards){.directory = strdup(directory), .tensors = tensors, .n = n};
    w->shard = calloc((size_t)n + 1, sizeof *w->shard);
    status s = w->directory && w->shard ? STATUS_OK : error_memory(err, "a model's files");
    if (s == STATUS_OK) divide(w, shard_bytes);
    for (int i = 0; i < w->n_shard && s == STATUS_OK; i++) s = begin_shard(w, &w->shard[i], err);
    if (s == STATUS_OK)
        *out = w;
    else
        safetensors_shards_abandon(w);
    return s;
}

void safetensors_shards_put(safetensors_shards *w, int tensor, const void *data, size_t bytes) {
    while (w->current + 1 < w->n_shard && tensor >= w->shard[w->current + 1].first) w->current++;
    shard *s = &w->shard[w->current];
    safetensors_put(s->writer, tensor - s->first, data, bytes);
}

/* ---- the files of a directory ---- */

static int is_of_a_model(const char *name) {
    int i, n, end = 0;
    if (strcmp(name, WHOLE) == 0 || strcmp(name, INDEX) == 0) return 1;
    return sscanf(name, "model-%5d-of-%5d.safetensors%n", &i, &n, &end) == 2 && end > 0 && !name[end];
}

static int is_written(const safetensors_shards *w, const char *name) {
    if (w->n_shard > 1 && strcmp(name, INDEX) == 0) return 1;
    for (int i = 0; i < w->n_shard; i++)
        if (strcmp(name, w->shard[i].name) == 0) return 1;
    return 0;
}

static status remove_file(const char *directory, const char *name, error *err) {
    char *path = path_join(directory, name);
    if (!path) return error_memory(err, "a path");
    status s = path_remove_tree(path, err);
    free(path);
    return s;
}

/* Another division's files; the index first, so that it never names what is gone. */
static status remove_others(const safetensors_shards *w, error *err) {
    char **names;
    int n;
    if (w->n_shard == 1) TRY(remove_file(w->directory, INDEX, err));
    TRY(path_list(w->directory, &names, &n, err));
    status s = STATUS_OK;
    for (int i = 0; i < n && s == STATUS_OK; i++)
        if (is_of_a_model(names[i]) && !is_written(w, names[i])) s = remove_file(w->directory, names[i], err);
    path_free_list(names, n);
    return s;
}

static status write_index(const safetensors_shards *w, error *err) {
    buffer b = {0};
    buffer_format(&b, "{\n  \"metadata\": {\n    \"total_parameters\": %" PRIu64, w->elements);
    buffer_format(&b, ",\n    \"total_size\": %" PRIu64 "\n  },\n  \"weight_map\": {", w->bytes);
    for (int i = 0; i < w->n_shard; i++)
        for (int t = w->shard[i].first; t < w->shard[i].first + w->shard[i].n; t++) {
            buffer_string(&b, t ? ",\n    " : "\n    ");
            buffer_json_string(&b, w->tensors[t].name, strlen(w->tensors[t].name));
            buffer_format(&b, ": \"%s\"", w->shard[i].name);
        }
    buffer_string(&b, "\n  }\n}\n");
    char *path = path_join(w->directory, INDEX);
    status s = path ? buffer_check(&b, err) : error_memory(err, "a path");
    if (s == STATUS_OK) s = file_write(path, b.data, b.len, err);
    free(path);
    buffer_free(&b);
    return s;
}

status safetensors_shards_commit(safetensors_shards *w, error *err) {
    /* An old index must not name new shards. */
    status s = w->n_shard > 1 ? remove_file(w->directory, INDEX, err) : STATUS_OK;
    for (int i = 0; i < w->n_shard && s == STATUS_OK; i++) {
        s = safetensors_commit(w->shard[i].writer, err);
        w->shard[i].writer = NULL;
    }
    if (s == STATUS_OK && w->n_shard > 1) s = write_index(w, err);
    if (s == STATUS_OK) s = remove_others(w, err);
    safetensors_shards_abandon(w);
    return s;
}
