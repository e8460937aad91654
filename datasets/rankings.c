#include "datasets/rankings.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/store/oasst.h"
#include "datasets/store/ranking_line.h"

typedef struct loader {
    const data_options *o;
    split_kind split;
    rankings *out;
    hash tokenizer;
    int64_t read;
} loader;

/* Appends answer a's ids as the snapshot has them. */
static status take_ids(const loader *l, const json_t *ids, const char *place, ints *tokens, error *err) {
    size_t i;
    const json_t *id;
    if (!json_is_array(ids)) return error_set(err, STATUS_DATA, "%s: \"tokens\" must be lists of ids", place);
    json_array_foreach(ids, i, id) {
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= tokenizer_vocab(l->o->tok))
            return error_set(err, STATUS_DATA, "%s: \"tokens\" has an id that the tokenizer does not", place);
        ints_push(tokens, (int32_t)value);
    }
    return STATUS_OK;
}

/* Whether the line's ids were made by this tokenizer. */
static int has_our_ids(const loader *l, const json_t *root, int n_answer) {
    const char *name = json_string_value(json_object_get(root, "tokenizer"));
    hash h;
    return name && hash_parse(name, &h) && hash_equal(&h, &l->tokenizer) &&
           json_array_size(json_object_get(root, "tokens")) == (size_t)n_answer;
}

static status add_answers(loader *l, const ranking_line *line, const char *place, ranking *r, error *err) {
    rankings *out = l->out;
    const data_options *o = l->o;
    const json_t *ids =
        has_our_ids(l, line->root, line->n_answer) ? json_object_get(line->root, "tokens") : NULL;
    int64_t first = (int64_t)out->token.len;
    prompt_text p = {.text = line->chat ? NULL : line->prompt.data,
                     .messages = line->chat ? line->prompt.data : NULL};
    TRY(example_prompt(o, &p, place, &out->token, err));
    r->n_prompt = (int)((int64_t)out->token.len - first);
    for (int a = 0; a < line->n_answer; a++) {
        r->start[a] = a ? (int64_t)out->token.len : first;
        for (int i = 0; a && i < r->n_prompt; i++) ints_push(&out->token, out->token.data[first + i]);
        if (ids && json_array_size(json_array_get(ids, (size_t)a)))
            TRY(take_ids(l, json_array_get(ids, (size_t)a), place, &out->token, err));
        else if (template_answer(o->chat, o->tok, line->answer[a].data, line->answer[a].len, &out->token,
                                 err) != STATUS_OK)
            return error_context(err, "%s: answer %d", place, a + 1);
        TRY(ints_check(&out->token, err));
        int n = (int)((int64_t)out->token.len - r->start[a]);
        if (n > o->max_length && o->cut && r->n_prompt < o->max_length) {
            /* As an answer that reached the limit: without its end. */
            n = o->max_length;
            out->token.len = (size_t)(r->start[a] + n);
        }
        if (n > o->max_length)
            return error_set(err, STATUS_DATA,
                             "%s: prompt and answer %d have %d tokens, at most %d fit (data.too_long: cut "
                             "would cut an answer)",
                             place, a + 1, n, o->max_length);
        if (n > out->longest) out->longest = n;
    }
    r->start[line->n_answer] = (int64_t)out->token.len;
    if (!ids && json_is_array(json_object_get(line->root, "tokens"))) out->n_encoded += line->n_answer;
    return STATUS_OK;
}

static status add_ranking(loader *l, const ranking_line *line, const char *place, error *err) {
    rankings *out = l->out;
    ranking r = {.n_answer = line->n_answer, .weight = (float)line->weight, .round = (int)line->round};
    prompt_text p = {.text = line->chat ? NULL : line->prompt.data,
                     .messages = line->chat ? line->prompt.data : NULL};
    size_t before = out->token.len;
    int longest = out->longest, encoded = out->n_encoded;
    if (line->n_rank != line->n_answer) return STATUS_OK;
    TRY(split_of_prompt(&p, line->split, place, &r.split, err));
    l->read++;
    for (int a = 0; a < line->n_answer; a++) r.rank[a] = line->rank[a];
    /* Checked whatever the split: a line is bad once, not only when its part is read. */
    status s = add_answers(l, line, place, &r, err);
    if (s == STATUS_OK && !split_is_wanted(l->split, r.split)) {
        out->token.len = before;
        out->longest = longest;
        out->n_encoded = encoded;
        return STATUS_OK;
    }
    ranking *entry = s == STATUS_OK ? realloc(out->entry, sizeof *entry * ((size_t)out->n + 1)) : NULL;
    if (!entry) {
        out->token.len = before;
        return s == STATUS_OK ? error_memory(err, "rankings") : s;
    }
    out->entry = entry;
    entry[out->n++] = r;
    int n = (int)(out->token.len - before);
    if (n > out->most_tokens) out->most_tokens = n;
    return STATUS_OK;
}

static status visit_ranking(loader *l, json_t *root, const char *place, error *err) {
    ranking_line line;
    status s = ranking_line_read(root, place, &line, err);
    if (s == STATUS_OK) s = add_ranking(l, &line, place, err);
    ranking_line_free(&line);
    return s;
}

/* Each ranking of a tree stands or falls alone. */
static status visit_tree(loader *l, const json_t *tree, const char *place, error *err) {
    json_t *list, *root;
    size_t i;
    status s = oasst_rankings(tree, place, &list, err);
    json_array_foreach(list, i, root) {
        if (s == STATUS_OK) s = visit_ranking(l, root, place, err);
        if (s == STATUS_DATA) s = bad_lines_add(l->o->bad, err);
    }
    json_decref(list);
    return s;
}

static status visit_line(void *context, json_t *root, const char *place, error *err) {
    return oasst_is_tree(root) ? visit_tree(context, root, place, err)
                               : visit_ranking(context, root, place, err);
}

status rankings_load(const data_options *o, split_kind split, const char *const *files, int n_file,
                     rankings *out, error *err) {
    *out = (rankings){0};
    loader l = {.o = o, .split = split, .out = out, .tokenizer = tokenizer_hash(o->tok)};
    status s = STATUS_OK;
    for (int i = 0; i < n_file && s == STATUS_OK; i++) s = lines_each(files[i], o->bad, visit_line, &l, err);
    if (s == STATUS_OK && out->n == 0) s = data_nothing_left(o, "ranking", files, n_file, split, l.read, err);
    if (s == STATUS_OK && out->n_encoded)
        log_warning(o->bad->log,
                    "%d answers were sampled with another tokenizer: their text is encoded again",
                    out->n_encoded);
    if (s != STATUS_OK) rankings_free(out);
    return s;
}

void rankings_free(rankings *r) {
    free(r->entry);
    ints_free(&r->token);
    *r = (rankings){0};
}
