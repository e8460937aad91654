#include "core/base/lineage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "core/base/buffer.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/path.h"

enum { LINEAGE_LIMIT = 16 << 20 };

int64_t lineage_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

status lineage_make_uuid(char out[LINEAGE_UUID], error *err) {
    uint8_t byte[16];
    int64_t ms = lineage_now_ms();
    if (getrandom(byte, sizeof byte, 0) != (ssize_t)sizeof byte)
        return error_set(err, STATUS_FAILED, "no random numbers for a uuid: %s", strerror(errno));
    for (int i = 0; i < 6; i++) byte[i] = (uint8_t)(ms >> (40 - 8 * i));
    byte[6] = (uint8_t)(0x70 | (byte[6] & 0x0f)); /* version 7 */
    byte[8] = (uint8_t)(0x80 | (byte[8] & 0x3f)); /* RFC 9562's variant */
    for (int i = 0, n = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out[n++] = '-';
        n += snprintf(out + n, 3, "%02x", byte[i]);
    }
    return STATUS_OK;
}

static void free_artifacts(lineage_artifact *list, int n) {
    for (int i = 0; i < n; i++) {
        free(list[i].role);
        free(list[i].path);
    }
    free(list);
}

void lineage_free(lineage *l) {
    free(l->kind);
    free(l->code);
    free_artifacts(l->in, l->n_in);
    free_artifacts(l->out, l->n_out);
    *l = (lineage){0};
}

/* ---- adding ---- */

/* Takes role and path (malloc'd), also when it fails. */
static status put_artifact(lineage_artifact **list, int *n, lineage_artifact new_one, error *err) {
    for (int i = 0; i < *n; i++) {
        lineage_artifact *old = &(*list)[i];
        if (old->step != new_one.step || strcmp(old->role, new_one.role) || strcmp(old->path, new_one.path))
            continue;
        free(old->role);
        free(old->path);
        *old = new_one;
        return STATUS_OK;
    }
    lineage_artifact *more = realloc(*list, (size_t)(*n + 1) * sizeof *more);
    if (!more) {
        free(new_one.role);
        free(new_one.path);
        return error_memory(err, "lineage");
    }
    *list = more;
    more[(*n)++] = new_one;
    return STATUS_OK;
}

static status add_artifact(lineage_artifact **list, int *n, const char *directory, const char *role,
                           int64_t step, const char *path, error *err) {
    lineage_artifact a = {.step = step};
    TRY(hash_artifact(path, &a.sha256, &a.bytes, err));
    a.role = strdup(role);
    a.path = path_relative(directory, path);
    if (!a.role || !a.path) {
        free(a.role);
        free(a.path);
        return error_memory(err, "lineage");
    }
    return put_artifact(list, n, a, err);
}

status lineage_add_in(lineage *l, const char *directory, const char *role, int64_t step, const char *path,
                      error *err) {
    return add_artifact(&l->in, &l->n_in, directory, role, step, path, err);
}

status lineage_add_out(lineage *l, const char *directory, const char *role, int64_t step, const char *path,
                       error *err) {
    return add_artifact(&l->out, &l->n_out, directory, role, step, path, err);
}

/* ---- writing ---- */

static void print_hash(buffer *out, const hash *h) {
    char hex[2 * HASH_BYTES + 1];
    hash_hex(h, hex);
    buffer_format(out, "\"%s\"", hex);
}

static void print_number_or_null(buffer *out, const char *key, int64_t value, int64_t null) {
    if (value == null)
        buffer_format(out, "\"%s\":null", key);
    else
        buffer_format(out, "\"%s\":%lld", key, (long long)value);
}

static void print_text(buffer *out, const char *key, const char *text) {
    buffer_format(out, "\"%s\":", key);
    buffer_json_string(out, text, strlen(text));
}

static void print_artifacts(buffer *out, const char *key, const lineage_artifact *list, int n) {
    buffer_format(out, ",\n\"%s\":[", key);
    for (int i = 0; i < n; i++) {
        buffer_string(out, i ? ",\n{" : "\n{");
        print_text(out, "role", list[i].role);
        buffer_string(out, ",");
        print_number_or_null(out, "step", list[i].step, -1);
        buffer_string(out, ",");
        print_text(out, "path", list[i].path);
        buffer_string(out, ",\"sha256\":");
        print_hash(out, &list[i].sha256);
        buffer_format(out, ",\"bytes\":%llu}", (unsigned long long)list[i].bytes);
    }
    buffer_string(out, "]");
}

