/* core/model/config_reader: the keys of one object of a config.json, each read once; what nobody read and
   might change what a model computes is refused by name. For core/model alone. */
#ifndef RLHF_MODEL_CONFIG_READER_H
#define RLHF_MODEL_CONFIG_READER_H

#include "core/base/error.h"
#include "core/base/json.h"

typedef struct config_reader {
    const json_t *object;
    json_t *unread; /* a copy, out of which every key that was asked for is taken */
    const char *place;
    error *err;
} config_reader;

/* STATUS_DATA when value is no object. */
status config_reader_open(config_reader *r, const json_t *value, const char *place, error *err);
void config_reader_close(config_reader *r);

/* The key's value; NULL when it is missing or null. */
const json_t *config_value(const config_reader *r, const char *key);
/* A fallback stands where the key is missing or null; below 0: it must be there. At most 2^30, at least -1.
 */
status config_int(const config_reader *r, const char *key, int fallback, int *out);
status config_float(const config_reader *r, const char *key, double fallback, float *out);
status config_bool(const config_reader *r, const char *key, int fallback, int *out);
/* An id, or the first of a list of them; where there is none, *out stays. */
status config_id(const config_reader *r, const char *key, int *out);

/* Refusals of what is there and something else: one of the accepted texts (ends with NULL); the number. */
status config_expect_text(const config_reader *r, const char *key, const char *const *accepted);
status config_expect_number(const config_reader *r, const char *key, double accepted);
/* STATUS_DATA "PLACE: \"KEY\" is VALUE, which this program cannot compute". */
status config_refuse(const config_reader *r, const char *key, const char *value);

/* Refuses keys that were not asked for, but for those that are off (null, false, empty) and those that never
   change what is computed: names, dropout's rates, settings of sampling and of other programs. */
status config_refuse_unread(const config_reader *r);

#endif
