#include "core/ops/cpu/attention_tile.h"

#include <math.h>
#include <string.h>

enum { PAGE_VECS = KV_PAGE / LANES, STATE_FLOATS = 16384 };

struct tile {
    float *q, *out;           /* [rows, head_dim]: scaled queries; sums of p v, not yet divided */
    float (*sum)[LANES];      /* [rows]: sums of p by lane */
    float max[MICRO_ROWS];    /* largest score so far */
    int position[MICRO_ROWS]; /* the last key that a row sees */
    int first[MICRO_ROWS];    /* the first: 0, or where its window begins */
    int row, rows, head;      /* row: first of the tile among its key head's rows (token, query head) */
};

int ELEM_NAME(attention_tiles)(const struct attention_queries *s) {
    return (s->n_token * s->group + MICRO_ROWS - 1) / MICRO_ROWS;
}

static int tile_rows_max(const struct attention_queries *s) {
    return (int)min_of(MICRO_ROWS, s->n_token * s->group);
}

static int64_t tile_floats(const struct attention_queries *s) {
    return round_up((int64_t)tile_rows_max(s) * s->head_dim, LANES) * 2 + tile_rows_max(s) * LANES;
}

int ELEM_NAME(attention_walk)(const struct attention_queries *s) {
    return (int)min_of(ATTENTION_TILES, STATE_FLOATS / tile_floats(s));
}

static void tile_begin(struct tile *t, const struct attention_queries *s, int index, float *state) {
    int n_tile = ELEM_NAME(attention_tiles)(s), d = s->head_dim;
    int64_t floats = round_up((int64_t)tile_rows_max(s) * d, LANES);
    t->head = index / n_tile;
    t->row = index % n_tile * MICRO_ROWS;
    t->rows = (int)min_of(MICRO_ROWS, s->n_token * s->group - t->row);
    t->sum = (float(*)[LANES])state;
    t->q = state + tile_rows_max(s) * LANES;
    t->out = t->q + floats;
    v16 scale = v_set(s->scale);
    for (int r = 0; r < t->rows; r++) {
        int token = (t->row + r) / s->group, head = t->head * s->group + (t->row + r) % s->group;
        const elem *q = s->q + token * s->ld_q + (int64_t)head * d;
        FOR_LANES(d, i, k) v_store_n(t->q + r * d + i, v_mul(e_load_n(q + i, k), scale), k);
        t->position[r] = s->cached + token;
        t->first[r] = s->window > 0 ? (int)max_of(0, t->position[r] - s->window + 1) : 0;
        t->max[r] = -INFINITY;
        v_store(t->sum[r], v_set(0));
    }
    memset(t->out, 0, (size_t)(t->rows * d) * sizeof *t->out);
}

/* Scores of row r become probabilities relative to the largest so far; keys below `first` and from `limit` on
   do not count, and nothing is known of the scores of the latter. What was summed before is scaled to the new
   largest score. */
static void tile_softmax(struct tile *t, int r, float *score, int first, int limit, int head_dim) {
    v16 p[PAGE_VECS], highest = v_set(-INFINITY);
    UNROLL for (int j = 0; j < PAGE_VECS; j++) {
        p[j] = v_set(-INFINITY);
        if (j * LANES >= limit || (j + 1) * LANES <= first) continue;
        p[j] = v_load(score + j * LANES);
        if ((j + 1) * LANES > limit)
            p[j] = v_where_less(v_iota(), v_set((float)(limit - j * LANES)), p[j], v_set(-INFINITY));
        if (j * LANES < first)
            p[j] = v_where_less(v_iota(), v_set((float)(first - j * LANES)), v_set(-INFINITY), p[j]);
        highest = v_max(highest, p[j]);
    }
    float block_max = v_maximum(highest), max = block_max > t->max[r] ? block_max : t->max[r];
    v16 m = v_set(max);
    UNROLL for (int j = 0; j < PAGE_VECS; j++) {
        int seen = j * LANES < limit && (j + 1) * LANES > first;
        p[j] = seen ? v_exp(v_sub(p[j], m)) : v_set(0);
        v_store(score + j * LANES, p[j]);
    }
    v16 alpha = v_set(1);
    if (max != t->max[r]) {
        alpha = v_exp(v_set(t->max[r] - max));
        t->max[r] = max;
        float *out = t->out + r * head_dim;
        FOR_LANES(head_dim, i, k) v_store_n(out + i, v_mul(v_load_n(out + i, k), alpha), k);
    }
    v16 sum = v_add(v_add(p[0], p[1]), v_add(p[2], p[3]));
    v_store(t->sum[r], v_fma(v_load(t->sum[r]), alpha, sum));
}

