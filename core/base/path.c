#include "core/base/path.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"

/* Appends one part to out (length n), taking ".." back where it can. Returns the new length. */
static size_t add_part(char *out, size_t n, const char *part, size_t len, int absolute) {
    if (len == 0 || (len == 1 && part[0] == '.')) return n;
    if (len == 2 && memcmp(part, "..", 2) == 0) {
        size_t start = n;
        while (start > 0 && out[start - 1] != '/') start--;
        int last_is_up = n - start == 2 && memcmp(out + start, "..", 2) == 0;
        if (n > start && !last_is_up) return start > (size_t)absolute ? start - 1 : start;
        if (absolute) return n;
    }
    if (n > 0 && out[n - 1] != '/') out[n++] = '/';
    memcpy(out + n, part, len);
    return n + len;
}

char *path_normal(const char *path) {
    char *out = malloc(strlen(path) + 2);
    if (!out) return NULL;
    int absolute = path[0] == '/';
    size_t n = 0;
    if (absolute) out[n++] = '/';
    while (*path) {
        size_t len = strcspn(path, "/");
        n = add_part(out, n, path, len, absolute);
        path += len + (path[len] == '/');
    }
    if (n == 0) out[n++] = '.';
    out[n] = 0;
    return out;
}

char *path_absolute(const char *path) {
    if (path[0] == '/') return path_normal(path);
    char *here = getcwd(NULL, 0);
    char *joined = here ? path_join(here, path) : NULL;
    char *normal = joined ? path_normal(joined) : NULL;
    free(here);
    free(joined);
    return normal;
}

/* Both absolute and normal. */
static char *relative(const char *from, const char *to) {
    size_t same = 0; /* length of the common directories, with the slash behind them */
    for (size_t i = 0;; i++) {
        int from_ends = from[i] == '/' || from[i] == 0, to_ends = to[i] == '/' || to[i] == 0;
        if (from_ends && to_ends) same = i + 1;
        if (from[i] != to[i] || from[i] == 0) break;
    }
    if (strcmp(from, "/") == 0) same = 1;
    size_t from_length = strlen(from), to_length = strlen(to);
    size_t ups = 0;
    for (size_t i = same; i < from_length; i++) ups += from[i] == '/';
    if (same < from_length) ups++;
    const char *rest = same < to_length ? to + same : "";
    char *out = malloc(3 * ups + strlen(rest) + 2);
    if (!out) return NULL;
    size_t n = 0;
    for (size_t i = 0; i < ups; i++, n += 3) memcpy(out + n, "../", 3);
    strcpy(out + n, rest);
    n += strlen(rest);
    if (n == 0)
        strcpy(out, ".");
    else if (out[n - 1] == '/')
        out[n - 1] = 0;
    return out;
}

char *path_relative(const char *directory, const char *path) {
    char *from = path_absolute(directory), *to = path_absolute(path);
    char *out = from && to ? relative(from, to) : NULL;
    free(from);
    free(to);
    return out;
}
