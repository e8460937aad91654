/* Adapters as PEFT directories: adapter_config.json and adapter_model.safetensors, and beside them base.json,
   which finds the weights when a whole tree is moved, and says what they were. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/path.h"
#include "core/model/adapter.h"

static const char PREFIX[] = "base_model.model.";
enum { CONFIG_LIMIT = 1 << 20, NAME = LORA_NAME + 48 };

int adapter_is_directory(const char *directory) {
    char *path = path_join(directory, "adapter_config.json");
    int there = path && path_exists(path);
    free(path);
    return there;
}

/* ---- reading adapter_config.json ---- */

/* Keys that change no product of a finished adapter. */
static int is_neutral(const char *key) {
    static const char *const known[] = {"auto_mapping",
                                        "base_model_name_or_path",
                                        "fan_in_fan_out",
                                        "inference_mode",
                                        "init_lora_weights",
                                        "lora_alpha",
                                        "lora_dropout",
                                        "megatron_core",
                                        "modules_to_save",
                                        "peft_type",
                                        "peft_version",
                                        "qalora_group_size",
                                        "r",
                                        "revision",
                                        "target_modules",
                                        "task_type",
                                        "ensure_weight_tying"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(key, known[i]) == 0) return 1;
    return 0;
}

static int is_nothing(const json_t *value) {
    return json_is_null(value) || json_is_false(value) ||
           (json_is_object(value) && !json_object_size(value)) ||
           (json_is_array(value) && !json_array_size(value)) ||
           (json_is_string(value) && strcmp(json_string_value(value), "none") == 0);
}

static status refuse_unknown(const json_t *root, const char *place, error *err) {
    const char *key;
    json_t *value;
    json_object_foreach(
        (json_t *)root, key,
        value) if (!is_neutral(key) &&
                   !is_nothing(
                       value)) return error_set(err, STATUS_DATA,
                                                "%s: \"%s\" is set, which this program cannot compute", place,
                                                key);
    return STATUS_OK;
}

static status read_targets(const json_t *root, const char *place, adapter_source *out, error *err) {
    const json_t *list = json_object_get(root, "target_modules"), *one;
    size_t i, n = json_is_string(list) ? 1 : json_array_size(list);
    if (n == 0) return error_set(err, STATUS_DATA, "%s: \"target_modules\" must be a list of names", place);
    out->name = calloc(n, sizeof *out->name);
    if (!out->name) return error_memory(err, "an adapter's targets");
    out->how.target = (const char *const *)out->name;
    for (i = 0; i < n; i++) {
        one = json_is_string(list) ? list : json_array_get(list, i);
        if (!json_is_string(one))
            return error_set(err, STATUS_DATA, "%s: \"target_modules\" must be a list of names", place);
        out->name[out->how.n_target] = strdup(json_string_value(one));
        if (!out->name[out->how.n_target++]) return error_memory(err, "an adapter's targets");
    }
    return STATUS_OK;
}

static status read_saved_modules(const json_t *root, const char *place, error *err) {
    const json_t *list = json_object_get(root, "modules_to_save"), *one;
    size_t i;
    json_array_foreach(
        list, i, one) if (!json_is_string(one) ||
                          (strcmp(json_string_value(one), "score") != 0 &&
                           strcmp(json_string_value(one), "classifier") !=
                               0)) return error_set(err, STATUS_DATA,
                                                    "%s: \"modules_to_save\" has more than \"score\"", place);
    return STATUS_OK;
}

static status read_config(const json_t *root, const char *place, adapter_source *out, error *err) {
    const char *type, *base;
    long long rank;
    double alpha;
    if (!json_is_object(root)) return error_set(err, STATUS_DATA, "%s: not an object", place);
    TRY(json_field_string(root, "peft_type", place, &type, err));
    if (strcmp(type, "LORA") != 0)
        return error_set(err, STATUS_DATA, "%s: \"peft_type\" is \"%s\"; LORA is known", place, type);
    TRY(refuse_unknown(root, place, err));
    TRY(json_field_int(root, "r", place, 1, LORA_MOST_RANK, &rank, err));
    TRY(json_field_number(root, "lora_alpha", place, &alpha, err));
    if (!(alpha > 0)) return error_set(err, STATUS_DATA, "%s: \"lora_alpha\" is %g", place, alpha);
    out->how.rank = (int)rank;
    out->how.alpha = (float)alpha;
    TRY(read_targets(root, place, out, err));
    TRY(read_saved_modules(root, place, err));
    const char *task = json_string_value(json_object_get(root, "task_type"));
    out->is_classifier = task && strcmp(task, "SEQ_CLS") == 0;
    if (out->base) return STATUS_OK;
    TRY(json_field_text(root, "base_model_name_or_path", place, &base, err));
    out->base = strdup(base);
    return out->base ? STATUS_OK : error_memory(err, "a path");
}

