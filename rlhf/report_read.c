#include "rlhf/report_read.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configs/schema.h"
#include "core/base/buffer.h"
#include "core/base/file.h"

enum { FILE_LIMIT = 1 << 26 };

/* What reading goes by. */
typedef struct gather {
    report *r;
    const char *root;
    json_t *summary; /* NULL: none */
    buffer path;     /* of the file at hand */
} gather;

/* "ROOT/FOLDER/NAME", valid until the next call; without memory "", which report_read finds out in the end.
 */
static const char *file_path(gather *g, const char *folder, const char *name) {
    buffer_clear(&g->path);
    buffer_format(&g->path, "%s/%s/%s", g->root, folder, name);
    return g->path.failed ? "" : g->path.data;
}

/* Calls use(object, context) for each line of a JSONL file; a missing file has none. use keeps what it wants.
 */
typedef status (*line_user)(json_t *object, void *context, const char *place, error *err);

static status read_lines(const char *path, line_user use, void *context, error *err) {
    FILE *f = fopen(path, "r");
    if (!f && errno == ENOENT) return STATUS_OK;
    if (!f) return error_set(err, STATUS_DATA, "%s: %s", path, strerror(errno));
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    status s = STATUS_OK;
    for (int n = 1; s == STATUS_OK && (len = getline(&line, &capacity, f)) >= 0; n++) {
        char place[512];
        json_t *object = NULL;
        snprintf(place, sizeof place, "%s:%d", path, n);
        if (len && line[len - 1] == '\n') len--;
        s = parse_json(line, (size_t)len, place, &object, err);
        if (s == STATUS_OK && !json_is_object(object))
            s = error_set(err, STATUS_DATA, "%s: must be an object, not %s", place, json_kind(object));
        if (s == STATUS_OK) s = use(object, context, place, err);
        json_decref(object);
    }
    if (s == STATUS_OK && ferror(f)) s = error_set(err, STATUS_DATA, "%s: %s", path, strerror(errno));
    free(line);
    fclose(f);
    return s;
}

static status keep_line(json_t *object, void *context, const char *place, error *err) {
    (void)place;
    json_t **array = context;
    if (!*array) *array = json_array();
    if (json_array_append(*array, object) != 0) return error_memory(err, "lines of a report");
    return STATUS_OK;
}

double report_number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* ---- a run directory ---- */

static report_phase *find_phase(report_run *r, const char *name) {
    for (int i = 0; i < r->n_phase; i++)
        if (strcmp(r->phase[i].name, name) == 0) return &r->phase[i];
    if (r->n_phase == REPORT_PHASES) return &r->phase[REPORT_PHASES - 1];
    report_phase *p = &r->phase[r->n_phase++];
    snprintf(p->name, sizeof p->name, "%s", name);
    return p;
}

static status add_timing(json_t *object, void *context, const char *place, error *err) {
    (void)place;
    (void)err;
    const char *name = json_string_value(json_object_get(object, "phase"));
    double seconds = report_number(object, "seconds"), tokens = report_number(object, "tokens");
    double share = report_number(object, "share_of_peak");
    if (!(seconds >= 0)) return STATUS_OK;
    report_phase *p = find_phase(context, name ? name : "step");
    p->seconds += seconds;
    if (tokens > 0) p->tokens += tokens;
    if (share >= 0) {
        p->share += share * seconds;
        p->share_seconds += seconds;
    }
    return STATUS_OK;
}

static status count_line(json_t *object, void *context, const char *place, error *err) {
    (void)object;
    (void)place;
    (void)err;
    ++*(long long *)context;
    return STATUS_OK;
}

/* Lines of a JSONL file, -1 when there is none. */
static status count_lines(const char *path, long long *n, error *err) {
    *n = path_exists(path) ? 0 : -1;
    return read_lines(path, count_line, n, err);
}

static status read_run_files(gather *g, report_run *r, error *err) {
    TRY(read_lines(file_path(g, r->path, "metrics.jsonl"), keep_line, &r->metrics, err));
    TRY(read_lines(file_path(g, r->path, "timing.jsonl"), add_timing, r, err));
    TRY(count_lines(file_path(g, r->path, "answers.jsonl"), &r->n_answer, err));
    const char *path = file_path(g, r->path, "lineage.json");
    if (!path_exists(path)) return STATUS_OK;
    TRY(parse_json_file(path, FILE_LIMIT, &r->lineage, err));
    if (json_is_object(r->lineage)) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: must be an object, not %s", path, json_kind(r->lineage));
}

