/* Attention, causal and per sequence: over the keys and values that a training batch brings along, which are
   put into the form of pages first, and over pages. */
#include <omp.h>

#include "core/ops/cpu/attention_dx.h"
#include "core/ops/cpu/attention_tile.h"
#include "core/ops/cpu/threads.h"

static int pages_of(int n_position) { return (n_position + KV_PAGE - 1) / KV_PAGE; }

/* Elements of one key head's pages. */
static int64_t pages_size(int max_len, int head_dim) { return pages_of(max_len) * kv_head_size(head_dim); }

int64_t ELEM_NAME(cpu_attention_scratch)(int n_thread, int max_len, int head_dim, int backward) {
    int64_t floats = pages_size(max_len, head_dim) / UNIT;
    if (backward) floats = max_of(floats, ELEM_NAME(attention_dx_floats)(max_len, head_dim));
    return n_thread * floats;
}

/* What all tiles of a sequence read, for threads_for. */
static int64_t sequence_work(const struct attention_queries *s, int n_kv_head) {
    int n_page = pages_of(s->cached + s->n_token);
    if (s->window > 0) n_page = (int)min_of(n_page, pages_of(s->window) + 1);
    return (int64_t)ELEM_NAME(attention_tiles)(s) * n_kv_head * n_page * kv_head_size(s->head_dim);
}

/* ---- over the batch's own keys and values ---- */

/* Sequence i, seen from one key head. */
static struct attention_queries packed_queries(const struct op_attention *o, int i, int kv_head,
                                               const elem *pages) {
    int row = o->start.data[i], group = o->shape.n_head / o->shape.n_kv_head, d = o->shape.head_dim;
    int64_t head = (int64_t)kv_head * group;
    return (struct attention_queries){.q = elem_row(o->qkv, row) + head * d,
                                      .out = elem_row(o->out, row) + head * d,
                                      .lse = o->lse.data ? o->lse.data + row * o->lse.ld + head : NULL,
                                      .ld_q = o->qkv.ld,
                                      .ld_out = o->out.ld,
                                      .ld_lse = o->lse.ld,
                                      .n_token = o->start.data[i + 1] - row,
                                      .group = group,
                                      .head_dim = d,
                                      .window = o->shape.window,
                                      .scale = o->shape.scale,
                                      .pages = pages,
                                      .page_stride = kv_head_size(d)};
}

static void pack_pages(const struct op_attention *o, int i, int kv_head, elem *pages) {
    int d = o->shape.head_dim, row = o->start.data[i], end = o->start.data[i + 1];
    const elem *k = elem_row(o->qkv, row) + (int64_t)(o->shape.n_head + kv_head) * d;
    const elem *v = k + (int64_t)o->shape.n_kv_head * d;
    for (; row < end; row += KV_PAGE) {
        ELEM_NAME(kv_put)(pages, 0, (int)min_of(KV_PAGE, end - row), k, v, o->qkv.ld, d);
        pages += kv_head_size(d);
        k += KV_PAGE * o->qkv.ld;
        v += KV_PAGE * o->qkv.ld;
    }
}

static void packed_units(const struct op_attention *o, int64_t *next) {
    int64_t n_head = o->shape.n_kv_head, n_unit = (o->start.n - 1) * n_head;
    elem *pages = (void *)o->scratch.data;
    pages += omp_get_thread_num() * pages_size(o->max_len, o->shape.head_dim);
    for (int64_t unit; (unit = take_unit(next)) < n_unit;) {
        int i = (int)(unit / n_head), kv_head = (int)(unit % n_head);
        struct attention_queries s = packed_queries(o, i, kv_head, pages);
        pack_pages(o, i, kv_head, pages);
        int n_tile = ELEM_NAME(attention_tiles)(&s);
        for (int t = 0; t < n_tile; t++) ELEM_NAME(attention_run)(&s, t, 1);
    }
}

void ELEM_NAME(cpu_attention)(device *dev, const struct op_attention *o) {
    int64_t work = 0, next = 0;
    for (int i = 0; i + 1 < o->start.n; i++) {
        struct attention_queries s = packed_queries(o, i, 0, NULL);
        work += sequence_work(&s, o->shape.n_kv_head);
    }
    ON_THREADS(threads_for(dev, work), packed_units(o, &next));
}

/* ---- over pages ---- */

static struct attention_queries paged_queries(const struct op_attention_paged *o, int i) {
    int row = o->start.data[i];
    return (struct attention_queries){.q = elem_row(o->qkv, row),
                                      .out = elem_row(o->out, row),
                                      .ld_q = o->qkv.ld,
                                      .ld_out = o->out.ld,
                                      .n_token = o->start.data[i + 1] - row,
                                      .cached = o->cached.data[i],
                                      .group = o->shape.n_head / o->shape.n_kv_head,
                                      .head_dim = o->shape.head_dim,
                                      .window = o->shape.window,
                                      .scale = o->shape.scale,
                                      .pages = elem_data(o->pages),
                                      .table = o->page_table.data + (int64_t)o->slot.data[i] * o->table_width,
                                      .page_stride = o->pages.ld};
}

/* Tiles that walk the pages together, by which a page is read once for all of them. */
static int walk_length(const struct attention_queries *s, int n_kv_head, int walks_wanted) {
    int n_tile = ELEM_NAME(attention_tiles)(s) * n_kv_head;
    return (int)min_of(ELEM_NAME(attention_walk)(s), (n_tile + walks_wanted - 1) / walks_wanted);
}

static int walks_of(const struct attention_queries *s, int n_kv_head, int walks_wanted) {
    int n_tile = ELEM_NAME(attention_tiles)(s) * n_kv_head;
    if (n_tile == 0) return 0;
    int length = walk_length(s, n_kv_head, walks_wanted);
    return (n_tile + length - 1) / length;
}

static void paged_walks(const struct op_attention_paged *o, int wanted, int64_t n_walk, int64_t *next) {
    int i = 0, n_head = o->shape.n_kv_head;
    int64_t first = 0; /* walk of sequence i */
    for (int64_t walk; (walk = take_unit(next)) < n_walk;) {
        struct attention_queries s = paged_queries(o, i);
        for (int n; walk - first >= (n = walks_of(&s, n_head, wanted)); first += n) s = paged_queries(o, ++i);
        int length = walk_length(&s, n_head, wanted), tile = (int)(walk - first) * length;
        int n_tile = ELEM_NAME(attention_tiles)(&s) * n_head;
        ELEM_NAME(attention_run)(&s, tile, (int)min_of(length, n_tile - tile));
    }
}

void ELEM_NAME(cpu_attention_paged)(device *dev, const struct op_attention_paged *o) {
    int n_sequence = (int)o->start.n - 1;
    /* Walks of a sequence: enough for all threads where sequences are few. */
    int wanted = n_sequence > 0 ? (4 * (dev->n_thread - 1) + n_sequence) / n_sequence : 1;
    int64_t work = 0, n_walk = 0, next = 0;
    for (int i = 0; i < n_sequence; i++) {
        struct attention_queries s = paged_queries(o, i);
        work += sequence_work(&s, o->shape.n_kv_head);
        n_walk += walks_of(&s, o->shape.n_kv_head, wanted);
    }
    ON_THREADS(threads_for(dev, work), paged_walks(o, wanted, n_walk, &next));
}
