#include "rlhf/question_form.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *form;
} NAMED[] = {{"continue", "{context} {choice}"},
             {"question", "Question: {context}\\nAnswer: {choice}"},
             {"letters", "{context}\\n{choices}\\nAnswer: {letter}"}};
enum { N_NAMED = sizeof NAMED / sizeof *NAMED, LETTERS = 26 };

typedef enum place {
    PLACE_NONE,
    PLACE_CONTEXT,
    PLACE_SUBJECT,
    PLACE_CHOICES,
    PLACE_CHOICE,
    PLACE_LETTER
} place;
static const char *const PLACES[] = {"", "{context}", "{subject}", "{choices}", "{choice}", "{letter}"};

/* One step through a text: a place, or else one letter. Returns what stands behind it, NULL where neither
 * begins. */
static const char *step(const char *at, place *p, char *letter) {
    *p = PLACE_NONE;
    *letter = *at;
    if (*at != '{' && *at != '\\') return at + 1;
    for (int i = PLACE_CONTEXT; i <= PLACE_LETTER; i++)
        if (strncmp(at, PLACES[i], strlen(PLACES[i])) == 0) return *p = (place)i, at + strlen(PLACES[i]);
    *letter = at[1] == 'n' ? '\n' : at[1] == 't' ? '\t' : at[1];
    return *at == '\\' && at[1] && strchr("nt\\{", at[1]) ? at + 2 : NULL;
}

/* ---- checking ---- */

/* allowed: bits by place. *last: the place that the text ends with. */
static status check_text(const char *option, const char *text, unsigned allowed, place *last, error *err) {
    char letter;
    *last = PLACE_NONE;
    for (const char *at = text, *next; *at; at = next) {
        if (*last == PLACE_CHOICE || *last == PLACE_LETTER)
            return error_set(err, STATUS_USAGE, "%s: \"%s\" stands behind %s, which must be the last", option,
                             at, PLACES[*last]);
        next = step(at, last, &letter);
        if (!next || (*last && !(allowed >> *last & 1)))
            return error_set(
                err, STATUS_USAGE,
                "%s: \"%s\" begins with no place that may stand there and none of \\n, \\t, \\\\, \\{",
                option, at);
    }
    return STATUS_OK;
}

status question_form_open(const char *form, const char *between, const char *preamble, question_form *out,
                          error *err) {
    place last;
    *out = (question_form){0};
    for (int i = 0; i < N_NAMED; i++)
        if (strcmp(form, NAMED[i].name) == 0) form = NAMED[i].form;
    TRY(check_text("--form", form, ~0u, &last, err));
    if (last != PLACE_CHOICE && last != PLACE_LETTER)
        return error_set(
            err, STATUS_USAGE,
            "--form: \"%s\" is none of continue, question and letters, and does not end with {choice} or "
            "{letter}",
            form);
    TRY(check_text("--between", between, 0, &last, err));
    TRY(check_text("--preamble", preamble ? preamble : "", 1u << PLACE_SUBJECT, &last, err));
    *out = (question_form){strdup(form), strdup(between), strdup(preamble ? preamble : "")};
    if (out->form && out->between && out->preamble) return STATUS_OK;
    question_form_free(out);
    return error_memory(err, "a form");
}

void question_form_free(question_form *f) {
    free(f->form);
    free(f->between);
    free(f->preamble);
    *f = (question_form){0};
}

/* ---- filling in ---- */

static void append_subject(const char *subject, buffer *out) {
    for (; *subject; subject++) buffer_append(out, *subject == '_' ? " " : subject, 1);
}

static void append_choices(const question *q, buffer *out) {
    for (int i = 0; i < q->n_choice; i++)
        buffer_format(out, "%s%c. %s", i ? "\n" : "", 'A' + i, question_choice(q, i));
}

static status check_question(const question *q, place p, error *err) {
    if (p == PLACE_SUBJECT && !q->subject)
        return error_set(err, STATUS_DATA, "%s: has no \"subject\", which the form asks for", q->place);
    if ((p == PLACE_CHOICES || p == PLACE_LETTER) && q->n_choice > LETTERS)
        return error_set(err, STATUS_DATA, "%s: %d choices, there are %d letters", q->place, q->n_choice,
                         LETTERS);
    return STATUS_OK;
}

/* The text up to its choice, of question q. */
static status append_text(const char *text, const question *q, buffer *out, error *err) {
    place p;
    char letter;
    for (const char *at = text; *at;) {
        at = step(at, &p, &letter);
        TRY(check_question(q, p, err));
        if (p == PLACE_NONE) buffer_append(out, &letter, 1);
        if (p == PLACE_CONTEXT) buffer_string(out, q->context);
        if (p == PLACE_SUBJECT) append_subject(q->subject, out);
        if (p == PLACE_CHOICES) append_choices(q, out);
    }
    return STATUS_OK;
}

status question_form_prompt(const question_form *f, const question *asked, const questions *pool,
                            const int32_t *examples, int n, buffer *out, error *err) {
    TRY(append_text(f->preamble, asked, out, err));
    for (int k = 0; k < n; k++) {
        const question *example = &pool->list[examples[k]];
        TRY(append_text(f->form, example, out, err));
        question_form_choice(f, example, example->label, out);
        TRY(append_text(f->between, asked, out, err));
    }
    TRY(append_text(f->form, asked, out, err));
    return buffer_check(out, err);
}

void question_form_choice(const question_form *f, const question *asked, int i, buffer *out) {
    size_t n = strlen(f->form), k = strlen(PLACES[PLACE_LETTER]);
    if (n >= k && strcmp(f->form + n - k, PLACES[PLACE_LETTER]) == 0)
        buffer_format(out, "%c", 'A' + i);
    else
        buffer_string(out, question_choice(asked, i));
}
