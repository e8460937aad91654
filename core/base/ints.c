#include "core/base/ints.h"

#include <stdlib.h>
#include <string.h>

void ints_free(ints *list) {
    free(list->data);
    *list = (ints){0};
}

void ints_clear(ints *list) {
    list->len = 0;
    list->failed = 0;
}

static int reserve(ints *list, size_t more) {
    if (list->failed) return 0;
    if (list->len + more <= list->capacity) return 1;
    size_t capacity = list->capacity ? list->capacity : 64;
    while (capacity < list->len + more) capacity *= 2;
    int32_t *data = realloc(list->data, capacity * sizeof *data);
    if (!data) {
        list->failed = 1;
        return 0;
    }
    list->data = data;
    list->capacity = capacity;
    return 1;
}

void ints_push(ints *list, int32_t value) {
    if (reserve(list, 1)) list->data[list->len++] = value;
}

void ints_append(ints *list, const int32_t *values, size_t n) {
    if (!n || !reserve(list, n)) return;
    memcpy(list->data + list->len, values, n * sizeof *values);
    list->len += n;
}

status ints_check(const ints *list, error *err) {
    return list->failed ? error_memory(err, "a growing list") : STATUS_OK;
}
