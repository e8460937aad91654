#include "core/ops/far/operand_names.h"

#include <stddef.h>
#include <string.h>

static const char *const op_names[OP_COUNT] = {
#define OP_NAME(name) [OP_##name] = #name,
    OPS_LIST(OP_NAME)
#undef OP_NAME
};

const char *op_name(op_id id) { return op_names[id]; }

#define N(op, field)                                                                                         \
    { OP_##op, offsetof(struct op_##op, field), #field }
#define N_WEIGHT(op) N(op, w.w), N(op, w.forward), N(op, w.backward)

static const struct operand {
    op_id id;
    size_t offset;
    const char *name;
} operands[] = {
    N(linear, y),
    N(linear, x),
    N_WEIGHT(linear),
    N(linear, bias),
    N(linear, add),

    N(linear_dx, dx),
    N(linear_dx, dy),
    N_WEIGHT(linear_dx),
    N(linear_dx, add),

    N(linear_dw, dw),
    N(linear_dw, dy),
    N(linear_dw, x),
    N(linear_dw, db),
    N(linear_dw, scratch),

    N_WEIGHT(weights_pack),

    N(norm, y),
    N(norm, x),
    N(norm, gain),
    N(norm, bias),
    N(norm, mean),
    N(norm, rstd),

    N(norm_dx, dx),
    N(norm_dx, dy),
    N(norm_dx, x),
    N(norm_dx, gain),
    N(norm_dx, dgain),
    N(norm_dx, dbias),
    N(norm_dx, mean),
    N(norm_dx, rstd),

    N(head_norm, y),
    N(head_norm, x),
    N(head_norm, gain),
    N(head_norm, rstd),

    N(head_norm_dx, dx),
    N(head_norm_dx, dy),
    N(head_norm_dx, x),
    N(head_norm_dx, rstd),
    N(head_norm_dx, gain),
    N(head_norm_dx, dgain),

    N(gelu, y),
    N(gelu, x),
    N(gelu_dx, dx),
    N(gelu_dx, dy),
    N(gelu_dx, x),

    N(glu, y),
    N(glu, x),
    N(glu_dx, dx),
    N(glu_dx, dy),
    N(glu_dx, x),

    N(rope, x),
    N(rope, cosine),
    N(rope, sine),
    N(rope, position),

    N(add, out),
    N(add, a),
    N(add, b),
    N(add, sequence),
    N(add, position),

    N(scale, y),
    N(scale, x),

    N(embed, out),
    N(embed, token_table),
    N(embed, position_table),
    N(embed, token),
    N(embed, position),

    N(embed_dw, d_table),
    N(embed_dw, dout),
    N(embed_dw, id),
    N(embed_dw, order),

    N(rows_gather, out),
    N(rows_gather, x),
    N(rows_gather, index),

    N(rows_add, x),
    N(rows_add, in),
    N(rows_add, index),

    N(attention, out),
    N(attention, lse),
    N(attention, qkv),
    N(attention, start),
    N(attention, scratch),

    N(attention_dx, dqkv),
    N(attention_dx, dout),
    N(attention_dx, out),
    N(attention_dx, lse),
    N(attention_dx, qkv),
    N(attention_dx, start),
    N(attention_dx, scratch),

    N(kv_write, pages),
    N(kv_write, qkv),
    N(kv_write, start),
    N(kv_write, slot),
    N(kv_write, cached),
    N(kv_write, page_table),

    N(attention_paged, out),
    N(attention_paged, qkv),
    N(attention_paged, pages),
    N(attention_paged, start),
    N(attention_paged, slot),
    N(attention_paged, cached),
    N(attention_paged, page_table),

    N(vocab, hidden),
    N_WEIGHT(vocab),
    N(vocab, target),
    N(vocab, logprob),
    N(vocab, entropy),
    N(vocab, lse),
    N(vocab, scratch),

    N(vocab_dx, dhidden),
    N(vocab_dx, dw),
    N(vocab_dx, hidden),
    N_WEIGHT(vocab_dx),
    N(vocab_dx, target),
    N(vocab_dx, logprob),
    N(vocab_dx, entropy),
    N(vocab_dx, lse),
    N(vocab_dx, dlogprob),
    N(vocab_dx, dentropy),
    N(vocab_dx, scratch),

    N(score, score),
    N(score, w),
    N(score, bias),
    N(score, hidden),

    N(score_dx, dhidden),
    N(score_dx, hidden),
    N(score_dx, dw),
    N(score_dx, dbias),
    N(score_dx, w),
    N(score_dx, dscore),

    N(sample, token),
    N(sample, logprob),
    N(sample, hidden),
    N_WEIGHT(sample),
    N(sample, sequence),
    N(sample, position),
    N(sample, scratch),

    N(adamw, p),
    N(adamw, g),
    N(adamw, m),
    N(adamw, v),

    N(sumsq, partial),
    N(sumsq, x),
    N(axpby, y),
    N(axpby, x),
    N(lerp, y),
    N(lerp, x),
    N(fill, y),
};

const char *operand_name(op_id id, const void *of, const void *address) {
    for (size_t i = 0; i < sizeof operands / sizeof operands[0]; i++) {
        const void *data; /* the first member of every operand */
        if (operands[i].id != id) continue;
        memcpy(&data, (const char *)of + operands[i].offset, sizeof data);
        if (data == address) return operands[i].name;
    }
    return "?";
}
