/* core/base/json: parsing JSON with jansson, with our errors. Values are jansson's json_t; writing is
 * buffer_json_*. */
#ifndef RLHF_BASE_JSON_H
#define RLHF_BASE_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "core/base/error.h"

/* Parses one JSON text. Duplicate keys, invalid UTF-8, nesting over jansson's limit (2048) and anything
   behind the value are refused: STATUS_DATA "PLACE: what is wrong (column n)". place is "file" or
   "file:line". *out is the caller's (json_decref). */
status parse_json(const char *text, size_t len, const char *place, json_t **out, error *err);
/* The same, and the value must be an object: "PLACE: must be an object, not a string". */
status parse_json_object(const char *text, size_t len, const char *place, json_t **out, error *err);
/* A whole file of at most limit bytes. */
status parse_json_file(const char *path, size_t limit, json_t **out, error *err);

/* Fields of an object by type. Each reports a missing field or one of another type as
   "PLACE: \"KEY\" is missing" / "PLACE: \"KEY\" must be a string, not a number". Strings stay owned by the
   object. */
status json_field_string(const json_t *object, const char *key, const char *place, const char **out,
                         error *err);
/* A string that holds no zero byte, which C would take for its end. */
status json_field_text(const json_t *object, const char *key, const char *place, const char **out,
                       error *err);
status json_field_int(const json_t *object, const char *key, const char *place, long long low, long long high,
                      long long *out, error *err);
status json_field_number(const json_t *object, const char *key, const char *place, double *out, error *err);
/* The type's name for messages: "a string", "an object" ... */
const char *json_kind(const json_t *value);

#endif
