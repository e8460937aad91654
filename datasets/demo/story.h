/* datasets/demo/story: little stories to pre-train on, and answers of mixed quality to demonstrate. */
#ifndef RLHF_DEMO_STORY_H
#define RLHF_DEMO_STORY_H

#include "core/base/buffer.h"
#include "datasets/demo/draw.h"

/* Appends one story: facts about a topic, people who ask and answer kindly or rudely, a scene, somebody who
 * rambles. */
void story_append(buffer *out, draw *d);

/* Appends a sentence that tells the fact in one of its ways, with this value. */
void story_append_statement(buffer *out, draw *d, int topic, int fact, const char *value);

#endif
