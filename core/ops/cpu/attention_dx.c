/* Attention's gradient: one pass for each sequence and key head, in 64 x 64 blocks of probabilities, which
   are computed again from the scores and the kept log-sum-exp (Dao et al. 2022, algorithm 4):

       p = exp(q k - lse)    dv += p^T do    dp = do v^T    ds = p (dp - do . o)    dq += ds k    dk += ds^T q

   Key blocks ascend, and for each the query blocks that see it; a sum is one chain over them. */
#include "core/ops/cpu/attention_dx.h"

#include <omp.h>
#include <string.h>

#include "core/ops/cpu/micro.h"
#include "core/ops/cpu/threads.h"
#include "core/ops/cpu/transpose.h"

enum { BLOCK = KV_PAGE, BLOCK_VECS = BLOCK / LANES };

/* One sequence and key head in a thread's scratch. Everything is held in blocks of 64 positions, one block
   block_floats behind the other: rows [64, head_dim], or transposed [head_dim, 64]. q is scaled. */
struct unit {
    float *keys_t, *values_t, *keys, *q, *dout, *dq, *dk, *dv;
    float *lse, *delta; /* [n_block 64]; delta = do . o */
    float *p, *ds;      /* [64, 64] */
    int64_t block_floats;
    int n_token, head_dim, window;
};

static int blocks_of(int n_token) { return (n_token + BLOCK - 1) / BLOCK; }

int64_t ELEM_NAME(attention_dx_floats)(int max_len, int head_dim) {
    return blocks_of(max_len) * ((int64_t)8 * BLOCK * head_dim + 2 * BLOCK) + 2 * BLOCK * BLOCK;
}

static struct unit unit_in(float *scratch, int n_token, int head_dim) {
    struct unit u = {.n_token = n_token, .head_dim = head_dim, .block_floats = (int64_t)BLOCK * head_dim};
    int64_t n_block = blocks_of(n_token);
    float **operand[] = {&u.keys_t, &u.values_t, &u.keys, &u.q, &u.dout, &u.dq, &u.dk, &u.dv};
    for (size_t i = 0; i < sizeof operand / sizeof *operand; i++) {
        *operand[i] = scratch;
        scratch += n_block * u.block_floats;
    }
    u.lse = scratch;
    u.delta = u.lse + n_block * BLOCK;
    u.p = u.delta + n_block * BLOCK;
    u.ds = u.p + BLOCK * BLOCK;
    return u;
}

static int block_rows(const struct unit *u, int block) {
    return (int)min_of(BLOCK, u->n_token - block * BLOCK);
}

static void zero(float *x, int64_t n) { memset(x, 0, (size_t)n * sizeof *x); }

/* to[n_token, head_dim] = scale x from[n_token rows ld apart], and the way back. */
static void take_scaled(const struct unit *u, float *to, const elem *from, int64_t ld, float scale) {
    v16 s = v_set(scale);
    for (int i = 0; i < u->n_token; i++, to += u->head_dim, from += ld)
        FOR_LANES(u->head_dim, j, k) v_store_n(to + j, v_mul(e_load_n(from + j, k), s), k);
}

static void give_scaled(const struct unit *u, elem *to, int64_t ld, const float *from, float scale) {
    v16 s = v_set(scale);
    for (int i = 0; i < u->n_token; i++, to += ld, from += u->head_dim)
        FOR_LANES(u->head_dim, j, k) e_store_n(to + j, v_mul(v_load_n(from + j, k), s), k);
}

static void transpose_blocks(const struct unit *u, float *to, const float *from) {
    for (int b = 0; b < blocks_of(u->n_token); b++) ISA_NAME(cpu_transpose)
    (from + b * u->block_floats, u->head_dim, block_rows(u, b), u->head_dim, to + b * u->block_floats, BLOCK);
}

static float dot(const float *a, const elem *b, int n) {
    v16 sum = v_set(0);
    FOR_LANES(n, i, k) sum = v_fma(v_load_n(a + i, k), e_load_n(b + i, k), sum);
    return v_sum(sum);
}

