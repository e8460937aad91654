/* One arithmetic, on whole models: the bytes of a row follow from its own history, whatever the batch, the
   packing, the cache's chunks, slots, pages and forks, the threads, the instructions and the memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model/internal.h"
#include "tests/support/model_cases.h"
#include "tests/support/places.h"

/* Lengths around the pages' edges; 190 spans three. */
static const int lengths[] = {190, 1, 64, 65, 7, 128};
enum { N_SEQ = 6, TOKENS = 455 };

/* ---- a row's values, however it is come by ---- */

/* A model, a batch with a row for every token, and what the training forward gave for each. */
typedef struct scene {
    model_config c;
    device *dev;
    model *m;
    workspace *training, *scoring; /* with backward, without */
    kv_cache *kv;
    float temperature;
    case_batch cb;
    case_values want, got; /* by token of cb */
    uint64_t n_drawn;
} scene;

static int draw(scene *s, int n) {
    return (int)random_below(random_make_key(17, RANDOM_TEST, 0, 0), s->n_drawn++, 0, (uint64_t)n);
}

static forward_options options_of(const scene *s, int for_backward) {
    return (forward_options){.temperature = s->temperature, .for_backward = for_backward};
}

/* adapted_in: the directory of an adapted model; NULL: a whole one. */
static void open_scene(scene *s, device *dev, int which, int n_page, const char *adapted_in) {
    memset(s, 0, sizeof *s);
    s->c = case_config(which);
    s->dev = dev;
    s->temperature = which % 2 ? 0.7f : 1;
    s->m = adapted_in ? case_adapted(dev, &s->c, (uint64_t)which, 1, adapted_in)
                      : case_model(dev, &s->c, (uint64_t)which, 1);
    s->training = case_workspace(dev, &s->c, 1, KEEP_ALL);
    s->scoring = case_workspace(dev, &s->c, 0, KEEP_ALL);
    limits l = case_limits(&s->c, 0, KEEP_ALL);
    l.n_page = n_page;
    OK(kv_create(dev, &s->c, &l, &s->kv, err));
    case_draw(&s->cb, &s->c, (uint64_t)which, N_SEQ, lengths);
    assert_int_equal(s->cb.b.n_token, TOKENS);
    forward_options o = options_of(s, 1);
    case_forward(s->m, s->training, &s->cb.b, &o, &s->want);
}

static void close_scene(scene *s) {
    kv_free(s->kv);
    workspace_free(s->scoring);
    workspace_free(s->training);
    model_free(s->m);
}

/* A batch of pieces of the scene's sequences, with a row at every token. */
typedef struct pieces {
    case_batch cb;
    int from[CASE_TOKENS]; /* the scene's token */
    int32_t slot[CASE_SEQS];
} pieces;

static void begin_pieces(pieces *p) {
    p->cb.b = (batch){.token = p->cb.token,
                      .seq_start = p->cb.seq_start,
                      .seq_id = p->cb.seq_id,
                      .row_pos = p->cb.row_pos,
                      .row_target = p->cb.row_target};
    p->cb.seq_start[0] = 0;
}

static void add_piece(pieces *p, const scene *s, int seq, int first, int n, int slot) {
    batch *b = &p->cb.b;
    for (int i = 0; i < n; i++) {
        int from = s->cb.seq_start[seq] + first + i;
        p->from[b->n_token] = from;
        p->cb.token[b->n_token] = s->cb.token[from];
        p->cb.row_target[b->n_row] = s->cb.row_target[from];
        p->cb.row_pos[b->n_row++] = b->n_token++;
    }
    p->slot[b->n_seq] = slot;
    p->cb.seq_id[b->n_seq++] = s->cb.seq_id[seq];
    p->cb.seq_start[b->n_seq] = b->n_token;
}

static void compare_rows(scene *s, const char *what, const pieces *p) {
    for (int r = 0; r < p->cb.b.n_row; r++) {
        int from = p->from[r];
        if (s->c.language_head) {
            case_same(what, s->dev, &s->got.logprob[r], &s->want.logprob[from], 1);
            case_same(what, s->dev, &s->got.entropy[r], &s->want.entropy[from], 1);
        }
        case_same(what, s->dev, &s->got.score[r], &s->want.score[from], 1);
    }
}

