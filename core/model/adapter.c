#include "core/model/adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/family.h"

/* ---- which matrices ---- */

static const char *const SITE[ADAPTER_SITES] = {"qkv", "out", "up", "down"};

/* "layer.LAYER.SITE.weight", LAYER anything without a dot. */
static int site_of(const char *name, adapter_site *site) {
    const char *dot = strncmp(name, "layer.", 6) == 0 ? strchr(name + 6, '.') : NULL;
    for (int i = 0; dot && i < ADAPTER_SITES; i++) {
        size_t n = strlen(SITE[i]);
        *site = (adapter_site)i;
        if (strncmp(dot + 1, SITE[i], n) == 0 && strcmp(dot + 1 + n, ".weight") == 0) return 1;
    }
    return 0;
}

int adapter_find_site(const char *name, int *layer, adapter_site *site) {
    if (!site_of(name, site)) return 0;
    *layer = atoi(name + 6);
    return 1;
}

static int rows_of(const model_config *c, adapter_site site) {
    if (site == ADAPTER_QKV) return model_qkv_width(c);
    return site == ADAPTER_UP ? model_up_width(c) : c->d_model;
}

static int depth_of(const model_config *c, adapter_site site) {
    if (site == ADAPTER_OUT) return c->n_head * c->head_dim;
    return site == ADAPTER_DOWN ? c->d_ff : c->d_model;
}

int lora_list_targets(const model_config *c, lora_target out[LORA_TARGETS]) {
    int n = 0;
    for (const family_tensor *t = family_of(c->family)->tensors; t->theirs && n < LORA_TARGETS; t++) {
        lora_target x = {.theirs = t->theirs};
        if (!site_of(t->ours, &x.site)) continue;
        family_part_rows(c, t->part, rows_of(c, x.site), &x.first, &x.n);
        x.k = depth_of(c, x.site);
        out[n++] = x;
    }
    return n;
}

void lora_module_name(const lora_target *t, int layer, char *out, size_t size) {
    const char *number = strstr(t->theirs, "%d"), *end = t->theirs + strlen(t->theirs) - strlen(".weight");
    if (layer < 0)
        snprintf(out, size, "%.*s", (int)(end - t->theirs), t->theirs);
    else
        snprintf(out, size, "%.*s%d%.*s", (int)(number - t->theirs), t->theirs, layer,
                 (int)(end - number - 2), number + 2);
}

static int names_module(const char *name, const char *module) {
    size_t n = strlen(name), k = strlen(module);
    return n <= k && strcmp(module + k - n, name) == 0 && (n == k || module[k - n - 1] == '.');
}

status lora_choose_targets(const model_config *c, const lora_options *how, uint32_t *bits, error *err) {
    lora_target target[LORA_TARGETS];
    int n = lora_list_targets(c, target), all = how->n_target == 0;
    *bits = 0;
    for (int i = 0; i < how->n_target; i++) {
        uint32_t before = *bits;
        if (strcmp(how->target[i], "all-linear") == 0) all = 1;
        for (int j = 0; j < n; j++) {
            char module[LORA_NAME];
            lora_module_name(&target[j], -1, module, sizeof module);
            if (names_module(how->target[i], module)) *bits |= 1u << j;
        }
        if (*bits == before && !all)
            return error_set(err, STATUS_USAGE,
                             "lora: \"%s\" is no matrix of this model%s; its matrices end in %s ...",
                             how->target[i], before ? " that is not named already" : "",
                             strrchr(target[0].theirs, '.') ? target[0].theirs : "");
    }
    if (all) *bits = (1u << n) - 1;
    return STATUS_OK;
}

/* ---- memory ---- */

static void choose_parts(adapter *a, uint32_t bits) {
    lora_target target[LORA_TARGETS];
    int n = lora_list_targets(&a->config, target);
    for (int i = 0; i < n; i++) {
        if (!(bits >> i & 1)) continue;
        struct adapter_part *part = &a->part[a->n_part];
        *part = (struct adapter_part){.target = target[i], .column = a->width[target[i].site]};
        lora_module_name(&target[i], -1, part->name, sizeof part->name);
        a->name[a->n_part++] = part->name;
        a->width[target[i].site] += a->how.rank;
    }
    a->how.target = a->name;
    a->how.n_target = a->n_part;
}

