/* summary.json: one line a stage, from what the evaluations wrote. */
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "datasets/lines.h"
#include "rlhf/rounds.h"

/* Takes the last line of a metrics.jsonl. */
static status take_line(void *context, json_t *line, const char *place, error *err) {
    json_t **last = context;
    (void)place;
    (void)err;
    json_decref(*last);
    *last = json_incref(line);
    return STATUS_OK;
}

static void put_stage(buffer *b, const char *stage, const json_t *figures) {
    static const char *const key[] = {"gold", "reward", "kl", "length", "win_rate_vs_sft", "rm_accuracy"};
    buffer_format(b, "%s\n  {\"stage\":\"%s\"", b->len > 1 ? "," : "", stage);
    for (size_t i = 0; i < sizeof key / sizeof *key; i++) {
        const json_t *value = json_object_get(figures, key[i]);
        buffer_format(b, ",\"%s\":", key[i]);
        if (json_is_number(value))
            buffer_json_float(b, (float)json_number_value(value));
        else
            buffer_string(b, "null");
    }
    buffer_string(b, "}");
}

static status add_stage(rounds *r, const char *part, const char *stage, buffer *b, error *err) {
    const char *path = rounds_path(r, "%s/evaluate/metrics.jsonl", part);
    bad_lines bad = {0};
    json_t *last = NULL;
    if (!path) return error_memory(err, "a path");
    if (!path_exists(path)) return STATUS_OK;
    status s = lines_each(path, &bad, take_line, &last, err);
    if (s == STATUS_OK && last) put_stage(b, stage, last);
    json_decref(last);
    return s;
}

status rounds_summarise(rounds *r, error *err) {
    buffer b = {0};
    buffer_string(&b, "[");
    status s = add_stage(r, "pretrain", "pretrain", &b, err);
    if (s == STATUS_OK) s = add_stage(r, "sft", "sft", &b, err);
    for (int round = 1; round <= r->c->rounds.count && s == STATUS_OK; round++) {
        char part[24], stage[24];
        snprintf(part, sizeof part, "round-%02d", round);
        snprintf(stage, sizeof stage, "round%d", round);
        s = add_stage(r, part, stage, &b, err);
    }
    buffer_string(&b, "\n]\n");
    const char *path = rounds_path(r, "summary.json");
    if (s == STATUS_OK) s = path ? buffer_check(&b, err) : error_memory(err, "a path");
    if (s == STATUS_OK) s = file_write(path, b.data, b.len, err);
    buffer_free(&b);
    return s;
}
