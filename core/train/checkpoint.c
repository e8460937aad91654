#include "core/train/checkpoint.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/buffer.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/files/safetensors.h"

enum { PIECE = 1 << 20 }; /* floats that are moved at once */

static char *join3(const char *a, const char *b, const char *c) {
    char *ab = path_join(a, b), *abc = ab && c ? path_join(ab, c) : NULL;
    if (c) free(ab);
    return c ? abc : ab;
}

static status put_array(device *dev, safetensors_writer *w, int tensor, const float *from, int64_t count,
                        float *piece, error *err) {
    for (int64_t i = 0; i < count; i += PIECE) {
        size_t bytes = sizeof *piece * (size_t)(count - i < PIECE ? count - i : PIECE);
        TRY(dev->ops->download(dev, piece, from + i, bytes, err));
        safetensors_put(w, tensor, piece, bytes);
    }
    return STATUS_OK;
}

static status write_optimizer(device *dev, const char *path, const struct optimizer_state *s, float *piece,
                              error *err) {
    tensor_entry entry[4] = {{.name = "step", .dtype = DTYPE_I32, .n_dim = 1, .shape = {2}},
                             {.name = "m", .dtype = DTYPE_F32, .n_dim = 1, .shape = {s->count}},
                             {.name = "v", .dtype = DTYPE_F32, .n_dim = 1, .shape = {s->count}},
                             {.name = "ema", .dtype = DTYPE_F32, .n_dim = 1, .shape = {s->count}}};
    safetensors_writer *w;
    TRY(safetensors_begin(path, entry, s->ema ? 4 : 3, &w, err));
    safetensors_put(w, 0, &s->step, sizeof s->step); /* two words of 32 bits, little-endian */
    status st = put_array(dev, w, 1, s->m, s->count, piece, err);
    if (st == STATUS_OK) st = put_array(dev, w, 2, s->v, s->count, piece, err);
    if (st == STATUS_OK && s->ema) st = put_array(dev, w, 3, s->ema, s->count, piece, err);
    if (st == STATUS_OK) return safetensors_commit(w, err);
    safetensors_abandon(w);
    return st;
}

status checkpoint_save(const char *directory, const char *name, const model *m, optimizer *o, error *err) {
    char *home = join3(directory, name, NULL), *path = join3(directory, name, "optimizer.safetensors");
    float *piece = malloc(sizeof *piece * PIECE);
    status s = home && path && piece ? model_save(m, NULL, home, err) : error_memory(err, "a checkpoint");
    if (s == STATUS_OK) s = write_optimizer(model_device(m), path, optimizer_get_state(o), piece, err);
    free(piece);
    free(home);
    free(path);
    return s;
}

static status take_array(device *dev, const safetensors *f, const char *name, float *to, int64_t count,
                         error *err) {
    const tensor_entry *t = safetensors_find(f, name);
    if (!t || t->dtype != DTYPE_F32 || t->n_dim != 1 || t->shape[0] != count)
        return error_set(err, STATUS_DATA, "%s: \"%s\" is not the %lld numbers of this optimizer",
                         safetensors_path(f), name, (long long)count);
    dev->ops->upload(dev, to, t->data, t->bytes);
    return dev->ops->sync(dev, err);
}

static status read_optimizer(device *dev, const char *path, struct optimizer_state *s, error *err) {
    safetensors *f;
    int32_t step[2];
    TRY(safetensors_open(path, &f, err));
    status st = safetensors_copy_i32(f, "step", 1, (const int64_t[]){2}, step, err);
    if (st == STATUS_OK && step[1] < 0) st = error_set(err, STATUS_DATA, "%s: \"step\" is negative", path);
    if (st == STATUS_OK) st = take_array(dev, f, "m", s->m, s->count, err);
    if (st == STATUS_OK) st = take_array(dev, f, "v", s->v, s->count, err);
    if (st == STATUS_OK && s->ema) st = take_array(dev, f, "ema", s->ema, s->count, err);
    if (st == STATUS_OK) s->step = (int64_t)step[1] << 32 | (uint32_t)step[0];
    safetensors_close(f);
    return st;
}

status checkpoint_load(const char *directory, const char *name, model *m, optimizer *o, error *err) {
    char *home = join3(directory, name, NULL), *path = join3(directory, name, "optimizer.safetensors");
    status s = home && path ? model_restore(m, home, err) : error_memory(err, "a checkpoint");
    if (s == STATUS_OK) s = read_optimizer(model_device(m), path, optimizer_get_state(o), err);
    free(home);
    free(path);
    return s;
}

status checkpoint_save_loop(const char *directory, const loop_figure *figures, int n, error *err) {
    buffer b = {0};
    char *path = path_join(directory, "loop.json");
    buffer_string(&b, "{");
    for (int i = 0; i < n; i++) {
        buffer_format(&b, "%s\"%s\": ", i ? ", " : "", figures[i].name);
        buffer_json_double(&b, *figures[i].value);
    }
    buffer_string(&b, "}\n");
    status s = path ? buffer_check(&b, err) : error_memory(err, "a path");
    if (s == STATUS_OK) s = file_write(path, b.data, b.len, err);
    free(path);
    buffer_free(&b);
    return s;
}

status checkpoint_load_loop(const char *directory, const loop_figure *figures, int n, error *err) {
    char *path = path_join(directory, "loop.json");
    json_t *root = NULL;
    status s = path ? parse_json_file(path, 1 << 16, &root, err) : error_memory(err, "a path");
    for (int i = 0; i < n && s == STATUS_OK; i++) {
        if (json_is_null(json_object_get(root, figures[i].name)))
            *figures[i].value = NAN;
        else
            s = json_field_number(root, figures[i].name, path, figures[i].value, err);
    }
    json_decref(root);
    free(path);
    return s;
}

static status save_all(const char *directory, const checkpoint_part *parts, int n_part,
                       const loop_figure *loop, int n_loop, error *err) {
    for (int i = 0; i < n_part; i++)
        TRY(checkpoint_save(directory, parts[i].name, parts[i].model, parts[i].optimizer, err));
    return checkpoint_save_loop(directory, loop, n_loop, err);
}

status checkpoint_write(run *r, int64_t step, int stopped, const checkpoint_part *parts, int n_part,
                        const loop_figure *loop, int n_loop, error *err) {
    const char *directory;
    TRY(run_checkpoint_begin(r, step, stopped, &directory, err));
    status s = save_all(directory, parts, n_part, loop, n_loop, err);
    if (s == STATUS_OK) return run_checkpoint_commit(r, err);
    run_checkpoint_abandon(r);
    return s;
}

status checkpoint_read(const run *r, const checkpoint_part *parts, int n_part, const loop_figure *loop,
                       int n_loop, error *err) {
    const char *directory = run_checkpoint_path(r);
    for (int i = 0; i < n_part; i++)
        TRY(checkpoint_load(directory, parts[i].name, parts[i].model, parts[i].optimizer, err));
    return checkpoint_load_loop(directory, loop, n_loop, err);
}