/* Adds the run if its directory is there, and sets *index to its place or -1. */
static status add_run(gather *g, const char *path, const char *title, int *index, error *err) {
    report *r = g->r;
    *index = -1;
    if (!path_is_directory(file_path(g, path, ""))) return STATUS_OK;
    report_run *grown = realloc(r->run, (size_t)(r->n_run + 1) * sizeof *grown);
    if (!grown) return error_memory(err, "runs of a report");
    r->run = grown;
    report_run *run = &r->run[r->n_run];
    *run = (report_run){.n_answer = -1};
    snprintf(run->path, sizeof run->path, "%s", path);
    snprintf(run->title, sizeof run->title, "%s", title);
    *index = r->n_run++;
    return read_run_files(g, run, err);
}

/* ---- stages and their answers ---- */

/* The question inside "Q: ...\nA:", the last message of a chat, or the prompt as it is. */
static json_t *display_prompt(const json_t *object) {
    const char *prompt = json_string_value(json_object_get(object, "prompt"));
    const json_t *messages = json_object_get(object, "messages");
    if (!prompt && json_array_size(messages))
        prompt = json_string_value(
            json_object_get(json_array_get(messages, json_array_size(messages) - 1), "content"));
    if (!prompt) return json_string("");
    size_t len = strlen(prompt);
    if (len > 6 && strncmp(prompt, "Q: ", 3) == 0 && strcmp(prompt + len - 3, "\nA:") == 0)
        return json_stringn(prompt + 3, len - 6);
    return json_string(prompt);
}

static status keep_answer(json_t *object, void *context, const char *place, error *err) {
    report_stage *stage = context;
    const char *text;
    TRY(json_field_string(object, "text", place, &text, err));
    const json_t *messages = json_object_get(object, "messages");
    char *dumped = messages ? json_dumps(messages, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    const char *key = dumped ? dumped : json_string_value(json_object_get(object, "prompt"));
    json_t *kept = json_object();
    if (!stage->answers) stage->answers = json_array();
    if (!stage->first) stage->first = json_object();
    int failed = json_object_set_new(kept, "key", json_string(key ? key : "")) != 0;
    failed |= json_object_set_new(kept, "prompt", display_prompt(object)) != 0;
    failed |= json_object_set_new(kept, "text", json_string(text)) != 0;
    static const char *const same[] = {"finish", "gold", "score"};
    for (int i = 0; i < 3; i++)
        if (json_object_get(object, same[i]))
            failed |= json_object_set(kept, same[i], json_object_get(object, same[i])) != 0;
    if (!json_object_get(stage->first, key ? key : ""))
        failed |= json_object_set(stage->first, key ? key : "", kept) != 0;
    failed |= json_array_append(stage->answers, kept) != 0;
    json_decref(kept);
    free(dumped);
    return failed ? error_memory(err, "answers of a report") : STATUS_OK;
}

static json_t *find_summary(json_t *summary, const char *name) {
    size_t i;
    json_t *element;
    json_array_foreach(summary, i, element) {
        if (strcmp(json_string_value(json_object_get(element, "stage")), name) == 0)
            return json_incref(element);
    }
    return NULL;
}

/* Adds the stage if it stands in the summary or was evaluated. */
static status add_stage(gather *g, const char *name, const char *title, const char *folder, error *err) {
    report *r = g->r;
    report_stage *grown = realloc(r->stage, (size_t)(r->n_stage + 1) * sizeof *grown);
    if (!grown) return error_memory(err, "stages of a report");
    r->stage = grown;
    report_stage *stage = &r->stage[r->n_stage++];
    *stage = (report_stage){.summary = find_summary(g->summary, name)};
    snprintf(stage->name, sizeof stage->name, "%s", name);
    snprintf(stage->title, sizeof stage->title, "%s", title);
    TRY(read_lines(file_path(g, folder, "evaluate/answers.jsonl"), keep_answer, stage, err));
    if (!stage->summary && !stage->answers) r->n_stage--;
    return STATUS_OK;
}

/* ---- the whole ---- */

status report_read_summary(const char *directory, json_t **out, error *err) {
    size_t i = 0;
    json_t *element;
    *out = NULL;
    char *path = path_join(directory, "summary.json");
    if (!path) return error_memory(err, "a path");
    status s = parse_json_file(path, FILE_LIMIT, out, err);
    int good = json_is_array(*out);
    json_array_foreach(*out, i, element) good &= json_is_string(json_object_get(element, "stage"));
    if (s == STATUS_OK && !good) {
        json_decref(*out);
        *out = NULL;
        s = error_set(err, STATUS_DATA,
                      "%s: must be an array of objects with \"stage\", as rlhf rounds writes it", path);
    }
    free(path);
    return s;
}

static status read_round(gather *g, int number, error *err) {
    static const struct {
        const char *folder, *title;
    } parts[] = {
        {"sample", "samples"}, {"reward", "reward model"}, {"ppo", "PPO"}, {"evaluate", "evaluation"}};
    char folder[32], path[48], title[48], name[24];
    report_round *grown = realloc(g->r->round, (size_t)number * sizeof *grown);
    if (!grown) return error_memory(err, "rounds of a report");
    g->r->round = grown;
    g->r->n_round = number;
    int index[4];
    snprintf(folder, sizeof folder, "round-%02d", number);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, parts[i].folder);
        snprintf(title, sizeof title, "Round %d: %s", number, parts[i].title);
        TRY(add_run(g, path, title, &index[i], err));
    }
    report_round *round = &g->r->round[number - 1];
    *round = (report_round){index[0], index[1], index[2], index[3], -1};
    TRY(count_lines(file_path(g, folder, "snapshot.jsonl"), &round->n_ranking, err));
    snprintf(name, sizeof name, "round%d", number);
    snprintf(title, sizeof title, "After round %d", number);
    return add_stage(g, name, title, folder, err);
}

