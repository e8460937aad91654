#include "datasets/store/ranking_line.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/json.h"
#include "datasets/store/chat.h"

static const char human[] = "\n\nHuman:", assistant[] = "\n\nAssistant:";

static text_span span_of(const json_t *string) {
    return (text_span){json_string_value(string), json_string_length(string)};
}

static text_span span_trim(text_span t) {
    while (t.len && strchr(" \t\r\n", t.data[0]) && t.data[0]) t.data++, t.len--;
    while (t.len && strchr(" \t\r\n", t.data[t.len - 1]) && t.data[t.len - 1]) t.len--;
    return t;
}

static bool span_equal(text_span a, text_span b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static const char *span_find(text_span t, const char *word) {
    return memmem(t.data, t.len, word, strlen(word));
}

/* A string without zero bytes, or absent or null: *out NULL. */
static status optional_string(const json_t *root, const char *key, const char *place, const char **out,
                              error *err) {
    const json_t *value = json_object_get(root, key);
    *out = NULL;
    if (!value || json_is_null(value)) return STATUS_OK;
    TRY(json_field_string(root, key, place, out, err));
    if (strlen(*out) == json_string_length(value)) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: \"%s\" holds a zero character", place, key);
}

static status optional_number(const json_t *root, const char *key, const char *place, double low,
                              double absent, double *out, error *err) {
    const json_t *value = json_object_get(root, key);
    *out = absent;
    if (!value || json_is_null(value)) return STATUS_OK;
    TRY(json_field_number(root, key, place, out, err));
    if (isfinite(*out) && *out >= low) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: \"%s\" is %g, must be at least %g", place, key, *out, low);
}

static status optional_int(const json_t *root, const char *key, const char *place, int64_t *out, error *err) {
    const json_t *value = json_object_get(root, key);
    long long number = -1;
    if (value && !json_is_null(value)) TRY(json_field_int(root, key, place, 0, INT64_MAX, &number, err));
    *out = number;
    return STATUS_OK;
}

/* ---- prompts */

static status build_chat(ranking_line *line, const json_t *messages, const char *place, error *err) {
    TRY(chat_canonical_prompt(messages, place, &line->storage, err));
    line->chat = true;
    line->prompt = (text_span){line->storage.data, line->storage.len};
    return STATUS_OK;
}

/* "prompt" (a text, or messages) or "messages". */
static status parse_prompt(ranking_line *line, const char *place, error *err) {
    const json_t *prompt = json_object_get(line->root, "prompt"),
                 *messages = json_object_get(line->root, "messages");
    if (prompt && messages)
        return error_set(err, STATUS_DATA, "%s: has both \"prompt\" and \"messages\"", place);
    if (!prompt && !messages)
        return error_set(err, STATUS_DATA, "%s: has neither \"prompt\" nor \"messages\"", place);
    if (messages) return build_chat(line, messages, place, err);
    if (json_is_array(prompt)) return build_chat(line, prompt, place, err);
    if (!json_is_string(prompt))
        return error_set(err, STATUS_DATA, "%s: \"prompt\" must be a string or messages, not %s", place,
                         json_kind(prompt));
    const char *text;
    line->prompt = span_of(prompt);
    return json_field_text(line->root, "prompt", place, &text, err);
}

/* ---- answers and ranks */

static status parse_answers(ranking_line *line, const json_t *answers, const char *place, error *err) {
    size_t n = json_array_size(answers);
    if (!json_is_array(answers))
        return error_set(err, STATUS_DATA, "%s: \"answers\" must be an array, not %s", place,
                         json_kind(answers));
    if (n < 2 || n > STORE_ANSWERS)
        return error_set(err, STATUS_DATA, "%s: has %zu answers, a ranking has 2 to %d", place, n,
                         STORE_ANSWERS);
    for (size_t i = 0; i < n; i++) {
        const json_t *answer = json_array_get(answers, i);
        if (!json_is_string(answer))
            return error_set(err, STATUS_DATA, "%s: answer %zu must be a string, not %s", place, i + 1,
                             json_kind(answer));
        line->answer[i] = span_of(answer);
    }
    line->n_answer = (int)n;
    return STATUS_OK;
}

