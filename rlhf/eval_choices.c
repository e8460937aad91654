/* rlhf eval choices: multiple choice by log-probability, with none, one or a few examples in front. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "datasets/label/arguments.h"
#include "rlhf/choice_results.h"
#include "rlhf/choice_score.h"
#include "rlhf/eval.h"
#include "rlhf/language_model.h"

enum { SHOTS_MAX = 16, SHOTS_MOST = 1000 };

typedef struct choices_options {
    const char *file, *const *model;
    int n_model;
    const char *shots, *shots_from, *form, *between, *preamble, *dtype, *format, *out;
    int64_t limit, seed, threads, max_bad;
} choices_options;

typedef struct choices {
    const choices_options *o;
    int shots[SHOTS_MAX], n_shots, json;
    question_form form;
    questions asked, given;
    const questions *pool; /* of examples: given, or asked itself */
    int32_t *index, *scratch;
    int n; /* questions that are asked: asked.list[index[i]] */
    choice_results results;
    file_writer file;
    buffer text;
} choices;

/* ---- one model, so many examples ---- */

static int line_of(const question *q) { return atoi(strrchr(q->place, ':') + 1); }

static void put_ints(buffer *b, const char *name, const int *value, int n) {
    buffer_format(b, ",\"%s\":[", name);
    for (int i = 0; i < n; i++) buffer_format(b, "%s%d", i ? "," : "", value[i]);
    buffer_string(b, "]");
}

static status write_question(choices *c, const char *model, int shots, const choice_tokens *t, int i,
                             const double *logprob, error *err) {
    const choice_question *cq = &t->question[i];
    const question *q = &c->asked.list[c->index[i]];
    buffer *b = &c->text;
    buffer_clear(b);
    buffer_string(b, "{\"model\":");
    buffer_json_string(b, model, strlen(model));
    buffer_format(b, ",\"shots\":%d,\"line\":%d,\"label\":%d,\"examples\":[", shots, line_of(q), q->label);
    for (int k = 0; k < shots; k++)
        buffer_format(b, "%s%d", k ? "," : "", line_of(&c->pool->list[t->example[i * shots + k]]));
    buffer_string(b, "],\"logprob\":[");
    for (int k = 0; k < cq->n_choice; k++) {
        buffer_string(b, k ? "," : "");
        buffer_json_double(b, logprob[cq->first + k]);
    }
    buffer_string(b, "]");
    put_ints(b, "tokens", t->length + cq->first, cq->n_choice);
    put_ints(b, "bytes", t->bytes + cq->first, cq->n_choice);
    buffer_string(b, "}\n");
    TRY(buffer_check(b, err));
    file_put(&c->file, b->data, b->len);
    return STATUS_OK;
}

static status score_tokens(choices *c, const language_model *lm, const char *model, int shots,
                           const choice_tokens *t, error *err) {
    char what[64];
    snprintf(what, sizeof what, "choices, %d shots", shots);
    double *logprob = calloc((size_t)t->n_choice, sizeof *logprob);
    if (!logprob) return error_memory(err, "log-probabilities");
    status s = choice_score(lm->model, t, what, lm->session.log, logprob, err);
    if (s == STATUS_OK)
        s = choice_results_add(&c->results, &c->asked, c->index, model, shots, t->n_cut, logprob, t->length,
                               t->bytes, err);
    for (int i = 0; c->o->out && i < t->n && s == STATUS_OK; i++)
        s = write_question(c, model, shots, t, i, logprob, err);
    free(logprob);
    return s;
}

static status ask(choices *c, const language_model *lm, const char *model, int shots, error *err) {
    choice_setting how = {&c->form, c->pool, shots, (uint64_t)c->o->seed};
    choice_tokens t;
    TRY(choice_tokens_encode(lm->session.tok, example_document_end(&lm->session.data),
                             model_get_config(lm->model)->context, &how, &c->asked, c->index, c->n, &t, err));
    status s = score_tokens(c, lm, model, shots, &t, err);
    choice_tokens_free(&t);
    return s;
}

static status ask_model(choices *c, const char *model, error *err) {
    language_model lm;
    status s = language_model_open(model, (int)c->o->threads, c->o->dtype, "plain", NULL, &lm, err);
    for (int i = 0; i < c->n_shots && s == STATUS_OK; i++) s = ask(c, &lm, model, c->shots[i], err);
    language_model_close(&lm);
    return s;
}

/* ---- the command ---- */

static status load(choices *c, error *err) {
    bad_lines bad = {.most = (int)c->o->max_bad};
    TRY(questions_load(c->o->file, &bad, &c->asked, err));
    if (c->o->shots_from) TRY(questions_load(c->o->shots_from, &bad, &c->given, err));
    c->pool = c->o->shots_from ? &c->given : &c->asked;
    c->index = calloc((size_t)c->asked.n, sizeof *c->index);
    c->scratch = calloc((size_t)c->asked.n, sizeof *c->scratch);
    c->results.result = calloc((size_t)(c->o->n_model * c->n_shots), sizeof *c->results.result);
    if (!c->index || !c->scratch || !c->results.result) return error_memory(err, "questions");
    c->n = questions_choose(c->asked.n, (int)c->o->limit, (uint64_t)c->o->seed, c->scratch, c->index);
    choice_results_begin(&c->results, &c->asked, c->index, c->n);
    return STATUS_OK;
}

static status print(choices *c, error *err) {
    buffer_clear(&c->text);
    if (c->json)
        choice_results_json(&c->results, &c->text);
    else
        choice_results_table(&c->results, &c->text);
    TRY(buffer_check(&c->text, err));
    return file_print(c->text.data, c->text.len, err);
}

