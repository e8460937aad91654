#include "core/ops/far/contract.h"

typedef struct check {
    const device *sizes;
    error *err;
    status code;
} check;

static void same(check *c, const char *what, int64_t a, const char *other, int64_t b) {
    if (a != b && c->code == STATUS_OK)
        c->code = error_set(c->err, STATUS_FAILED, "%s is %lld, %s is %lld", what, (long long)a, other,
                            (long long)b);
}

static void holds(check *c, const char *what, int64_t n, const char *needed, int64_t count) {
    if (n < count && c->code == STATUS_OK)
        c->code = error_set(c->err, STATUS_FAILED, "%s holds %lld, %s is %lld", what, (long long)n, needed,
                            (long long)count);
}

/* In functions with the op's struct in o. Vectors may be longer than what is used of them. */
#define SAME(a, b) same(c, #a, (int64_t)(o->a), #b, (int64_t)(o->b))
#define SAME_SHAPE(a, b)                                                                                     \
    do {                                                                                                     \
        SAME(a.rows, b.rows);                                                                                \
        SAME(a.cols, b.cols);                                                                                \
    } while (0)
#define HOLDS(v, count) holds(c, #v, o->v.n, #count, (int64_t)(o->count))
#define HOLDS_IF(v, count)                                                                                   \
    do {                                                                                                     \
        if (o->v.data) HOLDS(v, count);                                                                      \
    } while (0)
#define SHAPES(name) static void shapes_##name(check *c, const struct op_##name *o)

static void holds_scratch(check *c, vec scratch, struct scratch_need need) {
    holds(c, "scratch", scratch.n, "what ops->scratch asks for", c->sizes->ops->scratch(c->sizes, &need));
}

static void holds_forward(check *c, const weight *w) {
    holds(c, "w.forward", w->forward.n, "its pack",
          c->sizes->ops->forward_pack(c->sizes, w->type, w->w.rows, w->w.cols));
}

static void holds_backward(check *c, const weight *w) {
    holds(c, "w.backward", w->backward.n, "its pack",
          c->sizes->ops->backward_pack(c->sizes, w->type, w->w.rows, w->w.cols));
}

/* ---- products ---- */

SHAPES(linear) {
    SAME(y.rows, x.rows);
    SAME(y.cols, w.w.rows);
    SAME(x.cols, w.w.cols);
    HOLDS_IF(bias, y.cols);
    if (o->add.data) SAME_SHAPE(add, y);
    holds_forward(c, &o->w);
}

SHAPES(linear_dx) {
    SAME(dx.rows, dy.rows);
    SAME(dx.cols, w.w.cols);
    SAME(dy.cols, w.w.rows);
    if (o->add.data) SAME_SHAPE(add, dx);
    holds_backward(c, &o->w);
}

SHAPES(linear_dw) {
    SAME(dw.rows, dy.cols);
    SAME(dw.cols, x.cols);
    SAME(dy.rows, x.rows);
    HOLDS_IF(db, dw.rows);
    int cols = o->dw.cols > o->dw.rows ? o->dw.cols : o->dw.rows;
    holds_scratch(
        c, o->scratch,
        (struct scratch_need){.max_token = o->x.rows, .max_cols = cols, .backward = 1, .type = o->x.type});
}

SHAPES(weights_pack) {
    holds_forward(c, &o->w);
    if (o->w.backward.n > 0) holds_backward(c, &o->w);
}

/* ---- rows ---- */

SHAPES(norm) {
    SAME_SHAPE(y, x);
    HOLDS(gain, x.cols);
    HOLDS_IF(bias, x.cols);
    HOLDS_IF(mean, x.rows);
    HOLDS_IF(rstd, x.rows);
}

SHAPES(norm_dx) {
    SAME_SHAPE(dx, x);
    SAME_SHAPE(dy, x);
    HOLDS(gain, x.cols);
    HOLDS_IF(dgain, x.cols);
    HOLDS_IF(dbias, x.cols);
    HOLDS(rstd, x.rows);
    if (o->kind == NORM_LAYER) HOLDS(mean, x.rows);
}

static void shape_of_normed(check *c, mat x, int n_head, mat rstd) {
    same(c, "x.cols modulo n_head", n_head > 0 ? x.cols % n_head : -1, "an even share", 0);
    if (!rstd.data) return;
    same(c, "rstd.rows", rstd.rows, "x.rows", x.rows);
    same(c, "rstd.cols", rstd.cols, "n_head", n_head);
}

