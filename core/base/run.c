#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/run_internal.h"

const char *run_directory(const run *r) { return r->directory; }
logger *run_log(run *r) { return &r->log; }
lineage *run_lineage(run *r) { return &r->lineage; }

status run_join(const char *directory, const char *name, char **out, error *err) {
    *out = path_join(directory, name);
    return *out ? STATUS_OK : error_memory(err, "a path");
}

const char *run_path(run *r, const char *name) {
    char **more = realloc(r->path, (size_t)(r->n_path + 1) * sizeof *more);
    if (more) r->path = more;
    char *path = more ? path_join(r->directory, name) : NULL;
    if (path) r->path[r->n_path++] = path;
    return path;
}

/* Names that may stand in a directory whose run was killed before its lineage.json was written. */
static bool is_ours(const char *name) {
    static const char *const ours[] = {"lock", "config.yaml", "metrics.jsonl", "timing.jsonl", "log.txt"};
    size_t length = strlen(name), tail = sizeof FILE_TEMPORARY - 1;
    if (length > tail && strcmp(name + length - tail, FILE_TEMPORARY) == 0) return true;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcmp(ours[i], name) == 0) return true;
    return false;
}

/* Whether the directory holds no file of a stage's and no line of metrics. */
static status is_nothing_there(const char *directory, bool *nothing, error *err) {
    char **names, *metrics;
    int n;
    struct stat st;
    TRY(run_join(directory, "metrics.jsonl", &metrics, err));
    *nothing = stat(metrics, &st) != 0 || st.st_size == 0;
    free(metrics);
    TRY(path_list(directory, &names, &n, err));
    for (int i = 0; i < n; i++)
        if (!is_ours(names[i]) && strcmp(names[i], "lineage.json") != 0) *nothing = false;
    path_free_list(names, n);
    return STATUS_OK;
}

void run_give_up(run *r) {
    if (r) r->given_up = true;
}

/* Removes what run_open made, under the lock. Fails in silence: what stays is begun anew by the next start.
 */
static void remove_what_was_made(const run *r) {
    char **names, *directory = strdup(r->directory);
    int n;
    bool nothing;
    if (!directory || is_nothing_there(directory, &nothing, NULL) != STATUS_OK || !nothing ||
        path_list(directory, &names, &n, NULL) != STATUS_OK) {
        free(directory);
        return;
    }
    for (int i = 0; i < n; i++) {
        char *path = path_join(directory, names[i]);
        if (path) path_remove_tree(path, NULL);
        free(path);
    }
    path_free_list(names, n);
    for (int i = 0; i < r->n_made && directory && rmdir(directory) == 0; i++) {
        char *above = path_directory(directory);
        free(directory);
        directory = above;
    }
    free(directory);
}

void run_close(run *r) {
    if (!r) return;
    run_checkpoint_abandon(r);
    run_output_abandon(r);
    if (r->given_up && r->is_new) remove_what_was_made(r);
    if (r->log.file) fclose(r->log.file);
    if (r->metrics >= 0) close(r->metrics);
    if (r->timing >= 0) close(r->timing);
    if (r->lock >= 0) close(r->lock);
    for (int i = 0; i < r->n_path; i++) free(r->path[i]);
    free(r->path);
    free(r->directory);
    free(r->checkpoints);
    free(r->latest);
    lineage_free(&r->lineage);
    free(r);
}

/* ---- metrics and timing ---- */

/* Appends the line; when the disk takes only a part of it, what was there before is restored. */
static status append_line(int file, const char *directory, const char *name, const buffer *line, error *err) {
    struct iovec part[2] = {{line->data, line->len}, {"\n", 1}};
    off_t before = lseek(file, 0, SEEK_END);
    ssize_t written = before < 0 ? -1 : writev(file, part, 2);
    if (written == (ssize_t)line->len + 1) return STATUS_OK;
    int reason = written < 0 ? errno : ENOSPC;
    if (written > 0 && ftruncate(file, before) != 0) reason = errno;
    return error_set(err, STATUS_FAILED, "%s/%s: cannot write: %s", directory, name, strerror(reason));
}

status run_metrics(run *r, const buffer *line, error *err) {
    TRY(buffer_check(line, err));
    TRY(append_line(r->metrics, r->directory, "metrics.jsonl", line, err));
    r->metrics_bytes += (int64_t)line->len + 1;
    return STATUS_OK;
}

status run_timing(run *r, const buffer *line, error *err) {
    TRY(buffer_check(line, err));
    return append_line(r->timing, r->directory, "timing.jsonl", line, err);
}

/* Opens a file of lines for appending. */
static status open_lines(const run *r, const char *name, int *file, error *err) {
    char *path;
    TRY(run_join(r->directory, name, &path, err));
    *file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    status s =
        *file < 0 ? error_set(err, STATUS_FAILED, "%s: cannot write: %s", path, strerror(errno)) : STATUS_OK;
    free(path);
    return s;
}