static void forward_pieces(scene *s, const char *what, workspace *ws, const pieces *p) {
    forward_options o = options_of(s, 0);
    case_forward(s->m, ws, &p->cb.b, &o, &s->got);
    compare_rows(s, what, p);
}

static void read_extended(scene *s, workspace *ws, const pieces *p) {
    row_values values = case_read(&s->got, &s->c);
    OK(model_extend(s->m, ws, s->kv, &p->cb.b, p->slot, s->temperature, err));
    OK(model_read(s->m, ws, &values, err));
}

static void extend_pieces(scene *s, const char *what, workspace *ws, const pieces *p) {
    read_extended(s, ws, p);
    compare_rows(s, what, p);
}

static int open_slot(scene *s, int seq) {
    int slot = kv_open(s->kv, s->cb.seq_id[seq], lengths[seq]);
    assert_true(slot >= 0);
    return slot;
}

/* ---- without a cache ---- */

static void packings(scene *s) {
    static pieces p;
    begin_pieces(&p);
    for (int i = 0; i < N_SEQ; i++) add_piece(&p, s, i, 0, lengths[i], 0);
    forward_pieces(s, "scored without backward", s->scoring, &p);
    for (int i = 0; i < N_SEQ; i++) {
        begin_pieces(&p);
        add_piece(&p, s, i, 0, lengths[i], 0);
        forward_pieces(s, "alone", i % 2 ? s->scoring : s->training, &p);
    }
    begin_pieces(&p);
    for (int i = N_SEQ - 1; i >= 0; i--) add_piece(&p, s, i, 0, lengths[i], 0);
    forward_pieces(s, "in another order", s->training, &p);
    /* Beginnings of sequences, some of them twice: what follows a token does not matter to it. */
    begin_pieces(&p);
    for (int i = 0; i < 8; i++) {
        int seq = draw(s, N_SEQ);
        add_piece(&p, s, seq, 0, 1 + draw(s, lengths[seq] < 70 ? lengths[seq] : 70), 0);
    }
    forward_pieces(s, "beginnings", s->scoring, &p);
}

/* ---- with a cache ---- */

static void prefill_whole(scene *s) {
    static pieces p;
    begin_pieces(&p);
    for (int i = 0; i < N_SEQ; i++) add_piece(&p, s, i, 0, lengths[i], open_slot(s, i));
    extend_pieces(s, "prefilled whole", s->scoring, &p);
    kv_clear(s->kv);
}

/* Every sequence at once, in pieces of at most `most` tokens; a sequence may sit out a step, and comes in any
   order. */
static void prefill_pieces(scene *s, const char *what, int most) {
    static pieces p;
    int slot[N_SEQ], done[N_SEQ] = {0}, left = TOKENS;
    for (int i = 0; i < N_SEQ; i++) slot[i] = open_slot(s, i);
    while (left > 0) {
        begin_pieces(&p);
        for (int j = 0, first = draw(s, N_SEQ); j < N_SEQ; j++) {
            int i = (first + j) % N_SEQ, rest = lengths[i] - done[i], n = 1 + draw(s, most);
            if (n > rest) n = rest;
            if (n == 0 || (draw(s, 4) == 0 && left > lengths[i])) continue;
            add_piece(&p, s, i, done[i], n, slot[i]);
            done[i] += n;
            left -= n;
        }
        if (p.cb.b.n_token) extend_pieces(s, what, draw(s, 2) ? s->scoring : s->training, &p);
    }
    for (int i = 0; i < N_SEQ; i++) assert_int_equal(kv_length(s->kv, slot[i]), lengths[i]);
    /* Pages come back in another order, so the next run's sequences lie elsewhere. */
    for (int i = 0; i < N_SEQ; i++) kv_close(s->kv, slot[(i * 5 + 2) % N_SEQ]);
}

