#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/run_internal.h"

#define OLD_SUFFIX ".old-rlhf" /* an output that is being replaced */

enum { STEP_NAME = 32, SMALL_FILE = 4096 };

/* ---- a directory that appears whole ---- */

static void draft_free(run_draft *d) {
    free(d->temporary);
    free(d->final);
    *d = (run_draft){0};
}

static void draft_abandon(run_draft *d) {
    if (d->temporary) path_remove_tree(d->temporary, NULL);
    draft_free(d);
}

static status draft_begin(run_draft *d, const char *directory, const char *name, error *err) {
    draft_abandon(d);
    TRY(path_make_directories(directory, err));
    TRY(run_join(directory, name, &d->final, err));
    size_t size = strlen(d->final) + sizeof FILE_TEMPORARY;
    d->temporary = malloc(size);
    if (!d->temporary) {
        draft_free(d);
        return error_memory(err, "a path");
    }
    snprintf(d->temporary, size, "%s%s", d->final, FILE_TEMPORARY);
    status s = path_remove_tree(d->temporary, err);
    if (s == STATUS_OK) s = path_make_directories(d->temporary, err);
    if (s != STATUS_OK) draft_abandon(d);
    return s;
}

/* Puts the new directory in the place of an older one. The two change places in one act where the file system
   can do that; elsewhere the older one steps aside under a name that run_recover_outputs knows. */
static status replace(const char *temporary, const char *final, error *err) {
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, final, RENAME_EXCHANGE) == 0)
        return path_remove_tree(temporary, err);
    if (errno != EINVAL && errno != ENOSYS)
        return error_set(err, STATUS_FAILED, "%s: cannot replace: %s", final, strerror(errno));
    size_t size = strlen(final) + sizeof OLD_SUFFIX;
    char *old = malloc(size);
    if (!old) return error_memory(err, "a path");
    snprintf(old, size, "%s%s", final, OLD_SUFFIX);
    status s = path_remove_tree(old, err);
    if (s == STATUS_OK) s = path_rename(final, old, err);
    if (s == STATUS_OK) s = path_rename(temporary, final, err);
    if (s == STATUS_OK) s = path_remove_tree(old, err);
    free(old);
    return s;
}

static status draft_commit(run_draft *d, error *err) {
    status s = path_sync_tree(d->temporary, err);
    if (s == STATUS_OK)
        s = path_exists(d->final) ? replace(d->temporary, d->final, err)
                                  : path_rename(d->temporary, d->final, err);
    if (s == STATUS_OK)
        draft_free(d);
    else
        draft_abandon(d);
    return s;
}

status run_recover_outputs(const char *directory, error *err) {
    char **names;
    int n;
    if (!path_is_directory(directory)) return STATUS_OK;
    TRY(path_list(directory, &names, &n, err));
    status s = STATUS_OK;
    for (int i = 0; i < n && s == STATUS_OK; i++) {
        size_t length = strlen(names[i]), tail = sizeof OLD_SUFFIX - 1;
        if (length <= tail || strcmp(names[i] + length - tail, OLD_SUFFIX) != 0) continue;
        char *old, *final = NULL;
        s = run_join(directory, names[i], &old, err);
        if (s != STATUS_OK) break;
        final = strndup(old, strlen(old) - tail);
        if (!final)
            s = error_memory(err, "a path");
        else
            s = path_exists(final) ? path_remove_tree(old, err) : path_rename(old, final, err);
        free(old);
        free(final);
    }
    path_free_list(names, n);
    return s;
}

/* ---- outputs ---- */

status run_output_begin(run *r, const char *name, const char **directory, error *err) {
    TRY(draft_begin(&r->output, r->directory, name, err));
    *directory = r->output.temporary;
    return STATUS_OK;
}

status run_output_commit(run *r, error *err) { return draft_commit(&r->output, err); }

void run_output_abandon(run *r) { draft_abandon(&r->output); }

/* ---- checkpoints ---- */

const char *run_checkpoint_path(const run *r) { return r->latest; }
int64_t run_checkpoint_step(const run *r) { return r->latest ? r->latest_step : 0; }

static void step_name(int64_t step, char out[STEP_NAME]) {
    snprintf(out, STEP_NAME, "step-%06lld", (long long)step);
}

/* The step in "step-000037"; -1 for other names. */
static int64_t parse_step(const char *name) {
    if (strncmp(name, "step-", 5) != 0 || !name[5] || strlen(name) > 5 + 18) return -1;
    if (name[5 + strspn(name + 5, "0123456789")]) return -1;
    return strtoll(name + 5, NULL, 10);
}

typedef struct checkpoint_state {
    int64_t step, metrics_bytes;
    bool stopped;
} checkpoint_state;

static status read_state(const char *directory, checkpoint_state *out, error *err) {
    char *path;
    json_t *root;
    TRY(run_join(directory, "state.json", &path, err));
    status s = parse_json_file(path, SMALL_FILE, &root, err);
    if (s == STATUS_OK) {
        long long step = 0, bytes = 0;
        s = json_field_int(root, "step", path, 0, INT64_MAX, &step, err);
        if (s == STATUS_OK) s = json_field_int(root, "metrics_bytes", path, 0, INT64_MAX, &bytes, err);
        *out = (checkpoint_state){step, bytes, json_is_true(json_object_get(root, "stopped"))};
        json_decref(root);
    }
    free(path);
    return s;
}

