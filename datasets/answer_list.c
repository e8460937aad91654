/* Reading answers.jsonl and its like. */
#include <stdlib.h>
#include <string.h>

#include "core/base/json.h"
#include "datasets/answers.h"

typedef struct loader {
    const data_options *o;
    split_kind split;
    answer_list *out;
    int64_t read;
} loader;

/* Appends the stored ids when all of them are ids of the tokenizer. */
static int take_ids(const loader *l, const json_t *ids, ints *token) {
    size_t i, before = token->len;
    const json_t *id;
    if (json_array_size(ids) == 0) return 0;
    json_array_foreach(ids, i, id) {
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= tokenizer_vocab(l->o->tok)) {
            token->len = before;
            return 0;
        }
        ints_push(token, (int32_t)value);
    }
    return 1;
}

/* A sampled text, or a demonstration's answer. */
static const json_t *find_answer(const json_t *line) {
    const json_t *text = json_object_get(line, "text");
    return json_is_string(text) ? text : example_answer(line);
}

static status read_answer(loader *l, const json_t *line, const char *place, answer_entry *e, error *err) {
    ints *token = &l->out->token;
    const char *finish = json_string_value(json_object_get(line, "finish"));
    const json_t *answer = find_answer(line);
    int most = l->o->max_length;
    if (!answer)
        return error_set(err, STATUS_DATA,
                         "%s: no answer: neither \"text\", \"completion\" nor an assistant's last message",
                         place);
    e->start = (int64_t)token->len;
    TRY(example_prompt(l->o, &e->prompt, place, token, err));
    e->n_prompt = (int)((int64_t)token->len - e->start);
    if (!take_ids(l, json_object_get(line, "tokens"), token) &&
        template_answer(l->o->chat, l->o->tok, json_string_value(answer), json_string_length(answer), token,
                        err) != STATUS_OK)
        return error_context(err, "%s", place);
    if (l->o->cut && e->n_prompt < most && (int64_t)token->len - e->start > most)
        token->len = (size_t)(e->start + most);
    e->n_token = (int)((int64_t)token->len - e->start);
    e->finished = !finish || strcmp(finish, "length") != 0;
    e->sample = (int)json_integer_value(json_object_get(line, "sample"));
    if (e->n_token > most)
        return error_set(err, STATUS_DATA, "%s: prompt and answer have %d tokens, at most %d fit", place,
                         e->n_token, most);
    return ints_check(token, err);
}

static status visit_line(void *context, json_t *line, const char *place, error *err) {
    loader *l = context;
    answer_list *out = l->out;
    answer_entry e = {0};
    size_t before = out->token.len;
    status s = example_read_prompt(line, place, &e.prompt, &e.split, err);
    l->read++;
    int wanted = s == STATUS_OK && split_is_wanted(l->split, e.split);
    if (wanted) s = read_answer(l, line, place, &e, err);
    answer_entry *entry =
        s == STATUS_OK && wanted ? realloc(out->entry, sizeof *entry * ((size_t)out->n + 1)) : NULL;
    if (!entry) {
        out->token.len = before;
        example_free_prompt(&e.prompt);
        return s == STATUS_OK && wanted ? error_memory(err, "answers") : s;
    }
    out->entry = entry;
    entry[out->n++] = e;
    if (e.n_token > out->longest) out->longest = e.n_token;
    return STATUS_OK;
}

status answer_list_load(const data_options *o, split_kind split, const char *const *files, int n_file,
                        answer_list *out, error *err) {
    *out = (answer_list){0};
    loader l = {.o = o, .split = split, .out = out};
    status s = STATUS_OK;
    for (int i = 0; i < n_file && s == STATUS_OK; i++)
        s = examples_each(files[i], o->bad, visit_line, &l, err);
    if (s == STATUS_OK && out->n == 0) s = data_nothing_left(o, "answer", files, n_file, split, l.read, err);
    if (s != STATUS_OK) answer_list_free(out);
    return s;
}

void answer_list_free(answer_list *l) {
    for (int i = 0; i < l->n; i++) example_free_prompt(&l->entry[i].prompt);
    free(l->entry);
    ints_free(&l->token);
    *l = (answer_list){0};
}
