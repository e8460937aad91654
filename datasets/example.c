#include "datasets/example.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/json.h"
#include "datasets/store/chat.h"
#include "datasets/store/oasst.h"

enum { MESSAGES_MAX = 1024 };

status split_parse(const char *name, const char *place, split_kind *out, error *err) {
    for (*out = SPLIT_TRAIN; *out <= SPLIT_TEST; (*out)++)
        if (strcmp(name, split_name(*out)) == 0) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: split \"%s\" is none of train, valid, test", place, name);
}

const char *split_name(split_kind split) {
    static const char *const name[] = {"any", "train", "valid", "test"};
    return name[split];
}

static status split_of_body(int chat, const char *body, size_t len, const char *given, const char *place,
                            split_kind *out, error *err) {
    if (given) return split_parse(given, place, out, err);
    hash opening;
    if (prompt_opening(chat, body, len, &opening, err) != STATUS_OK) return error_context(err, "%s", place);
    return split_parse(split_of_opening(&opening), place, out, err);
}

status split_of_prompt(const prompt_text *p, const char *given, const char *place, split_kind *out,
                       error *err) {
    const char *body = p->messages ? p->messages : p->text;
    return split_of_body(p->messages != NULL, body, strlen(body), given, place, out, err);
}

/* The split that a line names, or NULL. */
static status given_split(const json_t *line, const char *place, const char **out, error *err) {
    *out = NULL;
    return json_object_get(line, "split") ? json_field_string(line, "split", place, out, err) : STATUS_OK;
}

status data_nothing_left(const data_options *o, const char *what, const char *const *files, int n_file,
                         split_kind wanted, int64_t n_read, error *err) {
    if (o->may_be_empty) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: no %s%s%s (%lld read, %d bad)", n_file ? files[0] : "no file",
                     what, wanted == SPLIT_ANY ? "" : " of split ",
                     wanted == SPLIT_ANY ? "" : split_name(wanted), (long long)n_read, o->bad->n);
}

/* ---- trees ---- */

typedef struct visiting {
    line_visit *visit;
    void *context;
} visiting;

static status visit_line(void *context, json_t *line, const char *place, error *err) {
    const visiting *v = context;
    json_t *chat;
    if (!oasst_is_tree(line)) return v->visit(v->context, line, place, err);
    TRY(oasst_chat(line, place, &chat, err));
    status s = v->visit(v->context, chat, place, err);
    json_decref(chat);
    return s;
}

status examples_each(const char *path, bad_lines *bad, line_visit *visit, void *context, error *err) {
    visiting v = {visit, context};
    return lines_each(path, bad, visit_line, &v, err);
}

/* ---- prompts ---- */

static int ends_with_answer(const json_t *messages) {
    size_t n = json_array_size(messages);
    const char *role = n ? json_string_value(json_object_get(json_array_get(messages, n - 1), "role")) : NULL;
    return role && strcmp(role, "assistant") == 0;
}

static status read_chat_prompt(const json_t *messages, const char *place, prompt_text *out, error *err) {
    buffer body = {0};
    json_t *turns = json_copy((json_t *)messages);
    if (!turns) return error_memory(err, "a prompt");
    if (ends_with_answer(turns)) json_array_remove(turns, json_array_size(turns) - 1);
    status s = chat_canonical_prompt(turns, place, &body, err);
    json_decref(turns);
    out->messages = body.data;
    return s;
}

/* The string that "completion" is, or the content of the assistant's message that is all of it; NULL where it
   is neither. */
static const json_t *find_completion(const json_t *line) {
    const json_t *completion = json_object_get(line, "completion"), *message = json_array_get(completion, 0);
    const char *role = json_string_value(json_object_get(message, "role"));
    if (json_array_size(completion) == 1 && role && strcmp(role, "assistant") == 0)
        completion = json_object_get(message, "content");
    return json_is_string(completion) ? completion : NULL;
}

const json_t *example_answer(const json_t *line) {
    const json_t *answer = find_completion(line), *messages = json_object_get(line, "messages");
    if (!answer && ends_with_answer(messages))
        answer = json_object_get(json_array_get(messages, json_array_size(messages) - 1), "content");
    return json_is_string(answer) ? answer : NULL;
}

/* "reference", else the demonstration that the line is. */
static status read_reference(const json_t *line, prompt_text *out, error *err) {
    const json_t *given = json_object_get(line, "reference");
    if (!given) given = example_answer(line);
    if (!json_is_string(given)) return STATUS_OK;
    out->reference = strdup(json_string_value(given));
    return out->reference ? STATUS_OK : error_memory(err, "a reference");
}

