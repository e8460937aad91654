#include "datasets/prompts.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/json.h"
#include "datasets/store/chat.h"

typedef struct loader {
    const data_options *o;
    split_kind split;
    prompts *out;
    hash *seen; /* open addressing, capacity a power of two; all-zero: free */
    size_t capacity, used;
    int64_t read;
} loader;

static int is_zero(const hash *h) {
    static const hash zero;
    return hash_equal(h, &zero);
}

static void put_seen(hash *table, size_t capacity, const hash *h) {
    size_t at;
    memcpy(&at, h->byte, sizeof at);
    for (at &= capacity - 1; !is_zero(&table[at]) && !hash_equal(&table[at], h);)
        at = (at + 1) & (capacity - 1);
    table[at] = *h;
}

/* Whether the prompt was met before; remembers it. */
static status meet(loader *l, const hash *h, int *before, error *err) {
    if (2 * (l->used + 1) > l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 1024;
        hash *table = calloc(capacity, sizeof *table);
        if (!table) return error_memory(err, "prompts");
        for (size_t i = 0; i < l->capacity; i++)
            if (!is_zero(&l->seen[i])) put_seen(table, capacity, &l->seen[i]);
        free(l->seen);
        l->seen = table;
        l->capacity = capacity;
    }
    size_t at;
    memcpy(&at, h->byte, sizeof at);
    for (at &= l->capacity - 1; !is_zero(&l->seen[at]) && !hash_equal(&l->seen[at], h);)
        at = (at + 1) & (l->capacity - 1);
    *before = !is_zero(&l->seen[at]);
    l->used += !*before;
    l->seen[at] = *h;
    return STATUS_OK;
}

/* The prompt of a parsed line: its text, or its messages as canonical JSON, without a closing answer. */
static status read_prompt(const json_t *root, const char *place, char **text, char **messages, error *err) {
    const json_t *p = json_object_get(root, "prompt");
    if (!p) p = json_object_get(root, "messages");
    if (!p) return error_set(err, STATUS_DATA, "%s: has neither \"prompt\" nor \"messages\"", place);
    if (json_is_string(p)) {
        if (strlen(json_string_value(p)) != json_string_length(p))
            return error_set(err, STATUS_DATA, "%s: \"prompt\" holds a zero byte", place);
        *text = strdup(json_string_value(p));
        return *text ? STATUS_OK : error_memory(err, "a prompt");
    }
    if (!json_is_array(p))
        return error_set(err, STATUS_DATA, "%s: a prompt must be a string or a list of messages, not %s",
                         place, json_kind(p));
    json_t *chat = json_deep_copy(p);
    size_t n = json_array_size(chat);
    const char *role = json_string_value(json_object_get(json_array_get(chat, n ? n - 1 : 0), "role"));
    if (role && strcmp(role, "assistant") == 0) json_array_remove(chat, n - 1);
    buffer body = {0};
    status s = chat ? chat_canonical_prompt(chat, place, &body, err) : error_memory(err, "a prompt");
    json_decref(chat);
    if (s == STATUS_OK) *messages = strdup(body.data);
    buffer_free(&body);
    return s == STATUS_OK && !*messages ? error_memory(err, "a prompt") : s;
}

/* Takes text and messages over. */
static status add_prompt(loader *l, char *text, char *messages, split_kind split, const char *place,
                         error *err) {
    prompts *out = l->out;
    int64_t start = (int64_t)out->token.len;
    prompt_text p = {text, messages};
    status s = example_prompt(l->o, &p, place, &out->token, err);
    int n = (int)((int64_t)out->token.len - start);
    if (s == STATUS_OK && n > l->o->max_length)
        s = error_set(err, STATUS_DATA, "%s: the prompt has %d tokens, at most %d fit", place, n,
                      l->o->max_length);
    /* The length is checked whatever the split: a line is bad once, not only when its part is read. */
    int wanted = l->split == SPLIT_ANY || split == l->split;
    prompt_entry *entry =
        s == STATUS_OK && wanted ? realloc(out->entry, sizeof *entry * ((size_t)out->n + 1)) : NULL;
    if (s == STATUS_OK && wanted && !entry) s = error_memory(err, "prompts");
    if (s != STATUS_OK || !wanted) {
        out->token.len = (size_t)start;
        free(text);
        free(messages);
        return s;
    }
    out->entry = entry;
    entry[out->n++] = (prompt_entry){start, n, text, messages, split};
    if (n > out->longest) out->longest = n;
    return STATUS_OK;
}

static status visit_root(loader *l, const json_t *root, const char *place, error *err) {
    char *text = NULL, *messages = NULL;
    const char *given = NULL;
    split_kind split = SPLIT_ANY;
    int before = 0;
    if (!json_is_object(root))
        return error_set(err, STATUS_DATA, "%s: must be an object, not %s", place, json_kind(root));
    if (json_object_get(root, "split")) TRY(json_field_string(root, "split", place, &given, err));
    TRY(read_prompt(root, place, &text, &messages, err));
    l->read++;
    prompt_text p = {text, messages};
    status s = split_of_prompt(&p, given, place, &split, err);
    hash h = text ? hash_bytes(text, strlen(text)) : hash_bytes(messages, strlen(messages));
    if (messages) h.byte[0] ^= 1;
    if (s == STATUS_OK) s = meet(l, &h, &before, err);
    if (s == STATUS_OK && !before) return add_prompt(l, text, messages, split, place, err);
    free(text);
    free(messages);
    return s;
}

static status visit_line(void *context, const char *line, size_t len, const char *place, error *err) {
    json_t *root;
    TRY(parse_json(line, len, place, &root, err));
    status s = visit_root(context, root, place, err);
    json_decref(root);
    return s;
}

status prompts_load(const data_options *o, split_kind split, const char *const *files, int n_file,
                    prompts *out, error *err) {
    *out = (prompts){0};
    loader l = {.o = o, .split = split, .out = out};
    status s = STATUS_OK;
    for (int i = 0; i < n_file && s == STATUS_OK; i++) s = lines_each(files[i], o->bad, visit_line, &l, err);
    free(l.seen);
    if (s == STATUS_OK && out->n == 0)
        s = error_set(err, STATUS_DATA, "%s: no prompt%s%s (%lld read, %d bad)",
                      n_file ? files[0] : "no file", split == SPLIT_ANY ? "" : " of split ",
                      split == SPLIT_ANY ? "" : split_name(split), (long long)l.read, o->bad->n);
    if (s != STATUS_OK) prompts_free(out);
    return s;
}

void prompts_free(prompts *p) {
    for (int i = 0; i < p->n; i++) {
        free(p->entry[i].text);
        free(p->entry[i].messages);
    }
    free(p->entry);
    ints_free(&p->token);
    *p = (prompts){0};
}

void prompt_json(const prompt_entry *e, buffer *out) {
    if (e->messages) {
        buffer_format(out, "\"messages\":%s", e->messages);
        return;
    }
    buffer_string(out, "\"prompt\":");
    buffer_json_string(out, e->text, strlen(e->text));
}