static status write_state(const run *r, error *err) {
    char *path, text[160];
    int n = snprintf(text, sizeof text, "{\"step\":%lld,\"metrics_bytes\":%lld%s}\n",
                     (long long)r->checkpoint_step, (long long)r->metrics_bytes,
                     r->checkpoint_stopped ? ",\"stopped\":true" : "");
    TRY(run_join(r->checkpoint.temporary, "state.json", &path, err));
    status s = file_write(path, text, (size_t)n, err);
    free(path);
    return s;
}

/* Removes checkpoints: all that are newer than the latest (their turn had not come), those made by a signal
   except the latest, and beyond the newest `keep` the rest. */
static status prune(const run *r, error *err) {
    char **names;
    int n, kept = 0;
    if (!path_is_directory(r->checkpoints)) return STATUS_OK;
    TRY(path_list(r->checkpoints, &names, &n, err));
    status s = STATUS_OK;
    int64_t last = INT64_MAX;
    for (int left = n; left > 0 && s == STATUS_OK; left--) {
        /* The newest that has not been looked at: names sort by bytes, steps over 999999 do not. */
        int64_t step = -1;
        const char *name = NULL;
        for (int i = 0; i < n; i++)
            if (parse_step(names[i]) > step && parse_step(names[i]) < last)
                step = parse_step(names[i]), name = names[i];
        if (!name) break;
        last = step;
        char *path;
        s = run_join(r->checkpoints, name, &path, err);
        if (s != STATUS_OK) break;
        checkpoint_state state = {0};
        bool is_latest = r->latest && step == r->latest_step;
        bool early = !r->latest || step > r->latest_step;
        bool stopped = !early && (read_state(path, &state, NULL) != STATUS_OK || state.stopped);
        if (!early && !stopped) kept++;
        if (!is_latest && (early || stopped || kept > r->keep_checkpoints)) s = path_remove_tree(path, err);
        free(path);
    }
    path_free_list(names, n);
    return s;
}

static status set_latest(run *r, int64_t step, error *err) {
    char name[STEP_NAME], *path;
    step_name(step, name);
    TRY(run_join(r->checkpoints, name, &path, err));
    free(r->latest);
    r->latest = path;
    r->latest_step = step;
    return STATUS_OK;
}

/* Reads `latest`; r->latest stays NULL when there is none. */
static status read_latest(run *r, error *err) {
    char *path;
    buffer text = {0};
    TRY(run_join(r->checkpoints, "latest", &path, err));
    status s = path_exists(path) ? file_read(path, SMALL_FILE, &text, err) : STATUS_OK;
    if (s == STATUS_OK && text.len) {
        text.data[strcspn(text.data, "\n")] = 0;
        int64_t step = parse_step(text.data);
        if (step < 0)
            s = error_set(err, STATUS_DATA, "%s: \"%.60s\" is no checkpoint's name", path, text.data);
        else
            s = set_latest(r, step, err);
        if (s == STATUS_OK && !path_is_directory(r->latest))
            s = error_set(err, STATUS_DATA,
                          "%s: names %s, which is not there; remove the file to start from nothing", path,
                          text.data);
    } else if (s == STATUS_OK && path_exists(path)) {
        s = error_set(err, STATUS_DATA, "%s: is empty; remove it to start from nothing", path);
    }
    buffer_free(&text);
    free(path);
    return s;
}

status run_find_checkpoint(run *r, int64_t *metrics_bytes, error *err) {
    *metrics_bytes = 0;
    TRY(read_latest(r, err));
    if (r->latest) {
        checkpoint_state state;
        TRY(read_state(r->latest, &state, err));
        if (state.step != r->latest_step)
            return error_set(err, STATUS_DATA, "%s/state.json: is of step %lld", r->latest,
                             (long long)state.step);
        *metrics_bytes = state.metrics_bytes;
    }
    return prune(r, err);
}

status run_checkpoint_begin(run *r, int64_t step, bool stopped, const char **directory, error *err) {
    char name[STEP_NAME];
    step_name(step, name);
    TRY(draft_begin(&r->checkpoint, r->checkpoints, name, err));
    r->checkpoint_step = step;
    r->checkpoint_stopped = stopped;
    *directory = r->checkpoint.temporary;
    return STATUS_OK;
}

void run_checkpoint_abandon(run *r) { draft_abandon(&r->checkpoint); }

static status write_latest(const run *r, error *err) {
    char *path, text[STEP_NAME + 1];
    step_name(r->checkpoint_step, text);
    strcat(text, "\n");
    TRY(run_join(r->checkpoints, "latest", &path, err));
    status s = file_write(path, text, strlen(text), err);
    free(path);
    return s;
}

status run_checkpoint_commit(run *r, error *err) {
    status s = write_state(r, err);
    /* The metrics that the checkpoint counts must be on the disk before it is. */
    if (s == STATUS_OK && fsync(r->metrics) != 0 && errno != EINVAL)
        s = error_set(err, STATUS_FAILED, "%s/metrics.jsonl: cannot sync: %s", r->directory, strerror(errno));
    if (s != STATUS_OK) {
        draft_abandon(&r->checkpoint);
        return s;
    }
    TRY(draft_commit(&r->checkpoint, err));
    TRY(write_latest(r, err));
    TRY(set_latest(r, r->checkpoint_step, err));
    TRY(run_write_lineage(r, err));
    return prune(r, err);
}