/* One page: keys [head_dim, 64] transposed, values [64, head_dim]; next is what will be read after them. A
   row that sees none of its keys keeps its bytes, as if it had skipped the page. */
static void tile_step(struct tile *t, int page, const elem *keys, const elem *next, int head_dim) {
    float score[MICRO_ROWS * KV_PAGE] __attribute__((aligned(64)));
    const elem *values = keys + (int64_t)head_dim * KV_PAGE;
    int n_key = (int)min_of(KV_PAGE, t->position[t->rows - 1] + 1 - page * KV_PAGE);
    ISA_NAME(micro_product)
    (&(struct micro){.a = t->q,
                     .b = keys,
                     .out = score,
                     .type = ELEM_TYPE,
                     .ld_a = head_dim,
                     .ld_b = KV_PAGE,
                     .ld_out = KV_PAGE,
                     .rows = t->rows,
                     .cols = (int)round_up(n_key, LANES),
                     .depth = head_dim,
                     .next = values});
    for (int r = 0; r < t->rows; r++) {
        int limit = t->position[r] + 1 - page * KV_PAGE, first = t->first[r] - page * KV_PAGE;
        if (limit > 0 && first < KV_PAGE)
            tile_softmax(t, r, score + r * KV_PAGE, first, limit < KV_PAGE ? limit : KV_PAGE, head_dim);
        else
            memset(score + r * KV_PAGE, 0, KV_PAGE * sizeof *score);
    }
    ISA_NAME(micro_product)
    (&(struct micro){.a = score,
                     .b = values,
                     .out = t->out,
                     .type = ELEM_TYPE,
                     .ld_a = KV_PAGE,
                     .ld_b = head_dim,
                     .ld_out = head_dim,
                     .rows = t->rows,
                     .cols = head_dim,
                     .depth = n_key,
                     .continued = 1,
                     .next = next});
}

/* Adding zero makes -0, which keys of probability 0 may or may not leave, +0. */
static void tile_end(const struct tile *t, const struct attention_queries *s) {
    int d = s->head_dim;
    for (int r = 0; r < t->rows; r++) {
        int token = (t->row + r) / s->group, head = t->head * s->group + (t->row + r) % s->group;
        elem *out = s->out + token * s->ld_out + (int64_t)head * d;
        float sum = v_sum(v_load(t->sum[r]));
        v16 inverse = v_set(1.0f / sum);
        FOR_LANES(d, i, k)
        e_store_n(out + i, v_mul(v_add(v_load_n(t->out + r * d + i, k), v_set(0)), inverse), k);
        if (s->lse) s->lse[token * s->ld_lse + head] = t->max[r] + f_log(sum);
    }
}

void ELEM_NAME(attention_run)(const struct attention_queries *s, int first, int n) {
    float state[STATE_FLOATS] __attribute__((aligned(64)));
    struct tile tiles[ATTENTION_TILES];
    int first_page = s->cached + s->n_token, n_page = 0;
    for (int i = 0; i < n; i++) {
        tile_begin(&tiles[i], s, first + i, state + i * tile_floats(s));
        first_page = (int)min_of(first_page, tiles[i].first[0] / KV_PAGE);
        n_page = (int)max_of(n_page, tiles[i].position[tiles[i].rows - 1] / KV_PAGE + 1);
    }
    int64_t head_stride = kv_head_size(s->head_dim);
    for (int p = first_page; p < n_page; p++) {
        const elem *page = s->pages + (s->table ? s->table[p] : p) * s->page_stride;
        const elem *after = NULL;
        if (p + 1 < n_page) after = s->pages + (s->table ? s->table[p + 1] : p + 1) * s->page_stride;
        for (int i = 0; i < n; i++) {
            const struct tile *t = &tiles[i];
            const elem *next = i + 1 < n ? page + tiles[i + 1].head * head_stride
                               : after   ? after + tiles[0].head * head_stride
                                         : NULL;
            if (t->position[t->rows - 1] >= p * KV_PAGE && t->first[0] < (p + 1) * KV_PAGE)
                tile_step(&tiles[i], p, page + t->head * head_stride, next, s->head_dim);
        }
    }
    for (int i = 0; i < n; i++) tile_end(&tiles[i], s);
}