/* Two forks of a beginning, and the beginning itself, go on side by side; the others' tokens do not show. */
static void forks(scene *s, int beginning) {
    static pieces p;
    int seq = 0, pages = kv_free_pages(s->kv), other[3] = {0}, slot[3];
    slot[0] = open_slot(s, seq);
    begin_pieces(&p);
    add_piece(&p, s, seq, 0, beginning, slot[0]);
    extend_pieces(s, "before a fork", s->scoring, &p);
    for (int k = 1; k < 3; k++) {
        slot[k] = kv_fork(s->kv, slot[k - 1], (uint64_t)k, lengths[seq]);
        assert_true(slot[k] >= 0);
    }
    assert_int_equal(kv_free_pages(s->kv), pages - 3 - 2 * (3 - beginning / KV_PAGE));
    for (int at = beginning; at < lengths[seq]; at++) {
        begin_pieces(&p);
        for (int k = 0; k < 3; k++) add_piece(&p, s, seq, at, 1, slot[k]);
        p.cb.token[1] = (s->cb.token[at] + 1) % s->c.n_vocab; /* the middle one writes something else */
        read_extended(s, s->scoring, &p);
        p.cb.b.n_row = 1;
        compare_rows(s, "what a fork shares", &p);
        for (int k = 0; k < 3; k += 2) {
            if (s->c.language_head)
                case_same("the logprob of a fork", s->dev, &s->got.logprob[k], &s->want.logprob[p.from[0]],
                          1);
            case_same("the score of a fork", s->dev, &s->got.score[k], &s->want.score[p.from[0]], 1);
        }
        other[1] += s->got.score[1] != s->got.score[0];
    }
    assert_true(other[1] > 0);
    kv_close(s->kv, slot[0]); /* the forks live on without it */
    kv_clear(s->kv);
    assert_int_equal(kv_free_pages(s->kv), pages);
}

/* Whether the comparison would notice: the first two pages of a long sequence change places. The keys are as
   they were and are only added up in another order, which can show in last bits alone (and not behind the
   rounding to bf16). */
static void reversed_pages(scene *s) {
    static pieces p;
    int slot = open_slot(s, 0), differ = 0, beginning = 128;
    begin_pieces(&p);
    add_piece(&p, s, 0, 0, beginning, slot);
    extend_pieces(s, "before the pages change places", s->scoring, &p);
    int32_t *table = s->kv->h_table + (size_t)slot * (size_t)s->kv->table_width, first = table[0];
    table[0] = table[1];
    table[1] = first;
    s->kv->table_changed = 1;
    for (int at = beginning; at < lengths[0]; at++) {
        begin_pieces(&p);
        add_piece(&p, s, 0, at, 1, slot);
        read_extended(s, s->scoring, &p);
        differ += s->got.score[0] != s->want.score[p.from[0]];
    }
    assert_true(differ > 0);
    kv_clear(s->kv);
}

/* Which case, and where its weights are to lie if it is adapted. */
typedef struct rows_case {
    int which;
    const char *adapted_in;
} rows_case;

static void check_rows(device *dev, void *context) {
    const rows_case *x = context;
    scene *s = malloc(sizeof *s);
    open_scene(s, dev, x->which, 48, x->adapted_in);
    packings(s);
    prefill_whole(s);
    prefill_pieces(s, "prefilled in chunks", 40);
    prefill_pieces(s, "decoded", 1);
    prefill_pieces(s, "prefilled in large chunks", 100);
    forks(s, 64);
    forks(s, 128);
    forks(s, 70);
    if (s->c.compute == TYPE_F32) reversed_pages(s);
    assert_int_equal(kv_free_pages(s->kv), 48);
    assert_int_equal(kv_free_slots(s->kv), CASE_SEQS);
    close_scene(s);
    free(s);
}

static void test_rows(void **state) {
    (void)state;
    for (int which = 0; which < 2 * CASES; which++) {
        device *dev = case_device(DEVICE_CPU, 2, NULL);
        check_rows(dev, &(rows_case){which, NULL});
        device_close(dev);
    }
}

/* The cache behind far memory and in a queue, on other instructions and threads. */
static void test_rows_everywhere(void **state) {
    const int which[] = {CASE_GPT2, CASE_LLAMA, CASES + CASE_GPT2, CASES + CASE_LLAMA};
    for (int i = 0; i < 4; i++) {
        case_each_device(check_rows, &(rows_case){which[i], NULL});
        case_each_device(check_rows, &(rows_case){which[i], *state});
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test_setup_teardown(test_rows_everywhere, directory_setup, directory_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
