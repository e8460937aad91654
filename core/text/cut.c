#include "core/text/cut.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/utf8.h"

const char cut_gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

status cut_gpt2_steps(cut_steps *out, error *err) {
    *out = (cut_steps){.step = calloc(1, sizeof *out->step), .n = 1};
    if (!out->step) return error_memory(err, "a pattern");
    status s = pattern_compile(cut_gpt2_pattern, "GPT-2's words", &out->step[0].pattern, err);
    if (s != STATUS_OK) cut_free_steps(out);
    return s;
}

void cut_free_steps(cut_steps *steps) {
    for (int i = 0; i < steps->n && steps->step; i++) {
        free(steps->step[i].mark);
        pattern_free(steps->step[i].pattern);
    }
    free(steps->step);
    *steps = (cut_steps){0};
}

status cut_begin(cutter *c, const cut_steps *steps, error *err) {
    *c = (cutter){.steps = steps, .scratch = pattern_scratch_new()};
    c->rewritten = calloc((size_t)steps->n + 1, sizeof *c->rewritten);
    return c->scratch && c->rewritten ? STATUS_OK : error_memory(err, "a text");
}

void cut_end(cutter *c) {
    for (int i = 0; c->rewritten && i < c->steps->n; i++) traced_free(&c->rewritten[i]);
    free(c->rewritten);
    pattern_scratch_free(c->scratch);
    *c = (cutter){0};
}

/* Who gets the words. */
typedef struct visitor {
    cut_visit visit;
    void *context;
} visitor;

static status run(cutter *c, int i, stretch p, text_place place, const visitor *v, error *err);

/* -------------------------------------------------------------------------------------------- rewriting */

static int has_prefix(const cut_step *step, stretch p, text_place place) {
    size_t len = strlen(step->mark), space = step->replaces_space && p.text[0] == ' ';
    if (space || (p.len >= len && memcmp(p.text, step->mark, len) == 0)) return 0;
    if (step->prefix == PREFIX_FIRST) return place == PLACE_FIRST;
    return step->prefix == PREFIX_ALWAYS && place != PLACE_BEHIND_TEXT;
}

/* *p: what it becomes; it lies in the step's own buffer. */
static status rewrite(cutter *c, int i, stretch *p, text_place place, error *err) {
    const cut_step *step = &c->steps->step[i];
    int prefix = has_prefix(step, *p, place);
    size_t mark = strlen(step->mark), done = 0;
    if (!prefix && !(step->replaces_space && memchr(p->text, ' ', p->len))) return STATUS_OK;
    traced *out = &c->rewritten[i];
    traced_begin(out, c->whole);
    if (prefix) traced_put(out, step->mark, mark, stretch_place(*p, 0));
    while (step->replaces_space) {
        const char *space = memchr(p->text + done, ' ', p->len - done);
        if (!space) break;
        size_t at = (size_t)(space - p->text);
        traced_append(out, stretch_part(*p, done, at));
        traced_put(out, step->mark, mark, p->from ? p->from[at] : (origin){0, 0});
        done = at + 1;
    }
    traced_append(out, stretch_part(*p, done, p->len));
    TRY(traced_check(out, err));
    *p = traced_stretch(out);
    return STATUS_OK;
}

/* ---------------------------------------------------------------------------------------------- cutting */

/* Pieces of one text as they are found: the last one waits, where it may still grow. */
typedef struct joiner {
    cutter *c;
    const visitor *visitor;
    stretch text;
    text_place place;
    int step;
    size_t begin, end;      /* what waits; begin == end: nothing */
    int was_match, is_done; /* of what waits; is_done: it grows no more */
} joiner;

static status emit(const joiner *j, size_t begin, size_t end, error *err) {
    if (begin == end) return STATUS_OK;
    return run(j->c, j->step + 1, stretch_part(j->text, begin, end), begin == 0 ? j->place : PLACE_CUT,
               j->visitor, err);
}

/* Whether the next part belongs to what waits. */
static int joins(const joiner *j, cut_behavior behavior, int is_match) {
    if (j->begin == j->end) return 0;
    if (behavior == CUT_CONTIGUOUS) return is_match == j->was_match;
    if (behavior == CUT_MERGED_WITH_PREVIOUS) return is_match && !j->was_match;
    return behavior == CUT_MERGED_WITH_NEXT && !is_match && j->was_match;
}

/* The parts of the text in order, matches and what lies between them. */
static status add_part(joiner *j, size_t begin, size_t end, int is_match, error *err) {
    const cut_step *step = &j->c->steps->step[j->step];
    is_match ^= step->invert;
    if (step->behavior == CUT_ISOLATED) return emit(j, begin, end, err);
    if (step->behavior == CUT_REMOVED) return is_match ? STATUS_OK : emit(j, begin, end, err);
    if (joins(j, step->behavior, is_match)) {
        j->end = end;
    } else {
        TRY(emit(j, j->begin, j->end, err));
        j->begin = begin;
        j->end = end;
    }
    j->was_match = is_match;
    return STATUS_OK;
}

static status cut(cutter *c, int i, stretch p, text_place place, const visitor *v, error *err) {
    const cut_step *step = &c->steps->step[i];
    joiner j = {.c = c, .visitor = v, .text = p, .place = place, .step = i};
    size_t at = 0;
    for (pattern_match m = {0};;) {
        TRY(pattern_next(step->pattern, c->scratch, p.text, p.len, &m, err));
        if (m.begin > m.end) break;
        if (m.begin > at) TRY(add_part(&j, at, m.begin, 0, err));
        TRY(add_part(&j, m.begin, m.end, 1, err));
        at = m.end;
    }
    if (at < p.len) TRY(add_part(&j, at, p.len, 0, err));
    return emit(&j, j.begin, j.end, err);
}

/* The steps from i on. */
static status run(cutter *c, int i, stretch p, text_place place, const visitor *v, error *err) {
    if (i == c->steps->n) return v->visit(v->context, p, err);
    const cut_step *step = &c->steps->step[i];
    if (step->mark) TRY(rewrite(c, i, &p, place, err));
    return step->pattern ? cut(c, i, p, place, v, err) : run(c, i + 1, p, place, v, err);
}

status cut_each(cutter *c, stretch text, text_place place, cut_visit visit, void *context, error *err) {
    visitor v = {visit, context};
    c->whole = text;
    for (size_t at = 0; at < text.len; place = PLACE_BEHIND_TEXT) {
        size_t n = utf8_prefix(text.text + at, text.len - at, 1);
        if (n) TRY(run(c, 0, stretch_part(text, at, at + n), place, &v, err));
        size_t m = utf8_prefix(text.text + at + n, text.len - at - n, 0);
        if (m) TRY(visit(context, stretch_part(text, at + n, at + n + m), err));
        at += n + m;
    }
    return STATUS_OK;
}