static int site_depth(const adapter *a, int site) { return depth_of(&a->config, (adapter_site)site); }

static void add_param(adapter *a, int rows, int cols, int decays, const char *name) {
    flat_add_param(&a->flat, a->params, name, rows, cols, decays, 1);
}

static void add_all(adapter *a) {
    char name[48];
    a->flat.n_param = 0;
    a->flat.count = 0;
    for (int l = 0; l < a->config.n_layer; l++) {
        for (int s = 0; s < ADAPTER_SITES; s++) {
            snprintf(name, sizeof name, "layer.%d.%s.lora_a", l, SITE[s]);
            if (a->width[s]) add_param(a, a->width[s], site_depth(a, s), 1, name);
        }
        for (int p = 0; p < a->n_part; p++) {
            const lora_target *t = &a->part[p].target;
            snprintf(name, sizeof name, "layer.%d.%s.%d.lora_b", l, SITE[t->site], t->first);
            add_param(a, t->n, a->how.rank, 1, name);
        }
    }
    if (a->config.n_score) add_param(a, 1, a->config.d_model, 1, "score.weight");
    if (a->config.score_bias) add_param(a, 1, 1, 0, "score.bias");
}

static status list_params(adapter *a, error *err) {
    size_t n_layer = (size_t)a->config.n_layer;
    add_all(a);
    a->params = calloc((size_t)a->flat.n_param, sizeof *a->params);
    a->a = calloc(n_layer * ADAPTER_SITES, sizeof *a->a);
    a->b = calloc(n_layer * (size_t)a->n_part, sizeof *a->b);
    if (!a->params || !a->a || !a->b) return error_memory(err, "an adapter's list of parameters");
    add_all(a);
    a->flat.param = a->params;
    return STATUS_OK;
}

static vec take_backward(const adapter *a, arena *from, const weight *w) {
    if (!a->trained) return (vec){0};
    int64_t n = a->dev->ops->backward_pack(a->dev, w->type, w->w.rows, w->w.cols);
    return (vec){ARENA_TAKE(from, float, n), n};
}

static void bind_weight(adapter *a, arena *from, int *next, weight *w) {
    const param *p = &a->params[(*next)++];
    w->w = mat_of(flat_place(&a->flat, p), p->rows, p->cols);
    w->type = a->config.compute;
    w->forward.n = a->dev->ops->forward_pack(a->dev, w->type, p->rows, p->cols);
    w->forward.data = ARENA_TAKE(from, float, w->forward.n);
}

static void lay_out(adapter *a, arena *from, const char *owner, memory_plan *plan) {
    size_t before = from->used;
    int next = 0;
    a->flat.master = ARENA_TAKE(from, float, a->flat.count);
    if (plan) plan_add(plan, owner, "adapter", from->used - before);
    before = from->used;
    a->flat.grad = a->trained ? ARENA_TAKE(from, float, a->flat.count) : NULL;
    if (plan) plan_add(plan, owner, "adapter's gradients", from->used - before);
    before = from->used;
    for (int l = 0; l < a->config.n_layer; l++) {
        weight *low = &a->a[l * ADAPTER_SITES], *high = &a->b[l * a->n_part];
        for (int s = 0; s < ADAPTER_SITES; s++) {
            if (!a->width[s]) continue;
            bind_weight(a, from, &next, &low[s]);
            low[s].backward = take_backward(a, from, &low[s]);
        }
        for (int p = 0; p < a->n_part; p++) {
            bind_weight(a, from, &next, &high[p]);
            high[p].backward = l ? a->b[p].backward : take_backward(a, from, &high[p]);
        }
    }
    if (plan) plan_add(plan, owner, "adapter packed for products", from->used - before);
    if (a->config.n_score)
        a->score = (vec){flat_place(&a->flat, &a->params[next]), a->params[next].count}, next++;
    if (a->config.score_bias) a->score_bias = (vec){flat_place(&a->flat, &a->params[next]), 1};
}

