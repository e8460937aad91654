#include "rlhf/choice_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/progress.h"
#include "core/base/signal.h"

/* Tokens of one pass through the model: enough that reading the weights costs little, few enough that the
   pages of keys and values stay small. */
enum { PASS_TOKENS = 1024, PASS_PAGES = 3 * PASS_TOKENS / KV_PAGE };

typedef struct scorer {
    const model *m;
    const choice_tokens *t;
    double *logprob;
    limits limits;
    workspace *ws;
    kv_cache *kv;
    int reserve; /* pages that the largest choice takes beside its context */
    /* the pass: sequences, and rows with the choice that each belongs to */
    batch b;
    void *memory; /* of these: */
    int32_t *token, *seq_start, *row_pos, *row_target, *slot, *row_choice;
    int32_t *held; /* slots of the contexts that were read last */
    uint64_t *seq_id;
    float *value;
} scorer;

static int pages_of(int n_token) { return (n_token + KV_PAGE - 1) / KV_PAGE; }

static const int32_t *context_of(const scorer *c, const choice_question *q) {
    return c->t->token.data + q->start;
}

/* ---- a pass ---- */

static void clear(scorer *c) {
    c->b = (batch){0, 0, 0, c->token, c->seq_start, c->seq_id, c->row_pos, c->row_target};
    c->seq_start[0] = 0;
}

static int fits(const scorer *c, int n_token, int n_row) {
    return c->b.n_token + n_token <= c->limits.max_token && c->b.n_row + n_row <= c->limits.max_row &&
           c->b.n_seq < c->limits.max_seq;
}

static void add_sequence(scorer *c, int slot, uint64_t id, const int32_t *token, int n) {
    memcpy(c->token + c->b.n_token, token, sizeof *token * (size_t)n);
    c->slot[c->b.n_seq] = slot;
    c->seq_id[c->b.n_seq++] = id;
    c->b.n_token += n;
    c->seq_start[c->b.n_seq] = c->b.n_token;
}

/* The state after the pass's token `pos` is asked for the next token of a choice. */
static void add_row(scorer *c, int pos, int32_t target, int choice) {
    c->row_pos[c->b.n_row] = pos;
    c->row_target[c->b.n_row] = target;
    c->row_choice[c->b.n_row++] = choice;
}

/* Runs the pass and adds what its rows read to their choices. */
static status run_pass(scorer *c, error *err) {
    row_values values = {.logprob = c->value};
    TRY(model_extend(c->m, c->ws, c->kv, &c->b, c->slot, 1, err));
    if (c->b.n_row) TRY(model_read(c->m, c->ws, &values, err));
    for (int r = 0; r < c->b.n_row; r++) {
        if (!isfinite(c->value[r]))
            return error_set(err, STATUS_FAILED,
                             "choice %d: a token's log-probability is %g: the model's weights are broken",
                             c->row_choice[r], (double)c->value[r]);
        c->logprob[c->row_choice[r]] += c->value[r];
    }
    clear(c);
    return STATUS_OK;
}

/* ---- contexts, then choices ---- */

/* Reads a context that is longer than a pass, but for its last part, which is left in the pass. */
static status begin_long_context(scorer *c, const choice_question *q, int slot, int *done, error *err) {
    for (*done = 0; q->n_context - *done > c->limits.max_token; *done += c->limits.max_token) {
        add_sequence(c, slot, 0, context_of(c, q) + *done, c->limits.max_token);
        TRY(run_pass(c, err));
    }
    return STATUS_OK;
}

/* The contexts of as many questions from `first` on as a pass and the cache take; *n of them. After the pass
   the first token of every choice is known. */
static status read_contexts(scorer *c, int first, int *n, error *err) {
    *n = 0;
    for (int i = first; i < c->t->n; i++) {
        const choice_question *q = &c->t->question[i];
        int slot, done = 0;
        if (*n && !fits(c, q->n_context, q->n_choice)) break;
        if (*n && kv_free_pages(c->kv) < pages_of(q->n_context) + c->reserve) break;
        slot = kv_open(c->kv, (uint64_t)i, q->n_context);
        if (slot < 0) break;
        TRY(begin_long_context(c, q, slot, &done, err));
        add_sequence(c, slot, (uint64_t)i, context_of(c, q) + done, q->n_context - done);
        const int32_t *token = context_of(c, q) + q->n_context;
        for (int k = q->first; k < q->first + q->n_choice; token += c->t->length[k++])
            add_row(c, c->b.n_token - 1, *token, k);
        c->held[(*n)++] = slot;
    }
    if (*n == 0)
        return error_set(err, STATUS_FAILED, "the cache has no room for a context that was counted in");
    return run_pass(c, err);
}

static status run_choices(scorer *c, error *err) {
    int n = c->b.n_seq;
    if (n == 0) return STATUS_OK;
    TRY(run_pass(c, err));
    for (int i = 0; i < n; i++) kv_close(c->kv, c->slot[i]);
    return STATUS_OK;
}