static status read_prompt(const json_t *line, const char *place, prompt_text *out, error *err) {
    const char *text;
    const json_t *p = json_object_get(line, "prompt"), *messages = json_object_get(line, "messages");
    if (!p && !messages)
        return error_set(err, STATUS_DATA, "%s: has neither \"prompt\" nor \"messages\"", place);
    if (!p || json_is_array(p)) return read_chat_prompt(p ? p : messages, place, out, err);
    if (!json_is_string(p))
        return error_set(err, STATUS_DATA, "%s: a prompt must be a string or a list of messages, not %s",
                         place, json_kind(p));
    TRY(json_field_text(line, "prompt", place, &text, err));
    out->text = strdup(text);
    return out->text ? STATUS_OK : error_memory(err, "a prompt");
}

status example_read_prompt(const json_t *line, const char *place, prompt_text *out, split_kind *split,
                           error *err) {
    const char *given;
    *out = (prompt_text){0};
    TRY(given_split(line, place, &given, err));
    status s = read_prompt(line, place, out, err);
    if (s == STATUS_OK) s = read_reference(line, out, err);
    if (s == STATUS_OK) s = split_of_prompt(out, given, place, split, err);
    if (s != STATUS_OK) example_free_prompt(out);
    return s;
}

void example_free_prompt(prompt_text *p) {
    free((char *)p->text);
    free((char *)p->messages);
    free((char *)p->reference);
    *p = (prompt_text){0};
}

/* ---- messages ---- */

/* Fills list from a JSON array of {"role","content"}, with the system prompt in front where the chat has
 * none. */
static status read_messages(const data_options *o, const json_t *array, const char *place, message *list,
                            int *n, error *err) {
    size_t count = json_array_size(array), i;
    const json_t *item;
    *n = 0;
    if (!json_is_array(array) || count == 0 || count >= MESSAGES_MAX)
        return error_set(err, STATUS_DATA, "%s: \"messages\" must be 1 to %d messages", place,
                         MESSAGES_MAX - 1);
    const char *first = json_string_value(json_object_get(json_array_get(array, 0), "role"));
    if (o->system && first && strcmp(first, "system") != 0) list[(*n)++] = (message){"system", o->system};
    json_array_foreach(array, i, item) {
        message *m = &list[(*n)++];
        if (!json_is_object(item))
            return error_set(err, STATUS_DATA, "%s: message %zu must be an object, not %s", place, i + 1,
                             json_kind(item));
        TRY(json_field_text(item, "role", place, &m->role, err));
        TRY(json_field_text(item, "content", place, &m->content, err));
    }
    return STATUS_OK;
}

static status at_place(status s, const char *place, error *err) {
    return s == STATUS_OK ? s : error_context(err, "%s", place);
}

static status text_prompt(const data_options *o, const char *text, const char *place, ints *tokens,
                          error *err) {
    /* A template that makes a turn of a text gives it the system prompt as well. */
    message turns[2] = {{"system", o->system}, {"user", text}};
    prompt p = {.text = text};
    if (o->system && strcmp(template_name(o->chat), "plain") != 0)
        p = (prompt){.messages = turns, .n_message = 2};
    return at_place(template_prompt(o->chat, o->tok, &p, tokens, err), place, err);
}

/* From a text or parsed messages. */
static status prompt_tokens_of(const data_options *o, const json_t *value, const char *place, ints *tokens,
                               error *err) {
    if (json_is_string(value)) return text_prompt(o, json_string_value(value), place, tokens, err);
    message list[MESSAGES_MAX + 1];
    prompt p = {.messages = list};
    TRY(read_messages(o, value, place, list, &p.n_message, err));
    return at_place(template_prompt(o->chat, o->tok, &p, tokens, err), place, err);
}

status example_prompt(const data_options *o, const prompt_text *p, const char *place, ints *tokens,
                      error *err) {
    if (p->text) return text_prompt(o, p->text, place, tokens, err);
    json_t *messages;
    TRY(parse_json(p->messages, strlen(p->messages), place, &messages, err));
    status s = prompt_tokens_of(o, messages, place, tokens, err);
    json_decref(messages);
    return s;
}

int example_document_end(const data_options *o) {
    const char *eos = tokenizer_named(o->tok, "eos_token");
    int end = tokenizer_special(o->tok, TOKEN_END_OF_TEXT);
    if (end < 0 && eos) end = tokenizer_special(o->tok, eos);
    return end >= 0 ? end : template_end_token(o->chat, o->tok);
}

status example_document(const data_options *o, const char *text, size_t len, ints *tokens, error *err) {
    const ints *before = tokenizer_before(o->tok);
    ints_append(tokens, before->data, before->len);
    TRY(tokenizer_encode(o->tok, text, len, tokens, err));
    ints_push(tokens, example_document_end(o));
    return ints_check(tokens, err);
}