status lineage_write(const char *path, const lineage *l, error *err) {
    buffer out = {0};
    buffer_string(&out, "{");
    print_text(&out, "uuid", l->uuid);
    buffer_string(&out, ",\n");
    print_text(&out, "kind", l->kind);
    buffer_string(&out, ",\n");
    print_number_or_null(&out, "round", l->round, 0);
    buffer_string(&out, ",\n");
    print_text(&out, "code", l->code);
    buffer_string(&out, ",\n\"config_sha256\":");
    print_hash(&out, &l->config_sha256);
    buffer_format(&out, ",\n\"seed\":%llu,\n\"attempt\":%d,\n", (unsigned long long)l->seed, l->attempt);
    print_number_or_null(&out, "started_ms", l->started_ms, 0);
    buffer_string(&out, ",\n");
    print_number_or_null(&out, "ended_ms", l->ended_ms, 0);
    print_artifacts(&out, "in", l->in, l->n_in);
    print_artifacts(&out, "out", l->out, l->n_out);
    buffer_string(&out, "}\n");
    status s = buffer_check(&out, err);
    if (s == STATUS_OK) s = file_write(path, out.data, out.len, err);
    buffer_free(&out);
    return s;
}

/* ---- reading ---- */

/* A whole number, or null where null is allowed. */
static status read_number(const json_t *object, const char *key, const char *place, int64_t high,
                          const int64_t *null, int64_t *out, error *err) {
    if (null && json_is_null(json_object_get(object, key))) {
        *out = *null;
        return STATUS_OK;
    }
    long long value;
    TRY(json_field_int(object, key, place, 0, high, &value, err));
    *out = value;
    return STATUS_OK;
}

static status read_text(const json_t *object, const char *key, const char *place, char **out, error *err) {
    const char *text;
    TRY(json_field_string(object, key, place, &text, err));
    *out = strdup(text);
    return *out ? STATUS_OK : error_memory(err, "lineage");
}

static status read_hash(const json_t *object, const char *key, const char *place, hash *out, error *err) {
    const char *text;
    TRY(json_field_string(object, key, place, &text, err));
    if (hash_parse(text, out)) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: \"%s\" must be 64 hexadecimal digits", place, key);
}

static status read_artifact(const json_t *object, const char *place, lineage_artifact *a, error *err) {
    static const int64_t none = -1;
    int64_t bytes;
    TRY(read_text(object, "role", place, &a->role, err));
    TRY(read_text(object, "path", place, &a->path, err));
    TRY(read_number(object, "step", place, INT64_MAX, &none, &a->step, err));
    TRY(read_number(object, "bytes", place, INT64_MAX, NULL, &bytes, err));
    a->bytes = (uint64_t)bytes;
    return read_hash(object, "sha256", place, &a->sha256, err);
}

static status read_artifacts(const json_t *root, const char *key, const char *place, lineage_artifact **list,
                             int *n, error *err) {
    const json_t *array = json_object_get(root, key);
    if (!json_is_array(array)) return error_set(err, STATUS_DATA, "%s: \"%s\" must be an array", place, key);
    size_t count = json_array_size(array);
    *list = calloc(count ? count : 1, sizeof **list);
    if (!*list) return error_memory(err, "lineage");
    for (size_t i = 0; i < count; i++) {
        ++*n; /* first, so that what a failed reading leaves is freed */
        TRY(read_artifact(json_array_get(array, i), place, &(*list)[i], err));
    }
    return STATUS_OK;
}

static status read_fields(const json_t *root, const char *place, lineage *l, error *err) {
    static const int64_t none = 0;
    const char *uuid;
    int64_t round, seed, attempt;
    TRY(json_field_string(root, "uuid", place, &uuid, err));
    if (strlen(uuid) != LINEAGE_UUID - 1)
        return error_set(err, STATUS_DATA, "%s: \"uuid\" is not a uuid", place);
    strcpy(l->uuid, uuid);
    TRY(read_text(root, "kind", place, &l->kind, err));
    TRY(read_text(root, "code", place, &l->code, err));
    TRY(read_hash(root, "config_sha256", place, &l->config_sha256, err));
    TRY(read_number(root, "round", place, INT32_MAX, &none, &round, err));
    TRY(read_number(root, "seed", place, INT64_MAX, NULL, &seed, err));
    TRY(read_number(root, "attempt", place, INT32_MAX - 1, NULL, &attempt, err));
    TRY(read_number(root, "started_ms", place, INT64_MAX, &none, &l->started_ms, err));
    TRY(read_number(root, "ended_ms", place, INT64_MAX, &none, &l->ended_ms, err));
    l->round = (int)round;
    l->seed = (uint64_t)seed;
    l->attempt = (int)attempt;
    TRY(read_artifacts(root, "in", place, &l->in, &l->n_in, err));
    return read_artifacts(root, "out", place, &l->out, &l->n_out, err);
}

status lineage_read(const char *path, lineage *out, error *err) {
    *out = (lineage){0};
    json_t *root;
    TRY(parse_json_file(path, LINEAGE_LIMIT, &root, err));
    status s = json_is_object(root) ? read_fields(root, path, out, err)
                                    : error_set(err, STATUS_DATA, "%s: must be an object", path);
    json_decref(root);
    if (s != STATUS_OK) lineage_free(out);
    return s;
}
