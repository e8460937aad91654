/* datasets/demo/phrases: what is said around a fact, kindly, rudely or at length. Lists end with NULL. */
#ifndef RLHF_DEMO_PHRASES_H
#define RLHF_DEMO_PHRASES_H

enum { PHRASES_RAMBLING = 8 };

extern const char *const phrases_kind_opening[];
extern const char *const phrases_kind_closing[];
extern const char *const phrases_rude_opening[];
extern const char *const phrases_rude_closing[];
extern const char *const phrases_vague[];                        /* instead of a fact */
extern const char *const phrases_rambling[PHRASES_RAMBLING + 1]; /* beside the point */

#endif
