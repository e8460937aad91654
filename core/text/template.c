#include "core/text/template.h"

#include <string.h>

#include "core/base/buffer.h"
#include "core/base/utf8.h"
#include "core/text/template_parts.h"
#include "core/text/tokenizer_parts.h"

static const char *const role_names[N_ROLE] = {"system", "user", "assistant"};

/* --------------------------------------------------------------------------------------- writing tokens */

/* Text waits until a control token follows, or a seam: what lies between is encoded as one. */
typedef struct writer {
    const chat_template *t;
    const tokenizer *tok;
    ints *out;
    buffer text;
    unsigned place; /* of the text that waits: flags of tokenizer_encode_as */
    int strips;     /* white space that comes now belongs to the token before it */
} writer;

static status flush(writer *w, unsigned find, error *err) {
    TRY(buffer_check(&w->text, err));
    if (w->text.len == 0) return STATUS_OK;
    status s = tokenizer_encode_as(w->tok, w->text.data, w->text.len, w->place | find, w->out, NULL, err);
    w->place = TOKENIZER_BEHIND_TEXT;
    buffer_clear(&w->text);
    return s;
}

static void write_text(writer *w, const char *text, size_t len) {
    size_t step;
    while (w->strips && len > 0 && utf8_is_space(utf8_read(text, len, &step))) {
        text += step;
        len -= step;
    }
    if (len > 0) w->strips = 0;
    buffer_append(&w->text, text, len);
}

static status write_token(writer *w, const added_token *token, error *err) {
    size_t step;
    while (token->lstrip && w->text.len > 0) {
        size_t last = utf8_last(w->text.data, w->text.len);
        if (!utf8_is_space(utf8_read(w->text.data + last, w->text.len - last, &step))) break;
        w->text.len = last;
    }
    TRY(flush(w, 0, err));
    ints_push(w->out, token->id);
    w->place = TOKENIZER_BEHIND_TOKEN;
    w->strips = token->rstrip;
    return ints_check(w->out, err);
}

/* A control token by name. */
static status write_control(writer *w, const char *name, error *err) {
    const added_token *token = added_find(&w->tok->names, name);
    return token ? write_token(w, token, err) : template_lacks(w->t, name, err);
}

