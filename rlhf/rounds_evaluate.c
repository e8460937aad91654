/* Held-out prompts answered by a stage's model, judged by the gold judge and the round's reward model. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/model/model.h"
#include "core/train/moments.h"
#include "datasets/pack.h"
#include "datasets/rankings.h"
#include "reward/accuracy.h"
#include "rlhf/generate.h"
#include "rlhf/rounds.h"

enum { PACK_TOKENS = 1024, SEQUENCE_LIMIT = 1 << 20 };

typedef struct evaluation {
    rounds *r;
    const char *part;
    int round;
    /* while it runs */
    session *session;
    const prompts *prompts;
    const int32_t *prompt_index;
    const answers *answers;
    int n;                              /* answers */
    float *gold, *reward, *kl;          /* [n]; NULL: not measured */
    float *gold_sft;                    /* the SFT model's, in the same order; NULL: not there */
    double accuracy, accuracy_previous; /* of this round's reward model and the last one's, on this round's
                                           held-out rankings */
} evaluation;

/* ---- gold ---- */

static status judge_answers(evaluation *e, const struct config_judge *c, float **out, error *err) {
    judge *by = NULL;
    buffer text = {0};
    judge_item *item = calloc((size_t)e->n, sizeof *item);
    hash tokenizer = tokenizer_hash(e->session->tok);
    status s =
        item ? rounds_open_judge(e->r, c, e->session->dev, &by, err) : error_memory(err, "answers to judge");
    for (int i = 0; by && i < e->n && s == STATUS_OK; i++) {
        const prompt_text *p = &e->prompts->entry[e->prompt_index[i / e->answers->k]].prompt;
        size_t first = text.len;
        s = answer_text(e->session->tok, e->answers, i, &text, err);
        item[i] = (judge_item){.prompt = p->text,
                               .messages = p->messages,
                               .reference = p->reference,
                               .answer.len = text.len - first,
                               .finished = e->answers->finished[i],
                               .token = answer_tokens(e->answers, i),
                               .n_token = e->answers->n_token[i],
                               .tokenizer = &tokenizer};
    }
    buffer_append(&text, "", 0);
    if (s == STATUS_OK) s = buffer_check(&text, err);
    const char *at = text.data;
    for (int i = 0; by && i < e->n && s == STATUS_OK; at += item[i++].answer.len) item[i].answer.data = at;
    if (by && s == STATUS_OK) {
        *out = calloc((size_t)e->n, sizeof **out);
        s = *out ? judge_score(by, item, e->n, *out, err) : error_memory(err, "scores");
        if (s == STATUS_OK) s = judge_finish(by, err);
    }
    judge_close(by);
    buffer_free(&text);
    free(item);
    return s;
}

static status score_by_reward(evaluation *e, error *err) {
    if (e->round == 0) return STATUS_OK;
    struct config_judge c = {.kind = CONFIG_JUDGE_MODEL,
                             .model = rounds_path(e->r, "round-%02d/reward/model", e->round)};
    if (!c.model) return error_memory(err, "a path");
    return judge_answers(e, &c, &e->reward, err);
}

/* ---- KL to the SFT model ---- */

static int sequence_of(const evaluation *e, int i, int32_t *out) {
    const generate_prompt *p = &e->answers->prompt[i / e->answers->k];
    memcpy(out, p->token, sizeof *out * (size_t)p->n_token);
    memcpy(out + p->n_token, answer_tokens(e->answers, i), sizeof *out * (size_t)e->answers->n_token[i]);
    return p->n_token + e->answers->n_token[i];
}