static status parse_ranks(ranking_line *line, const char *place, error *err) {
    const json_t *ranks = json_object_get(line->root, "ranks");
    if (!ranks || json_is_null(ranks)) {
        if (line->verdict != VERDICT_RANKED) return STATUS_OK;
        return error_set(err, STATUS_DATA, "%s: \"ranks\" is missing", place);
    }
    if (line->verdict == VERDICT_CANNOT_JUDGE)
        return error_set(err, STATUS_DATA, "%s: has ranks and the verdict cannot_judge", place);
    if (!json_is_array(ranks))
        return error_set(err, STATUS_DATA, "%s: \"ranks\" must be an array, not %s", place, json_kind(ranks));
    if (json_array_size(ranks) != (size_t)line->n_answer)
        return error_set(err, STATUS_DATA, "%s: has %zu ranks for %d answers", place, json_array_size(ranks),
                         line->n_answer);
    for (int i = 0; i < line->n_answer; i++) {
        const json_t *rank = json_array_get(ranks, (size_t)i);
        if (!json_is_integer(rank))
            return error_set(err, STATUS_DATA, "%s: rank %d must be a whole number, not %s", place, i + 1,
                             json_is_real(rank) ? "one with a fraction" : json_kind(rank));
        long long value = json_integer_value(rank);
        if (value < -1000000 || value > 1000000)
            return error_set(err, STATUS_DATA, "%s: rank %d is %lld, out of range", place, i + 1, value);
        line->rank[i] = (int)value;
    }
    line->n_rank = line->n_answer;
    ranks_make_dense(line->rank, line->n_rank);
    return STATUS_OK;
}

static status check_different(const ranking_line *line, const char *place, error *err) {
    for (int i = 0; i < line->n_answer; i++)
        for (int j = i + 1; j < line->n_answer; j++)
            if (span_equal(line->answer[i], line->answer[j]))
                return error_set(err, STATUS_DATA, "%s: answers %d and %d are the same text", place, i + 1,
                                 j + 1);
    return STATUS_OK;
}

/* ---- pairs */

/* The turns of "\n\nHuman: ...\n\nAssistant: ..." as canonical messages; the last must be a human's. */
static status parse_turns(ranking_line *line, text_span turns, const char *place, error *err) {
    buffer *out = &line->storage;
    bool of_human = false;
    for (int n = 0; turns.len; n++) {
        of_human = turns.len >= strlen(human) && memcmp(turns.data, human, strlen(human)) == 0;
        const char *marker = of_human ? human : assistant;
        if (turns.len < strlen(marker) || memcmp(turns.data, marker, strlen(marker)) != 0)
            return error_set(err, STATUS_DATA, "%s: the prompt does not begin with \"\\n\\nHuman:\"", place);
        turns.data += strlen(marker), turns.len -= strlen(marker);
        const char *end = turns.data + turns.len, *h = span_find(turns, human),
                   *a = span_find(turns, assistant);
        const char *next = h && (!a || h < a) ? h : a ? a : end;
        text_span content = span_trim((text_span){turns.data, (size_t)(next - turns.data)});
        buffer_format(out, "%s{\"role\":\"%s\",\"content\":", n ? "," : "[", of_human ? "user" : "assistant");
        buffer_json_string(out, content.data, content.len);
        buffer_string(out, "}");
        turns = (text_span){next, (size_t)(end - next)};
    }
    if (!of_human) return error_set(err, STATUS_DATA, "%s: the prompt's last turn must be a human's", place);
    buffer_string(out, "]");
    TRY(buffer_check(out, err));
    line->chat = true;
    line->prompt = (text_span){out->data, out->len};
    return STATUS_OK;
}

