#include "ppo/evaluate.h"

#include "core/train/moments.h"

enum { SHOWN = 4 }; /* answers that are logged */

status ppo_evaluation_open(session *s, const struct config_ppo *c, int context, ppo_evaluation *out,
                           error *err) {
    *out = (ppo_evaluation){0};
    bad_lines quiet;
    data_options again = session_held_out_data(s, &quiet);
    TRY(prompts_load(&again, SPLIT_VALID, c->prompts.value, c->prompts.n, &out->prompts, err));
    struct config_ppo small = *c;
    small.batch = out->prompts.n < c->eval_prompts ? out->prompts.n : c->eval_prompts;
    small.samples_per_prompt = 1;
    if (small.batch == 0) return STATUS_OK;
    return rollout_create(&small, out->prompts.longest, context, &out->rollout, err);
}

void ppo_evaluation_close(ppo_evaluation *e) {
    rollout_free(&e->rollout);
    prompts_free(&e->prompts);
}

static status show(const ppo_evaluation *e, const rollout_context *x, int64_t iteration, error *err) {
    buffer text = {0};
    status s = STATUS_OK;
    for (int i = 0; i < e->rollout.n && i < SHOWN && s == STATUS_OK; i++) {
        const prompt_text *p = &e->prompts.entry[i].prompt;
        buffer_clear(&text);
        buffer_format(&text, "%s|", p->text ? p->text : p->messages);
        s = answer_text(x->session->tok, &e->rollout.answers, i, &text, err);
        if (s == STATUS_OK) s = answer_flatten(&text, err);
        if (s == STATUS_OK)
            log_line(x->session->log, "iteration %lld, held out: %s%s [%.2f]", (long long)iteration,
                     text.data, e->rollout.answers.finished[i] ? "" : " (cut)", (double)e->rollout.raw[i]);
    }
    buffer_free(&text);
    return s;
}

status ppo_evaluation_run(ppo_evaluation *e, const rollout_context *x, int64_t iteration, error *err) {
    rollout *r = &e->rollout;
    rollout_context held = *x;
    held.prompts = &e->prompts;
    if (r->n == 0) return STATUS_OK;
    TRY(rollout_answer(r, &held, iteration, err));
    TRY(rollout_score(r, &held, err));
    e->score = moments_of(r->n, r->raw).mean;
    e->length = (double)rollout_tokens(r) / r->n;
    e->ended = 0;
    for (int i = 0; i < r->n; i++) e->ended += (double)r->answers.finished[i] / r->n;
    return show(e, x, iteration, err);
}