/* Sums log pi - log pi_sft of the packed answers [first, end). */
static status read_pack(evaluation *e, const model *sft, workspace *ws, const pack *p, int first, int end,
                        float *row, error *err) {
    forward_options o = {.temperature = e->r->c->eval.temperature};
    row_values values = {.logprob = row};
    if (end == first) return STATUS_OK;
    TRY(model_forward(sft, ws, &p->b, &o, err));
    TRY(model_read(sft, ws, &values, err));
    for (int i = first; i < end; row += e->answers->n_token[i++]) {
        double sum = 0;
        for (int t = 0; t < e->answers->n_token[i]; t++)
            sum += (double)answer_logprobs(e->answers, i)[t] - row[t];
        e->kl[i] = (float)sum;
    }
    return STATUS_OK;
}

static status pack_and_read(evaluation *e, const model *sft, workspace *ws, pack *p, float *row,
                            int32_t *sequence, error *err) {
    int first = 0;
    for (int i = 0; i < e->n; i++) {
        int n = sequence_of(e, i, sequence);
        if (!pack_fits(p, n, e->answers->n_token[i])) {
            TRY(read_pack(e, sft, ws, p, first, i, row, err));
            pack_clear(p);
            first = i;
        }
        pack_add(p, (uint64_t)i, sequence, n);
        pack_rows_of_answer(p, n - e->answers->n_token[i]);
    }
    return read_pack(e, sft, ws, p, first, e->n, row, err);
}

static status measure_kl(evaluation *e, error *err) {
    model_options o = {.language_head = 1,
                       .n_score = 0,
                       .score_bias = 0,
                       .n_vocab = e->session->n_vocab,
                       .compute = e->session->compute};
    model *sft = NULL;
    workspace *ws = NULL;
    pack p = {0};
    TRY(model_load(e->session->dev, e->r->sft, &o, &sft, err));
    int context = model_get_config(sft)->context, most = context > PACK_TOKENS ? context : PACK_TOKENS;
    limits l = {.max_token = most, .max_row = most, .max_seq = most, .max_len = context};
    float *row = malloc(sizeof *row * (size_t)most);
    int32_t *sequence = malloc(sizeof *sequence * (size_t)most);
    e->kl = calloc((size_t)e->n, sizeof *e->kl);
    status s = row && sequence && e->kl ? STATUS_OK : error_memory(err, "rows");
    if (s == STATUS_OK) s = workspace_create(e->session->dev, model_get_config(sft), &l, &ws, err);
    if (s == STATUS_OK) s = pack_create(&l, &p, err);
    if (s == STATUS_OK) s = pack_and_read(e, sft, ws, &p, row, sequence, err);
    free(row);
    free(sequence);
    pack_free(&p);
    workspace_free(ws);
    model_free(sft);
    return s;
}

/* ---- accuracy of reward models on the round's held-out rankings ---- */

static status score_rankings(const model *m, workspace *ws, pack *p, const rankings *held, int round,
                             double *accuracy, error *err) {
    forward_options o = {.temperature = 1};
    struct reward_accuracy counts = {0};
    float score[RANKING_ANSWERS];
    row_values values = {.score = score};
    for (int i = 0; i < held->n; i++) {
        const ranking *k = &held->entry[i];
        if (k->round != round) continue;
        pack_clear(p);
        for (int a = 0; a < k->n_answer; a++) {
            pack_add(p, (uint64_t)a, held->token.data + k->start[a], (int)(k->start[a + 1] - k->start[a]));
            pack_row_of_end(p);
        }
        TRY(model_forward(m, ws, &p->b, &o, err));
        TRY(model_read(m, ws, &values, err));
        reward_accuracy_add(&counts, k->n_answer, score, k->rank);
    }
    *accuracy = reward_accuracy_share(&counts);
    return STATUS_OK;
}