static status read_all(gather *g, error *err) {
    int unused;
    TRY(add_run(g, "pretrain", "Pre-training", &g->r->pretrain, err));
    TRY(add_run(g, "pretrain/evaluate", "Evaluation before SFT", &unused, err));
    TRY(add_stage(g, "pretrain", "Before SFT", "pretrain", err));
    TRY(add_run(g, "sft", "Fine-tuning (SFT)", &g->r->sft, err));
    TRY(add_run(g, "sft/evaluate", "Evaluation after SFT", &unused, err));
    TRY(add_stage(g, "sft", "After SFT", "sft", err));
    for (int number = 1; number <= CONFIG_MOST_ROUNDS; number++) {
        char folder[32];
        snprintf(folder, sizeof folder, "round-%02d", number);
        if (!path_is_directory(file_path(g, folder, ""))) break;
        TRY(read_round(g, number, err));
    }
    return buffer_check(&g->path, err);
}

static char *own_name(const char *directory) {
    size_t len = strlen(directory);
    while (len > 1 && directory[len - 1] == '/') len--;
    size_t start = len;
    while (start > 0 && directory[start - 1] != '/') start--;
    return strndup(directory + start, len - start);
}

status report_read(const char *directory, report *out, error *err) {
    gather g = {.r = out, .root = directory};
    status s = STATUS_OK;
    *out = (report){.pretrain = -1, .sft = -1};
    if (!path_is_directory(directory))
        return error_set(err, STATUS_DATA, "%s: there is no such rounds directory", directory);
    if (path_exists(file_path(&g, ".", "summary.json"))) s = report_read_summary(directory, &g.summary, err);
    if (s == STATUS_OK && !(out->name = own_name(directory))) s = error_memory(err, "a report");
    if (s == STATUS_OK) s = read_all(&g, err);
    json_decref(g.summary);
    buffer_free(&g.path);
    if (s != STATUS_OK) report_free(out);
    return s;
}

void report_free(report *r) {
    for (int i = 0; i < r->n_run; i++) {
        json_decref(r->run[i].metrics);
        json_decref(r->run[i].lineage);
    }
    for (int i = 0; i < r->n_stage; i++) {
        json_decref(r->stage[i].summary);
        json_decref(r->stage[i].answers);
        json_decref(r->stage[i].first);
    }
    free(r->name);
    free(r->run);
    free(r->stage);
    free(r->round);
    *r = (report){0};
}

report_curve report_read_curve(const json_t *metrics, const char *x, const char *y, int validation) {
    size_t n = json_array_size(metrics), i;
    json_t *line;
    report_curve c = {0};
    if (!n) return c;
    c.x = malloc(n * sizeof *c.x);
    c.y = malloc(n * sizeof *c.y);
    if (!c.x || !c.y) {
        report_free_curve(&c);
        c.n = -1;
        return c;
    }
    json_array_foreach(metrics, i, line) {
        double at = report_number(line, x), value = report_number(line, y);
        if ((json_object_get(line, "split") != NULL) != validation || !isfinite(at) || !isfinite(value))
            continue;
        c.x[c.n] = at;
        c.y[c.n++] = value;
    }
    return c;
}

void report_free_curve(report_curve *c) {
    free(c->x);
    free(c->y);
    *c = (report_curve){0};
}
