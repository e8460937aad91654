/* Model directories: config.json and model.safetensors, by the family's table of names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/lineage.h"
#include "core/base/path.h"
#include "core/files/safetensors.h"
#include "core/model/adapter.h"
#include "core/model/family.h"
#include "core/model/internal.h"
#include "core/model/placed.h"

/* ---- reading ---- */

enum { ROPE_BYTES = 1 << 26 }; /* of tables that any model may have */

/* The name that the file uses: with or without the family's prefix. */
static const char *stored_name(const weights *w, const safetensors *file, const char *name) {
    const char *prefix = family_of(w->config.family)->prefix;
    if (safetensors_find(file, name) || !prefix || strncmp(name, prefix, strlen(prefix)) != 0) return name;
    const char *shorter = name + strlen(prefix);
    return safetensors_find(file, shorter) ? shorter : name;
}

static int is_ignored(const weights *w, const char *name) {
    for (const char *const *tail = family_of(w->config.family)->ignored; *tail; tail++) {
        size_t n = strlen(name), k = strlen(*tail);
        if (n >= k && strcmp(name + n - k, *tail) == 0) return 1;
    }
    /* Heads that the model was asked not to have, and the copy of a tied one. */
    return strcmp(name, "lm_head.weight") == 0 || strncmp(name, "score.", 6) == 0;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static status refuse_unknown(const weights *w, const safetensors *file, const placed *t, int n, error *err) {
    const char **names = malloc(sizeof *names * ((size_t)n + 1));
    if (!names) return error_memory(err, "a list of tensors");
    for (int i = 0; i < n; i++) names[i] = stored_name(w, file, t[i].name);
    qsort(names, (size_t)n, sizeof *names, by_text);
    status s = STATUS_OK;
    for (int i = 0; i < safetensors_count(file) && s == STATUS_OK; i++) {
        const char *name = safetensors_entry(file, i)->name;
        if (!is_ignored(w, name) && !bsearch(&name, names, (size_t)n, sizeof *names, by_text))
            s = error_set(err, STATUS_DATA,
                          "%s: tensor \"%s\" is none of this model's (a wrong config.json?)",
                          safetensors_path(file), name);
    }
    free(names);
    return s;
}

/* The tensor as it lies among our parameters, on the host: in the file, or in one of the two buffers. */
static status read_tensor(const weights *w, const safetensors *file, const placed *t, float *stored,
                          float *ours, const float **out, error *err) {
    const char *name = stored_name(w, file, t->name);
    const tensor_entry *e = safetensors_find(file, name);
    TRY(safetensors_check_f32(file, name, t->n_dim, t->shape, err));
    *out = e->data; /* f32 that lies as ours does is not copied */
    if (e->dtype != DTYPE_F32 || t->transposed) {
        TRY(safetensors_copy_f32(file, name, t->n_dim, t->shape, stored, err));
        *out = stored;
    }
    if (t->transposed) {
        placed_transpose(stored, (int)t->shape[0], (int)t->shape[1], ours);
        *out = ours;
    }
    return STATUS_OK;
}

/* A score head may be missing: it has been drawn. */
static int may_lack(const placed *t) { return strncmp(t->name, "score.", 6) == 0; }

/* Whether the file holds just this model's tensors; whole: the score head too. */
static status check_tensors(const weights *w, const safetensors *file, int whole, error *err) {
    placed *t;
    int n;
    TRY(placed_list(w, &t, &n, err));
    status s = refuse_unknown(w, file, t, n, err);
    for (int i = 0; i < n && s == STATUS_OK; i++)
        if (whole || !may_lack(&t[i]) || safetensors_find(file, t[i].name))
            s = safetensors_check_f32(file, stored_name(w, file, t[i].name), t[i].n_dim, t[i].shape, err);
    free(t);
    return s;
}

/* The tables of rope are as long as the context, which no tensor bears out. */
static status check_rope(const model_config *c, const safetensors *file, error *err) {
    uint64_t bytes = 0, table = sizeof(float) * (uint64_t)c->context * (uint64_t)c->head_dim;
    for (int i = 0; i < safetensors_count(file); i++) bytes += safetensors_entry(file, i)->bytes;
    if (c->position != POSITION_ROPE || table <= ROPE_BYTES || table <= 4 * bytes) return STATUS_OK;
    return error_set(err, STATUS_DATA,
                     "%s: a context of %d positions is more than a model of %llu bytes is worth",
                     safetensors_path(file), c->context, (unsigned long long)bytes);
}

/* Asked before memory is taken for all that a config promises. */
static status check_file(const model_config *config, const safetensors *file, error *err) {
    weights shape = {.config = *config};
    status s = weights_list_params(&shape, err);
    if (s == STATUS_OK) s = check_tensors(&shape, file, 0, err);
    if (s == STATUS_OK) s = check_rope(config, file, err);
    free(shape.params);
    free(shape.layer);
    return s;
}

/* By parameter, so that the parts of a matrix follow each other. */
static int by_parameter(const void *a, const void *b) {
    const placed *x = a, *y = b;
    if (x->p != y->p) return x->p < y->p ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

/* What loading needs beside the weights. */
typedef struct loading {
    const safetensors *file;
    float *stored, *ours; /* a tensor, on the host */
    float *matrix;        /* one whole matrix on the device, of weights that keep packs alone */
} loading;

/* Uploads tensor t, the last part of its parameter or not; a matrix whose packs alone are kept goes into
 * them. */
static status load_tensor(weights *w, const loading *l, const placed *t, int is_last, error *err) {
    const float *from;
    size_t bytes = sizeof *from * (size_t)placed_count(t);
    int packs_alone = t->p->offset < 0;
    int64_t within = (int64_t)t->first * (t->n_dim == 1 ? 1 : t->p->cols);
    TRY(read_tensor(w, l->file, t, l->stored, l->ours, &from, err));
    w->dev->ops->upload(w->dev, (packs_alone ? l->matrix : w->flat.master + t->p->offset) + within, from,
                        bytes);
    if (packs_alone && is_last) {
        weight packs = *weights_find_packs(w, t->p);
        packs.w = mat_of(l->matrix, t->p->rows, t->p->cols);
        op(w->dev, weights_pack, .w = packs);
    }
    return w->dev->ops->sync(w->dev, err);
}

static status load_tensors(weights *w, const safetensors *file, error *err) {
    placed *t;
    int n;
    void *matrix = NULL;
    TRY(placed_list(w, &t, &n, err));
    qsort(t, (size_t)n, sizeof *t, by_parameter);
    size_t most = (size_t)placed_largest(t, n), packed = (size_t)weights_largest_packed(w);
    float *stored = malloc(2 * most * sizeof *stored);
    status s = stored ? STATUS_OK : error_memory(err, "a tensor");
    if (s == STATUS_OK && packed) s = w->dev->ops->allocate(w->dev, packed * sizeof *stored, &matrix, err);
    loading l = {file, stored, stored + most, matrix};
    for (int i = 0; i < n && s == STATUS_OK; i++)
        if (!may_lack(&t[i]) || safetensors_find(file, t[i].name))
            s = load_tensor(w, &l, &t[i], i + 1 == n || t[i + 1].p != t[i].p, err);
    if (matrix) w->dev->ops->release(w->dev, matrix);
    free(stored);
    free(t);
    return s;
}

/* The directory's weights, packed; the score head drawn where the file has none. */
static status load_weights(device *dev, const char *directory, const model_config *config, weights_use use,
                           const model_options *o, weights **out, error *err) {
    safetensors *file;
    *out = NULL;
    TRY(safetensors_open(directory, &file, err));
    status s = check_file(config, file, err);
    if (s == STATUS_OK) s = weights_make(dev, config, use, use != WEIGHTS_TRAINED, out, err);
    if (s == STATUS_OK && config->n_score)
        s = weights_draw(*out, (*out)->flat.n_param - 1 - config->score_bias, o->seed, o->round, err);
    if (s == STATUS_OK) s = load_tensors(*out, file, err);
    if (s == STATUS_OK && !((*out)->directory = strdup(directory))) s = error_memory(err, "a path");
    safetensors_close(file);
    if (s == STATUS_OK) {
        weights_pack(*out);
        return STATUS_OK;
    }
    weights_release(*out);
    *out = NULL;
    return s;
}

/* Which heads the model is to have, and what it computes in. */
static status apply_options(const char *directory, const model_options *o, model_config *config, error *err) {
    if (o->language_head > 0 && !config->language_head)
        return error_set(err, STATUS_DATA, "%s: a model that only scores: it has no language head",
                         directory);
    if (o->language_head >= 0) config->language_head = o->language_head;
    if (o->n_score >= 0) config->n_score = o->n_score;
    if (o->score_bias >= 0) config->score_bias = o->score_bias;
    if (o->n_vocab > config->vocab_size)
        return error_set(err, STATUS_DATA, "%s: the tokenizer has ids up to %d, the model %d", directory,
                         o->n_vocab - 1, config->vocab_size);
    if (o->n_vocab > 0) config->n_vocab = o->n_vocab;
    config->compute = o->compute;
    return STATUS_OK;
}

/* ---- weights that are shared ---- */

static status is_same_base(weights *w, const char *directory, int *same, error *err) {
    char *ours = path_absolute(w->directory), *theirs = path_absolute(directory);
    status s = ours && theirs ? STATUS_OK : error_memory(err, "a path");
    *same = s == STATUS_OK && strcmp(ours, theirs) == 0;
    free(ours);
    free(theirs);
    if (s != STATUS_OK || *same) return s;
    hash a, b;
    uint64_t bytes;
    TRY(weights_hash(w, &a, err));
    TRY(hash_artifact(directory, &b, &bytes, err));
    *same = hash_equal(&a, &b);
    return STATUS_OK;
}

/* The frozen weights of a directory: those of o->share where they serve, else read. body: their config,
   without a score head. */
static status find_base(device *dev, const char *directory, const model_config *body, const model_options *o,
                        weights **out, error *err) {
    weights *w = o->share ? o->share->w : NULL;
    int serves = w && w->directory && w->use != WEIGHTS_TRAINED && w->dev == dev && !w->config.n_score &&
                 (w->use == WEIGHTS_PASSED || !o->trained) &&
                 w->config.language_head >= body->language_head && model_config_can_lend(&w->config, body);
    if (serves) TRY(is_same_base(w, directory, &serves, err));
    if (!serves)
        return load_weights(dev, directory, body, o->trained ? WEIGHTS_PASSED : WEIGHTS_FROZEN, o, out, err);
    w->users++;
    *out = w;
    return STATUS_OK;
}

/* ---- adapted models ---- */

static status check_agreement(const char *directory, const model_config *config, const lora_options *stored,
                              const model_options *o, error *err) {
    uint32_t theirs, ours;
    if (!o->trained) return STATUS_OK;
    if (!o->lora)
        return error_set(
            err, STATUS_USAGE,
            "%s: is an adapter: set lora_rank to train it further, or merge it first (rlhf merge)",
            directory);
    TRY(lora_choose_targets(config, stored, &theirs, err));
    TRY(lora_choose_targets(config, o->lora, &ours, err));
    if (stored->rank == o->lora->rank && stored->alpha == o->lora->alpha && theirs == ours) return STATUS_OK;
    return error_set(err, STATUS_USAGE,
                     "%s: an adapter of rank %d and alpha %g cannot be trained further as one of rank %d and "
                     "alpha %g%s",
                     directory, stored->rank, (double)stored->alpha, o->lora->rank, (double)o->lora->alpha,
                     theirs == ours ? "" : " or of other targets");
}

/* A fresh adapter of a model that scores starts from its head. */
static status load_head(adapter *a, const char *base, error *err) {
    safetensors *file;
    if (!a->config.n_score) return STATUS_OK;
    TRY(safetensors_open(base, &file, err));
    status s = adapter_take_head(a, file, "", err);
    safetensors_close(file);
    return s;
}

static status load_adapted(device *dev, const char *directory, const adapter_source *stored,
                           const model_config *config, const model_options *o, model **out, error *err) {
    const char *base = stored ? stored->base : directory;
    model_config body;
    weights *w = NULL;
    adapter *a = NULL;
    if (stored) TRY(check_agreement(directory, config, &stored->how, o, err));
    TRY(model_config_load(base, &body, err));
    if (!model_config_same_body(&body, config))
        return error_set(err, STATUS_DATA, "%s: an adapter of another shape than its model %s", directory,
                         base);
    body.n_score = body.score_bias = 0;
    body.language_head &= config->language_head;
    body.compute = config->compute;
    if (config->language_head && !body.language_head)
        return error_set(err, STATUS_DATA, "%s: a model that only scores: it has no language head", base);
    TRY(find_base(dev, base, &body, o, &w, err));
    status s = adapter_make(dev, config, stored ? &stored->how : o->lora, o->trained, &a, err);
    if (s == STATUS_OK) s = adapter_draw(a, o->seed, o->round, err);
    if (s == STATUS_OK) s = stored ? adapter_load(a, directory, 0, err) : load_head(a, base, err);
    if (s == STATUS_OK) s = model_make(w, config, a, out, err);
    if (s == STATUS_OK) {
        adapter_pack(a);
        return STATUS_OK;
    }
    adapter_free(a);
    weights_release(w);
    return s;
}

/* A frozen model may lie over weights that another one adapts. */
static status load_whole(device *dev, const char *directory, const model_config *config,
                         const model_options *o, model **out, error *err) {
    weights *w;
    if (o->share && !o->trained && !config->n_score)
        TRY(find_base(dev, directory, config, o, &w, err));
    else
        TRY(load_weights(dev, directory, config, o->trained ? WEIGHTS_TRAINED : WEIGHTS_FROZEN, o, &w, err));
    status s = model_make(w, config, NULL, out, err);
    if (s != STATUS_OK) weights_release(w);
    return s;
}

status model_load(device *dev, const char *directory, const model_options *o, model **out, error *err) {
    model_config config;
    adapter_source source = {0};
    int stored = adapter_is_directory(directory);
    *out = NULL;
    TRY(model_config_load(directory, &config, err));
    TRY(apply_options(directory, o, &config, err));
    if (stored) TRY(adapter_source_read(directory, &source, err));
    status s = stored || o->lora ? load_adapted(dev, directory, stored ? &source : NULL, &config, o, out, err)
                                 : load_whole(dev, directory, &config, o, out, err);
    adapter_source_free(&source);
    return s;
}

static status restore_weights(weights *w, const char *directory, error *err) {
    safetensors *file;
    TRY(safetensors_open(directory, &file, err));
    status s = check_tensors(w, file, 1, err);
    if (s == STATUS_OK) s = load_tensors(w, file, err);
    safetensors_close(file);
    return s;
}

status model_restore(model *m, const char *directory, error *err) {
    model_config config;
    TRY(model_config_load(directory, &config, err));
    if (!model_config_same_body(&config, &m->config))
        return error_set(err, STATUS_DATA, "%s: a model of another shape", directory);
    TRY(m->adapter ? adapter_load(m->adapter, directory, 1, err) : restore_weights(m->w, directory, err));
    model_set_reward_scale(m, config.reward_mean, config.reward_std);
    model_changed(m);
    return STATUS_OK;
}

/* ---- writing ---- */

/* What saving needs beside the model. */
typedef struct saving {
    const model *m;
    const float *parameters;
    const safetensors *file; /* that the weights came from, where they are packed; NULL: they are not */
    float *ours, *stored;    /* a tensor, on the host */
} saving;

/* The tensor as it lies among our parameters, into x->ours. The list may be that of a whole model whose body
   and head lie apart, and whose matrices are still in the file. */
static status fetch_tensor(const saving *x, const placed *t, error *err) {
    const model *m = x->m;
    const param *p = m->adapter ? weights_find_param(m->w, t->p->name) : NULL;
    const float *from = x->parameters, *host;
    size_t bytes = sizeof *from * (size_t)placed_count(t);
    if (!m->adapter)
        p = weights_find_param(m->w, t->p->name);
    else if (!p)
        from += (t->p->cols > 1 || t->p->rows > 1 ? m->adapter->score.data : m->adapter->score_bias.data) -
                m->adapter->flat.master;
    else
        from = m->w->flat.master;
    if (p && p->offset < 0) {
        TRY(read_tensor(m->w, x->file, t, x->stored, x->ours, &host, err));
        memmove(x->ours, host, bytes);
        return STATUS_OK;
    }
    if (p) from += p->offset + placed_offset(t) - t->p->offset;
    return m->dev->ops->download(m->dev, x->ours, from, bytes, err);
}

static status merge(const model *m, const float *parameters, const placed *t, float *rows, error *err) {
    adapter_site site;
    int layer;
    if (!m->adapter || !adapter_find_site(t->p->name, &layer, &site)) return STATUS_OK;
    return adapter_merge_rows(m->adapter, parameters, layer, site, t->first, t->n, t->p->cols, rows, err);
}

static status save_tensor(const saving *x, const placed *t, int index, safetensors_shards *out, error *err) {
    TRY(fetch_tensor(x, t, err));
    TRY(merge(x->m, x->parameters, t, x->ours, err));
    if (t->transposed) placed_transpose(x->ours, (int)t->shape[1], (int)t->shape[0], x->stored);
    safetensors_shards_put(out, index, t->transposed ? x->stored : x->ours,
                           sizeof *x->ours * (size_t)placed_count(t));
    return STATUS_OK;
}

static status save_list(const saving *x, const placed *t, int n, const char *directory, uint64_t shard_bytes,
                        error *err) {
    safetensors_shards *out = NULL;
    tensor_entry *entry = calloc((size_t)n, sizeof *entry);
    if (!entry) return error_memory(err, "a list of tensors");
    for (int i = 0; i < n; i++)
        entry[i] = (tensor_entry){.name = t[i].name,
                                  .dtype = DTYPE_F32,
                                  .n_dim = t[i].n_dim,
                                  .shape = {t[i].shape[0], t[i].shape[1]}};
    status s = safetensors_shards_begin(directory, entry, n, shard_bytes, &out, err);
    for (int i = 0; i < n && s == STATUS_OK; i++) s = save_tensor(x, &t[i], i, out, err);
    if (s == STATUS_OK)
        s = safetensors_shards_commit(out, err);
    else
        safetensors_shards_abandon(out);
    free(entry);
    return s;
}

static status save_tensors(const model *m, const weights *shape, const float *parameters,
                           const char *directory, uint64_t shard_bytes, error *err) {
    placed *t;
    int n;
    safetensors *file = NULL;
    TRY(placed_list(shape, &t, &n, err));
    size_t most = (size_t)placed_largest(t, n);
    float *ours = malloc(2 * most * sizeof *ours);
    status s = ours ? STATUS_OK : error_memory(err, "a tensor");
    if (s == STATUS_OK && m->w->packed) s = safetensors_open(m->w->directory, &file, err);
    if (s == STATUS_OK)
        s = save_list(&(saving){m, parameters, file, ours, ours + most}, t, n, directory, shard_bytes, err);
    safetensors_close(file);
    free(ours);
    free(t);
    return s;
}

status model_save_shards(const model *m, const float *parameters, const char *directory, uint64_t shard_bytes,
                         error *err) {
    weights shape = {.config = m->config};
    status s = weights_list_params(&shape, err);
    if (s == STATUS_OK) s = save_tensors(m, &shape, parameters, directory, shard_bytes, err);
    free(shape.params);
    free(shape.layer);
    return s;
}

status model_save(const model *m, const float *parameters, const char *directory, error *err) {
    const float *from = parameters ? parameters : model_flat(m)->master;
    TRY(path_make_directories(directory, err));
    TRY(model_config_save(&m->config, DTYPE_F32, directory, err));
    return m->adapter ? adapter_save(m->adapter, m->w, from, directory, err)
                      : model_save_shards(m, from, directory, SAFETENSORS_SHARD_BYTES, err);
}

status model_save_merged(const model *m, const float *parameters, const char *directory, error *err) {
    TRY(path_make_directories(directory, err));
    TRY(model_config_save(&m->config, DTYPE_F32, directory, err));
    const float *from = parameters ? parameters : model_flat(m)->master;
    return model_save_shards(m, from, directory, SAFETENSORS_SHARD_BYTES, err);
}
