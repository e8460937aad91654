#include "sft/samples.h"

#include <inttypes.h>

enum { DOCUMENT_PROMPT = 8 };

static int prompt_length(const sequence *s) {
    int first = 1;
    const uint8_t *target = sequence_targets(s);
    while (first < s->n && !target[first]) first++;
    if (first == 1 && s->n > DOCUMENT_PROMPT) first = DOCUMENT_PROMPT;
    return first < s->n ? first : s->n - 1;
}

status sft_samples_plan(session *s, const struct config_sft *c, const model_config *shape, memory_plan *plan,
                        error *err) {
    if (!c->sample_every) return STATUS_OK;
    return sampler_plan(s->dev, shape, c->sample_count, 1, shape->context, c->sample_tokens, plan, err);
}

status sft_samples_open(session *s, const struct config_sft *c, const sft_data *d, const model_config *shape,
                        sft_samples *out, error *err) {
    const sequences *from = d->data.valid.n ? &d->data.valid : &d->data.train;
    int n = c->sample_count < from->n ? c->sample_count : from->n,
        most = answers_most_tokens(c->sample_tokens, shape->context);
    *out = (sft_samples){0};
    if (!c->sample_every || n == 0) return STATUS_OK;
    TRY(sampler_create(s->dev, shape, n, 1, shape->context, most, &out->sampler, err));
    TRY(answers_create(n, 1, most, &out->answers, err));
    for (int i = 0; i < n; i++)
        ints_append(&out->prompt, from->entry[i].token, (size_t)prompt_length(&from->entry[i]));
    TRY(ints_check(&out->prompt, err));
    for (int i = 0, at = 0; i < n; at += out->answers.prompt[i++].n_token)
        out->answers.prompt[i] =
            (generate_prompt){out->prompt.data + at, prompt_length(&from->entry[i]), (uint64_t)i};
    return STATUS_OK;
}

void sft_samples_close(sft_samples *x) {
    sampler_free(&x->sampler);
    answers_free(&x->answers);
    ints_free(&x->prompt);
}

status sft_samples_show(sft_samples *x, session *s, const model *m, uint64_t seed, int64_t step, error *err) {
    sampling how = {
        .temperature = 1, .top_p = 1, .key = random_make_key(seed, RANDOM_EVALUATE, 0, (uint32_t)step)};
    buffer prompt = {0}, answer = {0};
    if (x->answers.n_prompt == 0) return STATUS_OK;
    status st = answers_sample(&x->answers, &x->sampler, m, &how, s->end_token, NULL, NULL, err);
    for (int i = 0; st == STATUS_OK && i < x->answers.n_prompt; i++) {
        const generate_prompt *p = &x->answers.prompt[i];
        buffer_clear(&prompt);
        buffer_clear(&answer);
        st = tokenizer_decode(s->tok, p->token, (size_t)p->n_token, 1, &prompt, err);
        if (st == STATUS_OK) st = answer_text(s->tok, &x->answers, i, &answer, err);
        if (st == STATUS_OK) st = answer_flatten(&prompt, err);
        if (st == STATUS_OK) st = answer_flatten(&answer, err);
        if (st == STATUS_OK)
            log_line(s->log, "step %" PRId64 " sample: %s|%s%s", step, prompt.data, answer.data,
                     x->answers.finished[i] ? "" : " (cut)");
    }
    buffer_free(&prompt);
    buffer_free(&answer);
    return st;
}