SHAPES(head_norm) {
    SAME_SHAPE(y, x);
    shape_of_normed(c, o->x, o->n_head, o->rstd);
    if (o->n_head > 0) HOLDS(gain, x.cols / o->n_head);
}

SHAPES(head_norm_dx) {
    SAME_SHAPE(dx, x);
    SAME_SHAPE(dy, x);
    SAME(rstd.rows, x.rows);
    shape_of_normed(c, o->x, o->n_head, o->rstd);
    if (o->n_head > 0) HOLDS(gain, x.cols / o->n_head);
    if (o->n_head > 0) HOLDS_IF(dgain, x.cols / o->n_head);
}

SHAPES(gelu) { SAME_SHAPE(y, x); }

SHAPES(gelu_dx) {
    SAME_SHAPE(dx, x);
    SAME_SHAPE(dy, x);
}

SHAPES(glu) {
    SAME(y.rows, x.rows);
    same(c, "2 y.cols", 2 * (int64_t)o->y.cols, "x.cols", o->x.cols);
}

SHAPES(glu_dx) {
    SAME_SHAPE(dx, x);
    SAME(dy.rows, x.rows);
    same(c, "2 dy.cols", 2 * (int64_t)o->dy.cols, "x.cols", o->x.cols);
}

SHAPES(rope) {
    holds(c, "a row of x", o->x.cols, "n_rotated head_dim", (int64_t)o->n_rotated * o->head_dim);
    SAME_SHAPE(cosine, sine);
    same(c, "2 cosine.cols", 2 * (int64_t)o->cosine.cols, "head_dim", o->head_dim);
    HOLDS(position, x.rows);
}

SHAPES(add) {
    SAME_SHAPE(out, b);
    if (o->a.data) SAME_SHAPE(out, a);
    if (o->dropout > 0) {
        HOLDS(sequence, b.rows);
        HOLDS(position, b.rows);
    }
}

SHAPES(scale) { SAME_SHAPE(y, x); }

SHAPES(embed) {
    SAME(out.cols, token_table.cols);
    HOLDS(token, out.rows);
    if (o->position_table.data) {
        SAME(out.cols, position_table.cols);
        HOLDS(position, out.rows);
    }
}

SHAPES(embed_dw) {
    SAME(d_table.cols, dout.cols);
    HOLDS(id, dout.rows);
    SAME(order.n, dout.rows);
}

SHAPES(rows_gather) {
    SAME(out.cols, x.cols);
    HOLDS(index, out.rows);
}

SHAPES(rows_add) {
    SAME(x.cols, in.cols);
    HOLDS(index, in.rows);
}

/* ---- attention ---- */

static void shape_of_heads(check *c, struct attention_shape s, int qkv_cols) {
    same(c, "n_head modulo n_kv_head", s.n_head % s.n_kv_head, "an even share", 0);
    holds(c, "window", s.window, "the least", 0);
    same(c, "qkv.cols", qkv_cols, "(n_head + 2 n_kv_head) head_dim",
         (int64_t)(s.n_head + 2 * s.n_kv_head) * s.head_dim);
}

static void shape_of_output(check *c, struct attention_shape s, mat out, mat qkv) {
    same(c, "out.rows", out.rows, "qkv.rows", qkv.rows);
    same(c, "out.cols", out.cols, "n_head head_dim", (int64_t)s.n_head * s.head_dim);
}

static void shape_of_pages(check *c, struct attention_shape s, int page_cols, ivec start, ivec slot,
                           ivec cached) {
    same(c, "pages.cols", page_cols, "2 n_kv_head head_dim 64",
         (int64_t)2 * s.n_kv_head * s.head_dim * KV_PAGE);
    holds(c, "slot", slot.n, "start.n - 1", start.n - 1);
    holds(c, "cached", cached.n, "start.n - 1", start.n - 1);
}

SHAPES(attention) {
    shape_of_heads(c, o->shape, o->qkv.cols);
    shape_of_output(c, o->shape, o->out, o->qkv);
    if (o->lse.data) {
        SAME(lse.rows, qkv.rows);
        SAME(lse.cols, shape.n_head);
    }
    holds_scratch(
        c, o->scratch,
        (struct scratch_need){.max_len = o->max_len, .head_dim = o->shape.head_dim, .type = o->qkv.type});
}