static status begin(device *dev, const model_config *config, const lora_options *how, int trained, adapter *a,
                    error *err) {
    uint32_t bits;
    *a = (adapter){.dev = dev, .config = *config, .how = *how, .trained = trained};
    if (how->rank < 1 || how->rank > LORA_MOST_RANK)
        return error_set(err, STATUS_USAGE, "lora: rank %d, must be from 1 to %d", how->rank, LORA_MOST_RANK);
    if (!(how->alpha > 0) || !isfinite(how->alpha))
        return error_set(err, STATUS_USAGE, "lora: alpha %g, must be > 0", (double)how->alpha);
    TRY(lora_choose_targets(config, how, &bits, err));
    choose_parts(a, bits);
    return list_params(a, err);
}

static void free_lists(adapter *a) {
    free(a->params);
    free(a->a);
    free(a->b);
}

status adapter_make(device *dev, const model_config *config, const lora_options *how, int trained,
                    adapter **out, error *err) {
    arena measure = {0};
    *out = NULL;
    adapter *a = calloc(1, sizeof *a);
    if (!a) return error_memory(err, "an adapter");
    status s = begin(dev, config, how, trained, a, err);
    if (s == STATUS_OK) {
        lay_out(a, &measure, "", NULL);
        s = dev->ops->allocate(dev, measure.used, &a->memory, err);
    }
    if (s != STATUS_OK) {
        adapter_free(a);
        return s;
    }
    arena from = {a->memory, 0, measure.used};
    lay_out(a, &from, "", NULL);
    op(dev, fill, .y = {a->flat.master, a->flat.count}, .value = 0);
    if (trained) op(dev, fill, .y = {a->flat.grad, a->flat.count}, .value = 0);
    *out = a;
    return STATUS_OK;
}

status model_plan_adapter(device *dev, const model_config *config, const lora_options *how, int trained,
                          const char *owner, memory_plan *plan, error *err) {
    adapter a;
    arena measure = {0};
    status s = begin(dev, config, how, trained, &a, err);
    if (s == STATUS_OK) lay_out(&a, &measure, owner, plan);
    free_lists(&a);
    return s;
}

status model_count_adapter(const model_config *config, const lora_options *how, int64_t *count, error *err) {
    adapter a;
    status s = begin(NULL, config, how, 0, &a, err);
    *count = a.flat.count;
    free_lists(&a);
    return s;
}

void adapter_free(adapter *a) {
    if (!a) return;
    if (a->memory) a->dev->ops->release(a->dev, a->memory);
    free_lists(a);
    free(a);
}

/* ---- values ---- */

status adapter_draw(adapter *a, uint64_t seed, int round, error *err) {
    for (int i = 0; i < a->flat.n_param; i++) {
        const param *p = &a->flat.param[i];
        random_key key = random_make_key(seed, RANDOM_ADAPTER, (uint32_t)round, (uint32_t)i);
        if (strstr(p->name, ".lora_a"))
            TRY(flat_draw_normal(a->dev, &a->flat, i, key, 1 / sqrt(3.0 * p->cols), err));
        if (strcmp(p->name, "score.weight") == 0) TRY(flat_draw_score(a->dev, &a->flat, i, seed, round, err));
    }
    return STATUS_OK;
}

void adapter_pack(adapter *a) {
    for (int l = 0; l < a->config.n_layer; l++) {
        for (int s = 0; s < ADAPTER_SITES; s++)
            if (a->width[s]) op(a->dev, weights_pack, .w = a->a[l * ADAPTER_SITES + s]);
        for (int p = 0; p < a->n_part; p++) {
            weight forward = a->b[l * a->n_part + p];
            forward.backward = (vec){0};
            op(a->dev, weights_pack, .w = forward);
        }
    }
}

/* ---- products ---- */

static float scale_of(const adapter *a) { return a->how.alpha / (float)a->how.rank; }

/* The site's share of a wider buffer, without gaps. */
static mat low_rows(mat low, int rows, int width) { return mat_typed(low.type, low.data, rows, width); }

