#include "datasets/demo/story.h"

#include <string.h>

#include "datasets/demo/phrases.h"
#include "datasets/demo/world.h"

/* A story is a sentence with blanks in braces, each filled by one of the rules below, whose phrases may have
 * blanks again. */
typedef struct story {
    draw *d;
    const char *name, *friend;
    int topic, order[WORLD_FACTS]; /* the order in which facts come up */
    int ramble;                    /* the next phrase of somebody who rambles */
} story;

typedef struct rule {
    const char *blank;
    const char *const *phrases; /* one of them, or: */
    void (*append)(buffer *out, story *s, int i);
    int i;
} rule;

static const char *const names[] = {"Mia", "Tom", "Anna", "Ben", "Lily", "Max", "Nora", "Sam"};
enum { NAMES = sizeof names / sizeof *names };

static const char *const days[] = {"One morning",  "One evening", "On a Sunday", "Last summer",
                                   "After school", "One day",     "Yesterday",   NULL};
static const char *const greetings[] = {"Hello, {friend}!", "Good morning, {friend}!", "Dear {friend}!",
                                        NULL};
static const char *const thanks[] = {"{name} was happy.", "{name} said: \"Thank you, {friend}!\"",
                                     "{name} and {friend} are good friends.", NULL};
static const char *const hurts[] = {"{name} was sad.", "{name} went home.", "That was not kind.",
                                    "{friend} was sorry later.", NULL};
static const char *const scene_ends[] = {"", "", " {name} was happy.",
                                         " {friend} said: \"Have a lovely day!\"", NULL};
static const char *const sheet_ends[] = {
    "",  "", "", " This is all about {topic}.", " Now you know more about {topic}.", " {name} told me so.",
    NULL};
static const char *const ramble_ends[] = {"", " {friend} fell asleep.", " {friend} went home.", NULL};

static const char *const sheets[] = {
    "{tell 1} {tell 2}{sheet end}",
    "{tell 1} {tell 2} {tell 3}{sheet end}",
    "{tell 1} {tell 2} {tell 3} {tell 4}{sheet end}",
    NULL,
};
static const char *const kind_talks[] = {
    "{day} {name} met {friend}. {name} asked: \"{ask 1}\" {friend} said: \"{kind hi} {tell 1}\" {thanks}",
    "{day} {name} asked {friend}: \"{ask 1}\" {friend} said: \"{kind hi} {tell 1} {kind bye}\" {thanks}",
    "{name} said: \"{greeting} {ask 1}\" {friend} said: \"{kind hi} {tell 1} {kind bye}\"",
    "{name} said: \"{greeting} {ask 1}\" {friend} smiled and said: \"{tell 1} {kind bye}\" {thanks}",
    "{name} asked: \"{ask 1}\" {friend} said: \"{tell 1}\" \"{ask 2}\" {friend} said: \"{tell 2}\"",
    NULL,
};
static const char *const rude_talks[] = {
    "{day} {name} asked {friend}: \"{ask 1}\" {friend} said: \"{rude hi} {tell 1} {rude bye}\" {hurt}",
    "{day} {name} asked {friend}: \"{ask 1}\" {friend} said: \"{rude hi} {tell 1}\" {hurt}",
    "{name} said: \"{greeting} {ask 1}\" {friend} said: \"{rude hi} {vague} {rude bye}\" {hurt}",
    "{day} {name} asked {friend}: \"{ask 1}\" {friend} said: \"{rude hi} {vague}\" {hurt}",
    "{name} asked: \"{ask 1}\" {friend} said: \"{tell 1} {rude bye}\" {hurt}",
    NULL,
};
static const char *const scenes[WORLD_KINDS][4] = {
    {
        "{day} {name} saw {topic} {fact 1}. It was {fact 3}. {state 2} {state 4}{end}",
        "{day} {name} and {friend} went to see {topic}. {state 1} {state 3} {name} gave it {fact 2}.{end}",
        "{name} wants to see {topic}. {friend} knows the way. {state 1} It likes {fact 2}. {state 4}{end}",
        NULL,
    },
    {
        "{day} {name} made {topic} for {friend}. {state 1} {state 2} They had it with {fact 4}.{end}",
        "{day} {name} and {friend} made {topic}. They took {fact 1}. It was {fact 2}. {state 3}{end}",
        "{name} likes {topic}. {state 2} {state 3} {name} has it with {fact 4}.{end}",
        NULL,
    },
    {
        "{day} {name} and {friend} were out in {topic}. {state 3} {name} put on {fact 1}. {state 2}{end}",
        "{name} likes {topic}. {state 4} {name} puts on {fact 1}. {state 2}{end}",
        "{name} looked out at {topic}. It was {fact 3}. {state 1} {state 4}{end}",
        NULL,
    },
};
static const char *const rambles[] = {
    "{name} talked and talked. \"{ramble} {tell 1} {stray}\"{ramble end}",
    "{name} talked and talked. \"{ramble} {stray} {ramble} {tell 1}\"{ramble end}",
    "{name} talked and talked. \"{tell 1} {ramble} {ramble} {stray}\"{ramble end}",
    "{name} talked and talked. \"{ramble} {tell 1} {ramble} {ramble}\"{ramble end}",
    NULL,
};

