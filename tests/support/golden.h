/* tests/support/golden: numbers that the scripts of tests/golden worked out, read from their JSON. Anything
   missing or of another length fails the test. */
#ifndef RLHF_TESTS_GOLDEN_H
#define RLHF_TESTS_GOLDEN_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum { GOLDEN_MAX = 4096 }; /* longest array */

/* The file NAME.json of tests/golden; release with json_decref. */
json_t *golden_open(const char *name);
const json_t *golden_get(const json_t *object, const char *key);
double golden_number(const json_t *object, const char *key);
const char *golden_string(const json_t *object, const char *key);
/* Arrays, copied; they return the length. out has GOLDEN_MAX places. */
int golden_floats(const json_t *object, const char *key, float *out);
int golden_doubles(const json_t *object, const char *key, double *out);
int golden_ints(const json_t *object, const char *key, int32_t *out);

/* |got - want| <= tolerance max(|want|, 1e-3): relative, but for numbers near 0. NaN is near nothing. */
void assert_near(double got, double want, double tolerance);
void assert_all_near(const float *got, const double *want, int n, double tolerance);

#endif
