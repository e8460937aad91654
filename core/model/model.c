/* Making models: memory, initial values, copies. */
#include "core/model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/internal.h"

static void take_packs(const model *m, arena *a, weight *w) {
    int n = w->w.rows, k = w->w.cols;
    w->forward.n = m->dev->ops->forward_pack(m->dev, n, k);
    w->forward.data = ARENA_TAKE(a, float, w->forward.n);
    if (!m->trained) return;
    w->backward.n = m->dev->ops->backward_pack(m->dev, n, k);
    w->backward.data = ARENA_TAKE(a, float, w->backward.n);
}

static void each_weight(model *m, void (*visit)(const model *, arena *, weight *), arena *a) {
    for (int l = 0; l < m->config.n_layer; l++) {
        visit(m, a, &m->layer[l].qkv);
        visit(m, a, &m->layer[l].out);
        visit(m, a, &m->layer[l].up);
        visit(m, a, &m->layer[l].down);
    }
    if (m->config.language_head) visit(m, a, &m->head);
}

/* Cuts the model's memory; plan (or NULL) hears how much went where. */
static void lay_out(model *m, arena *a, const char *owner, memory_plan *plan) {
    const model_config *c = &m->config;
    size_t before = a->used;
    m->flat.master = ARENA_TAKE(a, float, m->flat.count);
    if (plan) plan_add(plan, owner, "weights", a->used - before);
    before = a->used;
    m->flat.grad = m->trained ? ARENA_TAKE(a, float, m->flat.count) : NULL;
    if (plan) plan_add(plan, owner, "gradients", a->used - before);
    before = a->used;
    model_bind_params(m);
    each_weight(m, take_packs, a);
    if (c->position == POSITION_ROPE) {
        int half = c->head_dim / 2;
        m->cosine = mat_of(ARENA_TAKE(a, float, (size_t)c->context *(size_t)half), c->context, half);
        m->sine = mat_of(ARENA_TAKE(a, float, (size_t)c->context *(size_t)half), c->context, half);
    }
    if (plan) plan_add(plan, owner, "weights packed for products", a->used - before);
}

/* theta_i = base^(-2i / head_dim) (Su et al. 2021). */
static status upload_rope(model *m, error *err) {
    if (m->config.position != POSITION_ROPE) return STATUS_OK;
    int n = m->config.context, half = m->config.head_dim / 2;
    float *host = malloc(2 * sizeof *host * (size_t)n * (size_t)half);
    if (!host) return error_memory(err, "rope tables");
    float *cosine = host, *sine = host + (size_t)n * (size_t)half;
    for (int p = 0; p < n; p++)
        for (int i = 0; i < half; i++) {
            double angle = p * pow((double)m->config.rope_theta, -2.0 * i / m->config.head_dim);
            cosine[p * half + i] = (float)cos(angle);
            sine[p * half + i] = (float)sin(angle);
        }
    size_t bytes = sizeof *host * (size_t)n * (size_t)half;
    m->dev->ops->upload(m->dev, m->cosine.data, cosine, bytes);
    m->dev->ops->upload(m->dev, m->sine.data, sine, bytes);
    status s = m->dev->ops->sync(m->dev, err);
    free(host);
    return s;
}

/* A model with memory and no values. */
status model_make(device *dev, const model_config *config, int trained, model **out, error *err) {
    *out = NULL;
    TRY(model_config_check(config, 0, err));
    model *m = calloc(1, sizeof *m);
    if (!m) return error_memory(err, "a model");
    m->dev = dev;
    m->config = *config;
    m->trained = trained;
    arena measure = {0}, a = {0};
    status s = model_list_params(m, err);
    if (s == STATUS_OK) {
        lay_out(m, &measure, "", NULL);
        s = dev->ops->allocate(dev, measure.used, &m->memory, err);
    }
    if (s == STATUS_OK) {
        a = (arena){m->memory, 0, measure.used};
        lay_out(m, &a, "", NULL);
        op(dev, fill, .y = {m->flat.master, m->flat.count}, .value = 0);
        if (trained) op(dev, fill, .y = {m->flat.grad, m->flat.count}, .value = 0);
        s = upload_rope(m, err);
    }
    if (s != STATUS_OK) {
        model_free(m);
        return s;
    }
    *out = m;
    return STATUS_OK;
}

status model_plan(device *dev, const model_config *config, int trained, const char *owner, memory_plan *plan,
                  error *err) {
    TRY(model_config_check(config, 0, err));
    model m = {.dev = dev, .config = *config, .trained = trained};
    arena measure = {0};
    status s = model_list_params(&m, err);
    if (s == STATUS_OK) lay_out(&m, &measure, owner, plan);
    free(m.params);
    free(m.layer);
    return s;
}

void model_free(model *m) {
    if (!m) return;
    if (m->memory) m->dev->ops->release(m->dev, m->memory);
    free(m->params);
    free(m->layer);
    free(m);
}

