#include "core/text/template.h"

#include <string.h>

typedef enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, N_ROLE } role;

static const char *const role_names[N_ROLE] = {"system", "user", "assistant"};

struct chat_template {
    const char *name;
    const char *between;       /* text before every turn but the first */
    const char *open;          /* control token that opens a turn, or NULL */
    const char *heads[N_ROLE]; /* text between that and the content */
    const char *end;           /* control token that ends an assistant's turn */
    int ends_all;              /* and everyone's */
    int text_is_turn;          /* a text prompt is a user's turn, not ids as they are */
    const char *jinja;
};

static const chat_template templates[] = {
    {
        .name = "plain",
        .between = "",
        .heads = {"\n\nSystem: ", "\n\nHuman: ", "\n\nAssistant: "},
        .end = TOKEN_END_OF_TEXT,
        .jinja = "{% for message in messages %}{% if message['role'] == 'system' %}{{ '\\n\\nSystem: ' + "
                 "message['content'] }}{% elif message['role'] == 'user' %}{{ '\\n\\nHuman: ' + "
                 "message['content'] }}{% else %}{{ "
                 "'\\n\\nAssistant: ' + message['content'] + '<|endoftext|>' }}{% endif %}{% endfor %}{% if "
                 "add_generation_prompt %}{{ '\\n\\nAssistant: ' }}{% endif %}",
    },
    {
        .name = "chatml",
        .between = "\n",
        .open = TOKEN_TURN_START,
        .heads = {"system\n", "user\n", "assistant\n"},
        .end = TOKEN_TURN_END,
        .ends_all = 1,
        .text_is_turn = 1,
        .jinja =
            "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
            "'<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' "
            "}}{% "
            "endif %}",
    },
};

enum { N_TEMPLATE = sizeof templates / sizeof *templates };

status template_find(const char *name, const chat_template **out, error *err) {
    for (int i = 0; i < N_TEMPLATE; i++) {
        *out = &templates[i];
        if (strcmp(templates[i].name, name) == 0) return STATUS_OK;
    }
    *out = NULL;
    return error_set(err, STATUS_USAGE, "chat template \"%.80s\" is unknown: there are plain and chatml",
                     name);
}

const char *template_name(const chat_template *t) { return t->name; }
const char *template_end_name(const chat_template *t) { return t->end; }
const char *template_jinja(const chat_template *t) { return t->jinja; }

status template_of(const tokenizer *tok, const chat_template **out, error *err) {
    const char *name = tokenizer_template_name(tok), *jinja = tokenizer_chat_template(tok);
    if (name) return template_find(name, out, err);
    if (!jinja) return template_find("plain", out, err);
    if (strstr(jinja, TOKEN_TURN_START)) return template_find("chatml", out, err);
    *out = NULL;
    return error_set(
        err, STATUS_USAGE,
        "tokenizer_config.json: its chat_template is neither plain nor chatml; name the one to use");
}

/* The id of a control token that the template needs. */
static status control(const chat_template *t, const tokenizer *tok, const char *name, int *id, error *err) {
    *id = tokenizer_special(tok, name);
    if (*id >= 0) return STATUS_OK;
    return error_set(err, STATUS_DATA, "chat template %s: the tokenizer has no token %s", t->name, name);
}

status template_choose(const char *name, const tokenizer *tok, const chat_template **out, error *err) {
    int id;
    if (name && strcmp(name, "auto") != 0)
        TRY(template_find(name, out, err));
    else
        TRY(template_of(tok, out, err));
    if ((*out)->open) TRY(control(*out, tok, (*out)->open, &id, err));
    return control(*out, tok, (*out)->end, &id, err);
}

int template_end_token(const chat_template *t, const tokenizer *tok) {
    return tokenizer_special(tok, t->end);
}

static status push_control(const chat_template *t, const tokenizer *tok, const char *name, ints *tokens,
                           error *err) {
    int id;
    TRY(control(t, tok, name, &id, err));
    ints_push(tokens, id);
    return ints_check(tokens, err);
}

/* What stands before an assistant's content, in a prompt and in a chat. */
static status push_head(const chat_template *t, const tokenizer *tok, role r, int is_first, ints *tokens,
                        error *err) {
    if (!is_first) TRY(tokenizer_encode(tok, t->between, strlen(t->between), tokens, err));
    if (t->open) TRY(push_control(t, tok, t->open, tokens, err));
    if (r != ROLE_ASSISTANT) return STATUS_OK;
    return tokenizer_encode(tok, t->heads[r], strlen(t->heads[r]), tokens, err);
}