/* Anthropic HH: the prompt is the common prefix, cut after its last "\n\nAssistant:". */
static status parse_common_text(ranking_line *line, text_span chosen, text_span rejected, const char *place,
                                error *err) {
    size_t same = 0, cut = 0;
    while (same < chosen.len && same < rejected.len && chosen.data[same] == rejected.data[same]) same++;
    for (text_span rest = {chosen.data, same};;) {
        const char *found = span_find(rest, assistant);
        if (!found) break;
        cut = (size_t)(found - chosen.data) + strlen(assistant);
        rest = (text_span){chosen.data + cut, same - cut};
    }
    if (!cut)
        return error_set(err, STATUS_DATA,
                         "%s: chosen and rejected have no common prompt that ends with \"\\n\\nAssistant:\"",
                         place);
    text_span pair[2] = {{chosen.data + cut, chosen.len - cut}, {rejected.data + cut, rejected.len - cut}};
    for (int i = 0; i < 2; i++) {
        if (span_find(pair[i], human))
            return error_set(err, STATUS_DATA,
                             "%s: \"%s\" has a further \"\\n\\nHuman:\" behind the common prompt", place,
                             i ? "rejected" : "chosen");
        line->answer[i] = span_trim(pair[i]);
    }
    return parse_turns(line, (text_span){chosen.data, cut - strlen(assistant)}, place, err);
}

/* Message lists: what both have in common at their beginning is (the end of) the prompt; one answer each is
 * left. */
static status parse_common_messages(ranking_line *line, json_t *chosen, json_t *rejected, const char *place,
                                    error *err) {
    json_t *list[2] = {chosen, rejected};
    size_t same = 0;
    while (same < json_array_size(chosen) && same < json_array_size(rejected) &&
           json_equal(json_array_get(chosen, same), json_array_get(rejected, same)))
        same++;
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "rejected" : "chosen";
        const json_t *last = json_array_get(list[i], same);
        const char *role = json_string_value(json_object_get(last, "role"));
        const json_t *content = json_object_get(last, "content");
        if (json_array_size(list[i]) != same + 1 || !role || strcmp(role, "assistant") != 0 ||
            !json_is_string(content))
            return error_set(
                err, STATUS_DATA,
                "%s: \"%s\" must end with one message of the assistant behind what both begin with", place,
                name);
        line->answer[i] = span_of(content);
    }
    const json_t *prompt = json_object_get(line->root, "prompt");
    if (same == 0) {
        if (!json_is_string(prompt)) return parse_prompt(line, place, err);
        json_t *messages = json_pack("[{s:s, s:O}]", "role", "user", "content", prompt);
        if (!messages) return error_memory(err, "a prompt");
        status result = build_chat(line, messages, place, err);
        json_decref(messages);
        return result;
    }
    json_t *messages = json_array();
    for (size_t i = 0; messages && i < same; i++) json_array_append(messages, json_array_get(chosen, i));
    status result = messages ? build_chat(line, messages, place, err) : error_memory(err, "a prompt");
    json_decref(messages);
    return result;
}

static status parse_pair(ranking_line *line, const char *place, error *err) {
    json_t *chosen = json_object_get(line->root, "chosen"),
           *rejected = json_object_get(line->root, "rejected");
    if (!chosen || !rejected)
        return error_set(err, STATUS_DATA, "%s: has neither \"answers\" nor \"chosen\" and \"rejected\"",
                         place);
    line->n_answer = line->n_rank = 2;
    line->rank[0] = 1, line->rank[1] = 2;
    if (json_is_array(chosen) && json_is_array(rejected))
        return parse_common_messages(line, chosen, rejected, place, err);
    if (!json_is_string(chosen) || !json_is_string(rejected))
        return error_set(
            err, STATUS_DATA,
            "%s: \"chosen\" and \"rejected\" must both be strings or both messages, not %s and %s", place,
            json_kind(chosen), json_kind(rejected));
    if (!json_object_get(line->root, "prompt") && !json_object_get(line->root, "messages"))
        return parse_common_text(line, span_of(chosen), span_of(rejected), place, err);
    line->answer[0] = span_of(chosen);
    line->answer[1] = span_of(rejected);
    return parse_prompt(line, place, err);
}

/* ---- the other fields */

