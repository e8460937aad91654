#include "core/generate/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"

/* A sequence in flight: one answer being written. */
typedef struct live {
    int slot, prompt, sample, n_token, most;
    uint64_t seq_id;
    int32_t *token;
    float *logprob;
} live;

/* A prompt being read into a slot, perhaps in several chunks. */
typedef struct prefill {
    int slot, prompt, done; /* done: tokens read */
    int chunk;              /* tokens of it in the current batch */
} prefill;

struct generator {
    limits limits;
    int max_tokens;
    void *host;
    live *live; /* [n_slot], the first n_live are in flight */
    prefill *prefill;
    int n_live, n_prefill, next_prompt;
    int32_t *token, *start, *slot, *row_pos, *chosen, *answer_token;
    float *logprob, *answer_logprob;
    uint64_t *seq_id, *row_seq;
};

static void lay_out(generator *g, arena *a) {
    const limits *l = &g->limits;
    size_t answers = (size_t)l->n_slot * (size_t)g->max_tokens;
    g->live = ARENA_TAKE(a, live, l->n_slot);
    g->prefill = ARENA_TAKE(a, prefill, l->n_slot);
    g->token = ARENA_TAKE(a, int32_t, l->max_token);
    g->start = ARENA_TAKE(a, int32_t, l->max_seq + 1);
    g->slot = ARENA_TAKE(a, int32_t, l->max_seq);
    g->seq_id = ARENA_TAKE(a, uint64_t, l->max_seq);
    g->row_pos = ARENA_TAKE(a, int32_t, l->max_row);
    g->row_seq = ARENA_TAKE(a, uint64_t, l->max_row);
    g->chosen = ARENA_TAKE(a, int32_t, l->max_row);
    g->logprob = ARENA_TAKE(a, float, l->max_row);
    g->answer_token = ARENA_TAKE(a, int32_t, answers);
    g->answer_logprob = ARENA_TAKE(a, float, answers);
}

limits generator_limits(int n_slot, int n_answer, int max_len, int max_token) {
    int pages = (max_len + KV_PAGE - 1) / KV_PAGE;
    if (n_slot < n_answer) n_slot = n_answer;
    return (limits){.max_token = max_token > n_slot ? max_token : n_slot + 1,
                    .max_row = 2 * n_slot,
                    .max_seq = n_slot,
                    .max_len = max_len,
                    .n_slot = n_slot,
                    .n_page = n_slot * pages};
}

void generator_plan(const limits *limits, int max_tokens, const char *owner, memory_plan *plan) {
    generator g = {.limits = *limits, .max_tokens = max_tokens};
    arena measure = {0};
    lay_out(&g, &measure);
    plan_add(plan, owner, "answers in flight", measure.used);
}

status generator_create(const limits *limits, int max_tokens, generator **out, error *err) {
    generator *g = *out = calloc(1, sizeof *g);
    if (!g) return error_memory(err, "a generator");
    g->limits = *limits;
    g->max_tokens = max_tokens;
    arena measure = {0};
    lay_out(g, &measure);
    g->host = measure.used == SIZE_MAX ? NULL : aligned_alloc(ARENA_ALIGN, measure.used);
    if (!g->host) {
        generator_free(g);
        *out = NULL;
        return error_memory(err, "a generator");
    }
    arena a = {g->host, 0, measure.used};
    lay_out(g, &a);
    for (int i = 0; i < limits->n_slot; i++) {
        g->live[i].token = g->answer_token + (size_t)i * (size_t)max_tokens;
        g->live[i].logprob = g->answer_logprob + (size_t)i * (size_t)max_tokens;
    }
    return STATUS_OK;
}

void generator_free(generator *g) {
    if (!g) return;
    free(g->host);
    free(g);
}

/* One run's arguments, handed through the steps below. */
typedef struct run {
    generator *g;
    const model *m;
    workspace *ws;
    kv_cache *kv;
    const generate_prompt *prompts;
    int n;
    const generate_options *o;
    generate_done *done;
    void *context;
} run;

static int answer_limit(const run *r, int prompt) {
    int room = model_get_config(r->m)->context - r->prompts[prompt].n_token;
    return r->o->max_tokens < room ? r->o->max_tokens : room;
}

static int pages_of(int n_token) { return (n_token + KV_PAGE - 1) / KV_PAGE; }