/* A system's or user's head and content are one text, as for programs that use the Jinja text. */
static status push_content(const chat_template *t, const tokenizer *tok, role r, const char *content,
                           ints *tokens, error *err) {
    if (r == ROLE_ASSISTANT) return template_answer(t, tok, content, strlen(content), tokens, err);
    buffer text = {0};
    buffer_string(&text, t->heads[r]);
    buffer_string(&text, content);
    status s = buffer_check(&text, err);
    if (s == STATUS_OK) s = tokenizer_encode(tok, text.data, text.len, tokens, err);
    buffer_free(&text);
    return s == STATUS_OK && t->ends_all ? push_control(t, tok, t->end, tokens, err) : s;
}

static status find_role(const char *name, role *out, error *err) {
    for (*out = 0; *out < N_ROLE; ++*out)
        if (strcmp(role_names[*out], name) == 0) return STATUS_OK;
    return error_set(err, STATUS_DATA, "role \"%.40s\" is none of system, user and assistant", name);
}

/* Appends `value` once for each token that has no mark yet. */
static void mark(const ints *tokens, size_t from, ints *target, int value) {
    for (size_t i = from; i < tokens->len; i++) ints_push(target, value);
}

/* The turns; target is NULL where nobody asks. *last: the role of the last one. */
static status push_turns(const chat_template *t, const tokenizer *tok, const message *messages, int n,
                         ints *tokens, ints *target, role *last, error *err) {
    for (int i = 0; i < n; i++) {
        size_t head = tokens->len;
        status s = find_role(messages[i].role, last, err);
        if (s == STATUS_OK) s = push_head(t, tok, *last, i == 0, tokens, err);
        size_t content = tokens->len;
        if (s == STATUS_OK && target) mark(tokens, head, target, 0);
        if (s == STATUS_OK) s = push_content(t, tok, *last, messages[i].content, tokens, err);
        if (s == STATUS_OK && target) mark(tokens, content, target, *last == ROLE_ASSISTANT);
        if (s != STATUS_OK) return error_context(err, "message %d", i + 1);
    }
    return STATUS_OK;
}

status template_prompt(const chat_template *t, const tokenizer *tok, const prompt *p, ints *tokens,
                       error *err) {
    size_t before = tokens->len;
    role last = ROLE_USER;
    if (p->text && !t->text_is_turn) {
        TRY(tokenizer_encode(tok, p->text, strlen(p->text), tokens, err));
        return tokens->len > before ? STATUS_OK : error_set(err, STATUS_DATA, "an empty prompt");
    }
    const message turn = {"user", p->text}, *messages = p->text ? &turn : p->messages;
    int n = p->text ? 1 : p->n_message;
    if (n == 0) return error_set(err, STATUS_DATA, "a prompt without messages");
    TRY(push_turns(t, tok, messages, n, tokens, NULL, &last, err));
    if (last == ROLE_ASSISTANT)
        return error_set(err, STATUS_DATA, "message %d: a prompt must not end with the assistant's message",
                         n);
    return push_head(t, tok, ROLE_ASSISTANT, 0, tokens, err);
}

status template_answer(const chat_template *t, const tokenizer *tok, const char *text, size_t len,
                       ints *tokens, error *err) {
    TRY(tokenizer_encode(tok, text, len, tokens, err));
    return push_control(t, tok, t->end, tokens, err);
}

status template_next(const chat_template *t, const tokenizer *tok, const char *text, ints *tokens,
                     error *err) {
    TRY(push_head(t, tok, ROLE_USER, 0, tokens, err));
    TRY(push_content(t, tok, ROLE_USER, text, tokens, err));
    return push_head(t, tok, ROLE_ASSISTANT, 0, tokens, err);
}

status template_chat(const chat_template *t, const tokenizer *tok, const message *messages, int n,
                     ints *tokens, ints *target, error *err) {
    role last;
    int n_answer = 0;
    TRY(push_turns(t, tok, messages, n, tokens, target, &last, err));
    for (int i = 0; i < n; i++) n_answer += strcmp(messages[i].role, role_names[ROLE_ASSISTANT]) == 0;
    if (n_answer == 0) return error_set(err, STATUS_DATA, "a chat without a message of the assistant");
    return ints_check(target, err);
}
