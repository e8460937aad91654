/* Models over weights: making, copying and changing them. */
#include "core/model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/adapter.h"
#include "core/model/internal.h"

status model_make(weights *w, const model_config *config, adapter *a, model **out, error *err) {
    *out = NULL;
    if (!config->n_score && !config->language_head)
        return error_set(err, STATUS_USAGE, "model: no head at all");
    *out = calloc(1, sizeof **out);
    if (!*out) return error_memory(err, "a model");
    **out = (model){.dev = w->dev, .config = *config, .w = w, .adapter = a};
    (*out)->config.lora_rank = a ? a->how.rank : 0;
    return STATUS_OK;
}

void model_free(model *m) {
    if (!m) return;
    adapter_free(m->adapter);
    weights_release(m->w);
    free(m);
}

status model_init(device *dev, const model_config *config, uint64_t seed, int trained, model **out,
                  error *err) {
    weights *w;
    *out = NULL;
    TRY(weights_make(dev, config, trained ? WEIGHTS_TRAINED : WEIGHTS_FROZEN, 0, &w, err));
    status s = weights_draw(w, 0, seed, 0, err);
    if (s == STATUS_OK) s = model_make(w, config, NULL, out, err);
    if (s == STATUS_OK)
        model_changed(*out);
    else
        weights_release(w);
    return s;
}

const model_config *model_get_config(const model *m) { return &m->config; }
device *model_device(const model *m) { return m->dev; }
const flat *model_flat(const model *m) { return m->adapter ? &m->adapter->flat : &m->w->flat; }
const lora_options *model_lora(const model *m) { return m->adapter ? &m->adapter->how : NULL; }
int model_shares_weights(const model *a, const model *b) { return a->w == b->w; }
const char *model_base(const model *m) { return m->adapter ? m->w->directory : NULL; }
vec model_score_weight(const model *m) { return m->adapter ? m->adapter->score : m->w->score; }
vec model_score_bias(const model *m) { return m->adapter ? m->adapter->score_bias : m->w->score_bias; }

void model_set_reward_scale(model *m, float mean, float std) {
    m->config.reward_mean = mean;
    m->config.reward_std = std;
}

void model_changed(model *m) {
    m->version++;
    if (m->adapter)
        adapter_pack(m->adapter);
    else
        weights_pack(m->w);
}

status model_fold_reward_scale(model *m, error *err) {
    vec score = model_score_weight(m), score_bias = model_score_bias(m);
    if (!m->config.n_score || !m->config.score_bias)
        return error_set(err, STATUS_USAGE,
                         "a reward's scale can only be folded into a score head with a bias");
    float mean = m->config.reward_mean, std = m->config.reward_std, bias;
    if (!(std > 0)) return error_set(err, STATUS_DATA, "reward_std is %g, must be > 0", (double)std);
    op(m->dev, axpby, .y = score, .x = score, .a = 1.0f / std, .b = 0);
    TRY(m->dev->ops->download(m->dev, &bias, score_bias.data, sizeof bias, err));
    bias = (bias - mean) / std;
    m->dev->ops->upload(m->dev, score_bias.data, &bias, sizeof bias);
    model_set_reward_scale(m, 0, 1);
    model_changed(m);
    return m->dev->ops->sync(m->dev, err);
}

status model_find_not_finite(const model *m, const char **name, float *value, error *err) {
    const flat *f = model_flat(m);
    status s = STATUS_OK;
    *name = NULL;
    for (int i = 0; i < f->n_param && !*name && s == STATUS_OK; i++) {
        const param *p = &f->param[i];
        if (p->offset < 0) continue;
        size_t bytes = sizeof(float) * (size_t)p->count;
        float *host = malloc(bytes);
        s = host ? m->dev->ops->download(m->dev, host, f->master + p->offset, bytes, err)
                 : error_memory(err, "a parameter");
        for (int64_t k = 0; k < p->count && s == STATUS_OK && !*name; k++)
            if (!isfinite(host[k])) *name = p->name, *value = host[k];
        free(host);
    }
    return s;
}

void model_zero_grad(model *m) {
    const flat *f = model_flat(m);
    op(m->dev, fill, .y = {f->grad, f->count}, .value = 0);
}