SHAPES(attention_dx) {
    shape_of_heads(c, o->shape, o->qkv.cols);
    shape_of_output(c, o->shape, o->out, o->qkv);
    SAME_SHAPE(dqkv, qkv);
    SAME_SHAPE(dout, out);
    SAME(lse.rows, qkv.rows);
    SAME(lse.cols, shape.n_head);
    holds_scratch(
        c, o->scratch,
        (struct scratch_need){
            .max_len = o->max_len, .head_dim = o->shape.head_dim, .backward = 1, .type = o->qkv.type});
}

SHAPES(kv_write) {
    shape_of_heads(c, o->shape, o->qkv.cols);
    shape_of_pages(c, o->shape, o->pages.cols, o->start, o->slot, o->cached);
}

SHAPES(attention_paged) {
    shape_of_heads(c, o->shape, o->qkv.cols);
    shape_of_output(c, o->shape, o->out, o->qkv);
    shape_of_pages(c, o->shape, o->pages.cols, o->start, o->slot, o->cached);
}

/* ---- heads ---- */

static void shape_of_head(check *c, mat hidden, const weight *w, int n_vocab, vec scratch, int backward) {
    same(c, "hidden.cols", hidden.cols, "w.cols", w->w.cols);
    holds(c, "w", w->w.rows, "n_vocab", n_vocab);
    holds_forward(c, w);
    if (backward) holds_backward(c, w);
    holds_scratch(c, scratch,
                  (struct scratch_need){.max_row = hidden.rows,
                                        .width = hidden.cols,
                                        .vocab = n_vocab,
                                        .backward = backward,
                                        .type = hidden.type});
}

SHAPES(vocab) {
    shape_of_head(c, o->hidden, &o->w, o->n_vocab, o->scratch, 0);
    HOLDS_IF(target, hidden.rows);
    HOLDS_IF(logprob, hidden.rows);
    HOLDS_IF(entropy, hidden.rows);
    HOLDS_IF(lse, hidden.rows);
}

SHAPES(vocab_dx) {
    shape_of_head(c, o->hidden, &o->w, o->n_vocab, o->scratch, 1);
    if (o->dhidden.data) SAME_SHAPE(dhidden, hidden);
    if (o->dw.data) SAME_SHAPE(dw, w.w);
    HOLDS_IF(target, hidden.rows);
    HOLDS_IF(dlogprob, hidden.rows);
    HOLDS_IF(dentropy, hidden.rows);
    HOLDS_IF(logprob, hidden.rows);
    HOLDS_IF(entropy, hidden.rows);
    HOLDS_IF(lse, hidden.rows);
    if (!o->compute) HOLDS(lse, hidden.rows);
}

SHAPES(score) {
    HOLDS(score, hidden.rows);
    SAME(w.n, hidden.cols);
    if (o->bias.data) holds(c, "bias", o->bias.n, "what is read", 1);
}

SHAPES(score_dx) {
    if (o->dhidden.data) SAME_SHAPE(dhidden, hidden);
    SAME(w.n, hidden.cols);
    HOLDS_IF(dw, hidden.cols);
    HOLDS(dscore, hidden.rows);
    if (o->dbias.data) holds(c, "dbias", o->dbias.n, "what is written", 1);
}

SHAPES(sample) {
    shape_of_head(c, o->hidden, &o->w, o->n_vocab, o->scratch, 0);
    HOLDS(token, hidden.rows);
    HOLDS_IF(logprob, hidden.rows);
    if (!o->greedy) {
        HOLDS(sequence, hidden.rows);
        HOLDS(position, hidden.rows);
    }
}

/* ---- vectors ---- */

SHAPES(adamw) {
    SAME(g.n, p.n);
    SAME(m.n, p.n);
    SAME(v.n, p.n);
}

SHAPES(sumsq) {
    holds(c, "partial", o->partial.n, "the number of chunks", (o->x.n + SUMSQ_CHUNK - 1) / SUMSQ_CHUNK);
}

SHAPES(axpby) { SAME(x.n, y.n); }
SHAPES(lerp) { SAME(x.n, y.n); }

SHAPES(fill) {
    (void)c;
    (void)o;
}

status contract_check_shapes(op_id id, const void *operands, const device *sizes, error *err) {
    check c = {sizes, err, STATUS_OK};
    switch (id) {
#define CHECK(name)                                                                                          \
    case OP_##name:                                                                                          \
        shapes_##name(&c, operands);                                                                         \
        break;
        OPS_LIST(CHECK)
    case OP_COUNT:
        break;
    }
    return c.code;
}