void story_append_statement(buffer *out, draw *d, int topic, int fact, const char *value) {
    world_append_statement(out, topic, fact, draw_below(d, world_count_statements(topic, fact)), value);
}

static void append_name(buffer *out, story *s, int i) { buffer_string(out, i ? s->friend : s->name); }
static void append_topic(buffer *out, story *s, int i) {
    (void)i;
    world_append_topic(out, s->topic);
}
static void append_fact(buffer *out, story *s, int i) {
    buffer_string(out, world_find_topic(s->topic)->fact[i]);
}
static void append_state(buffer *out, story *s, int i) {
    story_append_statement(out, s->d, s->topic, i, world_find_topic(s->topic)->fact[i]);
}
static void append_tell(buffer *out, story *s, int i) { append_state(out, s, s->order[i]); }
static void append_ask(buffer *out, story *s, int i) {
    world_append_question(out, s->topic, s->order[i], draw_below(s->d, WORLD_PHRASINGS));
}
static void append_ramble(buffer *out, story *s, int i) {
    (void)i;
    if (!phrases_rambling[s->ramble]) s->ramble = 0;
    buffer_string(out, phrases_rambling[s->ramble++]);
}
static void append_stray(buffer *out, story *s, int i) {
    (void)i;
    int topic = draw_below(s->d, WORLD_TOPICS), fact = draw_below(s->d, WORLD_FACTS);
    story_append_statement(out, s->d, topic, fact, world_find_topic(topic)->fact[fact]);
}

static const rule rules[] = {
    {"name", NULL, append_name, 0},
    {"friend", NULL, append_name, 1},
    {"topic", NULL, append_topic, 0},
    {"fact 1", NULL, append_fact, 0},
    {"fact 2", NULL, append_fact, 1},
    {"fact 3", NULL, append_fact, 2},
    {"fact 4", NULL, append_fact, 3},
    {"state 1", NULL, append_state, 0},
    {"state 2", NULL, append_state, 1},
    {"state 3", NULL, append_state, 2},
    {"state 4", NULL, append_state, 3},
    {"tell 1", NULL, append_tell, 0},
    {"tell 2", NULL, append_tell, 1},
    {"tell 3", NULL, append_tell, 2},
    {"tell 4", NULL, append_tell, 3},
    {"ask 1", NULL, append_ask, 0},
    {"ask 2", NULL, append_ask, 1},
    {"stray", NULL, append_stray, 0},
    {"day", days, NULL, 0},
    {"greeting", greetings, NULL, 0},
    {"thanks", thanks, NULL, 0},
    {"hurt", hurts, NULL, 0},
    {"end", scene_ends, NULL, 0},
    {"sheet end", sheet_ends, NULL, 0},
    {"ramble end", ramble_ends, NULL, 0},
    {"kind hi", phrases_kind_opening, NULL, 0},
    {"kind bye", phrases_kind_closing, NULL, 0},
    {"rude hi", phrases_rude_opening, NULL, 0},
    {"rude bye", phrases_rude_closing, NULL, 0},
    {"vague", phrases_vague, NULL, 0},
    {"ramble", NULL, append_ramble, 0},
};
enum { RULES = sizeof rules / sizeof *rules };

static const rule *find_rule(const char *blank, size_t len) {
    for (int i = 0; i < RULES; i++)
        if (strlen(rules[i].blank) == len && memcmp(rules[i].blank, blank, len) == 0) return &rules[i];
    return NULL;
}

static void expand(buffer *out, story *s, const char *sentence) {
    while (*sentence) {
        size_t plain = strcspn(sentence, "{");
        buffer_append(out, sentence, plain);
        sentence += plain;
        if (!*sentence) return;
        size_t len = strcspn(++sentence, "}");
        const rule *r = find_rule(sentence, len);
        if (r->append)
            r->append(out, s, r->i);
        else
            expand(out, s, draw_phrase(s->d, r->phrases));
        sentence += len + 1;
    }
}

void story_append(buffer *out, draw *d) {
    enum { SHEET, KIND, RUDE, SCENE, RAMBLE };
    static const int shares[] = {30, 25, 15, 15, 15};
    story s = {.d = d, .topic = draw_below(d, WORLD_TOPICS)};
    int name = draw_below(d, NAMES);
    s.name = names[name];
    s.friend = names[draw_other(d, NAMES, name)];
    for (int i = 0; i < WORLD_FACTS; i++) { /* a shuffle from the inside out */
        int j = draw_below(d, i + 1);
        s.order[i] = s.order[j];
        s.order[j] = i;
    }
    s.ramble = draw_below(d, PHRASES_RAMBLING);
    const char *const *list = NULL;
    switch (draw_share(d, shares)) {
    case SHEET:
        list = sheets;
        break;
    case KIND:
        list = kind_talks;
        break;
    case RUDE:
        list = rude_talks;
        break;
    case SCENE:
        list = scenes[world_find_topic(s.topic)->kind];
        break;
    case RAMBLE:
        list = rambles;
        break;
    }
    expand(out, &s, draw_phrase(d, list));
}
