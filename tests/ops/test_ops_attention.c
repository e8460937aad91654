/* Attention: against the reference, and training, prefill, chunks and decode against each other to the last
   bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/op_harness.h"

enum { MAX_SEQ = 4 };

/* A batch of sequences and what attends over it. */
typedef struct pack {
    struct attention_shape shape;
    int n_seq, n_row, max_len;
    int32_t start[MAX_SEQ + 1];
    mat qkv;
    vec scratch;
} pack;

static int out_cols(const pack *p) { return p->shape.n_head * p->shape.head_dim; }
static int length_of(const pack *p, int s) { return p->start[s + 1] - p->start[s]; }

static struct attention_shape draw_shape(harness *h) {
    static const int heads[][2] = {{1, 1}, {3, 3}, {4, 2}, {6, 2}, {3, 1}, {8, 1}};
    const int *n = heads[harness_between(h, 0, 5)];
    int d = PICK(h, 8, 24, 64, 80, 128, 256);
    int window = PICK(h, 0, 0, 1, 2, 63, 64, 65, harness_between(h, 1, 200));
    return (struct attention_shape){n[0], n[1], d, 1 / sqrtf((float)d), window};
}

static pack pack_of(harness *h, struct attention_shape shape, int n_seq, const int *length) {
    pack p = {.shape = shape, .n_seq = n_seq};
    for (int s = 0; s < n_seq; s++) {
        p.start[s + 1] = p.start[s] + length[s];
        if (length[s] > p.max_len) p.max_len = length[s];
    }
    p.n_row = p.start[n_seq];
    p.qkv = harness_mat_scaled(h, p.n_row, (shape.n_head + 2 * shape.n_kv_head) * shape.head_dim, 1.5f);
    p.scratch = harness_scratch(
        h, (struct scratch_need){.max_len = p.max_len, .head_dim = shape.head_dim, .backward = 1});
    return p;
}

static pack draw_pack(harness *h) {
    struct attention_shape shape = draw_shape(h);
    int n_seq = harness_between(h, 1, MAX_SEQ), length[MAX_SEQ], longest = shape.head_dim > 64 ? 70 : 200;
    for (int s = 0; s < n_seq; s++)
        length[s] = PICK(h, 1, 2, 7, 40, 63, 64, 65, longest, harness_between(h, 1, longest));
    if (shape.head_dim < 64 && PICK(h, 0, 0, 1)) length[n_seq - 1] = 500;
    return pack_of(h, shape, n_seq, length);
}

/* Attention over sequences [first, first + n) of the pack, alone: out and lse. */
static struct op_attention attend(harness *h, const pack *p, int first, int n) {
    int32_t start[MAX_SEQ + 1];
    for (int s = 0; s <= n; s++) start[s] = p->start[first + s] - p->start[first];
    struct op_attention o = {.out = harness_output(h, start[n], out_cols(p)),
                             .lse = harness_param_output(h, start[n], p->shape.n_head),
                             .qkv = mat_rows(p->qkv, p->start[first], start[n]),
                             .start = harness_ivec(h, n + 1, start),
                             .max_len = p->max_len,
                             .shape = p->shape,
                             .scratch = p->scratch};
    RUN(h, attention, &o);
    return o;
}

/* ---- training ---- */

static void attention_case(harness *h) {
    pack p = draw_pack(h);
    struct op_attention o = attend(h, &p, 0, p.n_seq);
    mat out = harness_read(h, "out", o.out), lse = harness_read(h, "lse", o.lse);
    for (int s = 0; s < p.n_seq; s++) {
        struct op_attention alone = attend(h, &p, s, 1);
        harness_same_rows(h, "out", out, p.start[s], harness_read(h, "out alone", alone.out), 0,
                          length_of(&p, s));
        harness_same_rows(h, "lse", lse, p.start[s], harness_read(h, "lse alone", alone.lse), 0,
                          length_of(&p, s));
    }
    if (!h->first) return;
    harness_to_host(h, OP_attention, &o);
    struct reference_attention want = reference_attention(&o);
    harness_expect(h, "out", out, want.out, 6e-7);
    harness_expect(h, "lse", lse, want.lse, 6e-7);
}
OP_TEST_TYPES(attention, 16)

/* A prefix's rows do not know what follows. */
static void prefix_case(harness *h) {
    pack whole = draw_pack(h);
    int cut = harness_between(h, 1, whole.start[1]);
    pack prefix = whole;
    prefix.n_seq = 1, prefix.start[1] = cut;
    mat a = harness_read(h, "out", attend(h, &whole, 0, 1).out);
    mat b = harness_read(h, "out of a prefix", attend(h, &prefix, 0, 1).out);
    harness_same_rows(h, "out", a, 0, b, 0, cut);
}
OP_TEST_TYPES(prefix, 8)

