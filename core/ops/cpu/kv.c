#include "core/ops/cpu/kv.h"

#include <string.h>

#include "core/ops/cpu/gemm.h"
#include "core/ops/cpu/threads.h"

void ISA_NAME(kv_put)(float *page, int first, int n, const float *k, const float *v, int64_t ld,
                      int head_dim) {
    float *values = page + ((int64_t)KV_PAGE + first) * head_dim;
    ISA_NAME(cpu_transpose)(k, ld, n, head_dim, page + first, KV_PAGE);
    for (int i = 0; i < n; i++)
        memcpy(values + (int64_t)i * head_dim, v + i * ld, (size_t)head_dim * sizeof *v);
}

/* The rows of sequence s, for one key head. */
static void write_head(const struct op_kv_write *o, int s, int head) {
    int head_dim = o->shape.head_dim, cached = o->cached.data[s];
    int row = o->start.data[s], end = o->start.data[s + 1];
    const int32_t *table = o->page_table.data + (int64_t)o->slot.data[s] * o->table_width;
    const float *k = o->qkv.data + (int64_t)(o->shape.n_head + head) * head_dim;
    const float *v = k + (int64_t)o->shape.n_kv_head * head_dim;
    while (row < end) {
        int position = cached + row - o->start.data[s], first = position % KV_PAGE;
        int n = (int)min_of(KV_PAGE - first, end - row);
        float *page = o->pages.data + table[position / KV_PAGE] * o->pages.ld;
        ISA_NAME(kv_put)
        (page + head * kv_head_floats(head_dim), first, n, k + row * o->qkv.ld, v + row * o->qkv.ld,
         o->qkv.ld, head_dim);
        row += n;
    }
}

static void write_heads(const struct op_kv_write *o) {
    int n_head = o->shape.n_kv_head, n = ((int)o->start.n - 1) * n_head;
#pragma omp for schedule(static) nowait
    for (int i = 0; i < n; i++) write_head(o, i / n_head, i % n_head);
}

void ISA_NAME(cpu_kv_write)(device *dev, const struct op_kv_write *o) {
    int64_t work = (int64_t)o->qkv.rows * o->shape.n_kv_head * o->shape.head_dim * 4;
    ON_THREADS(threads_for(dev, work), write_heads(o));
}
