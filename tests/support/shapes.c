#include "tests/support/shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/golden.h"

/* Special tokens with the ids behind all there are. */
static void add_controls(json_t *whole, const json_t *model, const json_t *controls) {
    json_t *added = json_object_get(whole, "added_tokens"), *name, *id;
    json_int_t last = 0;
    const char *key;
    size_t i;
    json_object_foreach(json_object_get(model, "vocab"), key, id) if (json_integer_value(id) > last) last =
        json_integer_value(id);
    json_array_foreach(controls, i, name)
        json_array_append_new(added, json_pack("{s:I, s:O, s:b, s:b}", "id", last + 1 + (json_int_t)i,
                                               "content", name, "special", 1, "normalized", 0));
}

tokenizer *shape_assemble(const json_t *golden, const json_t *shape, const json_t *controls) {
    json_t *whole = json_deep_copy(shape);
    json_t *model = json_deep_copy(golden_get(golden_get(golden, "models"), golden_string(shape, "model")));
    json_object_update(model, json_object_get(whole, "options"));
    json_object_set_new(whole, "model", model);
    add_controls(whole, model, controls);
    char *text = json_dumps(whole, 0);
    tokenizer *t;
    error err;
    if (tokenizer_parse(text, strlen(text), golden_string(shape, "name"), &t, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    free(text);
    json_decref(whole);
    return t;
}

const json_t *shape_find(const json_t *golden, const char *name) {
    const json_t *one;
    size_t i;
    json_array_foreach(golden_get(golden, "tokenizers"), i, one) {
        if (strcmp(golden_string(one, "name"), name) == 0) return one;
    }
    fail_msg("no tokenizer \"%s\" in tests/golden/shapes.json", name);
    return NULL;
}

tokenizer *shape_tokenizer(const char *name) {
    json_t *golden = golden_open("shapes");
    tokenizer *t = shape_assemble(golden, shape_find(golden, name), NULL);
    json_decref(golden);
    return t;
}
