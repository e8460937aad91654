#include "core/train/optimizer.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/base/arena.h"

struct optimizer {
    device *dev;
    const flat *flat;
    struct optimizer_options how;
    struct optimizer_state state;
    vec partial;         /* sums of squares, one per SUMSQ_CHUNK */
    float *host_partial; /* [partial.n] */
    void *memory;
};

/* Cuts the memory; plan (or NULL) hears how much went where. */
static void lay_out(optimizer *o, arena *a, const char *owner, memory_plan *plan) {
    size_t count = (size_t)o->state.count, before = a->used;
    o->state.m = ARENA_TAKE(a, float, count);
    o->state.v = ARENA_TAKE(a, float, count);
    if (plan) plan_add(plan, owner, "optimizer moments", a->used - before);
    before = a->used;
    if (o->how.ema > 0) o->state.ema = ARENA_TAKE(a, float, count);
    if (plan) plan_add(plan, owner, "average of the weights", a->used - before);
    before = a->used;
    o->partial.n = (o->state.count + SUMSQ_CHUNK - 1) / SUMSQ_CHUNK;
    o->partial.data = ARENA_TAKE(a, float, o->partial.n);
    if (plan) plan_add(plan, owner, "gradient norm", a->used - before);
}

void optimizer_plan(int64_t count, const struct optimizer_options *how, const char *owner,
                    memory_plan *plan) {
    optimizer o = {.how = *how, .state.count = count};
    arena measure = {0};
    lay_out(&o, &measure, owner, plan);
}

status optimizer_create(device *dev, const flat *parameters, const struct optimizer_options *how,
                        optimizer **out, error *err) {
    *out = NULL;
    optimizer *o = calloc(1, sizeof *o);
    if (!o) return error_memory(err, "an optimizer");
    *o = (optimizer){.dev = dev, .flat = parameters, .how = *how, .state.count = parameters->count};
    arena measure = {0};
    lay_out(o, &measure, "", NULL);
    status s = STATUS_OK;
    if (measure.used == SIZE_MAX || !(o->host_partial = calloc((size_t)o->partial.n, sizeof(float))))
        s = error_memory(err, "an optimizer");
    if (s == STATUS_OK) s = dev->ops->allocate(dev, measure.used, &o->memory, err);
    if (s != STATUS_OK) {
        optimizer_free(o);
        return s;
    }
    arena a = {o->memory, 0, measure.used};
    lay_out(o, &a, "", NULL);
    optimizer_zero(o);
    *out = o;
    return STATUS_OK;
}

void optimizer_free(optimizer *o) {
    if (!o) return;
    if (o->memory) o->dev->ops->release(o->dev, o->memory);
    free(o->host_partial);
    free(o);
}

void optimizer_zero(optimizer *o) {
    struct optimizer_state *s = &o->state;
    s->step = 0;
    op(o->dev, fill, .y = {s->m, s->count}, .value = 0);
    op(o->dev, fill, .y = {s->v, s->count}, .value = 0);
    if (s->ema) o->dev->ops->copy(o->dev, s->ema, o->flat->master, (size_t)s->count * sizeof(float));
}

/* The sum of squares of `count` gradients from `offset` on. */
static status sum_squares(optimizer *o, int64_t offset, int64_t count, double *sum, error *err) {
    vec partial = {o->partial.data, (count + SUMSQ_CHUNK - 1) / SUMSQ_CHUNK};
    op(o->dev, sumsq, .partial = partial, .x = {o->flat->grad + offset, count});
    TRY(o->dev->ops->download(o->dev, o->host_partial, partial.data, (size_t)partial.n * sizeof(float), err));
    *sum = 0;
    for (int64_t i = 0; i < partial.n; i++) *sum += o->host_partial[i];
    return STATUS_OK;
}

status optimizer_norm(optimizer *o, double *norm, error *err) {
    double sum;
    TRY(sum_squares(o, 0, o->state.count, &sum, err));
    *norm = sqrt(sum);
    return STATUS_OK;
}

static status refuse_gradient(optimizer *o, double norm, error *err) {
    const char *name = "no parameter alone";
    for (int i = 0; i < o->flat->n_param; i++) {
        const param *p = &o->flat->param[i];
        double sum;
        TRY(sum_squares(o, p->offset, p->count, &sum, err));
        if (isfinite(sum)) continue;
        name = p->name;
        break;
    }
    return error_set(err, STATUS_FAILED,
                     "the gradient's norm is %g before update %" PRId64
                     " (first in %s): no weight was changed; "
                     "lower the learning rate or look at the batch",
                     norm, o->state.step + 1, name);
}

/* One call for each run of neighbours that decay alike. */
static void update(optimizer *o, double lr, float scale) {
    const flat *f = o->flat;
    const struct optimizer_options *how = &o->how;
    const struct optimizer_state *s = &o->state;
    float c1 = (float)(1 - pow(how->beta1, (double)s->step)),
          c2 = (float)(1 - pow(how->beta2, (double)s->step));
    for (int first = 0, next; first < f->n_param; first = next) {
        for (next = first + 1; next < f->n_param && f->param[next].decays == f->param[first].decays;) next++;
        int64_t at = f->param[first].offset;
        int64_t n = (next < f->n_param ? f->param[next].offset : f->count) - at;
        op(o->dev, adamw, .p = {f->master + at, n}, .g = {f->grad + at, n}, .m = {s->m + at, n},
           .v = {s->v + at, n}, .lr = (float)lr, .beta1 = how->beta1, .beta2 = how->beta2, .eps = how->eps,
           .decay = f->param[first].decays ? how->weight_decay : 0, .scale = scale, .c1 = c1, .c2 = c2,
           .tf1 = how->tf1);
    }
}

status optimizer_step(optimizer *o, double lr, double *norm, error *err) {
    double length;
    if (o->how.ranks) TRY(dist_sum(o->how.ranks, o->dev, o->flat->grad, o->flat->count, err));
    TRY(optimizer_norm(o, &length, err));
    if (!isfinite(length)) return refuse_gradient(o, length, err);
    if (norm) *norm = length;
    o->state.step++;
    update(o, lr, o->how.clip > 0 && length > o->how.clip ? (float)(o->how.clip / length) : 1);
    if (o->state.ema)
        op(o->dev, lerp, .y = {o->state.ema, o->state.count}, .x = {o->flat->master, o->state.count},
           .t = 1 - o->how.ema);
    return STATUS_OK;
}

struct optimizer_state *optimizer_get_state(optimizer *o) {
    return &o->state;
}