static status cut_metrics(run *r, int64_t bytes, error *err) {
    struct stat st;
    if (fstat(r->metrics, &st) != 0 || st.st_size < bytes)
        return error_set(err, STATUS_DATA,
                         "%s/metrics.jsonl: is shorter than its checkpoint says (%lld bytes)", r->directory,
                         (long long)bytes);
    if (ftruncate(r->metrics, bytes) != 0)
        return error_set(err, STATUS_FAILED, "%s/metrics.jsonl: cannot cut: %s", r->directory,
                         strerror(errno));
    r->metrics_bytes = bytes;
    return STATUS_OK;
}

/* ---- opening ---- */

static status take_lock(run *r, error *err) {
    char *path, owner[32] = "";
    TRY(run_join(r->directory, "lock", &path, err));
    r->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    status s = STATUS_OK;
    if (r->lock < 0) {
        s = error_set(err, STATUS_FAILED, "%s: cannot open: %s", path, strerror(errno));
    } else if (flock(r->lock, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = pread(r->lock, owner, sizeof owner - 1, 0);
        owner[n > 0 ? strspn(owner, "0123456789") : 0] = 0;
        s = error_set(err, STATUS_FAILED, "%s: another program is at work here%s%s", r->directory,
                      owner[0] ? ": process " : "", owner);
    }
    free(path);
    return s;
}

/* For the message of whoever comes second. */
static void sign_lock(const run *r) {
    char text[32];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(r->lock, 0) != 0 || pwrite(r->lock, text, (size_t)n, 0) != n)
        return; /* the lock holds without it */
}

static status check_empty(const char *directory, error *err) {
    char **names;
    int n;
    TRY(path_list(directory, &names, &n, err));
    status s = STATUS_OK;
    for (int i = 0; i < n && s == STATUS_OK; i++)
        if (!is_ours(names[i]))
            s = error_set(
                err, STATUS_DATA,
                "%s: is not a run directory (%s is in it, lineage.json is not); name a new or empty one",
                directory, names[i]);
    path_free_list(names, n);
    return s;
}

/* Before there is a lock: a directory of somebody else's gets no file of ours. */
static status check_before_locking(const run *r, error *err) {
    char *lock, *lineage = NULL;
    TRY(run_join(r->directory, "lock", &lock, err));
    status s = run_join(r->directory, "lineage.json", &lineage, err);
    if (s == STATUS_OK && !path_exists(lock) && !path_exists(lineage)) s = check_empty(r->directory, err);
    free(lock);
    free(lineage);
    return s;
}

/* Was the run killed before its first line of metrics and its first file? Then there is nothing to go on
   with, and it is begun again as if it were not there, with another config too. */
static status was_nothing_done(const run *r, bool *nothing, error *err) {
    TRY(is_nothing_there(r->directory, nothing, err));
    *nothing = *nothing && r->lineage.ended_ms == 0;
    return STATUS_OK;
}

/* Compares with the config that was saved. */
static status check_config(const run *r, const run_options *o, error *err) {
    char *path;
    config_source *source = NULL;
    void *was = malloc(o->table->size);
    if (!was) return error_memory(err, "a config");
    status s = run_join(r->directory, "config.yaml", &path, err);
    if (s == STATUS_OK) {
        s = config_read(o->table, path, NULL, 0, was, &source, err);
        if (s == STATUS_USAGE && err) s = err->code = STATUS_DATA;
        free(path);
    }
    buffer differences = {0};
    int n = 0;
    if (s == STATUS_OK) s = config_compare(o->table, was, o->values, o->sections, &differences, &n, err);
    if (s == STATUS_OK && n > 0) {
        differences.data[differences.len - 1] = 0; /* the last newline */
        s = error_set(err, STATUS_USAGE,
                      "%s: was begun with another config; set it back or name a new run:\n%s", r->directory,
                      differences.data);
    }
    buffer_free(&differences);
    config_release(source);
    free(was);
    return s;
}

/* The run that is there: may it be gone on with? */
static status check_old(const run *r, const run_options *o, error *err) {
    const lineage *l = &r->lineage;
    if (strcmp(l->kind, o->kind) != 0)
        return error_set(err, STATUS_USAGE, "%s: holds a run of %s, not of %s; name another directory",
                         r->directory, l->kind, o->kind);
    if (l->round != o->round)
        return error_set(err, STATUS_USAGE,
                         "%s: holds a run of round %d, not of %d (0: none); name another directory",
                         r->directory, l->round, o->round);
    bool finished = l->ended_ms != 0, same_version = strcmp(l->code, RLHF_VERSION) == 0;
    if (!finished && !o->resume)
        return error_set(err, STATUS_USAGE,
                         "%s: an unfinished run is there; go on with --resume, or remove it", r->directory);
    if (!finished && !same_version)
        return error_set(err, STATUS_USAGE,
                         "%s: was begun by version %s, this is %s; finish it there or name a new run",
                         r->directory, l->code, RLHF_VERSION);
    return same_version ? check_config(r, o, err) : STATUS_OK; /* another version's keys are not ours */
}

