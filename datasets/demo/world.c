#include "datasets/demo/world.h"

#include <ctype.h>
#include <string.h>

static const world_topic topics[WORLD_TOPICS] = {
    /* home, food, look, skill */
    {"fox", WORLD_ANIMAL, {"in the forest", "berries and mice", "small and red", "hide in the grass"}},
    {"owl", WORLD_ANIMAL, {"in an old tree", "mice and bugs", "brown and round", "see at night"}},
    {"bear", WORLD_ANIMAL, {"in a cave", "honey and fish", "big and brown", "climb a tree"}},
    {"duck", WORLD_ANIMAL, {"on the pond", "seeds and worms", "white and soft", "swim and dive"}},
    {"horse", WORLD_ANIMAL, {"in the stable", "hay and apples", "tall and strong", "run very fast"}},
    {"rabbit", WORLD_ANIMAL, {"under the hill", "carrots and leaves", "gray and small", "jump very high"}},
    {"cat", WORLD_ANIMAL, {"in the kitchen", "milk and fish", "black and white", "sit very still"}},
    {"dog", WORLD_ANIMAL, {"in the yard", "meat and bones", "brown and strong", "guard the house"}},
    {"cow", WORLD_ANIMAL, {"on the farm", "grass and hay", "big and white", "give fresh milk"}},
    {"bee", WORLD_ANIMAL, {"in the garden", "honey and flowers", "yellow and small", "find sweet flowers"}},
    /* made from, taste, time, goes with */
    {"soup", WORLD_FOOD, {"carrots and water", "warm and salty", "in the winter", "toast and cheese"}},
    {"bread", WORLD_FOOD, {"flour and water", "mild and fresh", "in the morning", "butter and cheese"}},
    {"cake", WORLD_FOOD, {"flour and eggs", "sweet and soft", "on a birthday", "milk and cream"}},
    {"tea", WORLD_FOOD, {"leaves and water", "warm and bitter", "in the evening", "honey and lemon"}},
    {"pie", WORLD_FOOD, {"apples and butter", "sweet and warm", "on a Sunday", "cream and berries"}},
    {"salad", WORLD_FOOD, {"leaves and oil", "fresh and cool", "in the summer", "cheese and nuts"}},
    {"jam", WORLD_FOOD, {"berries and sugar", "sweet and sticky", "at breakfast", "toast and butter"}},
    {"rice", WORLD_FOOD, {"grain and water", "plain and soft", "at lunch", "beans and fish"}},
    /* what to wear, what to do, look, time */
    {"rain", WORLD_WEATHER, {"boots and a coat", "read a book", "gray and wet", "in the spring"}},
    {"snow", WORLD_WEATHER, {"a hat and gloves", "build a snowman", "white and soft", "in the winter"}},
    {"sun", WORLD_WEATHER, {"a hat and sandals", "swim in the lake", "bright and yellow", "in the summer"}},
    {"wind", WORLD_WEATHER, {"a scarf and a coat", "fly a kite", "wild and fast", "in the autumn"}},
    {"fog", WORLD_WEATHER, {"a bright coat", "walk very slowly", "gray and thick", "in the morning"}},
    {"storm", WORLD_WEATHER, {"boots and a hood", "stay at home", "dark and loud", "at night"}},
};

/* @ stands for the topic ("the fox", "soup"), ^ for the topic at the start of a sentence, * for the fact. */
static const char *const questions[WORLD_KINDS][WORLD_FACTS][WORLD_PHRASINGS] = {
    {
        {"Where does @ live?", "Can you tell me where @ lives?", "I want to see @. Where is its home?"},
        {"What does @ eat?", "What can I feed @?", "^ is hungry. What does it like?"},
        {"What does @ look like?", "How can I tell that I see @?", "Can you describe @?"},
        {"What can @ do?", "What is @ good at?", "What does @ do best?"},
    },
    {
        {"What is in @?", "How do I make @?", "What do I need for @?"},
        {"What does @ taste like?", "Can you describe the taste of @?",
         "I have never had @. What is it like?"},
        {"When should I have @?", "When is the best time for @?", "When do people like @?"},
        {"What goes well with @?", "What can I serve with @?", "I made @. What should I add?"},
    },
    {
        {"What should I wear in @?", "What do I put on for @?", "I go out in @. What should I wear?"},
        {"What can I do in @?", "How do I spend a day in @?", "What do people do in @?"},
        {"What is @ like?", "Can you describe @?", "How do I know that @ is here?"},
        {"When does @ come?", "When should I expect @?", "When is it time for @?"},
    },
};

static const char *const statements[WORLD_KINDS][WORLD_FACTS][WORLD_STATEMENTS] = {
    {
        {"^ lives *.", "You can find @ *.", "The home of @ is *."},
        {"^ eats *.", "^ likes *.", "You can feed @ with *."},
        {"^ is *.", "^ looks *."},
        {"^ can *.", "^ knows how to *."},
    },
    {
        {"You make @ from *.", "For @ you need *."},
        {"The taste of @ is *.", "^ tastes *."},
        {"The best time for @ is *.", "People like @ *."},
        {"^ goes well with *.", "You can serve @ with *."},
    },
    {
        {"You should wear * in @.", "For @ you need *."},
        {"You can * in @.", "In @ people like to *."},
        {"^ is *.", "^ looks *."},
        {"^ comes *.", "You can expect @ *."},
    },
};

const world_topic *world_find_topic(int topic) { return &topics[topic]; }

int world_count_statements(int topic, int fact) {
    const char *const *list = statements[topics[topic].kind][fact];
    int n = 0;
    while (n < WORLD_STATEMENTS && list[n]) n++;
    return n;
}

void world_append_topic(buffer *out, int topic) {
    if (topics[topic].kind != WORLD_FOOD) buffer_string(out, "the ");
    buffer_string(out, topics[topic].name);
}

static void fill(buffer *out, const char *sentence, int topic, const char *value) {
    for (const char *s = sentence; *s; s++) {
        size_t start = out->len;
        switch (*s) {
        case '@':
            world_append_topic(out, topic);
            break;
        case '^':
            world_append_topic(out, topic);
            if (out->len > start) out->data[start] = (char)toupper((unsigned char)out->data[start]);
            break;
        case '*':
            buffer_string(out, value);
            break;
        default:
            buffer_append(out, s, 1);
        }
    }
}

void world_append_question(buffer *out, int topic, int fact, int phrasing) {
    fill(out, questions[topics[topic].kind][fact][phrasing], topic, "");
}

void world_append_statement(buffer *out, int topic, int fact, int statement, const char *value) {
    fill(out, statements[topics[topic].kind][fact][statement], topic, value);
}