/* The accuracy of round `by`'s reward model on the rankings of e->round. */
static status measure_accuracy(evaluation *e, const rankings *held, int by, double *accuracy, error *err) {
    model_options o = {.language_head = 0,
                       .n_score = 1,
                       .score_bias = 0,
                       .n_vocab = e->session->n_vocab,
                       .compute = e->session->compute};
    model *m = NULL;
    workspace *ws = NULL;
    pack p = {0};
    const char *directory = rounds_path(e->r, "round-%02d/reward/model", by);
    if (!directory) return error_memory(err, "a path");
    TRY(model_load(e->session->dev, directory, &o, &m, err));
    limits l = {.max_token = held->most_tokens,
                .max_row = RANKING_ANSWERS,
                .max_seq = RANKING_ANSWERS,
                .max_len = held->longest};
    status s = workspace_create(e->session->dev, model_get_config(m), &l, &ws, err);
    if (s == STATUS_OK) s = pack_create(&l, &p, err);
    if (s == STATUS_OK) s = score_rankings(m, ws, &p, held, e->round, accuracy, err);
    pack_free(&p);
    workspace_free(ws);
    model_free(m);
    return s;
}

static status measure_accuracies(evaluation *e, error *err) {
    const char *snapshot = rounds_path(e->r, "round-%02d/snapshot.jsonl", e->round);
    rankings held;
    if (!snapshot) return error_memory(err, "a path");
    if (e->round == 0) return STATUS_OK;
    data_options o = e->session->data;
    o.max_length = SEQUENCE_LIMIT; /* they were trained on: the models' context is what counts */
    o.may_be_empty = 1;
    TRY(rankings_load(&o, SPLIT_VALID, &snapshot, 1, &held, err));
    if (held.n == 0) return STATUS_OK;
    status s = measure_accuracy(e, &held, e->round, &e->accuracy, err);
    if (s == STATUS_OK && e->round > 1)
        s = measure_accuracy(e, &held, e->round - 1, &e->accuracy_previous, err);
    rankings_free(&held);
    return s;
}

/* ---- what the SFT model answered ---- */

static status take_gold(void *context, json_t *line, const char *place, error *err) {
    evaluation *e = context;
    double gold;
    TRY(json_field_number(line, "gold", place, &gold, err));
    if (e->n >= e->answers->n_prompt * e->answers->k)
        return error_set(err, STATUS_DATA, "%s: more answers than prompts x samples", place);
    e->gold_sft[e->n++] = (float)gold;
    return STATUS_OK;
}

static status read_sft_gold(evaluation *e, error *err) {
    const char *path = rounds_path(e->r, "sft/evaluate/answers.jsonl");
    bad_lines bad = {0};
    int n = e->n;
    if (!path) return error_memory(err, "a path");
    if (!e->gold || e->round == 0 || !path_exists(path)) return STATUS_OK;
    e->gold_sft = calloc((size_t)n, sizeof *e->gold_sft);
    if (!e->gold_sft) return error_memory(err, "scores");
    e->n = 0;
    status s = lines_each(path, &bad, take_gold, e, err);
    if (s == STATUS_OK && e->n != n) s = error_set(err, STATUS_DATA, "%s: %d answers, not %d", path, e->n, n);
    e->n = n;
    return s;
}

/* ---- figures ---- */

static double mean_of(const evaluation *e, const float *x) { return x ? moments_of(e->n, x).mean : NAN; }

static double win_rate(const evaluation *e) {
    double wins = 0;
    if (!e->gold_sft) return NAN;
    for (int i = 0; i < e->n; i++)
        wins += e->gold[i] > e->gold_sft[i] ? 1 : e->gold[i] == e->gold_sft[i] ? 0.5 : 0;
    return wins / e->n;
}

/* Adds ", NAME figure" where there is one. */
static void say(buffer *b, const char *name, double figure) {
    if (isfinite(figure)) buffer_format(b, ", %s %.3f", name, figure);
}

static void log_figures(const evaluation *e, logger *log, double length) {
    buffer b = {0};
    say(&b, "gold", mean_of(e, e->gold));
    say(&b, "reward", mean_of(e, e->reward));
    say(&b, "KL to SFT", mean_of(e, e->kl));
    say(&b, "win rate", win_rate(e));
    say(&b, "RM accuracy", e->accuracy);
    log_line(log, "%s: length %.1f%s", e->part, length, b.data ? b.data : "");
    buffer_free(&b);
}