/* base.json's path is relative to the adapter. */
static status read_base(const char *directory, adapter_source *out, error *err) {
    char *path = path_join(directory, "base.json"), *joined = NULL;
    json_t *root = NULL;
    const char *base;
    if (!path) return error_memory(err, "a path");
    status s = STATUS_OK;
    if (path_exists(path)) {
        s = parse_json_file(path, CONFIG_LIMIT, &root, err);
        if (s == STATUS_OK) s = json_field_text(root, "path", path, &base, err);
        if (s == STATUS_OK) joined = path_join(directory, base);
        if (joined) out->base = path_normal(joined);
        if (s == STATUS_OK && !out->base) s = error_memory(err, "a path");
    }
    json_decref(root);
    free(joined);
    free(path);
    return s;
}

static status check_base(const char *directory, const adapter_source *s, error *err) {
    if (path_is_directory(s->base) && !adapter_is_directory(s->base)) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: its model \"%s\" %s", directory, s->base,
                     path_is_directory(s->base) ? "is an adapter itself: merge that one first (rlhf merge)"
                                                : "is no directory here: name it in base.json beside the "
                                                  "adapter, {\"path\": \"...\"}");
}

status adapter_source_read(const char *directory, adapter_source *out, error *err) {
    char *path = path_join(directory, "adapter_config.json");
    json_t *root = NULL;
    *out = (adapter_source){0};
    status s = path ? read_base(directory, out, err) : error_memory(err, "a path");
    if (s == STATUS_OK) s = parse_json_file(path, CONFIG_LIMIT, &root, err);
    if (s == STATUS_OK) s = read_config(root, path, out, err);
    if (s == STATUS_OK) s = check_base(directory, out, err);
    json_decref(root);
    free(path);
    if (s != STATUS_OK) adapter_source_free(out);
    return s;
}

void adapter_source_free(adapter_source *s) {
    for (int i = 0; i < s->how.n_target; i++) free(s->name[i]);
    free(s->name);
    free(s->base);
    *s = (adapter_source){0};
}

/* ---- tensors ---- */

/* One tensor of the files: a slice of the flat arrays. */
typedef struct piece {
    char name[NAME];
    int64_t offset;
    int rows, cols, n_dim;
} piece;

static int64_t offset_of(const adapter *a, const float *p) { return p - a->flat.master; }

static piece head_piece(const adapter *a, const char *prefix, const char *name, vec v) {
    piece p = {.offset = offset_of(a, v.data), .rows = 1, .cols = (int)v.n, .n_dim = v.n > 1 ? 2 : 1};
    snprintf(p.name, sizeof p.name, "%s%s", prefix, name);
    return p;
}

/* All of them, in an order of their own; malloc'd. */
static status list_pieces(const adapter *a, piece **out, int *n, error *err) {
    *n = 0;
    *out = calloc((size_t)a->config.n_layer * (size_t)a->n_part * 2 + 2, sizeof **out);
    if (!*out) return error_memory(err, "an adapter's tensors");
    for (int l = 0; l < a->config.n_layer; l++)
        for (int i = 0; i < a->n_part; i++) {
            const struct adapter_part *part = &a->part[i];
            const lora_target *t = &part->target;
            const float *low = a->a[l * ADAPTER_SITES + (int)t->site].w.data;
            char module[LORA_NAME];
            lora_module_name(t, l, module, sizeof module);
            piece x = {.offset = offset_of(a, low) + (int64_t)part->column * t->k,
                       .rows = a->how.rank,
                       .cols = t->k,
                       .n_dim = 2};
            piece y = {.offset = offset_of(a, a->b[l * a->n_part + i].w.data),
                       .rows = t->n,
                       .cols = a->how.rank,
                       .n_dim = 2};
            snprintf(x.name, sizeof x.name, "%s%s.lora_A.weight", PREFIX, module);
            snprintf(y.name, sizeof y.name, "%s%s.lora_B.weight", PREFIX, module);
            (*out)[(*n)++] = x;
            (*out)[(*n)++] = y;
        }
    if (a->config.n_score) (*out)[(*n)++] = head_piece(a, PREFIX, "score.weight", a->score);
    if (a->config.score_bias) (*out)[(*n)++] = head_piece(a, PREFIX, "score.bias", a->score_bias);
    return STATUS_OK;
}

