#include "core/model/flat.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void flat_add_param(flat *f, param *params, const char *name, int rows, int cols, int decays, int placed) {
    int64_t count = (int64_t)rows * cols;
    if (params) {
        param *p = &params[f->n_param];
        *p = (param){
            .rows = rows, .cols = cols, .offset = placed ? f->count : -1, .count = count, .decays = decays};
        snprintf(p->name, sizeof p->name, "%s", name);
    }
    f->n_param++;
    if (placed) f->count += (count + 15) / 16 * 16;
}

status flat_draw_normal(device *dev, const flat *f, int i, random_key key, double scale, error *err) {
    const param *p = &f->param[i];
    float *value = malloc(sizeof *value * (size_t)p->count);
    if (!value) return error_memory(err, "initial values");
    random_normal(key, (size_t)p->count, value);
    for (int64_t j = 0; j < p->count; j++) value[j] = (float)(value[j] * scale);
    dev->ops->upload(dev, f->master + p->offset, value, sizeof *value * (size_t)p->count);
    status s = dev->ops->sync(dev, err);
    free(value);
    return s;
}

status flat_draw_score(device *dev, const flat *f, int i, uint64_t seed, int round, error *err) {
    random_key key = random_make_key(seed, RANDOM_HEAD, (uint32_t)round, 0);
    return flat_draw_normal(dev, f, i, key, 1.0 / sqrt(f->param[i].cols + 1.0), err);
}
