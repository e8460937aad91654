#include "rlhf/conversation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 256 }; /* tokens read at once */

static int context_of(const conversation *c) { return model_get_config(c->lm->model)->context; }
static int chunk_of(const conversation *c) { return context_of(c) < CHUNK ? context_of(c) : CHUNK; }

status conversation_open(const language_model *lm, const sampling *how, int max_tokens, const char *format,
                         conversation *out, error *err) {
    *out = (conversation){.lm = lm, .slot = -1, .how = *how, .max_tokens = max_tokens, .format = format};
    const model_config *shape = model_get_config(lm->model);
    limits l = {.max_token = chunk_of(out),
                .max_row = 1,
                .max_seq = 1,
                .max_len = shape->context,
                .n_slot = 1,
                .n_page = (shape->context + KV_PAGE - 1) / KV_PAGE};
    TRY(workspace_create(lm->session.dev, shape, &l, &out->ws, err));
    return kv_create(lm->session.dev, shape, &l, &out->kv, err);
}

static void free_exchange(exchange *e) {
    free(e->text);
    ints_free(&e->answer);
}

/* Forgets n exchanges from index first on. */
static void forget(conversation *c, int first, int n) {
    if (n == 0) return;
    for (int i = first; i < first + n; i++) free_exchange(&c->exchange[i]);
    memmove(c->exchange + first, c->exchange + first + n, sizeof *c->exchange * (size_t)(c->n - first - n));
    c->n -= n;
}

void conversation_reset(conversation *c) { forget(c, 0, c->n); }

void conversation_close(conversation *c) {
    conversation_reset(c);
    free(c->exchange);
    ints_free(&c->held);
    ints_free(&c->ids);
    kv_free(c->kv);
    workspace_free(c->ws);
}

/* ---- a message's tokens ---- */

/* The format with {} replaced by the text and \n by a newline. */
static status fill_format(const char *format, const char *text, buffer *out, error *err) {
    for (const char *p = format; *p; p++) {
        int is_text = p[0] == '{' && p[1] == '}', is_newline = p[0] == '\\' && p[1] == 'n';
        if (is_text)
            buffer_string(out, text);
        else
            buffer_append(out, is_newline ? "\n" : p, 1);
        p += is_text || is_newline;
    }
    return buffer_check(out, err);
}

static status first_ids(conversation *c, const char *text, error *err) {
    const session *s = &c->lm->session;
    message turn[2] = {{"system", s->data.system}, {"user", text}};
    prompt p = {.messages = s->data.system ? turn : turn + 1, .n_message = s->data.system ? 2 : 1};
    if (!c->format) return template_prompt(s->chat, s->tok, &p, &c->ids, err);
    buffer filled = {0};
    status st = fill_format(c->format, text, &filled, err);
    if (st == STATUS_OK) st = template_prompt(s->chat, s->tok, &(prompt){.text = filled.data}, &c->ids, err);
    buffer_free(&filled);
    return st;
}

/* The tokens of all exchanges: what was sampled stands there as it was sampled. */
static status make_ids(conversation *c, error *err) {
    const session *s = &c->lm->session;
    ints_clear(&c->ids);
    for (int i = 0; i < c->n; i++) {
        const exchange *e = &c->exchange[i];
        TRY(i == 0 ? first_ids(c, e->text, err) : template_next(s->chat, s->tok, e->text, &c->ids, err));
        ints_append(&c->ids, e->answer.data, e->answer.len);
    }
    return ints_check(&c->ids, err);
}

/* Drops the oldest exchanges where there is no room for an answer: down to half the context, so that the
   cache is not read anew at every turn. */
static status make_room(conversation *c, error *err) {
    int context = context_of(c), room = c->max_tokens < context / 4 ? c->max_tokens : context / 4;
    c->dropped = 0;
    if ((int)c->ids.len + room > context)
        for (; c->n > 1 && (int)c->ids.len > context / 2; c->dropped++) {
            forget(c, 0, 1);
            TRY(make_ids(c, err));
        }
    if ((int)c->ids.len < context) return STATUS_OK;
    return error_set(err, STATUS_DATA,
                     "the message has %zu tokens, the model's context is %d: it was not read", c->ids.len,
                     context);
}

/* ---- the cache ---- */

static status extend(conversation *c, const int32_t *token, int n, int read, error *err) {
    int32_t start[2] = {0, n}, row = n - 1, slot = c->slot;
    uint64_t seq_id = c->asked;
    batch b = {n, 1, read, token, start, &seq_id, &row, NULL};
    TRY(model_extend(c->lm->model, c->ws, c->kv, &b, &slot, c->how.temperature, err));
    ints_append(&c->held, token, (size_t)n);
    return ints_check(&c->held, err);
}

/* Brings the cache to c->ids: behind what it holds where that is their beginning, else anew. */
static status read_ids(conversation *c, error *err) {
    size_t held = c->held.len;
    if (c->slot < 0 || held >= c->ids.len || memcmp(c->held.data, c->ids.data, sizeof(int32_t) * held) != 0) {
        kv_clear(c->kv);
        ints_clear(&c->held);
        c->slot = kv_open(c->kv, c->asked, context_of(c));
    }
    for (int at = (int)c->held.len, n; at < (int)c->ids.len; at += n) {
        n = (int)c->ids.len - at < chunk_of(c) ? (int)c->ids.len - at : chunk_of(c);
        TRY(extend(c, c->ids.data + at, n, at + n == (int)c->ids.len, err));
    }
    return STATUS_OK;
}

/* ---- an exchange ---- */

static status add_exchange(conversation *c, const char *text, error *err) {
    exchange *more = realloc(c->exchange, sizeof *more * (size_t)(c->n + 1));
    if (more) c->exchange = more;
    char *copy = more ? strdup(text) : NULL;
    if (!copy) return error_memory(err, "a message");
    c->exchange[c->n++] = (exchange){.text = copy};
    return STATUS_OK;
}

status conversation_ask(conversation *c, const char *text, error *err) {
    if (c->format) conversation_reset(c);
    TRY(add_exchange(c, text, err));
    c->asked++;
    status s = make_ids(c, err);
    if (s == STATUS_OK) s = make_room(c, err);
    if (s != STATUS_OK) {
        forget(c, c->n - 1, 1);
        return s;
    }
    c->most = context_of(c) - (int)c->ids.len;
    if (c->max_tokens < c->most) c->most = c->max_tokens;
    return read_ids(c, err);
}

status conversation_next(conversation *c, int32_t *token, int *done, error *err) {
    ints *answer = &c->exchange[c->n - 1].answer;
    float logprob;
    if (answer->len) TRY(extend(c, &answer->data[answer->len - 1], 1, 1, err));
    TRY(model_sample(c->lm->model, c->ws, &c->asked, &c->how, token, &logprob, err));
    if (!isfinite(logprob))
        return error_set(err, STATUS_FAILED,
                         "the log-probability of a token is %g: the model's weights are broken",
                         (double)logprob);
    ints_push(answer, *token);
    *done = *token == c->lm->session.end_token || (int)answer->len == c->most;
    return ints_check(answer, err);
}

status conversation_end(conversation *c, error *err) {
    ints *answer = &c->exchange[c->n - 1].answer;
    int end = c->lm->session.end_token;
    if (answer->len == 0 || answer->data[answer->len - 1] != end) ints_push(answer, end);
    return ints_check(answer, err);
}
