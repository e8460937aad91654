#include "tests/support/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/base/json.h"

json_t *golden_open(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "tests/golden/%s.json", name);
    json_t *out = NULL;
    error err;
    if (parse_json_file(path, 1 << 22, &out, &err) != STATUS_OK) fail_msg("%s", err.message);
    return out;
}

const json_t *golden_get(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!value) fail_msg("golden numbers: no \"%s\"", key);
    return value;
}

double golden_number(const json_t *object, const char *key) {
    const json_t *value = golden_get(object, key);
    if (!json_is_number(value)) fail_msg("golden numbers: \"%s\" is no number", key);
    return json_number_value(value);
}

const char *golden_string(const json_t *object, const char *key) {
    const char *value = json_string_value(golden_get(object, key));
    if (!value) fail_msg("golden numbers: \"%s\" is no string", key);
    return value;
}

int golden_doubles(const json_t *object, const char *key, double *out) {
    const json_t *array = golden_get(object, key);
    size_t n = json_array_size(array);
    if (!json_is_array(array) || n > GOLDEN_MAX) fail_msg("golden numbers: \"%s\" is no short array", key);
    for (size_t i = 0; i < n; i++) out[i] = json_number_value(json_array_get(array, i));
    return (int)n;
}

int golden_floats(const json_t *object, const char *key, float *out) {
    double value[GOLDEN_MAX];
    int n = golden_doubles(object, key, value);
    for (int i = 0; i < n; i++) out[i] = (float)value[i];
    return n;
}

int golden_ints(const json_t *object, const char *key, int32_t *out) {
    double value[GOLDEN_MAX];
    int n = golden_doubles(object, key, value);
    for (int i = 0; i < n; i++) out[i] = (int32_t)value[i];
    return n;
}

void assert_near(double got, double want, double tolerance) {
    double scale = fabs(want) > 1e-3 ? fabs(want) : 1e-3;
    if (!(fabs(got - want) <= tolerance * scale)) fail_msg("%.9g, expected %.9g", got, want);
}

void assert_all_near(const float *got, const double *want, int n, double tolerance) {
    for (int i = 0; i < n; i++) {
        double scale = fabs(want[i]) > 1e-3 ? fabs(want[i]) : 1e-3;
        if (!(fabs(got[i] - want[i]) <= tolerance * scale))
            fail_msg("[%d] is %.9g, expected %.9g", i, got[i], want[i]);
    }
}
