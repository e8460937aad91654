#include "ppo/rollout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/train/moments.h"
#include "ppo/advantages.h"

status rollout_create(const struct config_ppo *c, int longest_prompt, int context, rollout *out, error *err) {
    int most = answers_most_tokens(c->max_tokens, context);
    int width = longest_prompt + most < context ? longest_prompt + most : context;
    int n = c->batch * c->samples_per_prompt;
    size_t tokens = (size_t)n * (size_t)most;
    *out = (rollout){.n = n, .width = width};
    TRY(answers_create(c->batch, c->samples_per_prompt, most, &out->answers, err));
    float **per_token[] = {&out->logprob, &out->logprob_ref, &out->value,
                           &out->reward,  &out->advantage,   &out->value_target};
    int missing = 0;
    for (size_t i = 0; i < sizeof per_token / sizeof *per_token; i++)
        missing |= !(*per_token[i] = calloc(tokens, sizeof(float)));
    out->prompt_index = calloc((size_t)c->batch, sizeof *out->prompt_index);
    out->token = calloc((size_t)n * (size_t)width, sizeof *out->token);
    out->n_prompt = calloc((size_t)n, sizeof *out->n_prompt);
    out->start = calloc((size_t)n + 1, sizeof *out->start);
    out->raw = calloc((size_t)n, sizeof *out->raw);
    out->score = calloc((size_t)n, sizeof *out->score);
    out->item = calloc((size_t)n, sizeof *out->item);
    missing |= !out->prompt_index || !out->token || !out->n_prompt || !out->start || !out->raw ||
               !out->score || !out->item;
    if (!missing) return STATUS_OK;
    rollout_free(out);
    return error_memory(err, "a rollout");
}

void rollout_free(rollout *r) {
    float *array[] = {r->logprob,   r->logprob_ref,  r->value, r->reward,
                      r->advantage, r->value_target, r->raw,   r->score};
    for (size_t i = 0; i < sizeof array / sizeof *array; i++) free(array[i]);
    answers_free(&r->answers);
    free(r->prompt_index);
    free(r->token);
    free(r->n_prompt);
    free(r->start);
    free(r->item);
    buffer_free(&r->text);
    *r = (rollout){0};
}

/* ---- sampling ---- */

static void take_prompt(rollout *r, const rollout_context *x, int b, int i) {
    r->prompt_index[b] = i;
    r->answers.prompt[b] = (generate_prompt){prompt_tokens(x->prompts, i), x->prompts->entry[i].n_token,
                                             (uint64_t)b * (uint64_t)r->answers.k};
}

/* Joins prompt and answer as ids, and lays the sampled log-probabilities one behind the other: they are the
 * old ones. */
static void join(rollout *r) {
    const answers *a = &r->answers;
    for (int i = 0; i < r->n; i++) {
        const generate_prompt *p = &a->prompt[i / a->k];
        int32_t *sequence = r->token + (size_t)i * (size_t)r->width;
        int n = a->n_token[i];
        memcpy(sequence, p->token, sizeof *sequence * (size_t)p->n_token);
        memcpy(sequence + p->n_token, answer_tokens(a, i), sizeof *sequence * (size_t)n);
        memcpy(r->logprob + r->start[i], answer_logprobs(a, i), sizeof(float) * (size_t)n);
        r->n_prompt[i] = p->n_token;
        r->start[i + 1] = r->start[i] + n;
    }
}

static status sample(rollout *r, const rollout_context *x, random_purpose purpose, int64_t iteration,
                     error *err) {
    sampling how = {.temperature = x->c->temperature, .top_p = 1};
    how.key = random_make_key(x->seed, purpose, (uint32_t)x->round, (uint32_t)iteration);
    TRY(answers_sample(&r->answers, x->sampler, x->models->policy, &how, x->session->end_token, NULL, NULL,
                       err));
    join(r);
    r->flops = answers_flops(&r->answers, model_get_config(x->models->policy));
    return STATUS_OK;
}

status rollout_answer(rollout *r, const rollout_context *x, int64_t iteration, error *err) {
    for (int b = 0; b < r->answers.n_prompt; b++) take_prompt(r, x, b, b);
    return sample(r, x, RANDOM_EVALUATE, iteration, err);
}

/* ---- reading the other models ---- */

typedef enum reading { READ_LOGPROB, READ_VALUE, READ_SCORE } reading;

static int rows_of(const rollout *r, int i, reading what) {
    return what == READ_SCORE ? 1 : rollout_length(r, i);
}

