/* Model directories: config.json and model.safetensors, by the family's table of names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/files/safetensors.h"
#include "core/model/family.h"
#include "core/model/internal.h"

/* One of the family's tensors in this model: which parameter, which of its rows. */
typedef struct placed {
    char name[96];
    const param *p;
    int first, n; /* rows of the matrix; of a vector, elements */
    int transposed;
    int n_dim;
    int64_t shape[2]; /* as stored */
} placed;

static const param *find_param(const weights *w, const char *name) {
    for (int i = 0; i < w->flat.n_param; i++)
        if (strcmp(w->flat.param[i].name, name) == 0) return &w->flat.param[i];
    return NULL;
}

/* The format comes from family.c's own tables. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int place_tensor(const weights *w, const family_tensor *t, int layer, placed *out) {
    char ours[64];
    snprintf(out->name, sizeof out->name, t->theirs, layer);
    snprintf(ours, sizeof ours, t->ours, layer);
    out->p = find_param(w, ours);
    if (!out->p) return 0;
    int is_vector = out->p->rows == 1 && strcmp(ours, "score.weight") != 0;
    family_part_rows(&w->config, t->part, is_vector ? out->p->cols : out->p->rows, &out->first, &out->n);
    out->transposed = t->transposed;
    out->n_dim = is_vector ? 1 : 2;
    out->shape[0] = t->transposed ? out->p->cols : out->n;
    out->shape[1] = t->transposed ? out->n : out->p->cols;
    return 1;
}
#pragma GCC diagnostic pop

/* All tensors of the model in the table's order, layers inside. *out is malloc'd. */
static status place_all(const weights *w, placed **out, int *n, error *err) {
    int most = 0;
    for (const family_tensor *t = family_tensors(w->config.family); t->theirs; t++) most += w->config.n_layer;
    *n = 0;
    *out = calloc((size_t)most, sizeof **out);
    if (!*out) return error_memory(err, "a list of tensors");
    for (const family_tensor *t = family_tensors(w->config.family); t->theirs; t++)
        for (int l = 0; l < (strstr(t->theirs, "%d") ? w->config.n_layer : 1); l++)
            if (place_tensor(w, t, l, &(*out)[*n])) (*n)++;
    return STATUS_OK;
}

static int64_t placed_count(const placed *t) { return t->shape[0] * (t->n_dim == 2 ? t->shape[1] : 1); }

/* Where the placed part of the parameter starts among the flat's floats. */
static int64_t placed_offset(const placed *t) {
    return t->p->offset + (t->n_dim == 1 ? t->first : (int64_t)t->first * t->p->cols);
}

static void transpose(const float *from, int rows, int cols, float *to) {
    for (int r0 = 0; r0 < rows; r0 += 16)
        for (int c = 0; c < cols; c++)
            for (int r = r0; r < rows && r < r0 + 16; r++)
                to[(size_t)c * (size_t)rows + (size_t)r] = from[(size_t)r * (size_t)cols + (size_t)c];
}

static int64_t largest(const placed *t, int n) {
    int64_t most = 1;
    for (int i = 0; i < n; i++)
        if (placed_count(&t[i]) > most) most = placed_count(&t[i]);
    return most;
}

/* ---- reading ---- */

/* The name that the file uses: with or without the family's prefix. */
static const char *stored_name(const weights *w, const safetensors *file, const char *name) {
    const char *prefix = family_prefix(w->config.family);
    if (safetensors_find(file, name) || !prefix || strncmp(name, prefix, strlen(prefix)) != 0) return name;
    const char *shorter = name + strlen(prefix);
    return safetensors_find(file, shorter) ? shorter : name;
}

static int is_ignored(const weights *w, const char *name) {
    for (const char *const *tail = family_ignored(w->config.family); *tail; tail++) {
        size_t n = strlen(name), k = strlen(*tail);
        if (n >= k && strcmp(name + n - k, *tail) == 0) return 1;
    }
    /* Heads that the model was asked not to have, and the copy of a tied one. */
    return strcmp(name, "lm_head.weight") == 0 || strncmp(name, "score.", 6) == 0;
}

static status refuse_unknown(const weights *w, const safetensors *file, const placed *t, int n, error *err) {
    for (int i = 0; i < safetensors_count(file); i++) {
        const char *name = safetensors_entry(file, i)->name;
        int known = is_ignored(w, name);
        for (int j = 0; j < n && !known; j++) known = strcmp(stored_name(w, file, t[j].name), name) == 0;
        if (!known)
            return error_set(err, STATUS_DATA,
                             "%s: tensor \"%s\" is none of this model's (a wrong config.json?)",
                             safetensors_path(file), name);
    }
    return STATUS_OK;
}

static status load_tensor(weights *w, const safetensors *file, const placed *t, float *stored, float *ours,
                          error *err) {
    TRY(safetensors_copy_f32(file, stored_name(w, file, t->name), t->n_dim, t->shape, stored, err));
    if (t->transposed) transpose(stored, (int)t->shape[0], (int)t->shape[1], ours);
    w->dev->ops->upload(w->dev, w->flat.master + placed_offset(t), t->transposed ? ours : stored,
                        sizeof(float) * (size_t)placed_count(t));
    return w->dev->ops->sync(w->dev, err);
}

/* A score head may be missing: it has been drawn. */
static int may_lack(const placed *t) { return strncmp(t->name, "score.", 6) == 0; }

