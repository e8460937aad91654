#include <stddef.h>

#include "core/ops/far/contract.h"

enum kind { ACTIVATION, PARAMETER, WEIGHT };

#define ACTIVATION(op, field)                                                                                \
    { OP_##op, ACTIVATION, offsetof(struct op_##op, field), #field }
#define PARAMETER(op, field)                                                                                 \
    { OP_##op, PARAMETER, offsetof(struct op_##op, field), #field }
#define WEIGHT(op)                                                                                           \
    { OP_##op, WEIGHT, offsetof(struct op_##op, w), "w" }

/* Every operand that has a type. */
static const struct typed {
    op_id id;
    enum kind kind;
    size_t offset;
    const char *name;
} typed[] = {
    ACTIVATION(linear, y),
    ACTIVATION(linear, x),
    ACTIVATION(linear, add),
    WEIGHT(linear),
    ACTIVATION(linear_dx, dx),
    ACTIVATION(linear_dx, dy),
    ACTIVATION(linear_dx, add),
    WEIGHT(linear_dx),
    ACTIVATION(linear_dw, dy),
    ACTIVATION(linear_dw, x),
    PARAMETER(linear_dw, dw),
    WEIGHT(weights_pack),

    ACTIVATION(norm, y),
    ACTIVATION(norm, x),
    ACTIVATION(norm_dx, dx),
    ACTIVATION(norm_dx, dy),
    ACTIVATION(norm_dx, x),
    ACTIVATION(head_norm, y),
    ACTIVATION(head_norm, x),
    PARAMETER(head_norm, rstd),
    ACTIVATION(head_norm_dx, dx),
    ACTIVATION(head_norm_dx, dy),
    ACTIVATION(head_norm_dx, x),
    PARAMETER(head_norm_dx, rstd),
    ACTIVATION(gelu, y),
    ACTIVATION(gelu, x),
    ACTIVATION(gelu_dx, dx),
    ACTIVATION(gelu_dx, dy),
    ACTIVATION(gelu_dx, x),
    ACTIVATION(glu, y),
    ACTIVATION(glu, x),
    ACTIVATION(glu_dx, dx),
    ACTIVATION(glu_dx, dy),
    ACTIVATION(glu_dx, x),
    ACTIVATION(rope, x),
    PARAMETER(rope, cosine),
    PARAMETER(rope, sine),
    ACTIVATION(add, out),
    ACTIVATION(add, a),
    ACTIVATION(add, b),
    ACTIVATION(scale, y),
    ACTIVATION(scale, x),
    ACTIVATION(embed, out),
    PARAMETER(embed, token_table),
    PARAMETER(embed, position_table),
    ACTIVATION(embed_dw, dout),
    PARAMETER(embed_dw, d_table),
    ACTIVATION(rows_gather, out),
    ACTIVATION(rows_gather, x),
    ACTIVATION(rows_add, x),
    ACTIVATION(rows_add, in),

    ACTIVATION(attention, out),
    ACTIVATION(attention, qkv),
    PARAMETER(attention, lse),
    ACTIVATION(attention_dx, dqkv),
    ACTIVATION(attention_dx, dout),
    ACTIVATION(attention_dx, out),
    ACTIVATION(attention_dx, qkv),
    PARAMETER(attention_dx, lse),
    ACTIVATION(kv_write, pages),
    ACTIVATION(kv_write, qkv),
    ACTIVATION(attention_paged, out),
    ACTIVATION(attention_paged, qkv),
    ACTIVATION(attention_paged, pages),

    ACTIVATION(vocab, hidden),
    WEIGHT(vocab),
    ACTIVATION(vocab_dx, dhidden),
    ACTIVATION(vocab_dx, hidden),
    PARAMETER(vocab_dx, dw),
    WEIGHT(vocab_dx),
    ACTIVATION(score, hidden),
    ACTIVATION(score_dx, dhidden),
    ACTIVATION(score_dx, hidden),
    ACTIVATION(sample, hidden),
    WEIGHT(sample),
};

static const char *type_name(dtype type) { return type == TYPE_BF16 ? "bf16" : "f32"; }

static status check_f32(const char *name, mat m, error *err) {
    if (!m.data || m.type == TYPE_F32) return STATUS_OK;
    return error_set(err, STATUS_FAILED, "%s is %s, must be f32", name, type_name(m.type));
}

status contract_check_types(op_id id, const void *operands, error *err) {
    const struct typed *first = NULL;
    dtype type = TYPE_F32;
    for (size_t i = 0; i < sizeof typed / sizeof *typed; i++) {
        const struct typed *t = &typed[i];
        const char *at = (const char *)operands + t->offset;
        if (t->id != id) continue;
        const weight *w = (const void *)at;
        const mat *m = t->kind == WEIGHT ? &w->w : (const mat *)(const void *)at;
        if (t->kind != ACTIVATION) TRY(check_f32(t->name, *m, err));
        if (t->kind == PARAMETER || (t->kind == ACTIVATION && !m->data)) continue;
        dtype here = t->kind == WEIGHT ? w->type : m->type;
        if (first && here != type)
            return error_set(err, STATUS_FAILED, "%s is %s, %s is %s", t->name, type_name(here), first->name,
                             type_name(type));
        first = t, type = here;
    }
    return STATUS_OK;
}
