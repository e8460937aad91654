#include "core/ops/far/contract.h"

/* Each of the first n values lies in [0, bound). */
static status within(const char *what, ivec index, int64_t n, int64_t bound, error *err) {
    for (int64_t i = 0; i < n; i++)
        if (index.data[i] < 0 || index.data[i] >= bound)
            return error_set(err, STATUS_FAILED, "%s[%lld] is %d, not in [0, %lld)", what, (long long)i,
                             index.data[i], (long long)bound);
    return STATUS_OK;
}

/* Sequences follow each other without gaps, none is empty, and they cover the rows. */
static status covers(ivec start, int rows, int max_len, error *err) {
    int64_t n = start.n - 1;
    if (n < 0 || start.data[0] != 0 || start.data[n] != rows)
        return error_set(err, STATUS_FAILED, "start goes from %d to %d, the rows from 0 to %d",
                         n < 0 ? -1 : start.data[0], n < 0 ? -1 : start.data[n], rows);
    for (int64_t s = 0; s < n; s++) {
        int length = start.data[s + 1] - start.data[s];
        if (length <= 0 || length > max_len)
            return error_set(err, STATUS_FAILED, "start[%lld] begins a sequence of %d, not of 1 to %d",
                             (long long)s, length, max_len);
    }
    return STATUS_OK;
}

/* Every position that is read or written has a page. */
static status paged(ivec start, ivec slot, ivec cached, ivec page_table, int table_width, int n_page,
                    int rows, error *err) {
    TRY(covers(start, rows, rows, err));
    TRY(within("slot", slot, start.n - 1, table_width > 0 ? page_table.n / table_width : 0, err));
    for (int64_t s = 0; s < start.n - 1; s++) {
        int64_t length = (int64_t)cached.data[s] + start.data[s + 1] - start.data[s];
        if (cached.data[s] < 0 || length > (int64_t)table_width * KV_PAGE)
            return error_set(err, STATUS_FAILED, "sequence %lld has %d cached and %lld in all, not 0 to %lld",
                             (long long)s, cached.data[s], (long long)length,
                             (long long)table_width * KV_PAGE);
        ivec row = {page_table.data + (int64_t)slot.data[s] * table_width, table_width};
        TRY(within("page_table's row", row, (length + KV_PAGE - 1) / KV_PAGE, n_page, err));
    }
    return STATUS_OK;
}

static status rising(const char *what, ivec index, int64_t n, error *err) {
    for (int64_t i = 1; i < n; i++)
        if (index.data[i] < index.data[i - 1])
            return error_set(err, STATUS_FAILED, "%s[%lld] is %d, after %d", what, (long long)i,
                             index.data[i], index.data[i - 1]);
    return STATUS_OK;
}

/* order sorts the ids, and equal ones by their place. */
static status sorts(ivec order, ivec id, error *err) {
    TRY(within("order", order, order.n, order.n, err));
    for (int64_t i = 1; i < order.n; i++) {
        int32_t a = order.data[i - 1], b = order.data[i];
        if (id.data[a] > id.data[b] || (id.data[a] == id.data[b] && a >= b))
            return error_set(err, STATUS_FAILED, "order[%lld] is %d, after %d: not sorted by id",
                             (long long)i, b, a);
    }
    return STATUS_OK;
}

#define WITHIN(v, n, bound) within(#v, o->v, (n), (bound), err)

static status targets_within(ivec target, int rows, int n_vocab, error *err) {
    return target.data ? within("target", target, rows, n_vocab, err) : STATUS_OK;
}

status contract_check_indices(op_id id, const void *operands, error *err) {
    switch (id) {
    case OP_rope: {
        const struct op_rope *o = operands;
        return WITHIN(position, o->x.rows, o->cosine.rows);
    }
    case OP_embed: {
        const struct op_embed *o = operands;
        TRY(WITHIN(token, o->out.rows, o->token_table.rows));
        return o->position_table.data ? WITHIN(position, o->out.rows, o->position_table.rows) : STATUS_OK;
    }
    case OP_embed_dw: {
        const struct op_embed_dw *o = operands;
        TRY(WITHIN(id, o->dout.rows, o->d_table.rows));
        return sorts(o->order, o->id, err);
    }
    case OP_rows_gather: {
        const struct op_rows_gather *o = operands;
        return WITHIN(index, o->out.rows, o->x.rows);
    }
    case OP_rows_add: {
        const struct op_rows_add *o = operands;
        TRY(WITHIN(index, o->in.rows, o->x.rows));
        return rising("index", o->index, o->in.rows, err);
    }
    case OP_attention: {
        const struct op_attention *o = operands;
        return covers(o->start, o->qkv.rows, o->max_len, err);
    }
    case OP_attention_dx: {
        const struct op_attention_dx *o = operands;
        return covers(o->start, o->qkv.rows, o->max_len, err);
    }
    case OP_kv_write: {
        const struct op_kv_write *o = operands;
        return paged(o->start, o->slot, o->cached, o->page_table, o->table_width, o->pages.rows, o->qkv.rows,
                     err);
    }
    case OP_attention_paged: {
        const struct op_attention_paged *o = operands;
        return paged(o->start, o->slot, o->cached, o->page_table, o->table_width, o->pages.rows, o->qkv.rows,
                     err);
    }
    case OP_vocab: {
        const struct op_vocab *o = operands;
        return targets_within(o->target, o->hidden.rows, o->n_vocab, err);
    }
    case OP_vocab_dx: {
        const struct op_vocab_dx *o = operands;
        return targets_within(o->target, o->hidden.rows, o->n_vocab, err);
    }
    default:
        return STATUS_OK;
    }
}