/* Whether the file holds just this model's tensors; whole: the score head too. */
static status check_tensors(const weights *w, const safetensors *file, int whole, error *err) {
    placed *t;
    int n;
    TRY(place_all(w, &t, &n, err));
    status s = refuse_unknown(w, file, t, n, err);
    for (int i = 0; i < n && s == STATUS_OK; i++)
        if (whole || !may_lack(&t[i]) || safetensors_find(file, t[i].name))
            s = safetensors_check_f32(file, stored_name(w, file, t[i].name), t[i].n_dim, t[i].shape, err);
    free(t);
    return s;
}

/* Asked before memory is taken for all that a config promises. */
static status check_file(const model_config *config, const safetensors *file, error *err) {
    weights shape = {.config = *config};
    status s = weights_list_params(&shape, err);
    if (s == STATUS_OK) s = check_tensors(&shape, file, 0, err);
    free(shape.params);
    free(shape.layer);
    return s;
}

static status load_tensors(weights *w, const safetensors *file, error *err) {
    placed *t;
    int n;
    TRY(place_all(w, &t, &n, err));
    size_t most = (size_t)largest(t, n);
    float *stored = malloc(2 * most * sizeof *stored);
    status s = stored ? STATUS_OK : error_memory(err, "a tensor");
    for (int i = 0; i < n && s == STATUS_OK; i++)
        if (!may_lack(&t[i]) || safetensors_find(file, t[i].name))
            s = load_tensor(w, file, &t[i], stored, stored + most, err);
    free(stored);
    free(t);
    return s;
}

status model_load(device *dev, const char *directory, const model_options *o, model **out, error *err) {
    *out = NULL;
    model_config config;
    TRY(model_config_load(directory, &config, err));
    if (o->language_head > 0 && !config.language_head)
        return error_set(err, STATUS_DATA, "%s: a model that only scores: it has no language head",
                         directory);
    if (o->language_head >= 0) config.language_head = o->language_head;
    if (o->n_score >= 0) config.n_score = o->n_score;
    if (o->score_bias >= 0) config.score_bias = o->score_bias;
    if (o->n_vocab > config.vocab_size)
        return error_set(err, STATUS_DATA, "%s: the tokenizer has ids up to %d, the model %d", directory,
                         o->n_vocab - 1, config.vocab_size);
    if (o->n_vocab > 0) config.n_vocab = o->n_vocab;
    safetensors *file;
    TRY(safetensors_open(directory, &file, err));
    status s = check_file(&config, file, err);
    if (s == STATUS_OK) s = model_make(dev, &config, o->trained, out, err);
    if (s == STATUS_OK && config.n_score)
        s = weights_draw((*out)->w, (*out)->w->flat.n_param - 1 - config.score_bias, o->seed, o->round, err);
    if (s == STATUS_OK) s = load_tensors((*out)->w, file, err);
    safetensors_close(file);
    if (s != STATUS_OK) {
        model_free(*out);
        *out = NULL;
        return s;
    }
    model_changed(*out);
    return STATUS_OK;
}

status model_restore(model *m, const char *directory, error *err) {
    model_config config;
    safetensors *file;
    TRY(model_config_load(directory, &config, err));
    if (!model_config_same_body(&config, &m->config))
        return error_set(err, STATUS_DATA, "%s: a model of another shape", directory);
    TRY(safetensors_open(directory, &file, err));
    status s = check_tensors(m->w, file, 1, err);
    if (s == STATUS_OK) s = load_tensors(m->w, file, err);
    safetensors_close(file);
    TRY(s);
    model_set_reward_scale(m, config.reward_mean, config.reward_std);
    model_changed(m);
    return STATUS_OK;
}

/* ---- writing ---- */

static status save_tensor(const weights *w, const float *parameters, const placed *t, int index,
                          safetensors_writer *out, float *ours, float *stored, error *err) {
    size_t bytes = sizeof(float) * (size_t)placed_count(t);
    TRY(w->dev->ops->download(w->dev, ours, parameters + placed_offset(t), bytes, err));
    if (t->transposed) transpose(ours, (int)t->shape[1], (int)t->shape[0], stored);
    safetensors_put(out, index, t->transposed ? stored : ours, bytes);
    return STATUS_OK;
}

static status save_tensors(const weights *w, const float *parameters, const char *path, error *err) {
    placed *t;
    int n;
    TRY(place_all(w, &t, &n, err));
    size_t most = (size_t)largest(t, n);
    float *ours = malloc(2 * most * sizeof *ours);
    tensor_entry *entry = calloc((size_t)n, sizeof *entry);
    safetensors_writer *out = NULL;
    status s = ours && entry ? STATUS_OK : error_memory(err, "a tensor");
    for (int i = 0; i < n && s == STATUS_OK; i++)
        entry[i] = (tensor_entry){.name = t[i].name,
                                  .dtype = DTYPE_F32,
                                  .n_dim = t[i].n_dim,
                                  .shape = {t[i].shape[0], t[i].shape[1]}};
    if (s == STATUS_OK) s = safetensors_begin(path, entry, n, &out, err);
    for (int i = 0; i < n && s == STATUS_OK; i++)
        s = save_tensor(w, parameters, &t[i], i, out, ours, ours + most, err);
    if (s == STATUS_OK)
        s = safetensors_commit(out, err);
    else
        safetensors_abandon(out);
    free(entry);
    free(ours);
    free(t);
    return s;
}

status model_save(const model *m, const float *parameters, const char *directory, error *err) {
    char *path = path_join(directory, "model.safetensors");
    status s = path ? path_make_directories(directory, err) : error_memory(err, "a path");
    if (s == STATUS_OK) s = model_config_save(&m->config, directory, err);
    if (s == STATUS_OK) s = save_tensors(m->w, parameters ? parameters : m->w->flat.master, path, err);
    free(path);
    return s;
}
