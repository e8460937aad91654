#include "datasets/demo/write.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "datasets/demo/draw.h"
#include "datasets/demo/phrases.h"
#include "datasets/demo/story.h"
#include "datasets/demo/world.h"

enum { FILE_STORIES = 1, FILE_DEMONSTRATIONS, FILE_PROMPTS, FILE_ORDER }; /* they key the choices */
enum { TRAIN_PROMPTS = WORLD_TOPICS * WORLD_FACTS * (WORLD_PHRASINGS - 1) };

/* Rambling stops here, so that every example fits the demo's context of 64 tokens. */
enum { LONG_ANSWER = 60 }; /* bytes */

void demo_append_stories(buffer *out) {
    for (int i = 0; i < DEMO_STORIES; i++) {
        draw d = draw_begin(FILE_STORIES, (uint64_t)i);
        if (i) buffer_string(out, DEMO_SEPARATOR);
        story_append(out, &d);
    }
    buffer_string(out, "\n");
}

/* The phrasing of this question that is never demonstrated. */
static int find_held_out(int topic, int fact) {
    draw d = draw_begin(FILE_PROMPTS, (uint64_t)(topic * WORLD_FACTS + fact));
    return draw_below(&d, WORLD_PHRASINGS);
}

static void append_prompt(buffer *out, int topic, int fact, int phrasing) {
    buffer text = {0};
    buffer_string(&text, "Q: ");
    world_append_question(&text, topic, fact, phrasing);
    buffer_string(&text, "\nA:");
    if (text.failed)
        out->failed = 1;
    else
        buffer_json_string(out, text.data, text.len);
    buffer_free(&text);
}

void demo_append_prompts(buffer *out) {
    for (int i = 0; i < DEMO_PROMPTS; i++) {
        int phrasing = i % WORLD_PHRASINGS, pair = i / WORLD_PHRASINGS;
        int topic = pair / WORLD_FACTS, fact = pair % WORLD_FACTS;
        buffer_string(out, "{\"prompt\":");
        append_prompt(out, topic, fact, phrasing);
        buffer_format(out, ",\"split\":\"%s\"}\n",
                      phrasing == find_held_out(topic, fact) ? "valid" : "train");
    }
}

typedef enum mood { KIND, PLAIN, RUDE } mood;

/* A kind or rude sentence, or none, as the mood has it. */
static void append_tone(buffer *out, draw *d, mood m, const char *const *kind, const char *const *rude) {
    static const int shares[][3] = {[KIND] = {75, 3, 22}, [PLAIN] = {15, 12, 73}, [RUDE] = {3, 70, 27}};
    int choice = draw_share(d, shares[m]);
    if (choice == 2) return;
    buffer_string(out, " ");
    buffer_string(out, draw_phrase(d, choice == 0 ? kind : rude));
}

static void append_fact(buffer *out, draw *d, int topic, int fact, const char *value) {
    buffer_string(out, " ");
    story_append_statement(out, d, topic, fact, value);
}

static void append_stray(buffer *out, draw *d, int topic) {
    int fact = draw_below(d, WORLD_FACTS);
    append_fact(out, d, topic, fact, world_find_topic(topic)->fact[fact]);
}

/* A topic of the same kind. */
static int draw_sibling(draw *d, int topic) {
    int other = topic;
    while (other == topic || world_find_topic(other)->kind != world_find_topic(topic)->kind)
        other = draw_below(d, WORLD_TOPICS);
    return other;
}

static void append_core(buffer *out, draw *d, int topic, int fact) {
    enum { RIGHT, WRONG, OTHER_FACT, OTHER_TOPIC, VAGUE };
    static const int shares[] = {45, 17, 12, 12, 14};
    const world_topic *t = world_find_topic(topic);
    int other;
    switch (draw_share(d, shares)) {
    case RIGHT:
        append_fact(out, d, topic, fact, t->fact[fact]);
        break;
    case WRONG:
        append_fact(out, d, topic, fact, world_find_topic(draw_sibling(d, topic))->fact[fact]);
        break;
    case OTHER_FACT:
        other = draw_other(d, WORLD_FACTS, fact);
        append_fact(out, d, topic, other, t->fact[other]);
        break;
    case OTHER_TOPIC:
        append_stray(out, d, draw_other(d, WORLD_TOPICS, topic));
        break;
    case VAGUE:
        buffer_string(out, " ");
        buffer_string(out, draw_phrase(d, phrases_vague));
    }
}