/* What follows a choice's first token, behind a fork of the context. */
static status add_choice(scorer *c, const choice_question *q, int slot, int k, const int32_t *token,
                         error *err) {
    int n = c->t->length[k] - 1, fork;
    if (n == 0) return STATUS_OK;
    if (!fits(c, n, n)) TRY(run_choices(c, err));
    fork = kv_fork(c->kv, slot, (uint64_t)k, q->n_context + n);
    if (fork < 0) {
        TRY(run_choices(c, err));
        fork = kv_fork(c->kv, slot, (uint64_t)k, q->n_context + n);
    }
    if (fork < 0)
        return error_set(err, STATUS_FAILED, "the cache has no room for a choice that was counted in");
    add_sequence(c, fork, (uint64_t)k, token, n);
    for (int i = 0; i < n; i++) add_row(c, c->b.n_token - n + i, token[i + 1], k);
    return STATUS_OK;
}

static status read_choices(scorer *c, int first, int n, error *err) {
    for (int i = 0; i < n; i++) {
        const choice_question *q = &c->t->question[first + i];
        const int32_t *token = context_of(c, q) + q->n_context;
        for (int k = q->first; k < q->first + q->n_choice; token += c->t->length[k++])
            TRY(add_choice(c, q, c->held[i], k, token, err));
        kv_close(c->kv, c->held[i]); /* forks hold its pages */
    }
    return run_choices(c, err);
}

static int64_t tokens_of(const choice_tokens *t, const choice_question *q) {
    int64_t n = q->n_context;
    for (int k = q->first; k < q->first + q->n_choice; k++) n += t->length[k] - 1;
    return n;
}

static status score_all(scorer *c, const char *what, logger *log, error *err) {
    progress p;
    progress_begin(&p, log, what, "question", 0, c->t->n);
    status s = STATUS_OK;
    for (int first = 0, n = 0; first < c->t->n && s == STATUS_OK; first += n) {
        s = read_contexts(c, first, &n, err);
        if (s == STATUS_OK) s = read_choices(c, first, n, err);
        int64_t tokens = 0;
        for (int i = first; i < first + n; i++) tokens += tokens_of(c->t, &c->t->question[i]);
        if (s == STATUS_OK) progress_step(&p, first + n, tokens, NULL);
        if (s == STATUS_OK && signal_stop_requested())
            s = error_set(err, STATUS_INTERRUPTED, "stopped by a signal after %d of %d questions", first + n,
                          c->t->n);
    }
    progress_end(&p);
    return s;
}

/* ---- memory ---- */

static limits limits_of(const choice_tokens *t) {
    int most = PASS_TOKENS;
    if (t->longest_choice > most) most = t->longest_choice;
    if (t->most_choices > most) most = t->most_choices;
    return (limits){.max_token = most,
                    .max_row = most,
                    .max_seq = most,
                    .max_len = most,
                    .n_slot = PASS_TOKENS,
                    .n_page = PASS_PAGES + pages_of(t->longest_context) + pages_of(t->longest_choice) + 1};
}

static void lay_out(scorer *c, arena *a) {
    int n = c->limits.max_token;
    c->token = ARENA_TAKE(a, int32_t, n);
    c->seq_start = ARENA_TAKE(a, int32_t, n + 1);
    c->row_pos = ARENA_TAKE(a, int32_t, n);
    c->row_target = ARENA_TAKE(a, int32_t, n);
    c->row_choice = ARENA_TAKE(a, int32_t, n);
    c->slot = ARENA_TAKE(a, int32_t, n);
    c->held = ARENA_TAKE(a, int32_t, n);
    c->seq_id = ARENA_TAKE(a, uint64_t, n);
    c->value = ARENA_TAKE(a, float, n);
}

static status open_scorer(scorer *c, error *err) {
    device *dev = model_device(c->m);
    const model_config *shape = model_get_config(c->m);
    TRY(workspace_create(dev, shape, &c->limits, &c->ws, err));
    TRY(kv_create(dev, shape, &c->limits, &c->kv, err));
    arena measure = {0};
    lay_out(c, &measure);
    c->memory = measure.used == SIZE_MAX ? NULL : aligned_alloc(ARENA_ALIGN, measure.used);
    if (!c->memory) return error_memory(err, "rows");
    arena a = {c->memory, 0, measure.used};
    lay_out(c, &a);
    clear(c);
    return STATUS_OK;
}

static void close_scorer(scorer *c) {
    workspace_free(c->ws);
    kv_free(c->kv);
    free(c->memory);
}

status choice_score(const model *m, const choice_tokens *t, const char *what, logger *log, double *logprob,
                    error *err) {
    scorer c = {.m = m, .t = t, .logprob = logprob, .limits = limits_of(t)};
    c.reserve = pages_of(t->longest_choice) + 1;
    memset(logprob, 0, sizeof *logprob * (size_t)t->n_choice);
    status s = open_scorer(&c, err);
    if (s == STATUS_OK) s = score_all(&c, what, log, err);
    close_scorer(&c);
    return s;
}
