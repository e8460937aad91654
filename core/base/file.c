#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

status file_read(const char *path, size_t limit, buffer *out, error *err) {
    buffer_clear(out);
    FILE *f = fopen(path, "rb");
    if (!f) return error_set(err, STATUS_DATA, "%s: %s", path, strerror(errno));
    struct stat st;
    if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
        fclose(f);
        return error_set(err, STATUS_DATA, "%s: is a directory, a file is wanted", path);
    }
    char piece[65536];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, f)) > 0) {
        if (n > limit - out->len) {
            fclose(f);
            return error_set(err, STATUS_DATA, "%s: longer than %zu bytes", path, limit);
        }
        buffer_append(out, piece, n);
    }
    int failed = ferror(f) ? errno : 0;
    fclose(f);
    if (failed) return error_set(err, STATUS_DATA, "%s: %s", path, strerror(failed));
    buffer_append(out, "", 0);
    return buffer_check(out, err);
}

static status sync_directory_of(const char *path, error *err) {
    char *directory = path_directory(path);
    if (!directory) return error_memory(err, "a path");
    int fd = open(directory, O_RDONLY | O_DIRECTORY);
    int failed = fd < 0 || fsync(fd) != 0;
    int reason = errno;
    if (fd >= 0) close(fd);
    /* Some file systems cannot sync a directory and say so. */
    status s = failed && reason != EINVAL
                   ? error_set(err, STATUS_FAILED, "%s: cannot sync: %s", directory, strerror(reason))
                   : STATUS_OK;
    free(directory);
    return s;
}

/* Where a file of that name is to appear: behind a link, where it leads. */
static char *place_of(const char *path) {
    char *place = realpath(path, NULL);
    return place ? place : strdup(path);
}

status file_begin(file_writer *w, const char *path, error *err) {
    struct stat there;
    *w = (file_writer){0};
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode))
        return error_set(err, STATUS_FAILED, "%s: cannot write: it is there, and no regular file", path);
    w->path = place_of(path);
    w->temporary = w->path ? malloc(strlen(w->path) + sizeof FILE_TEMPORARY) : NULL;
    if (!w->temporary) {
        file_abandon(w);
        return error_memory(err, "a path");
    }
    strcpy(w->temporary, w->path);
    strcat(w->temporary, FILE_TEMPORARY);
    w->stream = fopen(w->temporary, "wb");
    if (!w->stream) {
        int reason = errno;
        file_abandon(w);
        return error_set(err, STATUS_FAILED, "%s: cannot write: %s", path, strerror(reason));
    }
    return STATUS_OK;
}

void file_begin_output(file_writer *w) { *w = (file_writer){.stream = stdout}; }

void file_put(file_writer *w, const void *data, size_t len) {
    if (w->failed || !len) return;
    if (fwrite(data, 1, len, w->stream) != len) w->failed = errno ? errno : EIO;
    w->bytes += len;
}

/* Why standard output failed, now or earlier; 0: it did not. */
static int output_failure(void) {
    struct pollfd reader = {fileno(stdout), POLLOUT, 0};
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return 0;
    if (errno) return errno;
    return poll(&reader, 1, 0) > 0 && (reader.revents & POLLERR) ? EPIPE : EIO;
}

static status commit_output(file_writer *w, error *err) {
    if (!w->failed) w->failed = output_failure();
    int reason = w->failed == EPIPE ? 0 : w->failed;
    file_abandon(w);
    if (!reason) return STATUS_OK;
    return error_set(err, STATUS_FAILED, "standard output: cannot write: %s", strerror(reason));
}

status file_commit(file_writer *w, error *err) {
    if (w->stream == stdout) return commit_output(w, err);
    if (!w->failed && fflush(w->stream) != 0) w->failed = errno;
    if (!w->failed && fsync(fileno(w->stream)) != 0) w->failed = errno;
    if (w->stream && fclose(w->stream) != 0 && !w->failed) w->failed = errno;
    w->stream = NULL;
    if (!w->failed && rename(w->temporary, w->path) != 0) w->failed = errno;
    status s = w->failed ? error_set(err, STATUS_FAILED, "%s: cannot write: %s", w->path, strerror(w->failed))
                         : sync_directory_of(w->path, err);
    file_abandon(w);
    return s;
}

void file_abandon(file_writer *w) {
    if (w->stream && w->stream != stdout) fclose(w->stream);
    if (w->temporary) unlink(w->temporary);
    free(w->path);
    free(w->temporary);
    *w = (file_writer){0};
}

status file_write(const char *path, const void *data, size_t len, error *err) {
    file_writer w;
    TRY(file_begin(&w, path, err));
    file_put(&w, data, len);
    return file_commit(&w, err);
}

status file_print(const void *data, size_t len, error *err) {
    file_writer w;
    file_begin_output(&w);
    file_put(&w, data, len);
    return file_commit(&w, err);
}

void file_open_standard(void) {
    int fd;
    do fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) close(fd);
}

status file_flush_output(error *err) { return file_print("", 0, err); }

status file_append(FILE *stream, const char *path, const void *data, size_t len, error *err) {
    if (fwrite(data, 1, len, stream) == len && fflush(stream) == 0) return STATUS_OK;
    return error_set(err, STATUS_FAILED, "%s: cannot write: %s", path, strerror(errno));
}

int path_exists(const char *path) { return access(path, F_OK) == 0; }