static status write_figures(evaluation *e, run *run, error *err) {
    buffer b = {0};
    double length = 0, ended = 0;
    for (int i = 0; i < e->n; i++) {
        length += (double)e->answers->n_token[i] / e->n;
        ended += (double)e->answers->finished[i] / e->n;
    }
    buffer_format(&b, "{\"step\":%d", e->round);
    buffer_json_figure(&b, "gold", mean_of(e, e->gold));
    buffer_json_figure(&b, "gold_std", e->gold ? sqrt(moments_of(e->n, e->gold).variance) : NAN);
    buffer_json_figure(&b, "reward", mean_of(e, e->reward));
    buffer_json_figure(&b, "kl", e->round ? mean_of(e, e->kl) : strcmp(e->part, "sft") == 0 ? 0 : NAN);
    buffer_json_figure(&b, "length", length);
    buffer_json_figure(&b, "ended_share", ended);
    buffer_json_figure(&b, "win_rate_vs_sft", win_rate(e));
    buffer_json_figure(&b, "rm_accuracy", e->accuracy);
    buffer_json_figure(&b, "rm_accuracy_previous", e->accuracy_previous);
    buffer_string(&b, "}");
    status s = buffer_check(&b, err);
    if (s == STATUS_OK) s = run_metrics(run, &b, err);
    buffer_free(&b);
    if (s == STATUS_OK) log_figures(e, run_log(run), length);
    return s;
}

static status evaluate_answers(void *context, session *s, run *run, const prompts *p,
                               const int32_t *prompt_index, const answers *a, buffer *extra, error *err) {
    evaluation *e = context;
    e->session = s;
    e->prompts = p;
    e->prompt_index = prompt_index;
    e->answers = a;
    e->n = a->n_prompt * a->k;
    TRY(judge_answers(e, &e->r->c->eval.judge, &e->gold, err));
    TRY(score_by_reward(e, err));
    if (e->round) TRY(measure_kl(e, err));
    TRY(measure_accuracies(e, err));
    TRY(read_sft_gold(e, err));
    for (int i = 0; i < e->n; i++) {
        if (e->reward) buffer_json_figure(&extra[i], "score", e->reward[i]);
        if (e->gold) buffer_json_figure(&extra[i], "gold", e->gold[i]);
        TRY(buffer_check(&extra[i], err));
    }
    return write_figures(e, run, err);
}

status rounds_evaluate(rounds *r, const char *part, const char *model, int round, error *err) {
    static const split_kind split[] = {SPLIT_ANY, SPLIT_TRAIN, SPLIT_VALID, SPLIT_TEST};
    const struct config_eval *c = &r->c->eval;
    const config_strings *files = c->prompts.n ? &c->prompts : &r->c->rounds.prompts;
    evaluation e = {.r = r, .part = part, .round = round, .accuracy = NAN, .accuracy_previous = NAN};
    struct config copy;
    char name[40];
    if (!model) return error_memory(err, "a path");
    snprintf(name, sizeof name, "%s/evaluate", part);
    TRY(rounds_part(r, name, &copy, err));
    generate_job job = {.kind = "evaluate",
                        .round = round,
                        .resume = 1,
                        .model = model,
                        .prompts = files->value,
                        .n_prompts = files->n,
                        .split = split[c->split],
                        .samples = c->samples,
                        .how = {.temperature = c->temperature, .greedy = c->greedy, .top_p = 1},
                        .purpose = RANDOM_EVALUATE,
                        .max_tokens = c->max_tokens,
                        .slots = r->c->generate.slots,
                        .extra = evaluate_answers,
                        .context = &e,
                        .sections = CONFIG_OF_EVALUATE};
    status s = generate_into(&copy, &job, r->log, err);
    free(e.gold);
    free(e.reward);
    free(e.kl);
    free(e.gold_sft);
    return s;
}
