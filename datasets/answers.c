#include "datasets/answers.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/printable.h"

enum { PREFILL_TOKENS = 256 }; /* tokens of prompts read in one step, beside the live sequences */

int answers_most_tokens(int max_tokens, int context) { return max_tokens < context ? max_tokens : context; }

static limits sampler_limits(const model_config *shape, int slots, int n_answer, int longest,
                             int max_tokens) {
    int most = longest + max_tokens < shape->context ? longest + max_tokens : shape->context;
    return generator_limits(slots, n_answer, most, slots + PREFILL_TOKENS);
}

status sampler_plan(device *dev, const model_config *shape, int slots, int n_answer, int longest,
                    int max_tokens, memory_plan *plan, error *err) {
    max_tokens = answers_most_tokens(max_tokens, shape->context);
    limits l = sampler_limits(shape, slots, n_answer, longest, max_tokens);
    TRY(workspace_plan(dev, shape, &l, "sampling", plan, err));
    TRY(kv_plan(shape, &l, "sampling", plan, err));
    generator_plan(&l, max_tokens, "sampling", plan);
    return STATUS_OK;
}

status sampler_create(device *dev, const model_config *shape, int slots, int n_answer, int longest,
                      int max_tokens, sampler *out, error *err) {
    *out = (sampler){0};
    max_tokens = answers_most_tokens(max_tokens, shape->context);
    limits l = sampler_limits(shape, slots, n_answer, longest, max_tokens);
    status s = workspace_create(dev, shape, &l, &out->ws, err);
    if (s == STATUS_OK) s = kv_create(dev, shape, &l, &out->kv, err);
    if (s == STATUS_OK) s = generator_create(&l, max_tokens, &out->generator, err);
    if (s != STATUS_OK) sampler_free(out);
    return s;
}

void sampler_free(sampler *s) {
    generator_free(s->generator);
    kv_free(s->kv);
    workspace_free(s->ws);
    *s = (sampler){0};
}

status answers_create(int n_prompt, int k, int max_tokens, answers *out, error *err) {
    size_t n = (size_t)n_prompt * (size_t)k;
    *out = (answers){.n_prompt = n_prompt, .k = k, .max_tokens = max_tokens};
    out->token = calloc(n * (size_t)max_tokens, sizeof *out->token);
    out->logprob = calloc(n * (size_t)max_tokens, sizeof *out->logprob);
    out->n_token = calloc(n, sizeof *out->n_token);
    out->finished = calloc(n, sizeof *out->finished);
    out->there = calloc((size_t)n_prompt, sizeof *out->there);
    out->prompt = calloc((size_t)n_prompt, sizeof *out->prompt);
    if (out->token && out->logprob && out->n_token && out->finished && out->there && out->prompt)
        return STATUS_OK;
    answers_free(out);
    return error_memory(err, "answers");
}

void answers_free(answers *a) {
    free(a->token);
    free(a->logprob);
    free(a->n_token);
    free(a->finished);
    free(a->there);
    free(a->prompt);
    *a = (answers){0};
}

typedef struct taking {
    answers *a;
    const int32_t *prompt; /* of the generator's numbers; NULL: the same */
    status (*done)(void *context, int i, error *err);
    void *context;
} taking;

static status take_answer(void *context, const generate_answer *answer, error *err) {
    taking *t = context;
    answers *a = t->a;
    int p = t->prompt ? t->prompt[answer->prompt] : answer->prompt;
    size_t i = (size_t)p * (size_t)a->k + (size_t)answer->sample, n = (size_t)answer->n_token;
    memcpy(a->token + i * (size_t)a->max_tokens, answer->token, n * sizeof *a->token);
    memcpy(a->logprob + i * (size_t)a->max_tokens, answer->logprob, n * sizeof *a->logprob);
    a->n_token[i] = answer->n_token;
    a->finished[i] = answer->finished;
    return t->done ? t->done(t->context, (int)i, err) : STATUS_OK;
}

