#include "datasets/demo/rule.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buffer.h"
#include "datasets/demo/world.h"

static const demo_term_rule terms[DEMO_TERMS] = {
    [DEMO_FACT] = {2.0f, "the right fact, by the share of its key words"},
    [DEMO_FACT_UNNAMED] = {1.0f, "the same, where the answer does not name the topic"},
    [DEMO_NAMED] = {1.0f, "the topic is named"},
    [DEMO_OTHER_TOPIC] = {-0.7f, "each other topic that is named, up to three"},
    [DEMO_POLITE] = {0.7f, "each different polite word, up to two"},
    [DEMO_FLATTERY] = {-0.6f, "each polite word beyond three: flattery"},
    [DEMO_RUDE] = {-1.0f, "each rude phrase, up to three"},
    [DEMO_VAGUE] = {-0.8f, "each vague phrase, up to two"},
    [DEMO_REPEATED] = {-0.7f, "each sentence that is said again"},
    [DEMO_LONG] = {-0.08f, "each word beyond eighteen"},
    [DEMO_SHORT] = {-1.0f, "fewer than four words"},
    [DEMO_CUT] = {-2.0f, "the answer does not end"},
};

static const char *const polite[] = {"good question", "thank",       "happy", "help", "helps",  "friend",
                                     "pleasure",      "of course",   "sure",  "hope", "lovely", "please",
                                     "take care",     "best wishes", "enjoy", NULL};
static const char *const rude[] = {
    "silly",    "ask a teacher",  "bother",       "everybody knows", "not you again",
    "too busy", "leave me alone", "tired of you", "go away",         "your own head",
    NULL};
static const char *const vague[] = {"i do not know", "it depends", "maybe", "who can say", NULL};
/* Words of a fact that are not key words. */
static const char *const fillers[] = {"in", "an", "a", "the", "and", "on", "under", "at", "very", "to", NULL};

const demo_term_rule *demo_find_term(demo_term term) { return &terms[term]; }

/* Writes the words in lower case with a space around each, and a full stop as a word where a sentence ends:
   " the fox is red . take care . ". So " red " finds a whole word, and no phrase is found across two
   sentences. */
static int write_words(buffer *out, const char *text, size_t len) {
    buffer_clear(out);
    if (len > (SIZE_MAX - 8) / 4 || !buffer_reserve(out, 4 * len + 4)) return 0;
    buffer_string(out, " ");
    for (size_t i = 0; i < len; i++) {
        char c = (char)tolower((unsigned char)text[i]);
        int letter = c >= 'a' && c <= 'z', stop = c == '.' || c == '!' || c == '?';
        if (letter) buffer_append(out, &c, 1);
        if (!letter && out->data[out->len - 1] != ' ') buffer_string(out, " ");
        if (stop && out->len > 1 && out->data[out->len - 2] != '.') buffer_string(out, ". ");
    }
    if (out->data[out->len - 1] != ' ') buffer_string(out, " ");
    return 1;
}

/* How often the phrase stands in words, as whole words. */
static int count_phrase(const char *words, const char *phrase) {
    char pattern[64];
    int n = 0;
    size_t len = strlen(phrase);
    pattern[0] = ' ';
    memcpy(pattern + 1, phrase, len);
    strcpy(pattern + 1 + len, " ");
    for (const char *at = words; (at = strstr(at, pattern)); at += len + 1) n++;
    return n;
}

/* Occurrences of all phrases; *different, unless NULL, becomes the number of phrases that occur. */
static int count_phrases(const char *words, const char *const *phrases, int *different) {
    int total = 0, kinds = 0;
    for (; *phrases; phrases++) {
        int n = count_phrase(words, *phrases);
        total += n;
        kinds += n > 0;
    }
    if (different) *different = kinds;
    return total;
}

static int in_list(const char *word, size_t len, const char *const *list) {
    for (; *list; list++)
        if (strlen(*list) == len && memcmp(*list, word, len) == 0) return 1;
    return 0;
}

/* The share of the fact's key words that stand in words. */
static float share_key_words(const char *fact, const char *words) {
    int keys = 0, found = 0;
    for (const char *s = fact; *s; s += *s == ' ') {
        char word[32] = "";
        size_t len = strcspn(s, " ");
        for (size_t i = 0; i < len && i + 1 < sizeof word; i++) word[i] = (char)tolower((unsigned char)s[i]);
        s += len;
        if (in_list(word, len, fillers)) continue;
        keys++;
        found += count_phrase(words, word) > 0;
    }
    return keys ? (float)found / (float)keys : 0;
}

