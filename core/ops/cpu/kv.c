#include "core/ops/cpu/kv.h"

#include <string.h>

#include "core/ops/cpu/threads.h"
#include "core/ops/cpu/transpose.h"

/* keys[d, i] = k[i, d] */
static void transpose(const elem *k, int64_t ld, int n, int head_dim, elem *keys) {
    if (ELEM_IS_F32) {
        ISA_NAME(cpu_transpose)(k, ld, n, head_dim, keys, KV_PAGE);
        return;
    }
    for (int i = 0; i < n; i++)
        for (int d = 0; d < head_dim; d++) keys[d * KV_PAGE + i] = k[i * ld + d];
}

void ELEM_NAME(kv_put)(elem *page, int first, int n, const elem *k, const elem *v, int64_t ld, int head_dim) {
    elem *values = page + ((int64_t)KV_PAGE + first) * head_dim;
    transpose(k, ld, n, head_dim, page + first);
    for (int i = 0; i < n; i++)
        memcpy(values + (int64_t)i * head_dim, v + i * ld, (size_t)head_dim * sizeof *v);
}

/* The rows of sequence s, for one key head. */
static void write_head(const struct op_kv_write *o, int s, int head) {
    int head_dim = o->shape.head_dim, cached = o->cached.data[s];
    int row = o->start.data[s], end = o->start.data[s + 1];
    const int32_t *table = o->page_table.data + (int64_t)o->slot.data[s] * o->table_width;
    const elem *k = elem_data(o->qkv) + (int64_t)(o->shape.n_head + head) * head_dim;
    const elem *v = k + (int64_t)o->shape.n_kv_head * head_dim;
    while (row < end) {
        int position = cached + row - o->start.data[s], first = position % KV_PAGE;
        int n = (int)min_of(KV_PAGE - first, end - row);
        elem *page = elem_row(o->pages, table[position / KV_PAGE]);
        ELEM_NAME(kv_put)
        (page + head * kv_head_size(head_dim), first, n, k + row * o->qkv.ld, v + row * o->qkv.ld, o->qkv.ld,
         head_dim);
        row += n;
    }
}

static void write_heads(const struct op_kv_write *o) {
    int n_head = o->shape.n_kv_head, n = ((int)o->start.n - 1) * n_head;
#pragma omp for schedule(static) nowait
    for (int i = 0; i < n; i++) write_head(o, i / n_head, i % n_head);
}

void ELEM_NAME(cpu_kv_write)(device *dev, const struct op_kv_write *o) {
    int64_t work = (int64_t)o->qkv.rows * o->shape.n_kv_head * o->shape.head_dim * 4;
    ON_THREADS(threads_for(dev, work), write_heads(o));
}