static int ends_with(const char *text, const char *tail) {
    size_t n = strlen(text), k = strlen(tail);
    return n >= k && strcmp(text + n - k, tail) == 0;
}

/* Draws parameter i on the host. */
static void draw(const model *m, int i, uint64_t seed, int round, float *value) {
    const param *p = &m->flat.param[i];
    int is_norm = strstr(p->name, "norm") != NULL;
    if (ends_with(p->name, ".bias") || is_norm) {
        for (int64_t j = 0; j < p->count; j++) value[j] = ends_with(p->name, ".bias") ? 0.0f : 1.0f;
        return;
    }
    double scale = 0.02;
    if (strcmp(p->name, "position.weight") == 0) scale = 0.01;
    if (ends_with(p->name, "out.weight") || ends_with(p->name, "down.weight"))
        scale /= sqrt(2.0 * m->config.n_layer);
    int is_head = strcmp(p->name, "score.weight") == 0;
    if (is_head) scale = 1.0 / sqrt(m->config.d_model + 1.0);
    random_key key = random_make_key(seed, is_head ? RANDOM_HEAD : RANDOM_INIT, (uint32_t)round,
                                     is_head ? 0 : (uint32_t)i);
    random_normal(key, (size_t)p->count, value);
    for (int64_t j = 0; j < p->count; j++) value[j] = (float)(value[j] * scale);
}

/* Draws and uploads parameters [first, n_param). */
status model_draw_params(model *m, int first, uint64_t seed, int round, error *err) {
    int64_t most = 0;
    for (int i = first; i < m->flat.n_param; i++)
        if (m->flat.param[i].count > most) most = m->flat.param[i].count;
    float *value = malloc(sizeof *value * (size_t)(most ? most : 1));
    if (!value) return error_memory(err, "initial weights");
    status s = STATUS_OK;
    for (int i = first; i < m->flat.n_param && s == STATUS_OK; i++) {
        const param *p = &m->flat.param[i];
        draw(m, i, seed, round, value);
        m->dev->ops->upload(m->dev, m->flat.master + p->offset, value, sizeof *value * (size_t)p->count);
        s = m->dev->ops->sync(m->dev, err);
    }
    free(value);
    return s;
}

status model_init(device *dev, const model_config *config, uint64_t seed, int trained, model **out,
                  error *err) {
    TRY(model_make(dev, config, trained, out, err));
    status s = model_draw_params(*out, 0, seed, 0, err);
    if (s != STATUS_OK) {
        model_free(*out);
        *out = NULL;
        return s;
    }
    model_changed(*out);
    return STATUS_OK;
}

status model_copy(model *to, const model *from, error *err) {
    if (!model_config_same_body(&to->config, &from->config))
        return error_set(err, STATUS_DATA, "the two models have different shapes");
    for (int i = 0; i < to->flat.n_param; i++)
        for (int j = 0; j < from->flat.n_param; j++) {
            const param *p = &to->flat.param[i], *q = &from->flat.param[j];
            if (strcmp(p->name, q->name) != 0) continue;
            to->dev->ops->copy(to->dev, to->flat.master + p->offset, from->flat.master + q->offset,
                               sizeof(float) * (size_t)p->count);
        }
    to->config.reward_mean = from->config.reward_mean;
    to->config.reward_std = from->config.reward_std;
    model_changed(to);
    return to->dev->ops->sync(to->dev, err);
}

const model_config *model_get_config(const model *m) { return &m->config; }
device *model_device(const model *m) { return m->dev; }
const flat *model_flat(const model *m) { return &m->flat; }

void model_set_reward_scale(model *m, float mean, float std) {
    m->config.reward_mean = mean;
    m->config.reward_std = std;
}

static void pack(const model *m, arena *a, weight *w) {
    (void)a;
    op(m->dev, weights_pack, .w = *w);
}

void model_changed(model *m) {
    m->version++;
    each_weight(m, pack, NULL);
}

status model_fold_reward_scale(model *m, error *err) {
    if (!m->config.n_score || !m->config.score_bias)
        return error_set(err, STATUS_USAGE,
                         "a reward's scale can only be folded into a score head with a bias");
    float mean = m->config.reward_mean, std = m->config.reward_std, bias;
    if (!(std > 0)) return error_set(err, STATUS_DATA, "reward_std is %g, must be > 0", (double)std);
    op(m->dev, axpby, .y = m->score, .x = m->score, .a = 1.0f / std, .b = 0);
    TRY(m->dev->ops->download(m->dev, &bias, m->score_bias.data, sizeof bias, err));
    bias = (bias - mean) / std;
    m->dev->ops->upload(m->dev, m->score_bias.data, &bias, sizeof bias);
    model_set_reward_scale(m, 0, 1);
    model_changed(m);
    return m->dev->ops->sync(m->dev, err);
}

void model_zero_grad(model *m) { op(m->dev, fill, .y = {m->flat.grad, m->flat.count}, .value = 0); }
