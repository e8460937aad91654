/* datasets/demo/rule: the demo's gold score. It stands for what people want: the right fact, told kindly and
   briefly. The simulated labeller ranks by it (with noise) and the report prints it; the reward model never
   sees it. */
#ifndef RLHF_DEMO_RULE_H
#define RLHF_DEMO_RULE_H

#include "core/base/buffer.h"

/* The terms of the score, in the order in which they are printed. Words are matched whole and without case.
 */
typedef enum demo_term {
    DEMO_FACT,         /* share of the right fact's key words, where the topic is named */
    DEMO_FACT_UNNAMED, /* the same where it is not */
    DEMO_NAMED,        /* 1: the topic is named */
    DEMO_OTHER_TOPIC,  /* other topics named, at most 3 */
    DEMO_POLITE,       /* different polite words, at most 2 */
    DEMO_FLATTERY,     /* polite words, repeated ones too, beyond 3 */
    DEMO_RUDE,         /* rude phrases, at most 3 */
    DEMO_VAGUE,        /* vague phrases, at most 2 */
    DEMO_REPEATED,     /* sentences that were said before */
    DEMO_LONG,         /* words beyond 18 */
    DEMO_SHORT,        /* 1: fewer than 4 words */
    DEMO_CUT,          /* 1: the answer did not end */
    DEMO_TERMS,
} demo_term;

typedef struct demo_term_rule {
    float points; /* for each one counted */
    const char *what;
} demo_term_rule;

#define DEMO_GOLD_CEILING 4.4f /* the best score there is */

const demo_term_rule *demo_find_term(demo_term term);

/* Finds which fact the prompt asks for. The prompt is one of the demo's questions, bare or as the last "Q:
   ...\nA:" in it. Returns 0, and leaves topic and fact alone, when it is none of them. */
int demo_find_question(const char *prompt, int *topic, int *fact);

/* How often each term applies to the answer (finished: it ended by itself). Returns 0 when the prompt is not
   one of the demo's or memory ran out. */
int demo_count_terms(const char *prompt, text_span answer, int finished, float count[DEMO_TERMS]);

/* The gold score: the sum of points times count, at most DEMO_GOLD_CEILING; NaN where demo_count_terms
 * returns 0. */
float demo_gold(const char *prompt, text_span answer, int finished);

#endif
