#include "datasets/prompts.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"

typedef struct loader {
    const data_options *o;
    split_kind split;
    prompts *out;
    hash *seen; /* open addressing, capacity a power of two; all-zero: free */
    size_t capacity, used;
    int64_t read, repeated; /* prompts; those met before */
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

/* Takes the prompt over. */
static status add_prompt(loader *l, prompt_text *p, split_kind split, const char *place, error *err) {
    prompts *out = l->out;
    int64_t start = (int64_t)out->token.len;
    status s = example_prompt(l->o, p, place, &out->token, err);
    int n = (int)((int64_t)out->token.len - start);
    if (s == STATUS_OK && n > l->o->max_length)
        s = error_set(err, STATUS_DATA, "%s: the prompt has %d tokens, at most %d fit", place, n,
                      l->o->max_length);
    /* The length is checked whatever the split: a line is bad once, not only when its part is read. */
    int wanted = split_is_wanted(l->split, split);
    prompt_entry *entry =
        s == STATUS_OK && wanted ? realloc(out->entry, sizeof *entry * ((size_t)out->n + 1)) : NULL;
    if (s == STATUS_OK && wanted && !entry) s = error_memory(err, "prompts");
    if (s != STATUS_OK || !wanted) {
        out->token.len = (size_t)start;
        example_free_prompt(p);
        return s;
    }
    out->entry = entry;
    entry[out->n++] = (prompt_entry){start, n, *p, split};
    if (n > out->longest) out->longest = n;
    return STATUS_OK;
}

static status visit_line(void *context, json_t *line, const char *place, error *err) {
    loader *l = context;
    prompt_text p;
    split_kind split;
    int before = 0;
    TRY(example_read_prompt(line, place, &p, &split, err));
    l->read++;
    const char *body = p.text ? p.text : p.messages;
    hash h = hash_bytes(body, strlen(body));
    if (p.messages) h.byte[0] ^= 1;
    status s = meet(l, &h, &before, err);
    if (s == STATUS_OK && !before) return add_prompt(l, &p, split, place, err);
    l->repeated++;
    example_free_prompt(&p);
    return s;
}

status prompts_load(const data_options *o, split_kind split, const char *const *files, int n_file,
                    prompts *out, error *err) {
    *out = (prompts){0};
    loader l = {.o = o, .split = split, .out = out};
    status s = STATUS_OK;
    for (int i = 0; i < n_file && s == STATUS_OK; i++)
        s = examples_each(files[i], o->bad, visit_line, &l, err);
    free(l.seen);
    if (s == STATUS_OK && out->n == 0) s = data_nothing_left(o, "prompt", files, n_file, split, l.read, err);
    if (s == STATUS_OK && l.repeated && !o->bad->quiet)
        log_line(o->bad->log, "%s: %lld of %lld prompts are there twice or more: each is used once", files[0],
                 (long long)l.repeated, (long long)l.read);
    if (s != STATUS_OK) prompts_free(out);
    return s;
}

void prompts_free(prompts *p) {
    for (int i = 0; i < p->n; i++) example_free_prompt(&p->entry[i].prompt);
    free(p->entry);
    ints_free(&p->token);
    *p = (prompts){0};
}

void prompt_json(const prompt_entry *e, buffer *out) {
    const prompt_text *p = &e->prompt;
    if (p->messages) {
        buffer_format(out, "\"messages\":%s", p->messages);
        return;
    }
    buffer_string(out, "\"prompt\":");
    buffer_json_string(out, p->text, strlen(p->text));
}