/* Runs a model over all sequences and writes one figure per answer token, or per answer, to out. */
static status read_model(rollout *r, const rollout_context *x, const model *m, reading what, float *out,
                         error *err) {
    forward_options o = {.temperature = x->c->temperature};
    for (int i = 0; i < r->n;) {
        pack_clear(x->pack);
        for (; i < r->n && pack_fits(x->pack, r->n_prompt[i] + rollout_length(r, i), rows_of(r, i, what));
             i++) {
            pack_add(x->pack, (uint64_t)i, r->token + (size_t)i * (size_t)r->width,
                     r->n_prompt[i] + rollout_length(r, i));
            if (what == READ_SCORE)
                pack_row_of_end(x->pack);
            else
                pack_rows_of_answer(x->pack, r->n_prompt[i]);
        }
        row_values values = {.logprob = what == READ_LOGPROB ? out : NULL,
                             .score = what == READ_LOGPROB ? NULL : out};
        TRY(model_forward(m, x->ws, &x->pack->b, &o, err));
        TRY(model_read(m, x->ws, &values, err));
        r->flops += pack_flops(x->pack, model_get_config(m), PASS_FORWARD);
        out += x->pack->b.n_row;
    }
    return STATUS_OK;
}

/* ---- scores ---- */

static status score_by_judge(rollout *r, const rollout_context *x, error *err) {
    const answers *a = &r->answers;
    buffer_clear(&r->text);
    for (int i = 0; i < r->n; i++) {
        const prompt_text *p = &x->prompts->entry[r->prompt_index[i / a->k]].prompt;
        size_t first = r->text.len;
        TRY(answer_text(x->session->tok, a, i, &r->text, err));
        r->item[i] = (judge_item){.prompt = p->text,
                                  .messages = p->messages,
                                  .reference = p->reference,
                                  .answer.len = r->text.len - first,
                                  .finished = a->finished[i]};
    }
    buffer_append(&r->text, "", 0);
    TRY(buffer_check(&r->text, err));
    const char *at = r->text.data;
    for (int i = 0; i < r->n; at += r->item[i++].answer.len) r->item[i].answer.data = at;
    return judge_score(x->judge, r->item, r->n, r->raw, err);
}

status rollout_score(rollout *r, const rollout_context *x, error *err) {
    if (!x->models->reward) return score_by_judge(r, x, err);
    TRY(read_model(r, x, x->models->reward, READ_SCORE, r->raw, err));
    const model_config *c = model_get_config(x->models->reward);
    for (int i = 0; i < r->n; i++) r->raw[i] = (r->raw[i] - c->reward_mean) / c->reward_std;
    return STATUS_OK;
}

/* ---- rewards and advantages ---- */

static void compute_rewards(rollout *r, const struct config_ppo *c, double kl_coef) {
    static const enum ppo_unfinished unfinished[] = {PPO_UNFINISHED_REPLACE, PPO_UNFINISHED_SUBTRACT,
                                                     PPO_UNFINISHED_KEEP};
    struct ppo_score_rule rule = {unfinished[c->unfinished], c->unfinished_score, c->score_clip};
    r->kl = (struct ppo_kl){0};
    for (int i = 0; i < r->n; i++) {
        int at = r->start[i], n = rollout_length(r, i);
        r->score[i] = ppo_score(&rule, r->raw[i], r->answers.finished[i]);
        ppo_rewards(n, r->logprob + at, r->logprob_ref + at, r->score[i], kl_coef, r->reward + at);
        ppo_kl_add(&r->kl, n, r->logprob + at, r->logprob_ref + at);
    }
    if (c->whiten_rewards) ppo_whiten(rollout_tokens(r), r->reward, 1);
}

static void compute_advantages(rollout *r, const struct config_ppo *c) {
    for (int i = 0; i < r->n; i++) {
        int at = r->start[i];
        ppo_advantages(rollout_length(r, i), r->reward + at, r->value + at, c->gamma, c->lambda,
                       r->advantage + at, r->value_target + at);
    }
    r->advantage_std = sqrt(moments_of(rollout_tokens(r), r->advantage).variance);
    if (c->whiten_advantages) ppo_whiten(rollout_tokens(r), r->advantage, 0);
}

static status check_finite(const rollout *r, int64_t iteration, error *err) {
    for (int i = 0; i < r->n; i++) {
        double sum = r->score[i];
        for (int t = r->start[i]; t < r->start[i + 1]; t++) sum += (double)r->reward[t] + r->value[t];
        if (!isfinite(sum))
            return error_set(err, STATUS_FAILED,
                             "iteration %lld: answer %d (to prompt %d) has a score, reward or value that is "
                             "not finite: no weight "
                             "was changed",
                             (long long)iteration, i, r->prompt_index[i / r->answers.k]);
    }
    return STATUS_OK;
}

status rollout_collect(rollout *r, const rollout_context *x, int64_t iteration, double kl_coef, error *err) {
    for (int b = 0; b < r->answers.n_prompt; b++) take_prompt(r, x, b, order_next(x->order));
    TRY(sample(r, x, RANDOM_SAMPLE, iteration, err));
    TRY(rollout_score(r, x, err));
    TRY(read_model(r, x, x->models->reference, READ_LOGPROB, r->logprob_ref, err));
    TRY(read_model(r, x, x->models->value, READ_VALUE, r->value, err));
    compute_rewards(r, x->c, kl_coef);
    TRY(check_finite(r, iteration, err));
    compute_advantages(r, x->c);
    return STATUS_OK;
}
