/* What memory an op's struct names: for backends that check or translate addresses. */
#include "core/ops/ops.h"

struct visitor {
    op_visit *visit;
    void *context;
};

static void visit_elements(const struct visitor *v, void **pointer, int64_t n, size_t size) {
    if (*pointer && n > 0) v->visit(v->context, pointer, (size_t)n * size);
}

/* The pointer goes through a void *, as visitors replace it whatever its type. */
#define VISIT(v, operand, count, size)                                                                       \
    do {                                                                                                     \
        void *pointer_ = (operand)->data;                                                                    \
        visit_elements((v), &pointer_, (count), (size));                                                     \
        (operand)->data = pointer_;                                                                          \
    } while (0)

static void visit_mat(const struct visitor *v, mat *m) {
    VISIT(v, m, m->rows > 0 && m->cols > 0 ? (m->rows - 1) * m->ld + m->cols : 0, dtype_size(m->type));
}
static void visit_vec(const struct visitor *v, vec *x) { VISIT(v, x, x->n, sizeof *x->data); }
static void visit_ivec(const struct visitor *v, ivec *x) { VISIT(v, x, x->n, sizeof *x->data); }
static void visit_lvec(const struct visitor *v, lvec *x) { VISIT(v, x, x->n, sizeof *x->data); }
static void visit_weight(const struct visitor *v, weight *w) {
    visit_mat(v, &w->w);
    visit_vec(v, &w->forward);
    visit_vec(v, &w->backward);
}

/* One operand, by its type. */
#define OPERAND(field)                                                                                       \
    _Generic((o->field), mat                                                                                 \
             : visit_mat, vec                                                                                \
             : visit_vec, ivec                                                                               \
             : visit_ivec, lvec                                                                              \
             : visit_lvec, weight                                                                            \
             : visit_weight)(v, &o->field);
#define FIELDS_1(a)       OPERAND(a)
#define FIELDS_2(a, ...)  OPERAND(a) FIELDS_1(__VA_ARGS__)
#define FIELDS_3(a, ...)  OPERAND(a) FIELDS_2(__VA_ARGS__)
#define FIELDS_4(a, ...)  OPERAND(a) FIELDS_3(__VA_ARGS__)
#define FIELDS_5(a, ...)  OPERAND(a) FIELDS_4(__VA_ARGS__)
#define FIELDS_6(a, ...)  OPERAND(a) FIELDS_5(__VA_ARGS__)
#define FIELDS_7(a, ...)  OPERAND(a) FIELDS_6(__VA_ARGS__)
#define FIELDS_8(a, ...)  OPERAND(a) FIELDS_7(__VA_ARGS__)
#define FIELDS_9(a, ...)  OPERAND(a) FIELDS_8(__VA_ARGS__)
#define FIELDS_10(a, ...) OPERAND(a) FIELDS_9(__VA_ARGS__)
#define FIELDS_11(a, ...) OPERAND(a) FIELDS_10(__VA_ARGS__)
#define OPERANDS(name, n, ...)                                                                               \
    static void visit_##name(void *operands, const struct visitor *v) {                                      \
        struct op_##name *o = operands;                                                                      \
        FIELDS_##n(__VA_ARGS__)                                                                              \
    }

OPERANDS(linear, 5, y, x, w, bias, add)
OPERANDS(linear_dx, 4, dx, dy, w, add)
OPERANDS(linear_dw, 5, dw, dy, x, db, scratch)
OPERANDS(weights_pack, 1, w)
OPERANDS(norm, 6, y, x, gain, bias, mean, rstd)
OPERANDS(norm_dx, 8, dx, dy, x, gain, dgain, dbias, mean, rstd)
OPERANDS(head_norm, 4, y, x, gain, rstd)
OPERANDS(head_norm_dx, 6, dx, dy, x, rstd, gain, dgain)
OPERANDS(gelu, 2, y, x)
OPERANDS(gelu_dx, 3, dx, dy, x)
OPERANDS(glu, 2, y, x)
OPERANDS(glu_dx, 3, dx, dy, x)
OPERANDS(rope, 4, x, cosine, sine, position)
OPERANDS(add, 5, out, a, b, sequence, position)
OPERANDS(scale, 2, y, x)
OPERANDS(embed, 5, out, token_table, position_table, token, position)
OPERANDS(embed_dw, 4, d_table, dout, id, order)
OPERANDS(rows_gather, 3, out, x, index)
OPERANDS(rows_add, 3, x, in, index)
OPERANDS(attention, 5, out, lse, qkv, start, scratch)
OPERANDS(attention_dx, 7, dqkv, dout, out, lse, qkv, start, scratch)
OPERANDS(kv_write, 6, pages, qkv, start, slot, cached, page_table)
OPERANDS(attention_paged, 7, out, qkv, pages, start, slot, cached, page_table)
OPERANDS(vocab, 7, hidden, w, target, logprob, entropy, lse, scratch)
OPERANDS(vocab_dx, 11, dhidden, dw, hidden, w, target, logprob, entropy, lse, dlogprob, dentropy, scratch)
OPERANDS(score, 4, score, w, bias, hidden)
OPERANDS(score_dx, 6, dhidden, hidden, dw, dbias, w, dscore)
OPERANDS(sample, 7, token, logprob, hidden, w, sequence, position, scratch)
OPERANDS(adamw, 4, p, g, m, v)
OPERANDS(sumsq, 2, partial, x)
OPERANDS(axpby, 2, y, x)
OPERANDS(lerp, 2, y, x)
OPERANDS(fill, 1, y)

void op_visit_operands(op_id id, void *operands, op_visit *visit, void *context) {
    struct visitor v = {visit, context};
    switch (id) {
#define OPERANDS_CASE(name)                                                                                  \
    case OP_##name:                                                                                          \
        visit_##name(operands, &v);                                                                          \
        break;
        OPS_LIST(OPERANDS_CASE)
    case OP_COUNT:
        break;
    }
}