static status parse_verdict(ranking_line *line, const char *place, error *err) {
    const char *name;
    TRY(optional_string(line->root, "verdict", place, &name, err));
    line->verdict = VERDICT_RANKED;
    for (int v = VERDICT_RANKED; name && v < VERDICT_WITHDRAWN; v++)
        if (strcmp(name, store_verdict_name((store_verdict)v)) == 0) {
            line->verdict = (store_verdict)v;
            return STATUS_OK;
        }
    if (!name) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: the verdict \"%.40s\" is not ranked, all_bad or cannot_judge",
                     place, name);
}

static status parse_shown(ranking_line *line, const char *place, error *err) {
    TRY(optional_string(line->root, "shown", place, &line->shown, err));
    if (!line->shown) return STATUS_OK;
    unsigned seen = 0;
    for (const char *p = line->shown; *p; p++)
        if (*p >= '1' && *p < '1' + line->n_answer) seen |= 1u << (*p - '1');
    if (strlen(line->shown) == (size_t)line->n_answer && seen == (1u << line->n_answer) - 1) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: \"shown\" is \"%.40s\", not an order of the slots 1 to %d", place,
                     line->shown, line->n_answer);
}

static status parse_names(ranking_line *line, const char *place, error *err) {
    labeller_kind kind;
    TRY(optional_string(line->root, "labeller", place, &line->labeller, err));
    TRY(optional_string(line->root, "kind", place, &line->kind, err));
    TRY(optional_string(line->root, "split", place, &line->split, err));
    TRY(optional_string(line->root, "source", place, &line->source, err));
    TRY(optional_string(line->root, "note", place, &line->note, err));
    if (line->split && !split_is_known(line->split))
        return error_set(err, STATUS_DATA, "%s: the split \"%.40s\" is not train, valid or test", place,
                         line->split);
    if (line->kind && (!labeller_kind_parse(line->kind, &kind) || kind == LABELLER_ANY))
        return error_set(err, STATUS_DATA, "%s: the kind \"%.40s\" is not human, simulated or rule", place,
                         line->kind);
    return STATUS_OK;
}

static status parse_rest(ranking_line *line, const char *place, error *err) {
    const char *uuid;
    TRY(parse_names(line, place, err));
    TRY(parse_shown(line, place, err));
    TRY(optional_string(line->root, "uuid", place, &uuid, err));
    line->has_uuid = uuid != NULL;
    if (uuid && !uuid_parse(uuid, line->uuid))
        return error_set(err, STATUS_DATA, "%s: \"%.60s\" is no uuid", place, uuid);
    TRY(optional_int(line->root, "round", place, &line->round, err));
    TRY(optional_int(line->root, "received_ms", place, &line->received_ms, err));
    TRY(optional_number(line->root, "weight", place, 0, 1, &line->weight, err));
    return optional_number(line->root, "seconds", place, 0, -1, &line->seconds, err);
}

status ranking_line_parse(const char *text, size_t len, const char *place, ranking_line *out, error *err) {
    json_t *root;
    *out = (ranking_line){0};
    TRY(parse_json_object(text, len, place, &root, err));
    status result = ranking_line_read(root, place, out, err);
    json_decref(root);
    return result;
}

status ranking_line_read(json_t *root, const char *place, ranking_line *out, error *err) {
    *out =
        (ranking_line){.round = -1, .received_ms = -1, .weight = 1, .seconds = -1, .root = json_incref(root)};
    TRY(parse_verdict(out, place, err));
    const json_t *answers = json_object_get(out->root, "answers");
    if (answers) {
        TRY(parse_prompt(out, place, err));
        TRY(parse_answers(out, answers, place, err));
        TRY(parse_ranks(out, place, err));
    } else {
        TRY(parse_pair(out, place, err));
    }
    TRY(check_different(out, place, err));
    return parse_rest(out, place, err);
}

void ranking_line_free(ranking_line *line) {
    json_decref(line->root);
    buffer_free(&line->storage);
    *line = (ranking_line){0};
}

status ranking_line_canonical(const ranking_line *line, buffer *out, error *err) {
    char *text = json_dumps(line->root, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text) return error_memory(err, "a canonical line");
    buffer_string(out, text);
    free(text);
    return buffer_check(out, err);
}
