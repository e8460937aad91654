#include "rlhf/eval_answers.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/lineage.h"

/* ---- one line ---- */

static status read_tokens(const json_t *ids, const char *place, ints *token, eval_answer *out, error *err) {
    size_t i;
    const json_t *id;
    out->token = (int64_t)token->len;
    json_array_foreach(ids, i, id) {
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value > INT32_MAX)
            return error_set(err, STATUS_DATA, "%s: token %zu of \"tokens\" is no token id", place, i + 1);
        ints_push(token, (int32_t)value);
    }
    out->n_token = (int)json_array_size(ids);
    return ints_check(token, err);
}

static status read_answer(const json_t *root, const char *place, ints *token, eval_answer *out, error *err) {
    const char *finish = json_string_value(json_object_get(root, "finish")),
               *key = json_object_get(root, "text") ? "text" : "completion";
    const json_t *text = json_object_get(root, key);
    if (!json_is_string(text))
        return error_set(err, STATUS_DATA, "%s: \"%s\" is missing or no string", place, key);
    TRY(read_tokens(json_object_get(root, "tokens"), place, token, out, err));
    out->finished = !finish || strcmp(finish, "length") != 0;
    out->len = json_string_length(text);
    out->text = malloc(out->len + 1);
    if (!out->text) return error_memory(err, "an answer");
    memcpy(out->text, json_string_value(text), out->len + 1);
    return STATUS_OK;
}

/* ---- collecting ---- */

/* A chat's key begins with a byte that a text's does not. */
static char *make_key(const prompt_text *p) {
    const char *body = p->text ? p->text : p->messages;
    char *key = malloc(strlen(body) + 2);
    if (key) strcpy(strcpy(key, p->text ? "t" : "m") + 1, body);
    return key;
}

int eval_answers_find(const eval_answers *a, const prompt_text *prompt) {
    char *key = make_key(prompt);
    const json_t *number = key ? json_object_get(a->index, key) : NULL;
    free(key);
    return number ? (int)json_integer_value(number) : -1;
}

/* Takes over the prompt. */
static status add_prompt(eval_answers *a, eval_prompt *p, int *number, error *err) {
    *number = eval_answers_find(a, &p->prompt);
    if (*number >= 0) {
        example_free_prompt(&p->prompt);
        return STATUS_OK;
    }
    eval_prompt *more = realloc(a->prompt, sizeof *more * (size_t)(a->n_prompt + 1));
    char *key = make_key(&p->prompt);
    if (more) a->prompt = more;
    int failed = !more || !key || json_object_set_new(a->index, key, json_integer(a->n_prompt)) != 0;
    free(key);
    if (failed) {
        example_free_prompt(&p->prompt);
        return error_memory(err, "prompts");
    }
    *number = a->n_prompt;
    a->prompt[a->n_prompt++] = *p;
    return STATUS_OK;
}

typedef struct loader {
    eval_answers *out;
    split_kind split;
} loader;

static status visit_line(void *context, json_t *line, const char *place, error *err) {
    const loader *l = context;
    eval_answers *a = l->out;
    eval_prompt p = {0};
    eval_answer one = {0};
    TRY(example_read_prompt(line, place, &p.prompt, &p.split, err));
    int wanted = split_is_wanted(l->split, p.split);
    status s = wanted ? read_answer(line, place, &a->token, &one, err) : STATUS_OK;
    if (s != STATUS_OK || !wanted) {
        example_free_prompt(&p.prompt);
        return s;
    }
    s = add_prompt(a, &p, &one.prompt, err);
    eval_answer *more = s == STATUS_OK ? realloc(a->answer, sizeof *more * (size_t)(a->n_answer + 1)) : NULL;
    if (!more) {
        free(one.text);
        return s == STATUS_OK ? error_memory(err, "answers") : s;
    }
    a->answer = more;
    a->answer[a->n_answer++] = one;
    return STATUS_OK;
}

/* Brings the answers of a prompt together, in the order of the file. */
static status sort_answers(eval_answers *a, error *err) {
    eval_answer *sorted = malloc(sizeof *sorted * (size_t)a->n_answer);
    if (!sorted) return error_memory(err, "answers");
    for (int i = 0; i < a->n_answer; i++) a->prompt[a->answer[i].prompt].n++;
    for (int p = 1; p < a->n_prompt; p++) a->prompt[p].first = a->prompt[p - 1].first + a->prompt[p - 1].n;
    for (int p = 0; p < a->n_prompt; p++) a->prompt[p].n = 0;
    for (int i = 0; i < a->n_answer; i++) {
        eval_prompt *p = &a->prompt[a->answer[i].prompt];
        sorted[p->first + p->n++] = a->answer[i];
    }
    free(a->answer);
    a->answer = sorted;
    return STATUS_OK;
}

/* ---- a directory ---- */

/* Without a readable lineage.json the ids are of an unknown tokenizer: judges then encode the texts. */
static void find_tokenizer(const char *directory, hash *out) {
    lineage l = {0};
    char *path = path_join(directory, "lineage.json");
    if (path && path_exists(path) && lineage_read(path, &l, NULL) == STATUS_OK)
        for (int i = 0; i < l.n_in; i++)
            if (strcmp(l.in[i].role, "tokenizer") == 0) *out = l.in[i].sha256;
    lineage_free(&l);
    free(path);
}

status eval_answers_load(const char *directory, split_kind split, eval_answers *out, error *err) {
    *out = (eval_answers){.index = json_object()};
    loader l = {out, split};
    bad_lines bad = {0};
    char *path = path_join(directory, "answers.jsonl");
    status s = path && out->index ? lines_each(path, &bad, visit_line, &l, err) : error_memory(err, "a path");
    if (s == STATUS_OK && out->n_answer == 0)
        s = error_set(err, STATUS_DATA, "%s: no answer%s%s", path, split == SPLIT_ANY ? "" : " of split ",
                      split == SPLIT_ANY ? "" : split_name(split));
    free(path);
    if (s == STATUS_OK) s = sort_answers(out, err);
    if (s == STATUS_OK) find_tokenizer(directory, &out->tokenizer);
    if (s != STATUS_OK) eval_answers_free(out);
    return s;
}

void eval_answers_free(eval_answers *a) {
    for (int i = 0; i < a->n_answer; i++) free(a->answer[i].text);
    for (int i = 0; i < a->n_prompt; i++) example_free_prompt(&a->prompt[i].prompt);
    free(a->answer);
    free(a->prompt);
    free(a->score);
    ints_free(&a->token);
    json_decref(a->index);
    *a = (eval_answers){0};
}

status eval_answers_judge(eval_answers *a, judge *by, error *err) {
    static const hash unknown;
    judge_item *item = calloc((size_t)a->n_answer, sizeof *item);
    a->score = calloc((size_t)a->n_answer, sizeof *a->score);
    if (!item || !a->score) {
        free(item);
        return error_memory(err, "scores");
    }
    for (int i = 0; i < a->n_answer; i++) {
        const eval_answer *one = &a->answer[i];
        const prompt_text *p = &a->prompt[one->prompt].prompt;
        item[i] = (judge_item){.prompt = p->text,
                               .messages = p->messages,
                               .answer = {one->text, one->len},
                               .finished = one->finished,
                               .token = one->n_token ? a->token.data + one->token : NULL,
                               .n_token = one->n_token,
                               .tokenizer = hash_equal(&a->tokenizer, &unknown) ? NULL : &a->tokenizer};
    }
    status s = judge_score(by, item, a->n_answer, a->score, err);
    free(item);
    return s;
}