/* Keys of block b that the row at `position` sees: [*first, *end) of the block. */
static void seen_keys(const struct unit *u, int b, int position, int *first, int *end) {
    *first = u->window > 0 ? (int)max_of(0, position - u->window + 1 - b * BLOCK) : 0;
    *end = (int)min_of(BLOCK, position + 1 - b * BLOCK);
}

/* Lanes [first, end) of a, counted from its place j in the block; the others are zero. */
static v16 keep_seen(v16 a, int j, int first, int end) {
    if (end < j + LANES) a = v_keep(a, (int)max_of(0, end - j));
    if (first > j) a = v_where_less(v_iota(), v_set((float)(first - j)), v_set(0), a);
    return a;
}

/* Query rows [i, i + rows) of block c against key block b: p and ds, and dq. On the diagonal a row sees keys
   up to its own. */
static void query_tile(const struct unit *u, int b, int c, int i, int rows) {
    int d = u->head_dim, n_key = b == c ? i + rows : BLOCK;
    int64_t at = c * u->block_floats + (int64_t)i * d;
    float *p = u->p + i * BLOCK, *ds = u->ds + i * BLOCK;
    struct micro score = {.a = u->q + at,
                          .b = u->keys_t + b * u->block_floats,
                          .out = p,
                          .ld_a = d,
                          .ld_b = BLOCK,
                          .ld_out = BLOCK,
                          .rows = rows,
                          .cols = (int)round_up(n_key, LANES),
                          .depth = d};
    struct micro dp = score;
    dp.a = u->dout + at, dp.b = u->values_t + b * u->block_floats, dp.out = ds;
    ISA_NAME(micro_product)(&score);
    ISA_NAME(micro_product)(&dp);
    for (int r = 0; r < rows; r++, p += BLOCK, ds += BLOCK) {
        int position = c * BLOCK + i + r, first, end;
        v16 lse = v_set(u->lse[position]), delta = v_set(u->delta[position]);
        seen_keys(u, b, position, &first, &end);
        for (int j = 0; j < n_key; j += LANES) {
            v16 e = keep_seen(v_exp(v_sub(v_load(p + j), lse)), j, first, end);
            v16 g = keep_seen(v_sub(v_load(ds + j), delta), j, first, end);
            v_store(p + j, e);
            v_store(ds + j, v_mul(e, g));
        }
    }
    ISA_NAME(micro_product)
    (&(struct micro){.a = u->ds + i * BLOCK,
                     .b = u->keys + b * u->block_floats,
                     .out = u->dq + at,
                     .ld_a = BLOCK,
                     .ld_b = d,
                     .ld_out = d,
                     .rows = rows,
                     .cols = d,
                     .depth = n_key,
                     .continued = 1});
}

/* Key rows [i, i + rows) of block b against the n_query rows of block c from `first` on: dv and dk. */
static void key_tile(const struct unit *u, int b, int c, int i, int rows, int first, int n_query) {
    int d = u->head_dim;
    int64_t from = c * u->block_floats + (int64_t)first * d, to = b * u->block_floats + (int64_t)i * d;
    struct micro dv = {.a = u->p + first * BLOCK + i,
                       .b = u->dout + from,
                       .out = u->dv + to,
                       .ld_a = BLOCK,
                       .ld_b = d,
                       .ld_out = d,
                       .rows = rows,
                       .cols = d,
                       .depth = n_query - first,
                       .continued = 1};
    struct micro dk = dv;
    dk.a = u->ds + first * BLOCK + i, dk.b = u->q + from, dk.out = u->dk + to;
    ISA_NAME(micro_product_t)(&dv);
    ISA_NAME(micro_product_t)(&dk);
}

