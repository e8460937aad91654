/* The paged cache of keys and values. A page holds KV_PAGE positions of one sequence in every layer; a fork
   shares full pages and copies the partial one, so no page with two users is ever written. */
#include <stdlib.h>
#include <string.h>

#include "core/model/internal.h"

static int64_t page_size(const model_config *c) { return (int64_t)2 * c->n_kv_head * c->head_dim * KV_PAGE; }

static void lay_out(kv_cache *kv, arena *a) {
    kv->page_table = (ivec){ARENA_TAKE(a, int32_t, (size_t)kv->n_slot * (size_t)kv->table_width),
                            (int64_t)kv->n_slot * kv->table_width};
    int cols = (int)page_size(&kv->config);
    for (int l = 0; l < kv->config.n_layer; l++) {
        dtype type = kv->config.compute;
        void *data = arena_take(a, (size_t)kv->n_page * (size_t)cols, dtype_size(type));
        if (kv->pages) kv->pages[l] = mat_typed(type, data, kv->n_page, cols);
    }
}

static void lay_out_host(kv_cache *kv, arena *a) {
    kv->h_table = ARENA_TAKE(a, int32_t, (size_t)kv->n_slot * (size_t)kv->table_width);
    kv->uses = ARENA_TAKE(a, int32_t, kv->n_page);
    kv->free_page = ARENA_TAKE(a, int32_t, kv->n_page);
    kv->slot = ARENA_TAKE(a, kv_slot, kv->n_slot);
    kv->pages = ARENA_TAKE(a, mat, kv->config.n_layer);
}

static kv_cache empty_cache(device *dev, const model_config *config, const limits *l) {
    return (kv_cache){.dev = dev,
                      .config = *config,
                      .n_slot = l->n_slot,
                      .n_page = l->n_page,
                      .table_width = (config->context + KV_PAGE - 1) / KV_PAGE};
}

status kv_plan(const model_config *config, const limits *limits, const char *owner, memory_plan *plan,
               error *err) {
    (void)err;
    kv_cache kv = empty_cache(NULL, config, limits);
    arena measure = {0}, host = {0};
    lay_out(&kv, &measure);
    lay_out_host(&kv, &host);
    plan_add(plan, owner, "pages of keys and values", measure.used);
    plan_add(plan, owner, "page tables on the host", host.used);
    return STATUS_OK;
}

status kv_create(device *dev, const model_config *config, const limits *limits, kv_cache **out, error *err) {
    *out = NULL;
    if (limits->n_slot < 1 || limits->n_page < 1 || page_size(config) > INT32_MAX)
        return error_set(err, STATUS_USAGE, "a cache of %d slots and %d pages is not one", limits->n_slot,
                         limits->n_page);
    kv_cache *kv = calloc(1, sizeof *kv);
    if (!kv) return error_memory(err, "a cache");
    *kv = empty_cache(dev, config, limits);
    arena measure = {0}, host = {0};
    lay_out(kv, &measure);
    lay_out_host(kv, &host);
    kv->host = aligned_alloc(ARENA_ALIGN, host.used);
    status s =
        kv->host ? dev->ops->allocate(dev, measure.used, &kv->memory, err) : error_memory(err, "a cache");
    if (s != STATUS_OK) {
        kv_free(kv);
        return s;
    }
    memset(kv->host, 0, host.used);
    arena a = {kv->memory, 0, measure.used}, b = {kv->host, 0, host.used};
    lay_out_host(kv, &b);
    lay_out(kv, &a);
    kv->n_free = kv->n_page;
    for (int i = 0; i < kv->n_page; i++) kv->free_page[i] = kv->n_page - 1 - i;
    kv->table_changed = 1;
    *out = kv;
    return STATUS_OK;
}

void kv_free(kv_cache *kv) {
    if (!kv) return;
    if (kv->memory) kv->dev->ops->release(kv->dev, kv->memory);
    free(kv->host);
    free(kv);
}

static int pages_of(int n_token) { return (n_token + KV_PAGE - 1) / KV_PAGE; }

static int32_t *slot_table(const kv_cache *kv, int slot) {
    return kv->h_table + (size_t)slot * (size_t)kv->table_width;
}

static int find_slot(const kv_cache *kv) {
    for (int s = 0; s < kv->n_slot; s++)
        if (!kv->slot[s].open) return s;
    return -1;
}

static int32_t take_page(kv_cache *kv) {
    int32_t page = kv->free_page[--kv->n_free];
    kv->uses[page] = 1;
    return page;
}

int kv_open(kv_cache *kv, uint64_t seq_id, int max_len) {
    int s = find_slot(kv), n = pages_of(max_len);
    if (s < 0 || max_len < 1 || n > kv->n_free || n > kv->table_width) return -1;
    for (int i = 0; i < n; i++) slot_table(kv, s)[i] = take_page(kv);
    kv->slot[s] = (kv_slot){.open = 1, .n_page = n, .max_len = max_len, .seq_id = seq_id};
    kv->table_changed = 1;
    return s;
}

