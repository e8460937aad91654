/* datasets/demo/world: the little world that the demo talks about: topics, the facts about them, and the
   sentences that ask for a fact or tell it. Everything is read-only. */
#ifndef RLHF_DEMO_WORLD_H
#define RLHF_DEMO_WORLD_H

#include "core/base/buffer.h"

enum {
    WORLD_TOPICS = 24,    /* animals, foods, weather */
    WORLD_FACTS = 4,      /* of each topic, e.g. an animal's home, food, look and skill */
    WORLD_PHRASINGS = 3,  /* of each question */
    WORLD_STATEMENTS = 3, /* of each fact, at most */
};

typedef enum world_kind { WORLD_ANIMAL, WORLD_FOOD, WORLD_WEATHER, WORLD_KINDS } world_kind;

typedef struct world_topic {
    const char *name; /* one lower-case word that no fact contains */
    world_kind kind;
    const char *fact[WORLD_FACTS]; /* what fills a statement: "in the forest" */
} world_topic;

/* topic is in [0, WORLD_TOPICS), fact in [0, WORLD_FACTS) in all that follows. */
const world_topic *world_find_topic(int topic);

/* How many statements there are for this fact: 2 or 3. */
int world_count_statements(int topic, int fact);

/* Appends "the fox" or "soup". */
void world_append_topic(buffer *out, int topic);
/* Appends the question: phrasing in [0, WORLD_PHRASINGS). */
void world_append_question(buffer *out, int topic, int fact, int phrasing);
/* Appends a sentence that tells the fact with the given value, which is the topic's own unless a wrong answer
   is wanted: statement in [0, world_count_statements). */
void world_append_statement(buffer *out, int topic, int fact, int statement, const char *value);

#endif