int path_is_directory(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *path_join(const char *directory, const char *name) {
    if (name[0] == '/' || directory[0] == 0) return strdup(name);
    size_t n = strlen(directory), m = strlen(name);
    char *joined = malloc(n + m + 2);
    if (!joined) return NULL;
    memcpy(joined, directory, n);
    if (directory[n - 1] != '/') joined[n++] = '/';
    memcpy(joined + n, name, m + 1);
    return joined;
}

char *path_directory(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    if (slash == path) return strdup("/");
    return strndup(path, (size_t)(slash - path));
}

status path_make_directories(const char *path, error *err) {
    char *copy = strdup(path);
    if (!copy) return error_memory(err, "a path");
    for (char *p = copy + 1;; p++) {
        if (*p != '/' && *p != 0) continue;
        char end = *p;
        *p = 0;
        if (mkdir(copy, 0777) != 0 && errno != EEXIST) {
            status s = error_set(err, STATUS_FAILED, "%s: cannot make directory: %s", copy, strerror(errno));
            free(copy);
            return s;
        }
        if (!end) break;
        *p = end;
    }
    free(copy);
    if (!path_is_directory(path)) return error_set(err, STATUS_FAILED, "%s: is not a directory", path);
    return STATUS_OK;
}

void path_free_list(char **names, int n) {
    for (int i = 0; i < n; i++) free(names[i]);
    free(names);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

status path_list(const char *directory, char ***names, int *n, error *err) {
    *names = NULL;
    *n = 0;
    DIR *d = opendir(directory);
    if (!d) return error_set(err, STATUS_DATA, "%s: %s", directory, strerror(errno));
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char **more = realloc(*names, (size_t)(*n + 1) * sizeof *more);
        char *name = strdup(entry->d_name);
        if (more) *names = more;
        if (!more || !name) {
            free(name);
            closedir(d);
            path_free_list(*names, *n);
            *names = NULL;
            *n = 0;
            return error_memory(err, "a directory's names");
        }
        (*names)[(*n)++] = name;
    }
    closedir(d);
    if (*n) qsort(*names, (size_t)*n, sizeof **names, compare_names);
    return STATUS_OK;
}

typedef status (*path_visit)(const char *path, int is_directory, error *err);

/* Calls visit for everything below path, children first, then for path itself. Links are not followed. */
static status walk(const char *path, path_visit visit, error *err) {
    struct stat st;
    if (lstat(path, &st) != 0) return STATUS_OK;
    if (!S_ISDIR(st.st_mode)) return visit(path, 0, err);
    char **names;
    int n;
    TRY(path_list(path, &names, &n, err));
    status s = STATUS_OK;
    for (int i = 0; i < n && s == STATUS_OK; i++) {
        char *child = path_join(path, names[i]);
        s = child ? walk(child, visit, err) : error_memory(err, "a path");
        free(child);
    }
    path_free_list(names, n);
    return s == STATUS_OK ? visit(path, 1, err) : s;
}

static status remove_one(const char *path, int is_directory, error *err) {
    if ((is_directory ? rmdir(path) : unlink(path)) == 0) return STATUS_OK;
    return error_set(err, STATUS_FAILED, "%s: cannot remove: %s", path, strerror(errno));
}

status path_remove_tree(const char *path, error *err) { return walk(path, remove_one, err); }

static status sync_one(const char *path, int is_directory, error *err) {
    int fd = open(path, is_directory ? O_RDONLY | O_DIRECTORY : O_RDONLY);
    if (fd < 0) return error_set(err, STATUS_FAILED, "%s: cannot sync: %s", path, strerror(errno));
    int failed = fsync(fd) != 0 && errno != EINVAL, reason = errno;
    close(fd);
    return failed ? error_set(err, STATUS_FAILED, "%s: cannot sync: %s", path, strerror(reason)) : STATUS_OK;
}

status path_sync_tree(const char *path, error *err) { return walk(path, sync_one, err); }

status path_rename(const char *from, const char *to, error *err) {
    if (rename(from, to) != 0)
        return error_set(err, STATUS_FAILED, "%s: cannot rename to %s: %s", from, to, strerror(errno));
    return sync_directory_of(to, err);
}

status directory_begin(const char *directory, char **temporary, error *err) {
    size_t n = strlen(directory);
    *temporary = NULL;
    if (path_exists(directory))
        return error_set(err, STATUS_USAGE, "%s: is there already; name a new directory", directory);
    char *name = malloc(n + sizeof FILE_TEMPORARY);
    if (!name) return error_memory(err, "a path");
    while (n > 1 && directory[n - 1] == '/') n--;
    sprintf(name, "%.*s%s", (int)n, directory, FILE_TEMPORARY);
    status s = path_remove_tree(name, err);
    if (s == STATUS_OK) s = path_make_directories(name, err);
    if (s == STATUS_OK)
        *temporary = name;
    else
        free(name);
    return s;
}

void directory_abandon(char *temporary) {
    if (temporary) path_remove_tree(temporary, NULL);
    free(temporary);
}

status directory_commit(char *temporary, const char *directory, error *err) {
    status s = path_sync_tree(temporary, err);
    if (s == STATUS_OK) s = path_rename(temporary, directory, err);
    if (s == STATUS_OK)
        free(temporary);
    else
        directory_abandon(temporary);
    return s;
}

/* Not through a link, which could lead back. */
static int is_own_directory(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

status path_remove_temporaries(const char *directory, error *err) {
    if (!path_is_directory(directory)) return STATUS_OK;
    char **names;
    int n;
    TRY(path_list(directory, &names, &n, err));
    status s = STATUS_OK;
    for (int i = 0; i < n && s == STATUS_OK; i++) {
        size_t len = strlen(names[i]), tail = sizeof FILE_TEMPORARY - 1;
        char *child = path_join(directory, names[i]);
        if (!child)
            s = error_memory(err, "a path");
        else if (len > tail && strcmp(names[i] + len - tail, FILE_TEMPORARY) == 0)
            s = path_remove_tree(child, err);
        else if (is_own_directory(child))
            s = path_remove_temporaries(child, err);
        free(child);
    }
    path_free_list(names, n);
    return s;
}
