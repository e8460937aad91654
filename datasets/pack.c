#include "datasets/pack.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"

static void lay_out(pack *p, arena *a) {
    p->token = ARENA_TAKE(a, int32_t, p->limits.max_token);
    p->seq_start = ARENA_TAKE(a, int32_t, p->limits.max_seq + 1);
    p->seq_id = ARENA_TAKE(a, uint64_t, p->limits.max_seq);
    p->row_pos = ARENA_TAKE(a, int32_t, p->limits.max_row);
    p->row_target = ARENA_TAKE(a, int32_t, p->limits.max_row);
}

status pack_create(const limits *limits, pack *out, error *err) {
    *out = (pack){.limits = *limits};
    arena measure = {0};
    lay_out(out, &measure);
    out->memory = measure.used == SIZE_MAX ? NULL : aligned_alloc(ARENA_ALIGN, measure.used);
    if (!out->memory) return error_memory(err, "a batch");
    memset(out->memory, 0, measure.used);
    arena a = {out->memory, 0, measure.used};
    lay_out(out, &a);
    pack_clear(out);
    return STATUS_OK;
}

void pack_free(pack *p) {
    free(p->memory);
    *p = (pack){0};
}

void pack_clear(pack *p) {
    p->b = (batch){0, 0, 0, p->token, p->seq_start, p->seq_id, p->row_pos, p->row_target};
    p->seq_start[0] = 0;
}

int pack_fits(const pack *p, int n_token, int n_row) {
    return p->b.n_token + n_token <= p->limits.max_token && p->b.n_row + n_row <= p->limits.max_row &&
           p->b.n_seq + 1 <= p->limits.max_seq;
}

void pack_add(pack *p, uint64_t seq_id, const int32_t *token, int n) {
    memcpy(p->token + p->b.n_token, token, sizeof *token * (size_t)n);
    p->seq_id[p->b.n_seq++] = seq_id;
    p->b.n_token += n;
    p->seq_start[p->b.n_seq] = p->b.n_token;
}

/* The row that reads log p of token i of the last sequence: the state after token i - 1. */
static void add_row(pack *p, int first, int i) {
    p->row_pos[p->b.n_row] = first + i - 1;
    p->row_target[p->b.n_row++] = p->token[first + i];
}

static int last_sequence(const pack *p, int *n) {
    int first = p->seq_start[p->b.n_seq - 1];
    *n = p->b.n_token - first;
    return first;
}

void pack_rows_of_targets(pack *p, const uint8_t *target) {
    int n, first = last_sequence(p, &n);
    for (int i = 1; i < n; i++)
        if (target[i]) add_row(p, first, i);
}

void pack_rows_of_answer(pack *p, int n_prompt) {
    int n, first = last_sequence(p, &n);
    for (int i = n_prompt; i < n; i++) add_row(p, first, i);
}

void pack_row_of_end(pack *p) {
    p->row_pos[p->b.n_row] = p->b.n_token - 1;
    p->row_target[p->b.n_row++] = 0; /* a score has no target */
}

double pack_flops(const pack *p, const model_config *shape, model_pass pass) {
    double flops = 0, rows = p->b.n_token ? (double)p->b.n_row / p->b.n_token : 0;
    for (int s = 0; s < p->b.n_seq; s++) {
        int n = p->seq_start[s + 1] - p->seq_start[s];
        flops += n * model_flops_per_token(shape, pass, n, rows);
    }
    return flops;
}