static void append_more(buffer *out, draw *d, size_t start, int topic, int fact) {
    enum { RAMBLE, EXTRA_FACT };
    static const int shares[] = {26, 12, 62}, rambling[] = {60, 40};
    int other = draw_other(d, WORLD_FACTS, fact);
    switch (draw_share(d, shares)) {
    case RAMBLE:
        for (int n = 1 + draw_below(d, 3); n > 0 && out->len - start < LONG_ANSWER; n--) {
            if (draw_share(d, rambling))
                append_stray(out, d, draw_below(d, WORLD_TOPICS));
            else
                buffer_format(out, " %s", draw_phrase(d, phrases_rambling));
        }
        break;
    case EXTRA_FACT:
        append_fact(out, d, topic, other, world_find_topic(topic)->fact[other]);
    }
}

/* An answer as people give them: 45 in 100 are right, a third are kind, a third rude, a quarter rambles. */
static void append_answer(buffer *out, draw *d, int topic, int fact) {
    static const int moods[] = {[KIND] = 30, [PLAIN] = 36, [RUDE] = 34};
    size_t start = out->len;
    mood m = (mood)draw_share(d, moods);
    append_tone(out, d, m, phrases_kind_opening, phrases_rude_opening);
    append_core(out, d, topic, fact);
    append_more(out, d, start, topic, fact);
    append_tone(out, d, m, phrases_kind_closing, phrases_rude_closing);
}

/* Demonstration i asks one of the training questions; each comes equally often, in another order each time
 * round. */
static void find_demonstrated(int i, int *topic, int *fact, int *phrasing) {
    int32_t order[TRAIN_PROMPTS];
    random_key key = draw_begin(FILE_ORDER + (uint32_t)(i / TRAIN_PROMPTS), 0).key;
    random_permutation(key, TRAIN_PROMPTS, order);
    int prompt = order[i % TRAIN_PROMPTS], pair = prompt / (WORLD_PHRASINGS - 1);
    *topic = pair / WORLD_FACTS;
    *fact = pair % WORLD_FACTS;
    *phrasing = prompt % (WORLD_PHRASINGS - 1);
    *phrasing += *phrasing >= find_held_out(*topic, *fact);
}

void demo_append_demonstrations(buffer *out) {
    buffer answer = {0};
    for (int i = 0; i < DEMO_DEMONSTRATIONS; i++) {
        int topic, fact, phrasing;
        draw d = draw_begin(FILE_DEMONSTRATIONS, (uint64_t)i);
        find_demonstrated(i, &topic, &fact, &phrasing);
        buffer_clear(&answer);
        append_answer(&answer, &d, topic, fact);
        buffer_string(out, "{\"prompt\":");
        append_prompt(out, topic, fact, phrasing);
        buffer_string(out, ",\"completion\":");
        if (answer.failed)
            out->failed = 1;
        else
            buffer_json_string(out, answer.data, answer.len);
        buffer_string(out, "}\n");
    }
    buffer_free(&answer);
}

status demo_write(const char *directory, error *err) {
    static const struct {
        const char *name;
        void (*append)(buffer *out);
    } files[] = {
        {"stories.txt", demo_append_stories},
        {"demonstrations.jsonl", demo_append_demonstrations},
        {"prompts.jsonl", demo_append_prompts},
    };
    status s = STATUS_OK;
    for (size_t i = 0; s == STATUS_OK && i < sizeof files / sizeof *files; i++) {
        buffer text = {0};
        char *path = path_join(directory, files[i].name);
        files[i].append(&text);
        s = path ? buffer_check(&text, err) : error_memory(err, "a path");
        if (s == STATUS_OK) s = file_write(path, text.data, text.len, err);
        free(path);
        buffer_free(&text);
    }
    return s;
}
