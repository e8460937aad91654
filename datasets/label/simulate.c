#include "datasets/label/simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "core/base/signal.h"

enum { BATCH = 64 };

static void draw(const label_simulate_options *o, int64_t round, int64_t task, int slot, uint32_t out[4]) {
    random_key key = random_make_key(o->seed, RANDOM_LABELLER, (uint32_t)round, 0);
    random_block(key, (uint64_t)task, (uint32_t)o->labeller, (uint32_t)slot, out);
}

/* -log(-log(u)): the difference of two is logistic, so that noise 1 is Bradley-Terry on the scores. */
static float gumbel(uint32_t x) { return (float)-log(-log((double)random_uniform(x))); }

/* order[0] best: by falling score, equal ones by slot. */
static void sort_by_score(const float *score, int n, int *order) {
    for (int i = 0; i < n; i++) {
        int j = i;
        for (; j > 0 && score[order[j - 1]] < score[i]; j--) order[j] = order[j - 1];
        order[j] = i;
    }
}

void label_ranks_from_scores(const label_simulate_options *o, int64_t round, int64_t task, int n,
                             float *score, int *rank) {
    uint32_t x[STORE_ANSWERS][4];
    int order[STORE_ANSWERS] = {0};
    for (int i = 0; i < n; i++) {
        draw(o, round, task, i + 1, x[i]);
        if (o->noise > 0) score[i] += (float)o->noise * gumbel(x[i][0]);
    }
    sort_by_score(score, n, order);
    rank[order[0]] = 1;
    for (int i = 1; i < n; i++)
        rank[order[i]] = rank[order[i - 1]] + (score[order[i - 1]] - score[order[i]] > (float)o->tie);
    for (int i = 1; i < n; i++) {
        if (random_uniform(x[i][1]) >= (float)o->flip) continue;
        int upper = order[i - 1], lower = order[i], swap = rank[upper];
        rank[upper] = rank[lower], rank[lower] = swap;
        order[i - 1] = lower, order[i] = upper;
    }
}

/* All answers of a batch in one call: a model scores them in few packs. */
static status score_batch(judge *by, const store_task *tasks, int n, float (*score)[STORE_ANSWERS],
                          error *err) {
    judge_item items[BATCH * STORE_ANSWERS] = {0};
    float flat[BATCH * STORE_ANSWERS];
    int n_item = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < tasks[i].n_answer; k++) {
            const store_answer *a = &tasks[i].answer[k];
            items[n_item++] = (judge_item){.prompt = tasks[i].chat ? NULL : tasks[i].prompt,
                                           .messages = tasks[i].chat ? tasks[i].prompt : NULL,
                                           .answer = {a->text, a->len},
                                           .finished = a->finished,
                                           .token = a->tokens,
                                           .n_token = a->n_token,
                                           .tokenizer = a->has_tokenizer ? &a->tokenizer : NULL};
        }
    TRY(judge_score(by, items, n_item, flat, err));
    for (int i = 0, from = 0; i < n; from += tasks[i++].n_answer)
        memcpy(score[i], flat + from, (size_t)tasks[i].n_answer * sizeof *flat);
    return STATUS_OK;
}

static status rank_task(judge *by, const store_task *task, int *rank, error *err) {
    text_span answers[STORE_ANSWERS];
    for (int k = 0; k < task->n_answer; k++)
        answers[k] = (text_span){task->answer[k].text, task->answer[k].len};
    return judge_rank(by, task->chat ? NULL : task->prompt, task->chat ? task->prompt : NULL, answers,
                      task->n_answer, rank, err);
}

static status judge_batch(judge *by, const label_simulate_options *o, const store_task *tasks, int n,
                          int (*rank)[STORE_ANSWERS], error *err) {
    float score[BATCH][STORE_ANSWERS];
    bool ranker = judge_is_ranker(by);
    if (!ranker && n) TRY(score_batch(by, tasks, n, score, err));
    for (int i = 0; i < n; i++) {
        if (ranker) TRY(rank_task(by, &tasks[i], rank[i], err));
        for (int k = 0; k < tasks[i].n_answer && ranker; k++) score[i][k] = (float)-rank[i][k];
        for (int k = 0; k < tasks[i].n_answer; k++)
            if (!isfinite(score[i][k]))
                return error_set(err, STATUS_FAILED, "task %lld, answer %d: the judge's score is not finite",
                                 (long long)tasks[i].id, k + 1);
        label_ranks_from_scores(o, tasks[i].round, tasks[i].id, tasks[i].n_answer, score[i], rank[i]);
    }
    return STATUS_OK;
}

static status record_one(store *s, const label_simulate_options *o, const store_task *task, const int *rank,
                         error *err) {
    store_lease lease;
    store_outcome outcome;
    TRY(store_lease_task(s, o->labeller, task->id, o->seed, 0, &lease, err));
    store_ranking r = {.verdict = VERDICT_RANKED, .n_rank = task->n_answer, .seconds = -1};
    memcpy(r.uuid, lease.uuid, STORE_UUID);
    memcpy(r.lease, lease.uuid, STORE_UUID);
    memcpy(r.rank, rank, (size_t)r.n_rank * sizeof *rank);
    return store_add_ranking(s, &r, &outcome, NULL, err);
}

static status record_batch(store *s, const label_simulate_options *o, const store_task *tasks, int n,
                           int (*rank)[STORE_ANSWERS], error *err) {
    TRY(store_begin(s, err));
    for (int i = 0; i < n; i++) {
        status result = record_one(s, o, &tasks[i], rank[i], err);
        if (result == STATUS_OK) continue;
        store_rollback(s);
        return result;
    }
    return store_commit(s, err);
}

static status simulate_batch(store *s, judge *by, const label_simulate_options *o, store_task *tasks, int *n,
                             error *err) {
    int64_t ids[BATCH];
    int rank[BATCH][STORE_ANSWERS];
    TRY(store_open_tasks(s, o->labeller, o->round, NULL, 0, ids, n, err));
    for (int i = 0; i < *n; i++) TRY(store_read_task(s, ids[i], &tasks[i], err));
    TRY(judge_batch(by, o, tasks, *n, rank, err));
    return record_batch(s, o, tasks, *n, rank, err);
}

status label_simulate(store *s, judge *by, const label_simulate_options *o, int64_t *n, error *err) {
    store_task *tasks = calloc(BATCH, sizeof *tasks);
    *n = 0;
    if (!tasks) return error_memory(err, "a batch of tasks");
    status result = store_hand_back(s, o->labeller, err);
    while (result == STATUS_OK) {
        int batch = o->limit && o->limit - *n < BATCH ? (int)(o->limit - *n) : BATCH;
        if (batch) result = simulate_batch(s, by, o, tasks, &batch, err);
        for (int i = 0; i < BATCH; i++) store_task_free(&tasks[i]);
        if (result != STATUS_OK || batch == 0) break;
        *n += batch;
        if (signal_stop_requested())
            result = error_set(err, STATUS_INTERRUPTED, "stopped after %lld rankings", (long long)*n);
    }
    free(tasks);
    return result;
}
