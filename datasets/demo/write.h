/* datasets/demo/write: the demo's texts. Everything is a function of this source: each document draws from
   its own counter, so that the same files come out anywhere. */
#ifndef RLHF_DEMO_WRITE_H
#define RLHF_DEMO_WRITE_H

#include "core/base/buffer.h"
#include "core/base/error.h"

enum {
    DEMO_STORIES = 3000,
    DEMO_DEMONSTRATIONS = 2400,
    DEMO_PROMPTS = 288, /* topics x facts x phrasings; one phrasing of each fact is held out */
};

#define DEMO_SEPARATOR "\n\n" /* between the stories of stories.txt (data.separator) */

/* Append a whole file. A failed allocation is remembered in out (buffer_check). */
void demo_append_stories(buffer *out);        /* plain text to pre-train on */
void demo_append_demonstrations(buffer *out); /* {"prompt","completion"} of mixed quality */
void demo_append_prompts(buffer *out);        /* {"prompt","split"}: split is "train" or "valid" */

/* Writes stories.txt, demonstrations.jsonl and prompts.jsonl into the directory, each whole or not at all. */
status demo_write(const char *directory, error *err);

#endif