static status ask_all(choices *c, error *err) {
    const choices_options *o = c->o;
    TRY(load(c, err));
    if (o->out) TRY(file_begin(&c->file, o->out, err));
    status s = STATUS_OK;
    for (int i = 0; i < o->n_model && s == STATUS_OK; i++) s = ask_model(c, o->model[i], err);
    if (o->out && s == STATUS_OK) s = file_commit(&c->file, err);
    if (o->out && s != STATUS_OK) file_abandon(&c->file);
    return s == STATUS_OK ? print(c, err) : s;
}

/* "0,1,5" */
static status parse_shots(choices *c, error *err) {
    const char *at = c->o->shots;
    char *end;
    do {
        long n = strtol(at, &end, 10);
        if (end == at || n < 0 || n > SHOTS_MOST || (*end && *end != ',') || c->n_shots == SHOTS_MAX)
            return error_set(
                err, STATUS_USAGE,
                "eval choices: --shots is \"%s\", must be 1 to %d numbers from 0 to %d with commas",
                c->o->shots, SHOTS_MAX, SHOTS_MOST);
        c->shots[c->n_shots++] = (int)n;
        at = end + 1;
    } while (*end);
    return STATUS_OK;
}

static status check_options(choices *c, error *err) {
    const choices_options *o = c->o;
    c->json = strcmp(o->format, "json") == 0;
    if (!c->json && strcmp(o->format, "table") != 0)
        return error_set(err, STATUS_USAGE, "eval choices: --format is \"%s\", must be table or json",
                         o->format);
    TRY(parse_shots(c, err));
    TRY(question_form_open(o->form, o->between, o->preamble, &c->form, err));
    c->results = (choice_results){.file = o->file,
                                  .form = c->form.form,
                                  .seed = (uint64_t)o->seed,
                                  .n_model = o->n_model,
                                  .n_shots = c->n_shots};
    return STATUS_OK;
}

static status run_choices(const command_line *line, void *options, error *err) {
    choices_options *o = options;
    o->file = line->words[line->n_word - 1];
    o->model = line->words;
    o->n_model = line->n_word - 1;
    choices c = {.o = o};
    status s = check_options(&c, err);
    if (s == STATUS_OK) s = ask_all(&c, err);
    choice_results_free(&c.results);
    question_form_free(&c.form);
    questions_free(&c.asked);
    questions_free(&c.given);
    free(c.index);
    free(c.scratch);
    buffer_free(&c.text);
    return s;
}

status eval_choices_command(int argc, char **argv, error *err) {
    choices_options o = {.shots = "0", .form = "continue", .between = "\\n\\n", .format = "table", .seed = 1};
    const argument arguments[] = {
        {"--shots", ARGUMENT_TEXT, &o.shots, 0, 0},
        {"--shots-from", ARGUMENT_TEXT, &o.shots_from, 0, 0},
        {"--form", ARGUMENT_TEXT, &o.form, 0, 0},
        {"--between", ARGUMENT_TEXT, &o.between, 0, 0},
        {"--preamble", ARGUMENT_TEXT, &o.preamble, 0, 0},
        {"--limit", ARGUMENT_INT, &o.limit, 0, 1e9},
        {"--seed", ARGUMENT_INT, &o.seed, 0, 9e15},
        {"--dtype", ARGUMENT_TEXT, &o.dtype, 0, 0},
        {"--threads", ARGUMENT_INT, &o.threads, 0, 1024},
        {"--max-bad", ARGUMENT_INT, &o.max_bad, 0, 1e9},
        {"--format", ARGUMENT_TEXT, &o.format, 0, 0},
        {"--out", ARGUMENT_TEXT, &o.out, 0, 0},
    };
    command_line line = {
        .command = "eval choices",
        .usage =
            "usage: rlhf eval choices MODEL... FILE [options]\n"
            "  How often each model gives the right choice the greatest log-probability behind its context: "
            "as\n"
            "  it is (raw), per token of the choice, per byte of its text. FILE has a line per question:\n"
            "  {\"context\",\"choices\":[...],\"label\",\"subject\"?}, the label counting from 0. The table "
            "ends with\n"
            "  what chance and the longest choice would reach; of several models it tells how much better "
            "each is\n"
            "  than the first one, on the same questions.\n"
            "  --shots LIST       examples in front of a question, such as 0,1,5 (0)\n"
            "  --shots-from FILE  where examples come from (the same file). They are drawn for each question "
            "by\n"
            "                     the seed, never the question itself, and of its subject where it has one\n"
            "  --form FORM        continue (\"{context} {choice}\"), question (\"Question: "
            "{context}\\nAnswer:\n"
            "                     {choice}\"), letters (\"{context}\\n{choices}\\nAnswer: {letter}\"), or "
            "such a text\n"
            "                     of your own; it ends with {choice} or {letter} (continue)\n"
            "  --between TEXT     what stands behind an example (\\n\\n)\n"
            "  --preamble TEXT    what stands before all, such as \"Questions about {subject}.\\n\\n\"\n"
            "  --limit N          so many questions, chosen by the seed; 0: all (0)\n"
            "  --seed N           (1)\n"
            "  --dtype NAME       computes in f32 or bf16 (f32)\n"
            "  --threads N        0: all (0)\n"
            "  --max-bad N        so many bad lines are reported and left out (0)\n"
            "  --format NAME      table or json (table)\n"
            "  --out FILE         a JSON line per model, shots and question, with the choices' "
            "log-probabilities",
        .example = "runs/pretrain/model runs/sft/model questions.jsonl --shots 0,5",
        .arguments = arguments,
        .n = sizeof arguments / sizeof *arguments,
        .min_words = 2,
        .max_words = argc};
    return run_with_arguments(&line, argc, argv, run_choices, &o, err);
}