static status write_config(const run *r, const run_options *o, error *err) {
    char *path;
    buffer text = {0};
    buffer_format(&text, "# rlhf %s %s: every setting of this run\n", RLHF_VERSION, o->kind);
    status s = config_print(o->table, o->values, o->sections, r->directory, &text, err);
    if (s == STATUS_OK) s = run_join(r->directory, "config.yaml", &path, err);
    if (s == STATUS_OK) {
        s = file_write(path, text.data, text.len, err);
        free(path);
    }
    buffer_free(&text);
    return s;
}

status run_write_lineage(run *r, error *err) {
    char *path;
    TRY(run_join(r->directory, "lineage.json", &path, err));
    status s = lineage_write(path, &r->lineage, err);
    free(path);
    return s;
}

static status begin_lineage(run *r, const run_options *o, error *err) {
    lineage *l = &r->lineage;
    TRY(lineage_make_uuid(l->uuid, err));
    TRY(config_hash(o->table, o->values, o->sections, r->directory, &l->config_sha256, err));
    l->kind = strdup(o->kind);
    l->code = strdup(RLHF_VERSION);
    l->round = o->round;
    l->seed = o->seed;
    l->started_ms = lineage_now_ms();
    return l->kind && l->code ? STATUS_OK : error_memory(err, "lineage");
}

/* Everything behind the lock of a run that will work. */
static status open_files(run *r, const run_options *o, bool is_new, error *err) {
    int64_t metrics_bytes;
    sign_lock(r);
    TRY(path_remove_temporaries(r->directory, err));
    TRY(run_recover_outputs(r->directory, err));
    TRY(run_recover_outputs(r->checkpoints, err));
    TRY(run_find_checkpoint(r, &metrics_bytes, err));
    TRY(open_lines(r, "metrics.jsonl", &r->metrics, err));
    TRY(open_lines(r, "timing.jsonl", &r->timing, err));
    TRY(cut_metrics(r, metrics_bytes, err));
    const char *log = run_path(r, "log.txt");
    if (!log) return error_memory(err, "a path");
    r->log.file = fopen(log, "ae");
    if (!r->log.file) return error_set(err, STATUS_FAILED, "%s: cannot write: %s", log, strerror(errno));
    if (is_new) {
        TRY(write_config(r, o, err));
        TRY(begin_lineage(r, o, err));
    }
    r->lineage.attempt++;
    return run_write_lineage(r, err); /* from here on the run is there */
}

static status make_directories(run *r, error *err) {
    char *path = strdup(r->directory);
    while (path && !path_exists(path)) {
        char *above = path_directory(path);
        free(path);
        path = above;
        r->n_made++;
    }
    if (!path) return error_memory(err, "a path");
    free(path);
    return path_make_directories(r->directory, err);
}

static status open_run(run *r, const run_options *o, run_state *state, error *err) {
    r->directory = strdup(o->directory);
    if (!r->directory) return error_memory(err, "a path");
    TRY(run_join(r->directory, "checkpoints", &r->checkpoints, err));
    TRY(make_directories(r, err));
    TRY(check_before_locking(r, err));
    TRY(take_lock(r, err));
    char *path;
    TRY(run_join(r->directory, "lineage.json", &path, err));
    bool is_new = !path_exists(path);
    status s = is_new ? check_empty(r->directory, err) : lineage_read(path, &r->lineage, err);
    free(path);
    TRY(s);
    if (!is_new) TRY(was_nothing_done(r, &is_new, err));
    if (is_new)
        lineage_free(&r->lineage);
    else
        TRY(check_old(r, o, err));
    *state = RUN_FINISHED;
    if (!is_new && r->lineage.ended_ms) return STATUS_OK;
    r->is_new = is_new;
    TRY(open_files(r, o, is_new, err));
    *state = r->latest ? RUN_RESUMED : RUN_NEW;
    return STATUS_OK;
}

status run_open(const run_options *options, run **out, run_state *state, error *err) {
    *out = NULL;
    run *r = malloc(sizeof *r);
    if (!r) return error_memory(err, "a run");
    *r = (run){.keep_checkpoints = options->keep_checkpoints, .lock = -1, .metrics = -1, .timing = -1};
    status s = open_run(r, options, state, err);
    if (s == STATUS_OK) {
        *out = r;
        return s;
    }
    run_give_up(r);
    run_close(r);
    return s;
}

status run_finish(run *r, error *err) {
    if (fsync(r->metrics) != 0 && errno != EINVAL)
        return error_set(err, STATUS_FAILED, "%s/metrics.jsonl: cannot sync: %s", r->directory,
                         strerror(errno));
    r->lineage.ended_ms = lineage_now_ms();
    return run_write_lineage(r, err);
}