int kv_fork(kv_cache *kv, int slot, uint64_t seq_id, int max_len) {
    const kv_slot *from = &kv->slot[slot];
    int s = find_slot(kv), n = pages_of(max_len), full = from->length / KV_PAGE;
    if (s < 0 || max_len < from->length || n - full > kv->n_free || n > kv->table_width) return -1;
    int32_t *to_table = slot_table(kv, s), *from_table = slot_table(kv, slot);
    for (int i = 0; i < n; i++) {
        to_table[i] = i < full ? from_table[i] : take_page(kv);
        if (i < full) kv->uses[to_table[i]]++;
    }
    if (from->length % KV_PAGE)
        for (int l = 0; l < kv->config.n_layer; l++) {
            const mat *p = &kv->pages[l];
            kv->dev->ops->copy(kv->dev, mat_at(*p, to_table[full], 0), mat_at(*p, from_table[full], 0),
                               dtype_size(p->type) * (size_t)p->cols);
        }
    kv->slot[s] = (kv_slot){.open = 1,
                            .n_page = n,
                            .max_len = max_len,
                            .seq_id = seq_id,
                            .length = from->length,
                            .owner = from->owner,
                            .version = from->version};
    kv->table_changed = 1;
    return s;
}

void kv_close(kv_cache *kv, int slot) {
    for (int i = 0; i < kv->slot[slot].n_page; i++) {
        int32_t page = slot_table(kv, slot)[i];
        if (--kv->uses[page] == 0) kv->free_page[kv->n_free++] = page;
    }
    kv->slot[slot].open = 0;
}

void kv_clear(kv_cache *kv) {
    for (int s = 0; s < kv->n_slot; s++)
        if (kv->slot[s].open) kv_close(kv, s);
}

int kv_length(const kv_cache *kv, int slot) { return kv->slot[slot].length; }

int kv_free_slots(const kv_cache *kv) {
    int n = 0;
    for (int s = 0; s < kv->n_slot; s++) n += !kv->slot[s].open;
    return n;
}

int kv_free_pages(const kv_cache *kv) { return kv->n_free; }

/* What a slot holds must have been made by these very weights. */
static status check_owner(const kv_slot *k, const model *m, error *err) {
    if (!k->owner || (k->owner == m && k->version == m->version)) return STATUS_OK;
    return error_set(
        err, STATUS_FAILED, "sequence %llu was begun by %s; its slot must be closed and opened again",
        (unsigned long long)k->seq_id, k->owner == m ? "an older version of this model" : "another model");
}

status kv_begin_extend(kv_cache *kv, const model *m, const batch *b, const int32_t *slot, int32_t *cached,
                       int max_seq, error *err) {
    if (b->n_seq > max_seq)
        return error_set(err, STATUS_TOO_LARGE, "%d sequences; planned for %d", b->n_seq, max_seq);
    if (!model_config_can_lend(&kv->config, &m->config))
        return error_set(err, STATUS_FAILED, "the cache was made for a model of another shape");
    for (int s = 0; s < b->n_seq; s++) {
        int n = b->seq_start[s + 1] - b->seq_start[s];
        const kv_slot *k = slot[s] >= 0 && slot[s] < kv->n_slot ? &kv->slot[slot[s]] : NULL;
        if (!k || !k->open) return error_set(err, STATUS_FAILED, "slot %d of the cache is not open", slot[s]);
        TRY(check_owner(k, m, err));
        for (int t = 0; t < s; t++)
            if (slot[t] == slot[s])
                return error_set(err, STATUS_FAILED, "slot %d is extended twice in one batch", slot[s]);
        if (k->length + n > k->max_len)
            return error_set(err, STATUS_TOO_LARGE, "sequence %llu would have %d tokens; its slot holds %d",
                             (unsigned long long)k->seq_id, k->length + n, k->max_len);
    }
    TRY(kv->dev->ops->sync(kv->dev, err));
    for (int s = 0; s < b->n_seq; s++) cached[s] = kv->slot[slot[s]].length;
    if (kv->table_changed)
        kv->dev->ops->upload(kv->dev, kv->page_table.data, kv->h_table,
                             sizeof *kv->h_table * (size_t)kv->page_table.n);
    kv->table_changed = 0;
    return STATUS_OK;
}

void kv_end_extend(kv_cache *kv, const model *m, const batch *b, const int32_t *slot) {
    for (int s = 0; s < b->n_seq; s++) {
        kv_slot *k = &kv->slot[slot[s]];
        k->length += b->seq_start[s + 1] - b->seq_start[s];
        k->owner = m;
        k->version = m->version;
    }
}