static status take_piece(adapter *a, const safetensors *file, const piece *p, error *err) {
    int64_t shape[2] = {p->n_dim == 2 ? p->rows : p->cols, p->cols};
    size_t bytes = sizeof(float) * (size_t)p->rows * (size_t)p->cols;
    float *value = malloc(bytes);
    if (!value) return error_memory(err, "a tensor");
    status s = safetensors_copy_f32(file, p->name, p->n_dim, shape, value, err);
    if (s == STATUS_OK) {
        a->dev->ops->upload(a->dev, a->flat.master + p->offset, value, bytes);
        s = a->dev->ops->sync(a->dev, err);
    }
    free(value);
    return s;
}

status adapter_take_head(adapter *a, const safetensors *file, const char *prefix, error *err) {
    piece weight = head_piece(a, prefix, "score.weight", a->score);
    if (safetensors_find(file, weight.name)) TRY(take_piece(a, file, &weight, err));
    if (!a->config.score_bias) return STATUS_OK;
    piece bias = head_piece(a, prefix, "score.bias", a->score_bias);
    return safetensors_find(file, bias.name) ? take_piece(a, file, &bias, err) : STATUS_OK;
}

static int is_head(const char *name) { return strncmp(name, "base_model.model.score.", 23) == 0; }

static status check_names(const safetensors *file, const piece *p, int n, error *err) {
    for (int i = 0; i < safetensors_count(file); i++) {
        const char *name = safetensors_entry(file, i)->name;
        int known = is_head(name);
        for (int j = 0; j < n && !known; j++) known = strcmp(p[j].name, name) == 0;
        if (!known)
            return error_set(err, STATUS_DATA, "%s: tensor \"%s\" is none of this adapter's",
                             safetensors_path(file), name);
    }
    return STATUS_OK;
}

static status check_shapes(const safetensors *file, const piece *p, int n, int whole, error *err) {
    for (int i = 0; i < n; i++) {
        int64_t shape[2] = {p[i].n_dim == 2 ? p[i].rows : p[i].cols, p[i].cols};
        if (whole || !is_head(p[i].name) || safetensors_find(file, p[i].name))
            TRY(safetensors_check_f32(file, p[i].name, p[i].n_dim, shape, err));
    }
    return STATUS_OK;
}

status adapter_load(adapter *a, const char *directory, int whole, error *err) {
    char *path = path_join(directory, "adapter_model.safetensors");
    safetensors *file = NULL;
    piece *p = NULL;
    int n = 0;
    status s = path ? list_pieces(a, &p, &n, err) : error_memory(err, "a path");
    if (s == STATUS_OK) s = safetensors_open(path, &file, err);
    if (s == STATUS_OK) s = check_names(file, p, n, err);
    if (s == STATUS_OK) s = check_shapes(file, p, n, whole, err);
    for (int i = 0; i < n && s == STATUS_OK; i++)
        if (!is_head(p[i].name) || safetensors_find(file, p[i].name)) s = take_piece(a, file, &p[i], err);
    safetensors_close(file);
    free(p);
    free(path);
    return s;
}

/* ---- writing ---- */

static status put_piece(const adapter *a, const float *parameters, const piece *p, int index,
                        safetensors_writer *w, error *err) {
    size_t bytes = sizeof(float) * (size_t)p->rows * (size_t)p->cols;
    float *value = malloc(bytes);
    if (!value) return error_memory(err, "a tensor");
    status s = a->dev->ops->download(a->dev, value, parameters + p->offset, bytes, err);
    if (s == STATUS_OK) safetensors_put(w, index, value, bytes);
    free(value);
    return s;
}

static status save_tensors(const adapter *a, const float *parameters, const char *path, error *err) {
    piece *p;
    int n;
    safetensors_writer *w = NULL;
    TRY(list_pieces(a, &p, &n, err));
    tensor_entry *entry = calloc((size_t)n, sizeof *entry);
    status s = entry ? STATUS_OK : error_memory(err, "an adapter's tensors");
    for (int i = 0; i < n && s == STATUS_OK; i++)
        entry[i] = (tensor_entry){.name = p[i].name,
                                  .dtype = DTYPE_F32,
                                  .n_dim = p[i].n_dim,
                                  .shape = {p[i].n_dim == 2 ? p[i].rows : p[i].cols, p[i].cols}};
    if (s == STATUS_OK) s = safetensors_begin(path, entry, n, &w, err);
    for (int i = 0; i < n && s == STATUS_OK; i++) s = put_piece(a, parameters, &p[i], i, w, err);
    if (s == STATUS_OK)
        s = safetensors_commit(w, err);
    else
        safetensors_abandon(w);
    free(entry);
    free(p);
    return s;
}

static void put_targets(const adapter *a, buffer *b) {
    for (int i = 0; i < a->n_part; i++) {
        const char *tail = strstr(a->part[i].name, "%d.");
        buffer_string(b, i ? ", " : "");
        /* The whole path below the layer, since GPT-2 has two matrices named c_proj. */
        buffer_format(b, "\"%s\"", tail ? tail + 3 : a->part[i].name);
    }
}

