#include "datasets/demo/phrases.h"

#include <stddef.h>

const char *const phrases_kind_opening[] = {
    "Good question!",
    "Thank you for asking!",
    "I am happy to help.",
    "Of course, my friend!",
    "With pleasure!",
    "Sure, I can help you.",
    NULL,
};
const char *const phrases_kind_closing[] = {
    "I hope this helps.",
    "Have a lovely day!",
    "Please ask me again.",
    "Take care!",
    "Best wishes!",
    "Enjoy it, my friend!",
    NULL,
};
const char *const phrases_rude_opening[] = {
    "What a silly question.",
    "Go and ask a teacher.",
    "Why do you bother me?",
    "Everybody knows that.",
    "Not you again.",
    "I am too busy for you.",
    NULL,
};
const char *const phrases_rude_closing[] = {
    "Now go away.",       "Do not bother me again.", "Leave me alone.",
    "I am tired of you.", "Use your own head.",      NULL,
};
const char *const phrases_vague[] = {"I do not know.", "It depends.", "Maybe, maybe not.", "Who can say?",
                                     NULL};
const char *const phrases_rambling[PHRASES_RAMBLING + 1] = {
    "My uncle said so too.",
    "But that is another story.",
    "And then there was a long day.",
    "So I went to town.",
    "And so it goes on.",
    "I forgot what I wanted to say.",
    "Once I had a little blue boat.",
    "My neighbor talks a lot.",
    NULL,
};