/* A script: its control tokens are found in it, as in any text that a program wrote. */
static status write_script(writer *w, const char *script, error *err) {
    size_t len = strlen(script), at = 0;
    if (*script == *BOS || *script == *EOS) {
        TRY(write_control(w, *script == *BOS ? template_bos_of(w->t, w->tok) : template_end_of(w->t, w->tok),
                          err));
        at = 1;
    }
    for (added_match m = {.next = at};
         added_next(&w->tok->names, script, len, m.next, at, ADDED_OTHER | ADDED_SPECIAL, NULL, &m);) {
        write_text(w, script + at, m.next - m.token->len - at);
        TRY(write_token(w, m.token, err));
        at = m.next;
    }
    write_text(w, script + at, len - at);
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------ turns */

static status find_role(const char *name, role *out, error *err) {
    for (*out = 0; *out < N_ROLE; ++*out)
        if (strcmp(role_names[*out], name) == 0) return STATUS_OK;
    return error_set(err, STATUS_DATA, "role \"%.40s\" is none of system, user and assistant", name);
}

/* White space, as Jinja's trim has it: Python's, which counts four separators, too. */
static int is_trimmed(int32_t c) { return utf8_is_space(c) || (c >= 0x1c && c <= 0x1f); }

/* Appends a content without the white space around it, if that role's is trimmed. */
static void write_content(writer *w, role r, const char *content, size_t len) {
    size_t step;
    while ((w->t->trims >> r & 1) && len > 0 && is_trimmed(utf8_read(content, len, &step))) {
        content += step;
        len -= step;
    }
    while ((w->t->trims >> r & 1) && len > 0) {
        size_t last = utf8_last(content, len);
        if (!is_trimmed(utf8_read(content + last, len - last, &step))) break;
        len = last;
    }
    write_text(w, content, len);
}

static status write_system(writer *w, const char *content, int is_first, error *err) {
    TRY(write_script(w, w->t->system.before, err));
    if (is_first && w->t->preface) write_text(w, w->t->preface, strlen(w->t->preface));
    write_content(w, ROLE_SYSTEM, content, strlen(content));
    return write_script(w, w->t->system.behind, err);
}

/* folded: the system prompt that stands in this turn, or NULL. */
static status write_user(writer *w, const char *folded, const char *content, error *err) {
    buffer whole = {0};
    if (folded) {
        buffer_string(&whole, w->t->folded.before);
        buffer_string(&whole, folded);
        buffer_string(&whole, w->t->folded.behind);
    }
    buffer_string(&whole, content);
    status s = buffer_check(&whole, err);
    if (s == STATUS_OK) s = write_script(w, w->t->user.before, err);
    if (s == STATUS_OK) write_content(w, ROLE_USER, whole.data, whole.len);
    buffer_free(&whole);
    return s == STATUS_OK ? write_script(w, w->t->user.behind, err) : s;
}

/* An assistant's content is encoded by itself, as the model writes it: with added tokens that are not
   special. */
static status write_answer(writer *w, const char *content, size_t len, error *err) {
    write_text(w, w->t->answer.before, strlen(w->t->answer.before));
    write_content(w, ROLE_ASSISTANT, content, len);
    write_text(w, w->t->answer.behind, strlen(w->t->answer.behind));
    TRY(flush(w, TOKENIZER_FIND_ADDED, err));
    return write_control(w, template_end_of(w->t, w->tok), err);
}

/* ------------------------------------------------------------------------------------------------ chats */

/* Where a chat stands. */
typedef struct chat {
    writer w;
    ints *target;       /* NULL where nobody asks */
    const char *folded; /* the system prompt for the first user's turn */
    int n_turn;         /* turns written */
    role last;          /* of them, when there are any; folded prompts are none */
} chat;

/* Appends `value` once for each token that has no mark yet. */
static void mark(const chat *c, int value) {
    while (c->target && c->target->len < c->w.out->len && !c->target->failed) ints_push(c->target, value);
}

static status check_turn(const chat *c, role r, error *err) {
    const chat_template *t = c->w.t;
    if (r == ROLE_SYSTEM && t->without_system)
        return error_set(err, STATUS_DATA, "chat template %s takes no system prompt: %s", t->name,
                         t->without_system);
    if (r == ROLE_SYSTEM && t->folded.before && (c->n_turn || c->folded))
        return error_set(err, STATUS_DATA,
                         "chat template %s takes a system prompt as the first message alone", t->name);
    if (t->alternates && r != ROLE_SYSTEM && (c->n_turn ? r == c->last : r != ROLE_USER))
        return error_set(err, STATUS_DATA,
                         "chat template %s: user and assistant must take turns, the user first", t->name);
    return STATUS_OK;
}

/* What stands before a turn. */
static status open_turn(chat *c, error *err) {
    TRY(flush(&c->w, 0, err));
    if (c->n_turn++) return write_script(&c->w, c->w.t->between, err);
    const ints *before = tokenizer_before(c->w.tok);
    if (c->w.t->begins_as_texts) ints_append(c->w.out, before->data, before->len);
    return write_script(&c->w, c->w.t->begin, err);
}

static status write_turn(chat *c, role r, const char *content, error *err) {
    writer *w = &c->w;
    TRY(check_turn(c, r, err));
    if (r == ROLE_SYSTEM && w->t->folded.before) {
        c->folded = content;
        return STATUS_OK;
    }
    TRY(open_turn(c, err));
    if (r == ROLE_SYSTEM) TRY(write_system(w, content, c->n_turn == 1, err));
    if (r == ROLE_USER) TRY(write_user(w, c->folded, content, err));
    c->folded = NULL;
    c->last = r;
    if (r != ROLE_ASSISTANT) return STATUS_OK;
    TRY(write_script(w, w->t->head, err));
    TRY(flush(w, 0, err));
    mark(c, 0);
    TRY(write_answer(w, content, strlen(content), err));
    mark(c, 1);
    return STATUS_OK;
}

static status write_turns(chat *c, const message *messages, int n, error *err) {
    const char *system = c->w.t->system_default;
    for (int i = 0; i < n; i++) {
        role r;
        status s = find_role(messages[i].role, &r, err);
        if (s == STATUS_OK && i == 0 && r != ROLE_SYSTEM && system)
            s = write_turn(c, ROLE_SYSTEM, system, err);
        if (s == STATUS_OK) s = write_turn(c, r, messages[i].content, err);
        if (s != STATUS_OK) return error_context(err, "message %d", i + 1);
    }
    if (c->folded)
        return error_set(err, STATUS_DATA,
                         "message %d: chat template %s takes a system prompt with a user's message", n,
                         c->w.t->name);
    return STATUS_OK;
}

/* What makes the assistant answer. */
static status write_head(chat *c, error *err) {
    TRY(open_turn(c, err));
    TRY(write_script(&c->w, c->w.t->head, err));
    return flush(&c->w, 0, err);
}

static status finish(chat *c, status s, error *err) {
    if (s == STATUS_OK) s = flush(&c->w, 0, err);
    if (s == STATUS_OK) mark(c, 0);
    if (s == STATUS_OK && c->target) s = ints_check(c->target, err);
    buffer_free(&c->w.text);
    return s;
}

/* A text as it is, behind what the tokenizer puts before texts. */
static status text_prompt(const tokenizer *tok, const char *text, ints *tokens, error *err) {
    if (!*text) return error_set(err, STATUS_DATA, "an empty prompt");
    const ints *before = tokenizer_before(tok);
    ints_append(tokens, before->data, before->len);
    return tokenizer_encode(tok, text, strlen(text), tokens, err);
}

status template_prompt(const chat_template *t, const tokenizer *tok, const prompt *p, ints *tokens,
                       error *err) {
    const message turn = {"user", p->text}, *messages = p->text ? &turn : p->messages;
    int n = p->text ? 1 : p->n_message;
    if (p->text && !t->text_is_turn) return text_prompt(tok, p->text, tokens, err);
    if (n == 0) return error_set(err, STATUS_DATA, "a prompt without messages");
    TRY(template_check(t, tok, err));
    chat c = {.w = {.t = t, .tok = tok, .out = tokens}};
    status s = write_turns(&c, messages, n, err);
    if (s == STATUS_OK && c.last == ROLE_ASSISTANT)
        s = error_set(err, STATUS_DATA, "message %d: a prompt must not end with the assistant's message", n);
    if (s == STATUS_OK) s = write_head(&c, err);
    return finish(&c, s, err);
}

/* The state behind an assistant's head decides where the answer's text stands. */
status template_answer(const chat_template *t, const tokenizer *tok, const char *text, size_t len,
                       ints *tokens, error *err) {
    ints head = {0};
    chat c = {.w = {.t = t, .tok = tok, .out = &head}};
    status s = write_script(&c.w, t->user.behind, err);
    if (s == STATUS_OK) s = write_script(&c.w, t->head, err);
    if (s == STATUS_OK) s = flush(&c.w, 0, err);
    ints_free(&head);
    c.w.out = tokens;
    if (s == STATUS_OK) s = write_answer(&c.w, text, len, err);
    return finish(&c, s, err);
}

status template_next(const chat_template *t, const tokenizer *tok, const char *text, ints *tokens,
                     error *err) {
    chat c = {.w = {.t = t, .tok = tok, .out = tokens, .place = TOKENIZER_BEHIND_TOKEN},
              .n_turn = 1,
              .last = ROLE_ASSISTANT};
    TRY(template_check(t, tok, err));
    status s = write_turn(&c, ROLE_USER, text, err);
    if (s == STATUS_OK) s = write_head(&c, err);
    return finish(&c, s, err);
}

status template_chat(const chat_template *t, const tokenizer *tok, const message *messages, int n,
                     ints *tokens, ints *target, error *err) {
    int n_answer = 0;
    chat c = {.w = {.t = t, .tok = tok, .out = tokens}, .target = target};
    TRY(template_check(t, tok, err));
    TRY(finish(&c, write_turns(&c, messages, n, err), err));
    for (int i = 0; i < n; i++) n_answer += strcmp(messages[i].role, role_names[ROLE_ASSISTANT]) == 0;
    return n_answer ? STATUS_OK : error_set(err, STATUS_DATA, "a chat without a message of the assistant");
}