/* What lies before a window changes no byte behind it, and a window as long as the sequence none at all. */
static void window_case(harness *h) {
    enum { LENGTH = 200 };
    struct attention_shape shape = draw_shape(h);
    shape.window = harness_between(h, 1, LENGTH - 1);
    pack p = pack_of(h, shape, 1, (int[]){LENGTH}), changed = p, whole = p, none = p;
    mat out = harness_read(h, "out", attend(h, &p, 0, 1).out);

    /* The last row does not see the rows before its window: other numbers there. */
    int unseen = LENGTH - shape.window;
    changed.qkv = harness_mat_scaled(h, LENGTH, p.qkv.cols, 40);
    harness_copy_rows(h, changed.qkv, unseen, p.qkv, unseen, LENGTH - unseen);
    mat other = harness_read(h, "out of others", attend(h, &changed, 0, 1).out);
    harness_same_rows(h, "out", out, LENGTH - 1, other, LENGTH - 1, 1);

    whole.shape.window = LENGTH, none.shape.window = 0;
    mat a = harness_read(h, "out, long window", attend(h, &whole, 0, 1).out);
    mat b = harness_read(h, "out, no window", attend(h, &none, 0, 1).out);
    harness_same_rows(h, "out", a, 0, b, 0, LENGTH);
    harness_same_rows(h, "out before the window's end", a, 0, out, 0, shape.window);
}
OP_TEST_TYPES(window, 12)

/* Scores far apart: one key takes all, and nothing overflows. */
static void sharp_case(harness *h) {
    int length[1] = {harness_between(h, 60, 150)};
    struct attention_shape shape = draw_shape(h);
    shape.scale = 30;
    pack p = pack_of(h, shape, 1, length);
    struct op_attention o = attend(h, &p, 0, 1);
    mat out = harness_read(h, "out", o.out), lse = harness_read(h, "lse", o.lse);
    if (!h->first) return;
    harness_to_host(h, OP_attention, &o);
    for (int r = 0; r < out.rows; r++)
        for (int c = 0; c < lse.cols; c++) {
            float biggest = fabsf(lse.data[r * lse.ld + c]);
            if (!(biggest < 1e6f)) harness_fail(h, "lse[%d, %d] is %g", r, c, (double)biggest);
        }
    for (int r = 0; r < out.rows; r++)
        for (int c = 0; c < out.cols; c++)
            if (!(fabs(at(out, r, c)) < 20)) harness_fail(h, "out[%d, %d] is not finite", r, c);
}
OP_TEST_TYPES(sharp, 4)

static struct op_attention_dx attend_dx(harness *h, const pack *p, mat dout, int first, int n) {
    struct op_attention forward = attend(h, p, first, n);
    struct op_attention_dx o = {.dqkv = harness_output(h, forward.out.rows, p->qkv.cols),
                                .dout = mat_rows(dout, p->start[first], forward.out.rows),
                                .out = forward.out,
                                .lse = forward.lse,
                                .qkv = forward.qkv,
                                .start = forward.start,
                                .max_len = p->max_len,
                                .shape = p->shape,
                                .scratch = p->scratch};
    RUN(h, attention_dx, &o);
    return o;
}

static void attention_dx_case(harness *h) {
    pack p = draw_pack(h);
    mat dout = harness_mat(h, p.n_row, out_cols(&p));
    struct op_attention_dx o = attend_dx(h, &p, dout, 0, p.n_seq);
    mat dqkv = harness_read(h, "dqkv", o.dqkv);
    for (int s = 0; s < p.n_seq; s++) {
        struct op_attention_dx alone = attend_dx(h, &p, dout, s, 1);
        harness_same_rows(h, "dqkv", dqkv, p.start[s], harness_read(h, "dqkv alone", alone.dqkv), 0,
                          length_of(&p, s));
    }
    if (!h->first) return;
    harness_to_host(h, OP_attention_dx, &o);
    /* out, which is read, was rounded. */
    harness_expect(h, "dqkv", dqkv, reference_attention_dx(&o), harness_tolerance(h, 1e-6, 2e-4));
}
OP_TEST_TYPES(attention_dx, 16)

/* ---- pages ---- */

/* Slots of a cache whose pages lie in no order. */
typedef struct cache {
    mat pages;
    ivec page_table;
    int table_width;
    int32_t slot[MAX_SEQ]; /* of each sequence */
} cache;

enum { N_SLOT = 6 };