/* ---- the three shapes ---- */

static void push_targets(ints *target, size_t n, int value) {
    while (n--) ints_push(target, value);
}

static status read_text(const data_options *o, const json_t *root, const char *place, ints *tokens,
                        ints *target, split_kind *split, const char *given, error *err) {
    const char *text;
    size_t before = tokens->len;
    TRY(json_field_text(root, "text", place, &text, err));
    size_t len = json_string_length(json_object_get(root, "text"));
    TRY(at_place(example_document(o, text, len, tokens, err), place, err));
    push_targets(target, tokens->len - before, 1);
    return split_of_body(0, text, len, given, place, split, err);
}

static status read_completion_text(const json_t *line, const char *place, const char **out, error *err) {
    const json_t *text = find_completion(line);
    if (json_is_array(json_object_get(line, "completion")) && !text)
        return error_set(err, STATUS_DATA,
                         "%s: \"completion\" must be a string or a list of one message of the assistant",
                         place);
    if (!text) return json_field_text(line, "completion", place, out, err);
    *out = json_string_value(text);
    if (strlen(*out) == json_string_length(text)) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: \"completion\" holds a zero byte", place);
}

static status read_completion(const data_options *o, loss_kind loss, const json_t *root, const char *place,
                              ints *tokens, ints *target, split_kind *split, const char *given, error *err) {
    const char *completion, *text;
    const json_t *p = json_object_get(root, "prompt");
    size_t before = tokens->len;
    TRY(read_completion_text(root, place, &completion, err));
    if (json_is_string(p)) TRY(json_field_text(root, "prompt", place, &text, err));
    if (!json_is_string(p) && !json_is_array(p))
        return error_set(err, STATUS_DATA, "%s: \"prompt\" must be a string or a list of messages, not %s",
                         place, json_kind(p));
    TRY(prompt_tokens_of(o, p, place, tokens, err));
    push_targets(target, tokens->len - before, loss == LOSS_ALL);
    before = tokens->len;
    TRY(at_place(template_answer(o->chat, o->tok, completion, strlen(completion), tokens, err), place, err));
    push_targets(target, tokens->len - before, 1);
    if (json_is_string(p))
        return split_of_body(0, json_string_value(p), json_string_length(p), given, place, split, err);
    buffer body = {0};
    status s = chat_canonical_prompt(p, place, &body, err);
    if (s == STATUS_OK) s = split_of_body(1, body.data, body.len, given, place, split, err);
    buffer_free(&body);
    return s;
}

static status read_chat(const data_options *o, loss_kind loss, const json_t *messages, const char *place,
                        ints *tokens, ints *target, split_kind *split, const char *given, error *err) {
    message list[MESSAGES_MAX + 1];
    int n;
    size_t before = target->len;
    TRY(read_messages(o, messages, place, list, &n, err));
    TRY(at_place(template_chat(o->chat, o->tok, list, n, tokens, target, err), place, err));
    for (size_t i = before; loss == LOSS_ALL && i < target->len; i++) target->data[i] = 1;
    buffer body = {0};
    status s = chat_canonical(messages, place, &body, err);
    if (s == STATUS_OK) s = split_of_body(1, body.data, body.len, given, place, split, err);
    buffer_free(&body);
    return s;
}

static status read_line(const data_options *o, loss_kind loss, const json_t *root, const char *place,
                        ints *tokens, ints *target, example_info *info, error *err) {
    const char *given;
    *info = (example_info){0};
    TRY(given_split(root, place, &given, err));
    info->split_given = given != NULL;
    if (json_object_get(root, "messages"))
        return read_chat(o, loss, json_object_get(root, "messages"), place, tokens, target, &info->split,
                         given, err);
    if (json_object_get(root, "prompt"))
        return read_completion(o, loss, root, place, tokens, target, &info->split, given, err);
    info->is_document = 1;
    if (json_object_get(root, "text"))
        return read_text(o, root, place, tokens, target, &info->split, given, err);
    return error_set(err, STATUS_DATA, "%s: has none of \"text\", \"prompt\" and \"messages\"", place);
}

status example_tokens(const data_options *o, loss_kind loss, const json_t *line, const char *place,
                      ints *tokens, ints *target, example_info *info, error *err) {
    size_t first = target->len;
    TRY(read_line(o, loss, line, place, tokens, target, info, err));
    if (target->len > first) target->data[first] = 0; /* no state stands before the first token */
    TRY(ints_check(target, err));
    return ints_check(tokens, err);
}
