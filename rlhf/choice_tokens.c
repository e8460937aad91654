#include "rlhf/choice_tokens.h"

#include <stdlib.h>
#include <string.h>

/* What one call works with. */
typedef struct encoder {
    const tokenizer *tok;
    const choice_setting *how;
    int end_of_text, context;
    choice_tokens *out;
    int32_t *scratch;
    buffer text; /* context, then context and choice */
    ints whole;
} encoder;

static int count_blanks_at_end(const buffer *text) {
    size_t n = text->len;
    while (n && strchr(" \t\n\r\v\f", text->data[n - 1])) n--;
    return (int)(text->len - n);
}

/* Appends the ids that choice i adds to the context: the text's first n_text bytes, or n_context ids. */
static status encode_choice(encoder *e, const question *q, int i, size_t n_text, size_t n_context,
                            error *err) {
    choice_tokens *t = e->out;
    e->text.len = n_text;
    question_form_choice(e->how->form, q, i, &e->text);
    TRY(buffer_check(&e->text, err));
    ints_clear(&e->whole);
    TRY(tokenizer_encode(e->tok, e->text.data, e->text.len, &e->whole, err));
    if (e->whole.len <= n_context)
        return error_set(
            err, STATUS_DATA,
            "%s: choice %d adds no token to the context; a blank between them in the form would part them",
            q->place, i + 1);
    t->length[t->n_choice] = (int)(e->whole.len - n_context);
    t->bytes[t->n_choice++] = (int)(e->text.len - n_text);
    ints_append(&t->token, e->whole.data + n_context, e->whole.len - n_context);
    return ints_check(&t->token, err);
}

/* Cuts the context to so many tokens; what stands before a text stays. */
static status cut_context(encoder *e, const question *q, choice_question *cq, int room, int longest,
                          error *err) {
    const ints *before = tokenizer_before(e->tok);
    int32_t *token = e->out->token.data;
    if (room <= (int)before->len)
        return error_set(err, STATUS_DATA, "%s: a choice has %d tokens, the model's context is %d", q->place,
                         longest, e->context);
    cq->start += cq->n_context - room;
    cq->n_context = room;
    for (size_t i = 0; i < before->len; i++) token[cq->start + (int64_t)i] = before->data[i];
    e->out->n_cut++;
    return STATUS_OK;
}

/* Makes the context fit with the longest choice. */
static status fit(encoder *e, const question *q, choice_question *cq, error *err) {
    choice_tokens *t = e->out;
    int longest = 0;
    for (int i = cq->first; i < t->n_choice; i++)
        if (t->length[i] > longest) longest = t->length[i];
    int room = e->context + 1 - longest;
    if (cq->n_context > room) TRY(cut_context(e, q, cq, room, longest, err));
    if (cq->n_context > t->longest_context) t->longest_context = cq->n_context;
    if (longest > t->longest_choice) t->longest_choice = longest;
    if (cq->n_choice > t->most_choices) t->most_choices = cq->n_choice;
    return STATUS_OK;
}

static status encode_question(encoder *e, const question *q, uint64_t id, error *err) {
    choice_tokens *t = e->out;
    const choice_setting *how = e->how;
    choice_question *cq = &t->question[t->n++];
    const ints *start = tokenizer_before(e->tok);
    size_t before = t->token.len;
    int32_t *example = t->example + (size_t)(t->n - 1) * (size_t)how->shots;
    *cq = (choice_question){.start = (int64_t)before, .n_choice = q->n_choice, .first = t->n_choice};
    TRY(questions_draw(how->pool, q, how->seed, id, how->shots, e->scratch, example, err));
    buffer_clear(&e->text);
    TRY(question_form_prompt(how->form, q, how->pool, example, how->shots, &e->text, err));
    size_t n_text = e->text.len, n_context;
    ints_append(&t->token, start->data, start->len);
    TRY(tokenizer_encode(e->tok, e->text.data, n_text - (size_t)count_blanks_at_end(&e->text), &t->token,
                         err));
    n_context = t->token.len - before - start->len;
    if (t->token.len == before) ints_push(&t->token, e->end_of_text);
    cq->n_context = (int)(t->token.len - before);
    for (int i = 0; i < q->n_choice; i++) TRY(encode_choice(e, q, i, n_text, n_context, err));
    return fit(e, q, cq, err);
}

static status make_room(encoder *e, const questions *asked, const int32_t *index, int n, error *err) {
    choice_tokens *t = e->out;
    size_t n_choice = 0;
    for (int i = 0; i < n; i++) n_choice += (size_t)asked->list[index[i]].n_choice;
    t->question = calloc((size_t)n, sizeof *t->question);
    t->length = calloc(n_choice, sizeof *t->length);
    t->bytes = calloc(n_choice, sizeof *t->bytes);
    e->scratch = calloc((size_t)e->how->pool->n, sizeof *e->scratch);
    t->example = calloc((size_t)n * (size_t)e->how->shots + 1, sizeof *t->example);
    if (t->question && t->length && t->bytes && e->scratch && t->example) return STATUS_OK;
    return error_memory(err, "questions");
}

status choice_tokens_encode(const tokenizer *tok, int end_of_text, int context, const choice_setting *how,
                            const questions *asked, const int32_t *index, int n, choice_tokens *out,
                            error *err) {
    encoder e = {.tok = tok, .how = how, .end_of_text = end_of_text, .context = context, .out = out};
    *out = (choice_tokens){0};
    status s = make_room(&e, asked, index, n, err);
    for (int i = 0; i < n && s == STATUS_OK; i++)
        s = encode_question(&e, &asked->list[index[i]], (uint64_t)index[i], err);
    free(e.scratch);
    buffer_free(&e.text);
    ints_free(&e.whole);
    if (s != STATUS_OK) choice_tokens_free(out);
    return s;
}

void choice_tokens_free(choice_tokens *t) {
    free(t->question);
    free(t->length);
    free(t->bytes);
    free(t->example);
    ints_free(&t->token);
    *t = (choice_tokens){0};
}