static cache draw_cache(harness *h, const pack *p) {
    cache c = {.table_width = p->max_len / KV_PAGE + 2};
    int n_page = N_SLOT * c.table_width + 3;
    int32_t order[N_SLOT], *page = harness_memory(h, sizeof(int32_t) * (size_t)n_page);
    random_permutation(harness_key(h), n_page, page);
    random_permutation(harness_key(h), N_SLOT, order);
    memcpy(c.slot, order, sizeof c.slot);
    c.pages = harness_output(h, n_page, 2 * p->shape.n_kv_head * p->shape.head_dim * KV_PAGE);
    c.page_table = harness_ivec(h, N_SLOT * c.table_width, page);
    return c;
}

/* Appends `n` tokens of each listed sequence to its slot, the next of which is cached[s]; their rows of out
   go to `to`, at the rows that they have in the pack. */
static void extend(harness *h, const pack *p, const cache *c, int n_seq, const int *seq, const int *n,
                   int *cached, mat to) {
    int32_t start[MAX_SEQ + 1] = {0}, slot[MAX_SEQ], before[MAX_SEQ], from[2048];
    for (int i = 0; i < n_seq; i++) {
        int s = seq[i];
        slot[i] = c->slot[s], before[i] = cached[s];
        for (int j = 0; j < n[i]; j++) from[start[i] + j] = p->start[s] + cached[s] + j;
        start[i + 1] = start[i] + n[i];
        cached[s] += n[i];
    }
    int rows = start[n_seq];
    mat qkv = harness_output(h, rows, p->qkv.cols);
    op(h->dev, rows_gather, .out = qkv, .x = p->qkv, .index = harness_ivec(h, rows, from));
    struct op_attention_paged o = {.out = harness_output(h, rows, out_cols(p)),
                                   .qkv = qkv,
                                   .pages = c->pages,
                                   .start = harness_ivec(h, n_seq + 1, start),
                                   .slot = harness_ivec(h, n_seq, slot),
                                   .cached = harness_ivec(h, n_seq, before),
                                   .page_table = c->page_table,
                                   .table_width = c->table_width,
                                   .shape = p->shape};
    op(h->dev, kv_write, .pages = c->pages, .qkv = qkv, .start = o.start, .slot = o.slot, .cached = o.cached,
       .page_table = c->page_table, .table_width = c->table_width, .shape = p->shape);
    RUN(h, attention_paged, &o);
    for (int i = 0; i < rows; i++) harness_copy_rows(h, to, from[i], o.out, i, 1);
}

/* Whole prefill, then chunks of random sizes for random subsets of sequences, with single tokens at the end:
   the bytes are those of the training forward. */
static void paged_case(harness *h) {
    pack p = draw_pack(h);
    mat want = harness_read(h, "out", attend(h, &p, 0, p.n_seq).out);

    int seq[MAX_SEQ], n[MAX_SEQ], cached[MAX_SEQ] = {0};
    for (int s = 0; s < p.n_seq; s++) seq[s] = s, n[s] = length_of(&p, s);
    mat whole = harness_output(h, p.n_row, out_cols(&p)), pieces = harness_output(h, p.n_row, out_cols(&p));
    cache c = draw_cache(h, &p);
    extend(h, &p, &c, p.n_seq, seq, n, cached, whole);

    c = draw_cache(h, &p);
    memset(cached, 0, sizeof cached);
    for (int step = 0, left = p.n_row; left > 0; step++) {
        int count = 0;
        for (int i = 0; i < p.n_seq; i++) {
            int s = (i + step) % p.n_seq, rest = length_of(&p, s) - cached[s];
            if (rest == 0 || PICK(h, 0, 1, 1) == 0) continue;
            int chunk = step > 20 ? rest : PICK(h, 1, 1, 1, 17, 64, 70);
            seq[count] = s, n[count] = chunk < rest ? chunk : rest;
            left -= n[count++];
        }
        if (count > 0) extend(h, &p, &c, count, seq, n, cached, pieces);
    }
    harness_same_rows(h, "prefill", harness_read(h, "prefill", whole), 0, want, 0, p.n_row);
    harness_same_rows(h, "chunks and decode", harness_read(h, "chunks and decode", pieces), 0, want, 0,
                      p.n_row);
}
OP_TEST_TYPES(paged, 16)

