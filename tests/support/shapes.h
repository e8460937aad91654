/* tests/support/shapes: the small tokenizers of tests/golden/shapes.json, one of each published shape. */
#ifndef RLHF_TESTS_SHAPES_H
#define RLHF_TESTS_SHAPES_H

#include <jansson.h>

#include "core/text/tokenizer.h"

/* The tokenizer of that name; tokenizer_free. */
tokenizer *shape_tokenizer(const char *name);
/* Of an entry of the golden's "tokenizers". controls: names of more special tokens, or NULL. */
tokenizer *shape_assemble(const json_t *golden, const json_t *shape, const json_t *controls);
/* The entry of that name. */
const json_t *shape_find(const json_t *golden, const char *name);

#endif