/* The prompts that are still to be answered, one behind the other. */
static status sample_missing(answers *a, int missing, sampler *s, const model *m, const generate_options *o,
                             taking *t, error *err) {
    generate_prompt *prompt = malloc((size_t)missing * sizeof *prompt);
    int32_t *index = malloc((size_t)missing * sizeof *index);
    status st = prompt && index ? STATUS_OK : error_memory(err, "a list of prompts");
    for (int i = 0, n = 0; i < a->n_prompt && st == STATUS_OK; i++)
        if (!a->there[i]) prompt[n] = a->prompt[i], index[n++] = i;
    t->prompt = index;
    if (st == STATUS_OK)
        st = generate_run(s->generator, m, s->ws, s->kv, prompt, missing, o, take_answer, t, err);
    free(prompt);
    free(index);
    return st;
}

status answers_sample(answers *a, sampler *s, const model *m, const sampling *how, int end_token,
                      status (*done)(void *context, int i, error *err), void *context, error *err) {
    generate_options o = {.how = *how, .n_answer = a->k, .max_tokens = a->max_tokens, .end_token = end_token};
    taking t = {a, NULL, done, context};
    int missing = 0;
    for (int i = 0; i < a->n_prompt; i++) missing += !a->there[i];
    if (missing == 0) return STATUS_OK;
    if (missing < a->n_prompt) return sample_missing(a, missing, s, m, &o, &t, err);
    return generate_run(s->generator, m, s->ws, s->kv, a->prompt, a->n_prompt, &o, take_answer, &t, err);
}

double answers_flops(const answers *a, const model_config *shape) {
    double flops = 0;
    for (int i = 0; i < a->n_prompt * a->k; i++) {
        int p = a->prompt[i / a->k].n_token, n = a->n_token[i];
        if (a->there[i / a->k]) continue;
        /* The states that chose an answer's tokens look back on p to p + n - 1 others. */
        flops += n * model_flops_per_token(shape, PASS_FORWARD, 2.0 * p + n, 1);
        if (i % a->k == 0) flops += p * model_flops_per_token(shape, PASS_FORWARD, p, 1.0 / p);
    }
    return flops;
}

status answer_text(const tokenizer *tok, const answers *a, int i, buffer *out, error *err) {
    return tokenizer_decode(tok, answer_tokens(a, i), (size_t)a->n_token[i], 0, out, err);
}

status answer_flatten(buffer *text, error *err) {
    buffer flat = {.failed = text->failed};
    buffer_append(&flat, "", 0);
    for (size_t i = 0; i < text->len;) {
        printable p = printable_character(text->data + i, text->len - i);
        if (text->data[i] == '\n')
            buffer_append(&flat, " ", 1);
        else
            buffer_append(&flat, p.bytes, p.len);
        i += p.used;
    }
    buffer_free(text);
    *text = flat;
    return buffer_check(text, err);
}

status answer_line(const tokenizer *tok, const answers *a, int i, int samples, const prompt_entry *p,
                   const char *extra, buffer *out, error *err) {
    buffer text = {0};
    status s = answer_text(tok, a, i, &text, err);
    size_t n = (size_t)a->n_token[i];
    buffer_string(out, "{");
    prompt_json(p, out);
    unsigned long long seq_id = a->prompt[i / a->k].seq_id + (unsigned long long)(i % a->k);
    buffer_format(
        out, ",\"sample\":%d,\"seq_id\":%llu,\"text\":", (int)(seq_id % (unsigned long long)samples), seq_id);
    buffer_json_string(out, text.data ? text.data : "", text.len);
    buffer_string(out, ",\"tokens\":");
    buffer_json_ints(out, answer_tokens(a, i), n);
    buffer_format(out, ",\"finish\":\"%s\",\"logprob\":", a->finished[i] ? "stop" : "length");
    buffer_json_floats(out, answer_logprobs(a, i), n);
    buffer_format(out, ",\"split\":\"%s\"%s%s}", split_name(p->split), extra ? "," : "", extra ? extra : "");
    buffer_free(&text);
    return s == STATUS_OK ? buffer_check(out, err) : s;
}
