#include "core/base/json.h"

#include <string.h>

#include "core/base/buffer.h"
#include "core/base/file.h"

status parse_json(const char *text, size_t len, const char *place, json_t **out, error *err) {
    json_error_t e;
    const char *zero = memchr(text, 0, len);
    if (zero)
        return error_set(err, STATUS_DATA, "%s: not JSON: a zero byte (column %td)", place, zero - text + 1);
    *out = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (*out) return STATUS_OK;
    if (e.line > 1)
        return error_set(err, STATUS_DATA, "%s: not JSON: %s (line %d, column %d)", place, e.text, e.line,
                         e.column);
    return error_set(err, STATUS_DATA, "%s: not JSON: %s (column %d)", place, e.text, e.column);
}

status parse_json_object(const char *text, size_t len, const char *place, json_t **out, error *err) {
    TRY(parse_json(text, len, place, out, err));
    if (json_is_object(*out)) return STATUS_OK;
    status s = error_set(err, STATUS_DATA, "%s: must be an object, not %s", place, json_kind(*out));
    json_decref(*out);
    *out = NULL;
    return s;
}

status parse_json_file(const char *path, size_t limit, json_t **out, error *err) {
    buffer text = {0};
    *out = NULL;
    status s = file_read(path, limit, &text, err);
    if (s == STATUS_OK) s = parse_json(text.data ? text.data : "", text.len, path, out, err);
    buffer_free(&text);
    return s;
}

const char *json_kind(const json_t *value) {
    if (!value) return "missing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    }
    return "unknown";
}

static status wrong(const json_t *value, const char *key, const char *place, const char *wanted, error *err) {
    if (!value) return error_set(err, STATUS_DATA, "%s: \"%s\" is missing", place, key);
    return error_set(err, STATUS_DATA, "%s: \"%s\" must be %s, not %s", place, key, wanted, json_kind(value));
}

status json_field_string(const json_t *object, const char *key, const char *place, const char **out,
                         error *err) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value)) return wrong(value, key, place, "a string", err);
    *out = json_string_value(value);
    return STATUS_OK;
}

status json_field_text(const json_t *object, const char *key, const char *place, const char **out,
                       error *err) {
    TRY(json_field_string(object, key, place, out, err));
    if (strlen(*out) == json_string_length(json_object_get(object, key))) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: \"%s\" holds a zero byte", place, key);
}

status json_field_int(const json_t *object, const char *key, const char *place, long long low, long long high,
                      long long *out, error *err) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value)) return wrong(value, key, place, "a whole number", err);
    *out = json_integer_value(value);
    if (*out < low || *out > high)
        return error_set(err, STATUS_DATA, "%s: \"%s\" is %lld, must be from %lld to %lld", place, key, *out,
                         low, high);
    return STATUS_OK;
}

status json_field_number(const json_t *object, const char *key, const char *place, double *out, error *err) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value)) return wrong(value, key, place, "a number", err);
    *out = json_number_value(value);
    return STATUS_OK;
}
