#include "datasets/store/oasst.h"

#include <limits.h>
#include <string.h>

#include "core/base/json.h"

bool oasst_is_tree(const json_t *line) {
    return json_object_get(line, "message_tree_id") && json_is_object(json_object_get(line, "prompt"));
}

/* ---- one message ---- */

static const char *role_of(const json_t *node) {
    const char *role = json_string_value(json_object_get(node, "role"));
    if (role && strcmp(role, "prompter") == 0) return "user";
    return role && strcmp(role, "assistant") == 0 ? "assistant" : NULL;
}

static bool is_there(const json_t *node) { return !json_is_true(json_object_get(node, "deleted")); }

static int rank_of(const json_t *node) {
    const json_t *rank = json_object_get(node, "rank");
    json_int_t value = json_is_integer(rank) ? json_integer_value(rank) : -1;
    return value >= 0 && value < INT_MAX ? (int)value : -1;
}

/* Appends a copy of the turns before it and the message itself. */
static status add_turn(json_t *turns, const json_t *node, const char *place, error *err) {
    const char *role = role_of(node);
    json_t *text = json_object_get(node, "text");
    if (!role || !json_is_string(text))
        return error_set(err, STATUS_DATA,
                         "%s: a message of the tree needs a \"text\" and the \"role\" prompter or assistant",
                         place);
    json_t *turn = json_pack("{s:s, s:O}", "role", role, "content", text);
    return json_array_append_new(turns, turn) == 0 ? STATUS_OK : error_memory(err, "a chat");
}

static status finish(json_t *made, const json_t *line, error *err) {
    json_t *split = json_object_get(line, "split");
    if (made && (!split || json_object_set(made, "split", split) == 0)) return STATUS_OK;
    return error_memory(err, "a line");
}

/* ---- the best chat ---- */

static const json_t *best_reply(const json_t *node) {
    const json_t *replies = json_object_get(node, "replies"), *reply, *best = NULL;
    size_t i;
    json_array_foreach(replies, i, reply) {
        if (!is_there(reply)) continue;
        /* One that nobody ranked stands where it was written. */
        if (!best || (rank_of(reply) >= 0 && rank_of(reply) < rank_of(best))) best = reply;
    }
    return best;
}

static status take_best(const json_t *line, const char *place, json_t *turns, error *err) {
    size_t n_answered = 0;
    for (const json_t *node = json_object_get(line, "prompt"); node; node = best_reply(node)) {
        TRY(add_turn(turns, node, place, err));
        if (strcmp(role_of(node), "assistant") == 0) n_answered = json_array_size(turns);
    }
    while (json_array_size(turns) > n_answered) json_array_remove(turns, json_array_size(turns) - 1);
    if (n_answered) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: the tree has no answer", place);
}

status oasst_chat(const json_t *line, const char *place, json_t **out, error *err) {
    json_t *turns = json_array();
    *out = NULL;
    if (!turns) return error_memory(err, "a chat");
    status s = take_best(line, place, turns, err);
    if (s == STATUS_OK) s = finish(*out = json_pack("{s:O}", "messages", turns), line, err);
    json_decref(turns);
    return s;
}

/* ---- rankings ---- */

typedef struct walk {
    const json_t *line;
    const char *place;
    json_t *turns; /* up to the message at hand */
    json_t *out;
} walk;

/* The ranked replies to the last turn. */
static status add_ranking(walk *w, const json_t *node, error *err) {
    const json_t *replies = json_object_get(node, "replies"), *reply;
    json_t *answers = json_array(), *ranks = json_array(), *turns = json_copy(w->turns);
    status s = answers && ranks && turns ? STATUS_OK : error_memory(err, "a ranking");
    size_t i;
    json_array_foreach(replies, i, reply) {
        json_t *text = json_object_get(reply, "text");
        if (s != STATUS_OK || !is_there(reply) || rank_of(reply) < 0) continue;
        if (!json_is_string(text))
            s = error_set(err, STATUS_DATA, "%s: a ranked reply of the tree needs a \"text\"", w->place);
        else if (json_array_append(answers, text) != 0 ||
                 json_array_append_new(ranks, json_integer(rank_of(reply) + 1)) != 0)
            s = error_memory(err, "a ranking");
    }
    if (s == STATUS_OK && json_array_size(answers) > 1) {
        json_t *ranking = json_pack("{s:O, s:O, s:O}", "messages", turns, "answers", answers, "ranks", ranks);
        s = finish(ranking, w->line, err);
        if (json_array_append_new(w->out, ranking) != 0 && s == STATUS_OK) s = error_memory(err, "a ranking");
    }
    json_decref(answers);
    json_decref(ranks);
    json_decref(turns);
    return s;
}

/* Depth first, as the tree is written; its depth is bounded by the parser's. */
static status visit(walk *w, const json_t *node, error *err) {
    const json_t *reply;
    size_t i, n = json_array_size(w->turns);
    if (!is_there(node)) return STATUS_OK;
    TRY(add_turn(w->turns, node, w->place, err));
    if (strcmp(role_of(node), "user") == 0) TRY(add_ranking(w, node, err));
    json_array_foreach(json_object_get(node, "replies"), i, reply) TRY(visit(w, reply, err));
    while (json_array_size(w->turns) > n) json_array_remove(w->turns, n);
    return STATUS_OK;
}

status oasst_rankings(const json_t *line, const char *place, json_t **out, error *err) {
    walk w = {.line = line, .place = place, .turns = json_array(), .out = json_array()};
    status s =
        w.turns && w.out ? visit(&w, json_object_get(line, "prompt"), err) : error_memory(err, "rankings");
    json_decref(w.turns);
    if (s != STATUS_OK) json_decref(w.out);
    *out = s == STATUS_OK ? w.out : NULL;
    return s;
}