/* Pages are written where ops.h says, nothing else is, and attention reads them as the reference does. */
static void kv_write_case(harness *h) {
    pack p = draw_pack(h);
    cache c = draw_cache(h, &p);
    int32_t cached[MAX_SEQ];
    mat pages = harness_mat(h, c.pages.rows, c.pages.cols);
    for (int s = 0; s < p.n_seq; s++) cached[s] = harness_between(h, 0, KV_PAGE);
    struct op_kv_write write = {.pages = pages,
                                .qkv = p.qkv,
                                .start = harness_ivec(h, p.n_seq + 1, p.start),
                                .slot = harness_ivec(h, p.n_seq, c.slot),
                                .cached = harness_ivec(h, p.n_seq, cached),
                                .page_table = c.page_table,
                                .table_width = c.table_width,
                                .shape = p.shape};
    RUN(h, kv_write, &write);
    mat got = harness_read(h, "pages", pages);
    struct op_attention_paged o = {.out = harness_output(h, p.n_row, out_cols(&p)),
                                   .qkv = p.qkv,
                                   .pages = pages,
                                   .start = write.start,
                                   .slot = write.slot,
                                   .cached = write.cached,
                                   .page_table = c.page_table,
                                   .table_width = c.table_width,
                                   .shape = p.shape};
    RUN(h, attention_paged, &o);
    mat out = harness_read(h, "out", o.out);
    if (!h->first) return;
    harness_to_host(h, OP_kv_write, &write);
    harness_expect(h, "pages", got, reference_kv_write(&write), 0);
    harness_keep(h, pages);
    harness_to_host(h, OP_attention_paged, &o);
    harness_expect(h, "out", out, reference_attention_paged(&o), 6e-7);
}
OP_TEST_TYPES(kv_write, 10)

/* The test that these tests can fail: the same keys and values, pages in reversed order, are the same sum in
   another order, so nearly the same numbers and other bytes. */
static void reversed_pages_case(harness *h) {
    enum { N_PAGE = 4, LENGTH = N_PAGE * KV_PAGE + 1 };
    struct attention_shape shape = {2, 1, 64, 0.125f, 0};
    pack p = pack_of(h, shape, 1, (int[]){LENGTH});
    cache c = draw_cache(h, &p);
    int cached[1] = {0};
    extend(h, &p, &c, 1, (int[]){0}, (int[]){LENGTH - 1}, cached, harness_output(h, LENGTH, out_cols(&p)));

    int32_t *table = harness_host(h, c.page_table.data), reversed[N_SLOT * 16];
    assert_true(c.page_table.n <= N_SLOT * 16);
    memcpy(reversed, table, (size_t)c.page_table.n * sizeof *table);
    for (int i = 0; i < N_PAGE; i++)
        reversed[c.slot[0] * c.table_width + i] = table[c.slot[0] * c.table_width + N_PAGE - 1 - i];
    cache turned = c;
    turned.page_table = harness_ivec(h, c.page_table.n, reversed);

    mat out = harness_output(h, LENGTH, out_cols(&p)), other = harness_output(h, LENGTH, out_cols(&p));
    extend(h, &p, &c, 1, (int[]){0}, (int[]){1}, cached, out);
    cached[0]--;
    extend(h, &p, &turned, 1, (int[]){0}, (int[]){1}, cached, other);
    const float *a = harness_read(h, "out", mat_rows(out, LENGTH - 1, 1)).data;
    const float *b = harness_read(h, "out reversed", mat_rows(other, LENGTH - 1, 1)).data;
    int differ = 0;
    for (int i = 0; i < out_cols(&p); i++) {
        differ += memcmp(&a[i], &b[i], sizeof *a) != 0;
        if (!(fabsf(a[i] - b[i]) < 1e-5f))
            harness_fail(h, "out[%d] is %g, with its pages reversed %g", i, (double)a[i], (double)b[i]);
    }
    if (differ == 0) harness_fail(h, "the order of pages does not show in the bytes");
}
OP_TEST(reversed_pages, 3)

static void denormals_case(harness *h) {
    pack p = pack_of(h, (struct attention_shape){8, 8, 64, 0.125f, 0}, MAX_SEQ, (int[]){130, 70, 100, 90});
    p.qkv = harness_mat_scaled(h, p.n_row, p.qkv.cols, 1e-38f);
    mat dout = harness_mat_scaled(h, p.n_row, out_cols(&p), 1e-37f);
    struct op_attention_dx o = attend_dx(h, &p, dout, 0, MAX_SEQ);
    harness_read(h, "out", o.out);
    harness_read(h, "dqkv", o.dqkv);
}
OP_TEST_TYPES(denormals, 1)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention),      cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_sharp),          cmocka_unit_test(test_attention_dx),
        cmocka_unit_test(test_paged),          cmocka_unit_test(test_kv_write),
        cmocka_unit_test(test_reversed_pages), cmocka_unit_test(test_denormals),
        cmocka_unit_test(test_window),
    };
    return cmocka_run_group_tests_name("ops: attention", tests, harness_setup, harness_teardown);
}
