#include "rlhf/questions.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/json.h"
#include "core/base/random.h"

/* ---- reading ---- */

static status read_choices(question *q, error *err) {
    size_t i;
    const json_t *choice;
    q->choice = json_object_get(q->root, "choices");
    if (!json_is_array(q->choice) || json_array_size(q->choice) < 2 ||
        json_array_size(q->choice) > QUESTION_CHOICES_MAX)
        return error_set(err, STATUS_DATA, "%s: \"choices\" must be a list of 2 to %d texts", q->place,
                         QUESTION_CHOICES_MAX);
    json_array_foreach(q->choice, i, choice) {
        const char *text = json_string_value(choice);
        if (!text || !*text || strlen(text) != json_string_length(choice))
            return error_set(err, STATUS_DATA, "%s: choice %zu must be a text of at least one letter, not %s",
                             q->place, i + 1, text && !*text ? "an empty one" : json_kind(choice));
    }
    q->n_choice = (int)json_array_size(q->choice);
    return STATUS_OK;
}

/* Context and choices with a zero byte behind each: no two questions give one text. */
static status hash_question(question *q, error *err) {
    buffer text = {0};
    buffer_append(&text, q->context, strlen(q->context) + 1);
    for (int i = 0; i < q->n_choice; i++)
        buffer_append(&text, question_choice(q, i), strlen(question_choice(q, i)) + 1);
    status s = buffer_check(&text, err);
    if (s == STATUS_OK) q->same = hash_bytes(text.data, text.len);
    buffer_free(&text);
    return s;
}

static status read_question(question *q, error *err) {
    long long label;
    TRY(json_field_text(q->root, "context", q->place, &q->context, err));
    if (json_object_get(q->root, "subject"))
        TRY(json_field_text(q->root, "subject", q->place, &q->subject, err));
    TRY(read_choices(q, err));
    TRY(json_field_int(q->root, "label", q->place, 0, q->n_choice - 1, &label, err));
    q->label = (int)label;
    return hash_question(q, err);
}

static void free_question(question *q) {
    json_decref(q->root);
    free(q->place);
}

static status visit_line(void *context, json_t *root, const char *place, error *err) {
    questions *list = context;
    question q = {.root = json_incref(root), .place = strdup(place)};
    status s = q.place ? read_question(&q, err) : error_memory(err, "questions");
    if (s == STATUS_OK && (list->n & (list->n - 1)) == 0) {
        question *more = realloc(list->list, sizeof *more * (list->n ? 2 * (size_t)list->n : 1));
        if (more)
            list->list = more;
        else
            s = error_memory(err, "questions");
    }
    if (s == STATUS_OK)
        list->list[list->n++] = q;
    else
        free_question(&q);
    return s;
}

status questions_load(const char *path, bad_lines *bad, questions *out, error *err) {
    *out = (questions){0};
    status s = lines_each(path, bad, visit_line, out, err);
    if (s == STATUS_OK && out->n == 0) s = error_set(err, STATUS_DATA, "%s: no question", path);
    if (s != STATUS_OK) questions_free(out);
    return s;
}

void questions_free(questions *q) {
    for (int i = 0; i < q->n; i++) free_question(&q->list[i]);
    free(q->list);
    *q = (questions){0};
}

/* ---- drawing ---- */

static int may_stand_before(const question *example, const question *asked) {
    if (hash_equal(&example->same, &asked->same)) return 0;
    return !asked->subject || (example->subject && strcmp(example->subject, asked->subject) == 0);
}

status questions_draw(const questions *pool, const question *asked, uint64_t seed, uint64_t id, int n,
                      int32_t *scratch, int32_t *out, error *err) {
    random_key key = random_make_key(seed, RANDOM_SHOTS, 0, 0);
    int left = 0;
    if (n == 0) return STATUS_OK;
    for (int i = 0; i < pool->n; i++)
        if (may_stand_before(&pool->list[i], asked)) scratch[left++] = i;
    if (left < n)
        return error_set(err, STATUS_DATA,
                         "%s: %d examples are wanted in front, there are %d other questions%s%s",
                         asked->place, n, left, asked->subject ? " of subject " : "",
                         asked->subject ? asked->subject : "");
    for (int k = 0; k < n; k++) { /* Fisher and Yates, from the front */
        int j = k + (int)random_below(key, id, (uint32_t)k, (uint64_t)(left - k));
        out[k] = scratch[j];
        scratch[j] = scratch[k];
        scratch[k] = out[k];
    }
    return STATUS_OK;
}

static int ascending(const void *a, const void *b) { return *(const int32_t *)a - *(const int32_t *)b; }

int questions_choose(int n, int limit, uint64_t seed, int32_t *scratch, int32_t *out) {
    if (limit == 0 || limit > n) limit = n;
    /* The end of the permutation: its last places are drawn first, so a larger limit only adds. */
    random_permutation(random_make_key(seed, RANDOM_SHUFFLE, 0, 0), n, scratch);
    memcpy(out, scratch + n - limit, sizeof *out * (size_t)limit);
    qsort(out, (size_t)limit, sizeof *out, ascending);
    return limit;
}
