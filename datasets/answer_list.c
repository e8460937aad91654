/* Reading answers.jsonl and its like. */
#include <stdlib.h>
#include <string.h>

#include "core/base/json.h"
#include "datasets/answers.h"
#include "datasets/store/chat.h"

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

/* The closing answer of a chat that has one; what is before it is the prompt. */
static const char *closing_answer(const json_t *messages) {
    size_t n = json_array_size(messages);
    const json_t *last = n ? json_array_get(messages, n - 1) : NULL;
    const char *role = json_string_value(json_object_get(last, "role"));
    return role && strcmp(role, "assistant") == 0 ? json_string_value(json_object_get(last, "content"))
                                                  : NULL;
}

static status read_chat(const json_t *messages, const char *place, answer_entry *e, error *err) {
    buffer body = {0};
    json_t *prompt = json_copy((json_t *)messages);
    if (!prompt) return error_memory(err, "a prompt");
    if (closing_answer(messages)) json_array_remove(prompt, json_array_size(prompt) - 1);
    status s = chat_canonical_prompt(prompt, place, &body, err);
    json_decref(prompt);
    e->messages = body.data;
    return s;
}

static status read_prompt(const json_t *root, const char *place, answer_entry *e, error *err) {
    const json_t *p = json_object_get(root, "prompt"), *messages = json_object_get(root, "messages");
    if (!json_is_string(p) && !json_is_array(p) && !json_is_array(messages))
        return error_set(err, STATUS_DATA, "%s: has neither \"prompt\" nor \"messages\"", place);
    if (!json_is_string(p)) return read_chat(messages ? messages : p, place, e, err);
    e->text = strdup(json_string_value(p));
    return e->text ? STATUS_OK : error_memory(err, "a prompt");
}

static status read_answer(loader *l, const json_t *root, const char *place, answer_entry *e, error *err) {
    ints *token = &l->out->token;
    const char *finish = json_string_value(json_object_get(root, "finish"));
    const char *key = json_object_get(root, "text") ? "text" : "completion";
    /* A sampled text may hold a zero byte; its ids are what counts. */
    const char *answer = json_string_value(json_object_get(root, key));
    prompt_text p = {e->text, e->messages};
    int most = l->o->max_length;
    if (!answer) answer = closing_answer(json_object_get(root, "messages"));
    if (!answer)
        return error_set(err, STATUS_DATA,
                         "%s: no answer: neither \"text\", \"completion\" nor an assistant's last message",
                         place);
    e->start = (int64_t)token->len;
    e->answer = strdup(answer);
    if (!e->answer) return error_memory(err, "an answer");
    TRY(example_prompt(l->o, &p, place, token, err));
    e->n_prompt = (int)((int64_t)token->len - e->start);
    if (!take_ids(l, json_object_get(root, "tokens"), token) &&
        template_answer(l->o->chat, l->o->tok, answer, token, err) != STATUS_OK)
        return error_context(err, "%s", place);
    if (l->o->cut && e->n_prompt < most && (int64_t)token->len - e->start > most)
        token->len = (size_t)(e->start + most);
    e->n_token = (int)((int64_t)token->len - e->start);
    e->finished = !finish || strcmp(finish, "length") != 0;
    e->sample = (int)json_integer_value(json_object_get(root, "sample"));
    if (e->n_token > most)
        return error_set(err, STATUS_DATA, "%s: prompt and answer have %d tokens, at most %d fit", place,
                         e->n_token, most);
    return ints_check(token, err);
}

static void free_entry(answer_entry *e) {
    free(e->text);
    free(e->messages);
    free(e->answer);
}

static status visit_root(loader *l, const json_t *root, const char *place, error *err) {
    answer_list *out = l->out;
    answer_entry e = {0};
    const char *given = NULL;
    size_t before = out->token.len;
    if (!json_is_object(root))
        return error_set(err, STATUS_DATA, "%s: must be an object, not %s", place, json_kind(root));
    if (json_object_get(root, "split")) TRY(json_field_string(root, "split", place, &given, err));
    status s = read_prompt(root, place, &e, err);
    if (s == STATUS_OK) s = split_of_prompt(&(prompt_text){e.text, e.messages}, given, place, &e.split, err);
    l->read++;
    int wanted = l->split == SPLIT_ANY || e.split == l->split;
    if (s == STATUS_OK && wanted) s = read_answer(l, root, place, &e, err);
    answer_entry *entry =
        s == STATUS_OK && wanted ? realloc(out->entry, sizeof *entry * ((size_t)out->n + 1)) : NULL;
    if (!entry) {
        out->token.len = before;
        free_entry(&e);
        return s == STATUS_OK && wanted ? error_memory(err, "answers") : s;
    }
    out->entry = entry;
    entry[out->n++] = e;
    if (e.n_token > out->longest) out->longest = e.n_token;
    return STATUS_OK;
}

static status visit_line(void *context, const char *line, size_t len, const char *place, error *err) {
    json_t *root;
    TRY(parse_json(line, len, place, &root, err));
    status s = visit_root(context, root, place, err);
    json_decref(root);
    return s;
}

status answer_list_load(const data_options *o, split_kind split, const char *const *files, int n_file,
                        answer_list *out, error *err) {
    *out = (answer_list){0};
    loader l = {.o = o, .split = split, .out = out};
    status s = STATUS_OK;
    for (int i = 0; i < n_file && s == STATUS_OK; i++) s = lines_each(files[i], o->bad, visit_line, &l, err);
    if (s == STATUS_OK && out->n == 0)
        s = error_set(err, STATUS_DATA, "%s: no answer (%lld read, %d bad)", n_file ? files[0] : "no file",
                      (long long)l.read, o->bad->n);
    if (s != STATUS_OK) answer_list_free(out);
    return s;
}

void answer_list_free(answer_list *l) {
    for (int i = 0; i < l->n; i++) free_entry(&l->entry[i]);
    free(l->entry);
    ints_free(&l->token);
    *l = (answer_list){0};
}
