/* The weights of a body: their memory, initial values and packs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/lineage.h"
#include "core/model/internal.h"

static void take_packs(const weights *w, arena *a, weight *x) {
    int n = x->w.rows, k = x->w.cols;
    x->type = w->config.compute;
    x->forward.n = w->dev->ops->forward_pack(w->dev, x->type, n, k);
    x->forward.data = ARENA_TAKE(a, float, x->forward.n);
    if (w->use == WEIGHTS_FROZEN) return;
    x->backward.n = w->dev->ops->backward_pack(w->dev, x->type, n, k);
    x->backward.data = ARENA_TAKE(a, float, x->backward.n);
}

static void each_weight(weights *w, void (*visit)(const weights *, arena *, weight *), arena *a) {
    for (int l = 0; l < w->config.n_layer; l++) {
        visit(w, a, &w->layer[l].qkv);
        visit(w, a, &w->layer[l].out);
        visit(w, a, &w->layer[l].up);
        visit(w, a, &w->layer[l].down);
    }
    if (w->config.language_head) visit(w, a, &w->head);
}

/* Cuts the memory; plan (or NULL) hears how much went where. */
static void lay_out(weights *w, arena *a, const char *owner, memory_plan *plan) {
    const model_config *c = &w->config;
    size_t before = a->used;
    w->flat.master = ARENA_TAKE(a, float, w->flat.count);
    if (plan) plan_add(plan, owner, "weights", a->used - before);
    before = a->used;
    w->flat.grad = w->use == WEIGHTS_TRAINED ? ARENA_TAKE(a, float, w->flat.count) : NULL;
    if (plan) plan_add(plan, owner, "gradients", a->used - before);
    before = a->used;
    weights_bind_params(w);
    each_weight(w, take_packs, a);
    if (c->position == POSITION_ROPE) {
        int half = c->head_dim / 2;
        w->cosine = mat_of(ARENA_TAKE(a, float, (size_t)c->context *(size_t)half), c->context, half);
        w->sine = mat_of(ARENA_TAKE(a, float, (size_t)c->context *(size_t)half), c->context, half);
    }
    if (plan) plan_add(plan, owner, "weights packed for products", a->used - before);
}

status weights_make(device *dev, const model_config *config, weights_use use, int packed, weights **out,
                    error *err) {
    *out = NULL;
    TRY(model_config_check(config, 0, err));
    weights *w = calloc(1, sizeof *w);
    if (!w) return error_memory(err, "weights");
    *w = (weights){.users = 1, .dev = dev, .config = *config, .use = use, .packed = packed};
    arena measure = {0}, a = {0};
    status s = weights_list_params(w, err);
    if (s == STATUS_OK) {
        lay_out(w, &measure, "", NULL);
        s = dev->ops->allocate(dev, measure.used, &w->memory, err);
    }
    if (s == STATUS_OK) {
        a = (arena){w->memory, 0, measure.used};
        lay_out(w, &a, "", NULL);
        op(dev, fill, .y = {w->flat.master, w->flat.count}, .value = 0);
        if (w->flat.grad) op(dev, fill, .y = {w->flat.grad, w->flat.count}, .value = 0);
        s = weights_upload_rope(w, err);
    }
    if (s != STATUS_OK) {
        weights_release(w);
        return s;
    }
    *out = w;
    return STATUS_OK;
}

static status plan_weights(device *dev, const model_config *config, weights_use use, const char *owner,
                           memory_plan *plan, error *err) {
    TRY(model_config_check(config, 0, err));
    weights w = {.dev = dev, .config = *config, .use = use, .packed = use != WEIGHTS_TRAINED};
    arena measure = {0}, matrix = {0};
    status s = weights_list_params(&w, err);
    if (s == STATUS_OK) lay_out(&w, &measure, owner, plan);
    if (s == STATUS_OK && w.packed) {
        (void)ARENA_TAKE(&matrix, float, weights_largest_packed(&w));
        plan_add(plan, owner, "one matrix, while the model is read", matrix.used);
    }
    free(w.params);
    free(w.layer);
    return s;
}

status model_plan(device *dev, const model_config *config, int trained, const char *owner, memory_plan *plan,
                  error *err) {
    return plan_weights(dev, config, trained ? WEIGHTS_TRAINED : WEIGHTS_FROZEN, owner, plan, err);
}

status model_plan_base(device *dev, const model_config *config, int trained, const char *owner,
                       memory_plan *plan, error *err) {
    model_config body = *config;
    body.n_score = body.score_bias = 0;
    return plan_weights(dev, &body, trained ? WEIGHTS_PASSED : WEIGHTS_FROZEN, owner, plan, err);
}

void weights_release(weights *w) {
    if (!w || --w->users > 0) return;
    if (w->memory) w->dev->ops->release(w->dev, w->memory);
    free(w->params);
    free(w->layer);
    free(w->directory);
    free(w);
}

status weights_hash(weights *w, hash *out, error *err) {
    uint64_t bytes;
    if (!w->has_hash) TRY(hash_artifact(w->directory, &w->sha256, &bytes, err));
    w->has_hash = 1;
    *out = w->sha256;
    return STATUS_OK;
}

static int ends_with(const char *text, const char *tail) {
    size_t n = strlen(text), k = strlen(tail);
    return n >= k && strcmp(text + n - k, tail) == 0;
}

static status draw(weights *w, int i, uint64_t seed, int round, error *err) {
    const param *p = &w->flat.param[i];
    int is_bias = ends_with(p->name, ".bias");
    if (is_bias || strstr(p->name, "norm")) {
        op(w->dev, fill, .y = {w->flat.master + p->offset, p->count},
           .value = is_bias ? 0 : 1 - model_gain_offset(&w->config));
        return STATUS_OK;
    }
    if (strcmp(p->name, "score.weight") == 0) return flat_draw_score(w->dev, &w->flat, i, seed, round, err);
    double scale = strcmp(p->name, "position.weight") == 0 ? 0.01 : 0.02;
    if (ends_with(p->name, "out.weight") || ends_with(p->name, "down.weight"))
        scale /= sqrt(2.0 * w->config.n_layer);
    random_key key = random_make_key(seed, RANDOM_INIT, (uint32_t)round, (uint32_t)i);
    return flat_draw_normal(w->dev, &w->flat, i, key, scale, err);
}

status weights_draw(weights *w, int first, uint64_t seed, int round, error *err) {
    for (int i = first; i < w->flat.n_param; i++) TRY(draw(w, i, seed, round, err));
    return w->dev->ops->sync(w->dev, err);
}

static void pack(const weights *w, arena *a, weight *x) {
    (void)a;
    if (x->w.data) op(w->dev, weights_pack, .w = *x);
}

void weights_pack(weights *w) { each_weight(w, pack, NULL); }
