/* Any bytes as a line of rankings, linked with store: refused with its place, or a ranking that keeps every
   promise; or as a tree of messages, whose rankings are lines again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/json.h"
#include "datasets/store/oasst.h"
#include "datasets/store/ranking_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const ranking_line *line) {
    int seen = 0;
    if (line->n_answer < 2 || line->n_answer > STORE_ANSWERS) abort();
    if (line->n_rank != line->n_answer && line->n_rank != 0) abort();
    if (line->n_rank == 0 && line->verdict == VERDICT_RANKED) abort();
    for (int i = 0; i < line->n_answer; i++)
        for (int j = i + 1; j < line->n_answer; j++)
            if (line->answer[i].len == line->answer[j].len &&
                !memcmp(line->answer[i].data, line->answer[j].data, line->answer[i].len))
                abort();
    for (int i = 0; i < line->n_rank; i++) {
        if (line->rank[i] < 1 || line->rank[i] > line->n_rank) abort();
        seen |= 1 << line->rank[i];
    }
    if (line->n_rank && ((seen >> 1) & ((seen >> 1) + 1))) abort(); /* a gap */
    if (line->chat && memcmp(line->prompt.data, "[{\"role\":\"", 10)) abort();
    if (!(line->weight >= 0) || line->round < -1 || line->received_ms < -1) abort();
}

static void check_tree(const json_t *tree) {
    json_t *list = NULL, *chat = NULL, *root;
    size_t i;
    error err = {0};
    status s = oasst_rankings(tree, "f:1", &list, &err);
    if (s != STATUS_OK && (s != STATUS_DATA || list || strncmp(err.message, "f:1: ", 5))) abort();
    json_array_foreach(list, i, root) {
        ranking_line line;
        if (ranking_line_read(root, "f:1", &line, &err) == STATUS_OK) check(&line);
        ranking_line_free(&line);
    }
    s = oasst_chat(tree, "f:1", &chat, &err);
    if (s != STATUS_OK && (s != STATUS_DATA || chat || strncmp(err.message, "f:1: ", 5))) abort();
    if (s == STATUS_OK && json_array_size(json_object_get(chat, "messages")) == 0) abort();
    json_decref(list);
    json_decref(chat);
}

static void check_as_tree(const uint8_t *data, size_t size) {
    json_t *root;
    if (parse_json_object((const char *)data, size, "f:1", &root, NULL) != STATUS_OK) return;
    if (oasst_is_tree(root)) check_tree(root);
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ranking_line line, again;
    buffer text = {0};
    error err = {0};
    check_as_tree(data, size);
    status s = ranking_line_parse((const char *)data, size, "f:1", &line, &err);
    if (s != STATUS_OK) {
        if (s != STATUS_DATA || strncmp(err.message, "f:1: ", 5)) abort();
    } else {
        check(&line);
        if (ranking_line_canonical(&line, &text, &err) != STATUS_OK) abort();
        if (ranking_line_parse(text.data, text.len, "f:1", &again, &err) != STATUS_OK) abort();
        check(&again);
        if (line.prompt.len != again.prompt.len || memcmp(line.rank, again.rank, sizeof line.rank)) abort();
        ranking_line_free(&again);
    }
    ranking_line_free(&line);
    buffer_free(&text);
    return 0;
}