static status put_text(const char *directory, const char *name, const buffer *b, error *err) {
    char *path = path_join(directory, name);
    status s = path ? buffer_check(b, err) : error_memory(err, "a path");
    if (s == STATUS_OK) s = file_write(path, b->data, b->len, err);
    free(path);
    return s;
}

static status save_config(const adapter *a, const weights *base, const char *directory, error *err) {
    buffer b = {0};
    int scores = a->config.n_score && !a->config.language_head;
    buffer_string(&b,
                  "{\n  \"alpha_pattern\": {},\n  \"auto_mapping\": null,\n  \"base_model_name_or_path\": ");
    buffer_json_string(&b, base->directory, strlen(base->directory));
    buffer_format(&b, ",\n  \"bias\": \"none\",\n  \"fan_in_fan_out\": %s,\n  \"inference_mode\": true",
                  a->config.family == FAMILY_GPT2 ? "true" : "false");
    buffer_string(&b, ",\n  \"init_lora_weights\": true,\n  \"lora_alpha\": ");
    buffer_json_float(&b, a->how.alpha);
    buffer_format(&b, ",\n  \"lora_dropout\": 0.0,\n  \"modules_to_save\": %s,\n  \"peft_type\": \"LORA\"",
                  scores ? "[\"score\"]" : "null");
    buffer_format(&b, ",\n  \"r\": %d,\n  \"rank_pattern\": {},\n  \"target_modules\": [", a->how.rank);
    put_targets(a, &b);
    buffer_format(&b, "],\n  \"task_type\": \"%s\",\n  \"use_dora\": false,\n  \"use_rslora\": false\n}\n",
                  scores ? "SEQ_CLS" : "CAUSAL_LM");
    status s = put_text(directory, "adapter_config.json", &b, err);
    buffer_free(&b);
    return s;
}

static status save_base(const weights *base, const char *directory, error *err) {
    hash h;
    char hex[2 * HASH_BYTES + 1];
    TRY(weights_hash((weights *)base, &h, err));
    hash_hex(&h, hex);
    char *relative = path_relative(directory, base->directory);
    buffer b = {0};
    if (!relative) return error_memory(err, "a path");
    buffer_string(&b, "{\"path\": ");
    buffer_json_string(&b, relative, strlen(relative));
    buffer_format(&b, ", \"sha256\": \"%s\"}\n", hex);
    status s = put_text(directory, "base.json", &b, err);
    buffer_free(&b);
    free(relative);
    return s;
}

status adapter_save(const adapter *a, const weights *base, const float *parameters, const char *directory,
                    error *err) {
    char *path = path_join(directory, "adapter_model.safetensors");
    status s = path ? save_config(a, base, directory, err) : error_memory(err, "a path");
    if (s == STATUS_OK) s = save_base(base, directory, err);
    if (s == STATUS_OK) s = save_tensors(a, parameters, path, err);
    free(path);
    return s;
}

status model_find_base(const char *directory, char **out, error *err) {
    adapter_source source;
    *out = NULL;
    if (!adapter_is_directory(directory)) return STATUS_OK;
    TRY(adapter_source_read(directory, &source, err));
    *out = source.base;
    source.base = NULL;
    adapter_source_free(&source);
    return STATUS_OK;
}

/* ---- the weights' hash ---- */

static status read_hash(const char *path, int *there, hash *out, error *err) {
    json_t *root = NULL;
    *there = path_exists(path);
    if (!*there) return STATUS_OK;
    TRY(parse_json_file(path, CONFIG_LIMIT, &root, err));
    const char *text;
    *there = json_object_get(root, "sha256") != NULL; /* written by hand it need not be there */
    status s = *there ? json_field_string(root, "sha256", path, &text, err) : STATUS_OK;
    if (s == STATUS_OK && *there && !hash_parse(text, out))
        s = error_set(err, STATUS_DATA, "%s: \"sha256\" is no hash", path);
    json_decref(root);
    return s;
}

status model_check_base(const model *m, const char *directory, error *err) {
    hash want, got;
    int there = 0;
    char *path = path_join(directory, "base.json");
    status s = path ? STATUS_OK : error_memory(err, "a path");
    if (s == STATUS_OK && m->adapter) s = read_hash(path, &there, &want, err);
    if (s == STATUS_OK && there) s = weights_hash(m->w, &got, err);
    if (s == STATUS_OK && there && !hash_equal(&want, &got))
        s = error_set(err, STATUS_DATA,
                      "%s: the weights in %s are others than those that this adapter was trained over",
                      directory, m->w->directory);
    free(path);
    return s;
}