/* Whether slots and pages allow the next prompt with all its answers. */
static int fits(const run *r, int prompt) {
    int n = r->prompts[prompt].n_token, all = pages_of(n + answer_limit(r, prompt)), shared = n / KV_PAGE;
    int waiting_slots = 0, waiting_pages = 0;
    for (int i = 0; i < r->g->n_prefill; i++) {
        int p = r->g->prefill[i].prompt, length = r->prompts[p].n_token;
        waiting_slots += r->o->n_answer - 1;
        waiting_pages += (r->o->n_answer - 1) * (pages_of(length + answer_limit(r, p)) - length / KV_PAGE);
    }
    return kv_free_slots(r->kv) - waiting_slots >= r->o->n_answer &&
           kv_free_pages(r->kv) - waiting_pages >= all + (r->o->n_answer - 1) * (all - shared);
}

/* Opens slots for prompts while there is room for them and tokens of this step are left. */
static void admit(run *r, int budget) {
    generator *g = r->g;
    for (int i = 0; i < g->n_prefill; i++)
        budget -= r->prompts[g->prefill[i].prompt].n_token - g->prefill[i].done;
    while (g->next_prompt < r->n && budget > 0 && fits(r, g->next_prompt)) {
        const generate_prompt *p = &r->prompts[g->next_prompt];
        int slot = kv_open(r->kv, p->seq_id, p->n_token + answer_limit(r, g->next_prompt));
        if (slot < 0) return;
        g->prefill[g->n_prefill++] = (prefill){.slot = slot, .prompt = g->next_prompt++};
        budget -= p->n_token;
    }
}

static void add_sequence(generator *g, batch *b, int slot, uint64_t seq_id, const int32_t *token, int n) {
    memcpy(g->token + b->n_token, token, sizeof *token * (size_t)n);
    g->start[b->n_seq] = b->n_token;
    g->slot[b->n_seq] = slot;
    g->seq_id[b->n_seq++] = seq_id;
    b->n_token += n;
    g->start[b->n_seq] = b->n_token;
}

static void add_row(generator *g, batch *b, uint64_t seq_id) {
    g->row_pos[b->n_row] = b->n_token - 1;
    g->row_seq[b->n_row++] = seq_id;
}

/* The step's batch: the last token of every live answer, then chunks of prompts as far as the tokens and rows
 * go. */
static batch make_batch(run *r) {
    generator *g = r->g;
    batch b = {.token = g->token, .seq_start = g->start, .seq_id = g->seq_id, .row_pos = g->row_pos};
    for (int i = 0; i < g->n_live; i++) {
        live *a = &g->live[i];
        add_sequence(g, &b, a->slot, a->seq_id, &a->token[a->n_token - 1], 1);
        add_row(g, &b, a->seq_id);
    }
    for (int i = 0; i < g->n_prefill; i++) {
        prefill *f = &g->prefill[i];
        const generate_prompt *p = &r->prompts[f->prompt];
        int left = p->n_token - f->done, room = g->limits.max_token - b.n_token;
        f->chunk = left < room ? left : room;
        if (f->chunk == left && b.n_row + r->o->n_answer > g->limits.max_row) f->chunk = 0;
        if (f->chunk == 0) continue;
        add_sequence(g, &b, f->slot, p->seq_id, p->token + f->done, f->chunk);
        for (int k = 0; f->chunk == left && k < r->o->n_answer; k++) add_row(g, &b, p->seq_id + (uint64_t)k);
    }
    return b;
}

/* Takes a sampled token; hands the answer over and frees its slot when it ended. Returns through *ended. */
static status take_token(run *r, live *a, int32_t token, float logprob, int *ended, error *err) {
    if (!isfinite(logprob))
        return error_set(
            err, STATUS_FAILED,
            "sequence %llu (prompt %d, answer %d): the log-probability of its token %d is %g: the "
            "model's weights are broken",
            (unsigned long long)a->seq_id, a->prompt, a->sample, a->n_token, (double)logprob);
    a->token[a->n_token] = token;
    a->logprob[a->n_token++] = logprob;
    int finished = token == r->o->end_token;
    *ended = finished || a->n_token == a->most;
    if (!*ended) return STATUS_OK;
    kv_close(r->kv, a->slot);
    return r->done(r->context,
                   &(generate_answer){a->prompt, a->sample, a->token, a->logprob, a->n_token, finished}, err);
}

