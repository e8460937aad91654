#include <string.h>

#include "core/base/buffer.h"
#include "core/text/template_parts.h"

/* Which template it is: by name, or by what stands in a tokenizer's Jinja text. */

const char *template_name(const chat_template *t) { return t->name; }
const char *template_jinja(const chat_template *t) { return t->jinja; }
const chat_template *template_at(int i) { return i < template_n ? &template_table[i] : NULL; }

status template_find(const char *name, const chat_template **out, error *err) {
    buffer names = {0};
    for (int i = 0; i < template_n; i++) {
        *out = &template_table[i];
        if (strcmp(template_table[i].name, name) == 0) return STATUS_OK;
    }
    *out = NULL;
    for (int i = 0; i < template_n; i++)
        buffer_format(&names, "%s%s",
                      i == 0               ? ""
                      : i + 1 < template_n ? ", "
                                           : " and ",
                      template_table[i].name);
    status s = buffer_check(&names, err);
    if (s == STATUS_OK)
        s = error_set(err, STATUS_USAGE, "chat template \"%.80s\" is unknown: there are %s", name,
                      names.data);
    buffer_free(&names);
    return s;
}

/* ------------------------------------------------------------------------------------------ by features */

/* ChatML: what the text itself says behind the head of a turn, or NULL: a system prompt for a chat that has
   none, the beginning of an answer. The head's newline may be written out or as \n. */
static const char *own_words(const char *jinja, const char *head) {
    for (const char *at = jinja; (at = strstr(at, head)) != NULL;) {
        at += strlen(head);
        if (*at == '\n')
            at++;
        else if (strncmp(at, "\\n", 2) == 0)
            at += 2;
        else
            continue;
        if (*at && !strchr("'\"{", *at)) return at;
    }
    return NULL;
}

static int is_system(const char *found, const char *wanted) {
    if (!found || !wanted) return found == wanted;
    size_t n = strlen(wanted);
    return strncmp(found, wanted, n) == 0 && strncmp(found + n, TOKEN_TURN_END, strlen(TOKEN_TURN_END)) == 0;
}

static int fits(const chat_template *t, const char *jinja) {
    for (int i = 0; i < TEMPLATE_MOST && t->has[i]; i++)
        if (!strstr(jinja, t->has[i])) return 0;
    for (int i = 0; i < TEMPLATE_MOST && t->lacks[i]; i++)
        if (strstr(jinja, t->lacks[i])) return 0;
    if (strcmp(t->end, TOKEN_TURN_END) != 0) return 1;
    return is_system(own_words(jinja, TOKEN_TURN_START "system"), t->system_default) &&
           !own_words(jinja, TOKEN_TURN_START "assistant");
}

status template_of(const tokenizer *tok, const chat_template **out, error *err) {
    const char *name = tokenizer_template_name(tok), *jinja = tokenizer_chat_template(tok);
    if (name || !jinja) return template_find(name ? name : "plain", out, err);
    for (int i = 0; i < template_n; i++) {
        *out = &template_table[i];
        if (fits(*out, jinja)) return STATUS_OK;
    }
    *out = NULL;
    return error_set(
        err, STATUS_USAGE,
        "the tokenizer's chat_template is none that is known (\"%.60s...\"); name the one to use "
        "(data.template, or --template)",
        jinja);
}

/* --------------------------------------------------------------------------------------- control tokens */

static int has_token(const tokenizer *tok, const char *name) {
    return name && tokenizer_special(tok, name) >= 0;
}

const char *template_end_of(const chat_template *t, const tokenizer *tok) {
    const char *eos = tok ? tokenizer_named(tok, "eos_token") : NULL;
    if (strcmp(t->end, EOS) == 0) return eos ? eos : t->eos;
    /* Of plain, whose end a published tokenizer calls otherwise. */
    return tok && t->begins_as_texts && !has_token(tok, t->end) && has_token(tok, eos) ? eos : t->end;
}

const char *template_end_name(const chat_template *t) { return template_end_of(t, NULL); }

int template_end_token(const chat_template *t, const tokenizer *tok) {
    return tokenizer_special(tok, template_end_of(t, tok));
}

const char *template_bos_of(const chat_template *t, const tokenizer *tok) {
    const char *bos = t->bos ? tokenizer_named(tok, "bos_token") : NULL;
    return bos ? bos : t->bos;
}

status template_lacks(const chat_template *t, const char *token, error *err) {
    return error_set(err, STATUS_DATA, "chat template %s: the tokenizer has no token %.80s", t->name, token);
}

status template_check(const chat_template *t, const tokenizer *tok, error *err) {
    const char *end = template_end_of(t, tok), *bos = template_bos_of(t, tok);
    if (bos && !has_token(tok, bos)) return template_lacks(t, bos, err);
    for (int i = 0; i < TEMPLATE_MOST && t->needs[i]; i++)
        if (!has_token(tok, t->needs[i])) return template_lacks(t, t->needs[i], err);
    return has_token(tok, end) ? STATUS_OK : template_lacks(t, end, err);
}

int template_controls(const chat_template *t, const char **names) {
    int n = 0;
    if (t->bos) names[n++] = t->bos;
    for (int i = 0; i < TEMPLATE_MOST && t->needs[i]; i++) names[n++] = t->needs[i];
    const char *end = template_end_name(t);
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], end) == 0) return n;
    names[n++] = end;
    return n;
}

status template_choose(const char *name, const tokenizer *tok, const chat_template **out, error *err) {
    if (name && strcmp(name, "auto") != 0)
        TRY(template_find(name, out, err));
    else
        TRY(template_of(tok, out, err));
    return template_check(*out, tok, err);
}