static void block_pair(const struct unit *u, int b, int c) {
    int n_query = block_rows(u, c), n_key = block_rows(u, b);
    for (int i = 0; i < n_query; i += MICRO_ROWS)
        query_tile(u, b, c, i, (int)min_of(MICRO_ROWS, n_query - i));
    for (int i = 0; i < n_key; i += MICRO_ROWS)
        key_tile(u, b, c, i, (int)min_of(MICRO_ROWS, n_key - i), b == c ? i : 0, n_query);
}

/* Whether the first row of query block c, and with it any, sees a key of block b <= c. */
static int sees_block(const struct unit *u, int b, int c) {
    return u->window == 0 || c * BLOCK - u->window + 1 < (b + 1) * BLOCK;
}

/* The part of one query head. row: the sequence's first. */
static void query_head(struct unit *u, const struct op_attention_dx *o, int row, int head) {
    int d = u->head_dim, n_block = blocks_of(u->n_token);
    int64_t column = (int64_t)head * d;
    const elem *out = elem_row(o->out, row) + column;
    take_scaled(u, u->q, elem_row(o->qkv, row) + column, o->qkv.ld, o->shape.scale);
    take_scaled(u, u->dout, elem_row(o->dout, row) + column, o->dout.ld, 1);
    for (int i = 0; i < u->n_token; i++) {
        u->lse[i] = o->lse.data[(row + i) * o->lse.ld + head];
        u->delta[i] = dot(u->dout + (int64_t)i * d, out + i * o->out.ld, d);
    }
    zero(u->dq, n_block * u->block_floats);
    for (int b = 0; b < n_block; b++)
        for (int c = b; c < n_block && sees_block(u, b, c); c++) block_pair(u, b, c);
    give_scaled(u, elem_row(o->dqkv, row) + column, o->dqkv.ld, u->dq, o->shape.scale);
}

static void key_head(const struct op_attention_dx *o, int sequence, int head, float *scratch) {
    int row = o->start.data[sequence], d = o->shape.head_dim, group = o->shape.n_head / o->shape.n_kv_head;
    struct unit u = unit_in(scratch, o->start.data[sequence + 1] - row, d);
    u.window = o->shape.window;
    int64_t k = (int64_t)(o->shape.n_head + head) * d, v = k + (int64_t)o->shape.n_kv_head * d;
    const elem *qkv = elem_row(o->qkv, row);
    elem *dqkv = elem_row(o->dqkv, row);
    take_scaled(&u, u.keys, qkv + v, o->qkv.ld, 1); /* for a moment */
    transpose_blocks(&u, u.values_t, u.keys);
    take_scaled(&u, u.keys, qkv + k, o->qkv.ld, 1);
    transpose_blocks(&u, u.keys_t, u.keys);
    zero(u.dk, blocks_of(u.n_token) * u.block_floats);
    zero(u.dv, blocks_of(u.n_token) * u.block_floats);
    for (int g = 0; g < group; g++) query_head(&u, o, row, head * group + g);
    give_scaled(&u, dqkv + k, o->dqkv.ld, u.dk, 1);
    give_scaled(&u, dqkv + v, o->dqkv.ld, u.dv, 1);
}

static void key_heads(const struct op_attention_dx *o, int64_t *next) {
    int64_t n_head = o->shape.n_kv_head, n_unit = (o->start.n - 1) * n_head;
    float *scratch = o->scratch.data +
                     omp_get_thread_num() * ELEM_NAME(attention_dx_floats)(o->max_len, o->shape.head_dim);
    for (int64_t unit; (unit = take_unit(next)) < n_unit;)
        key_head(o, (int)(unit / n_head), (int)(unit % n_head), scratch);
}

void ELEM_NAME(cpu_attention_dx)(device *dev, const struct op_attention_dx *o) {
    int64_t work = 0, next = 0;
    for (int i = 0; i + 1 < o->start.n; i++) {
        int64_t n = o->start.data[i + 1] - o->start.data[i];
        work += n * n * o->shape.n_head * o->shape.head_dim / LANES * 3;
    }
    ON_THREADS(threads_for(dev, work), key_heads(o, &next));
}