static void swap_live(generator *g, int i, int j) {
    live keep = g->live[i];
    g->live[i] = g->live[j];
    g->live[j] = keep;
}

/* A prompt that has been read becomes its answers: the slot itself is the last of them. */
static status start_answers(run *r, const prefill *f, const int32_t *token, const float *logprob,
                            error *err) {
    generator *g = r->g;
    const generate_prompt *p = &r->prompts[f->prompt];
    int most = answer_limit(r, f->prompt), ended;
    for (int k = 0; k < r->o->n_answer; k++) {
        uint64_t seq_id = p->seq_id + (uint64_t)k;
        int last = k == r->o->n_answer - 1;
        int slot = last ? f->slot : kv_fork(r->kv, f->slot, seq_id, p->n_token + most);
        if (slot < 0)
            return error_set(err, STATUS_FAILED, "the cache has no room for a fork that was counted in");
        live *a = &g->live[g->n_live];
        *a = (live){slot, f->prompt, k, 0, most, seq_id, a->token, a->logprob};
        TRY(take_token(r, a, token[k], logprob[k], &ended, err));
        g->n_live += !ended;
    }
    return STATUS_OK;
}

static status step(run *r, error *err) {
    generator *g = r->g;
    admit(r, g->limits.max_token - g->n_live);
    batch b = make_batch(r);
    if (b.n_token == 0)
        return error_set(err, STATUS_TOO_LARGE, "prompt %d with %d answers does not fit the cache",
                         g->next_prompt, r->o->n_answer);
    TRY(model_extend(r->m, r->ws, r->kv, &b, g->slot, r->o->how.temperature, err));
    if (b.n_row) TRY(model_sample(r->m, r->ws, g->row_seq, &r->o->how, g->chosen, g->logprob, err));
    int row = 0, n_live = g->n_live, ended;
    for (int i = 0; i < n_live; i++, row++)
        TRY(take_token(r, &g->live[i], g->chosen[row], g->logprob[row], &ended, err));
    /* Drop the ended ones, keeping the order of the others. */
    g->n_live = 0;
    for (int i = 0; i < n_live; i++) {
        const live *a = &g->live[i];
        if (a->token[a->n_token - 1] == r->o->end_token || a->n_token == a->most) continue;
        swap_live(g, g->n_live++, i);
    }
    int n_prefill = g->n_prefill;
    g->n_prefill = 0;
    for (int i = 0; i < n_prefill; i++) {
        prefill f = g->prefill[i];
        f.done += f.chunk;
        if (f.done < r->prompts[f.prompt].n_token) {
            g->prefill[g->n_prefill++] = f;
            continue;
        }
        TRY(start_answers(r, &f, g->chosen + row, g->logprob + row, err));
        row += r->o->n_answer;
    }
    return STATUS_OK;
}

static status check(const run *r, error *err) {
    const limits *l = &r->g->limits;
    if (r->o->max_tokens < 1 || r->o->max_tokens > r->g->max_tokens || r->o->n_answer < 1 ||
        r->o->n_answer > l->n_slot || r->o->n_answer > l->max_row)
        return error_set(err, STATUS_TOO_LARGE, "%d answers of %d tokens; planned for %d slots, %d tokens",
                         r->o->n_answer, r->o->max_tokens, l->n_slot, r->g->max_tokens);
    for (int i = 0; i < r->n; i++)
        if (r->prompts[i].n_token < 1 || answer_limit(r, i) < 1)
            return error_set(err, STATUS_DATA, "prompt %d has %d tokens, the model's context is %d", i,
                             r->prompts[i].n_token, model_get_config(r->m)->context);
    return STATUS_OK;
}

status generate_run(generator *g, const model *m, workspace *ws, kv_cache *kv, const generate_prompt *prompts,
                    int n, const generate_options *options, generate_done *done, void *context, error *err) {
    run r = {g, m, ws, kv, prompts, n, options, done, context};
    g->n_live = g->n_prefill = g->next_prompt = 0;
    TRY(check(&r, err));
    status s = STATUS_OK;
    while (s == STATUS_OK && (g->next_prompt < n || g->n_live || g->n_prefill)) s = step(&r, err);
    if (s != STATUS_OK) kv_clear(kv);
    return s;
}