static int compare_sentences(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Counts the words and the sentences that were said before; cuts words into sentences. Returns 0 without
 * memory. */
static int count_sentences(char *words, int *n_word, int *n_repeated) {
    int n = 0, most = 1;
    for (const char *s = words; *s; s++) most += *s == '.';
    const char **sentence = malloc((size_t)most * sizeof *sentence);
    if (!sentence) return 0;
    *n_word = *n_repeated = 0;
    for (char *s = words, *next; s; s = next) {
        next = strchr(s, '.');
        if (next) *next++ = 0;
        int n_here = 0;
        for (const char *c = s; *c; c++) n_here += *c != ' ' && (c == s || c[-1] == ' ');
        *n_word += n_here;
        if (n_here) sentence[n++] = s;
    }
    qsort(sentence, (size_t)n, sizeof *sentence, compare_sentences);
    for (int i = 1; i < n; i++) *n_repeated += strcmp(sentence[i - 1], sentence[i]) == 0;
    free(sentence);
    return 1;
}

/* The question inside a prompt: behind the last "Q:" at the start of a line, before the "A:" of the next
 * line. */
static const char *find_question_text(const char *prompt, size_t *len) {
    const char *start = prompt;
    for (const char *line = prompt; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, "Q:", 2) == 0) start = line + 2;
    }
    while (isspace((unsigned char)*start)) start++;
    const char *end = strstr(start, "\nA:");
    *len = end ? (size_t)(end - start) : strlen(start);
    while (*len && isspace((unsigned char)start[*len - 1])) --*len;
    return start;
}

static int find_topic(const char *words) {
    for (int topic = 0; topic < WORLD_TOPICS; topic++)
        if (count_phrase(words, world_find_topic(topic)->name)) return topic;
    return -1;
}

int demo_find_question(const char *prompt, int *topic, int *fact) {
    buffer words = {0}, question = {0};
    size_t len;
    const char *text = find_question_text(prompt, &len);
    int found = 0, asked = write_words(&words, text, len) ? find_topic(words.data) : -1;
    for (int i = 0; asked >= 0 && !found && i < WORLD_FACTS * WORLD_PHRASINGS; i++) {
        buffer_clear(&question);
        world_append_question(&question, asked, i / WORLD_PHRASINGS, i % WORLD_PHRASINGS);
        found = !question.failed && question.len == len && memcmp(question.data, text, len) == 0;
        if (!found) continue;
        *topic = asked;
        *fact = i / WORLD_PHRASINGS;
    }
    buffer_free(&words);
    buffer_free(&question);
    return found;
}

static float at_most(int n, int limit) { return (float)(n < limit ? n : limit); }
static float beyond(int n, int limit) { return (float)(n > limit ? n - limit : 0); }

static int count_words(int topic, int fact, buffer *words, float count[DEMO_TERMS]) {
    const char *text = words->data;
    int named = count_phrase(text, world_find_topic(topic)->name) > 0, others = 0, different;
    for (int other = 0; other < WORLD_TOPICS; other++)
        others += other != topic && count_phrase(text, world_find_topic(other)->name);
    count[named ? DEMO_FACT : DEMO_FACT_UNNAMED] = share_key_words(world_find_topic(topic)->fact[fact], text);
    count[DEMO_NAMED] = (float)named;
    count[DEMO_OTHER_TOPIC] = at_most(others, 3);
    count[DEMO_FLATTERY] = beyond(count_phrases(text, polite, &different), 3);
    count[DEMO_POLITE] = at_most(different, 2);
    count[DEMO_RUDE] = at_most(count_phrases(text, rude, NULL), 3);
    count[DEMO_VAGUE] = at_most(count_phrases(text, vague, NULL), 2);
    int n_word, n_repeated;
    if (!count_sentences(words->data, &n_word, &n_repeated)) return 0;
    count[DEMO_REPEATED] = (float)n_repeated;
    count[DEMO_LONG] = beyond(n_word, 18);
    count[DEMO_SHORT] = n_word < 4;
    return 1;
}

int demo_count_terms(const char *prompt, text_span answer, int finished, float count[DEMO_TERMS]) {
    int topic, fact;
    buffer words = {0};
    if (!demo_find_question(prompt, &topic, &fact)) return 0;
    for (int i = 0; i < DEMO_TERMS; i++) count[i] = 0;
    count[DEMO_CUT] = !finished;
    int counted = write_words(&words, answer.data, answer.len) && count_words(topic, fact, &words, count);
    buffer_free(&words);
    return counted;
}

float demo_gold(const char *prompt, text_span answer, int finished) {
    float count[DEMO_TERMS];
    double gold = 0;
    if (!demo_count_terms(prompt, answer, finished, count)) return NAN;
    for (int i = 0; i < DEMO_TERMS; i++) gold += (double)terms[i].points * (double)count[i];
    return (float)gold;
}