void adapter_forward(const adapter *a, int l, adapter_site site, mat x, mat low, mat y) {
    if (!a || !a->width[site]) return;
    low = low_rows(low, x.rows, a->width[site]);
    op(a->dev, linear, .y = low, .x = x, .w = a->a[l * ADAPTER_SITES + (int)site]);
    op(a->dev, scale, .y = low, .x = low, .factor = scale_of(a));
    for (int p = 0; p < a->n_part; p++) {
        const struct adapter_part *part = &a->part[p];
        if (part->target.site != site) continue;
        mat columns = mat_columns(y, part->target.first, part->target.n);
        op(a->dev, linear, .y = columns, .x = mat_columns(low, part->column, a->how.rank),
           .w = a->b[l * a->n_part + p], .add = columns);
    }
}

void adapter_backward(const adapter *a, int l, adapter_site site, mat x, mat low, mat dy, mat dlow, mat dx,
                      vec scratch) {
    if (!a || !a->width[site]) return;
    low = low_rows(low, x.rows, a->width[site]);
    dlow = low_rows(dlow, x.rows, a->width[site]);
    for (int p = 0; p < a->n_part; p++) {
        const struct adapter_part *part = &a->part[p];
        const weight *b = &a->b[l * a->n_part + p];
        if (part->target.site != site) continue;
        mat columns = mat_columns(dy, part->target.first, part->target.n);
        op(a->dev, linear_dw, .dw = flat_mat_grad(&a->flat, b->w), .dy = columns,
           .x = mat_columns(low, part->column, a->how.rank), .scratch = scratch);
        op(a->dev, weights_pack, .w = *b);
        op(a->dev, linear_dx, .dx = mat_columns(dlow, part->column, a->how.rank), .dy = columns, .w = *b);
    }
    op(a->dev, scale, .y = dlow, .x = dlow, .factor = scale_of(a));
    const weight *w = &a->a[l * ADAPTER_SITES + (int)site];
    op(a->dev, linear_dw, .dw = flat_mat_grad(&a->flat, w->w), .dy = dlow, .x = x, .scratch = scratch);
    op(a->dev, linear_dx, .dx = dx, .dy = dlow, .w = *w, .add = dx);
}

/* ---- merging ---- */

/* rows += scale b a: a chain in double over the rank. */
static void add_product(const adapter *a, const float *b, const float *low, int n, int k, float *rows) {
    int rank = a->how.rank;
    for (int r = 0; r < n; r++)
        for (int c = 0; c < k; c++) {
            double sum = 0;
            for (int i = 0; i < rank; i++)
                sum += (double)b[r * rank + i] * low[(size_t)i * (size_t)k + (size_t)c];
            rows[(size_t)r * (size_t)k + (size_t)c] =
                (float)(rows[(size_t)r * (size_t)k + (size_t)c] + (double)scale_of(a) * sum);
        }
}

status adapter_merge_rows(const adapter *a, const float *parameters, int l, adapter_site site, int first,
                          int n, int k, float *rows, error *err) {
    size_t rank = (size_t)a->how.rank, most = (size_t)rows_of(&a->config, site);
    float *b = malloc(sizeof *b * rank * (most + (size_t)k)), *low = b + rank * most;
    status s = b ? STATUS_OK : error_memory(err, "a merged matrix");
    for (int p = 0; p < a->n_part && s == STATUS_OK; p++) {
        const struct adapter_part *part = &a->part[p];
        const lora_target *t = &part->target;
        if (t->site != site || t->first >= first + n || t->first + t->n <= first) continue;
        /* Tensors are whole targets or cut one out of a fused target. */
        int from = t->first > first ? t->first : first,
            end = t->first + t->n < first + n ? t->first + t->n : first + n;
        int64_t at_a = a->a[l * ADAPTER_SITES + (int)site].w.data - a->flat.master,
                at_b = a->b[l * a->n_part + p].w.data - a->flat.master;
        s = a->dev->ops->download(a->dev, low, parameters + at_a + (int64_t)part->column * k,
                                  sizeof *low * rank * (size_t)k, err);
        if (s == STATUS_OK)
            s = a->dev->ops->download(a->dev, b, parameters + at_b + (int64_t)(from - t->first) * a->how.rank,
                                      sizeof *b * rank * (size_t)(end - from), err);
        if (s == STATUS_OK) add_product(a, b, low, end - from, k, rows + (size_t)(from - first) * (size_t)k);
    }
    free(b);
    return s;
}
