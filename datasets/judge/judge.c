#include "datasets/judge/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/demo/rule.h"
#include "datasets/judge/final_number.h"
#include "datasets/judge/internal.h"

status judge_score(judge *j, const judge_item *items, int n, float *score, error *err) {
    if (!j->score) return error_set(err, STATUS_USAGE, "this judge ranks answers and gives no scores");
    TRY(j->score(j, items, n, score, err));
    for (int i = 0; i < n; i++)
        if (!isfinite(score[i]))
            return error_set(err, STATUS_FAILED,
                             "the judge's score of answer %d is %g, no finite number; its prompt: %.200s", i,
                             (double)score[i], items[i].prompt ? items[i].prompt : items[i].messages);
    return STATUS_OK;
}

status judge_rank(judge *j, const char *prompt, const char *messages, const text_span *answers, int n,
                  int *ranks, error *err) {
    if (!j->rank) return error_set(err, STATUS_USAGE, "this judge scores answers and ranks none");
    return j->rank(j, prompt, messages, answers, n, ranks, err);
}

status judge_finish(judge *j, error *err) { return j->finish ? j->finish(j, err) : STATUS_OK; }

int judge_is_ranker(const judge *j) { return j->rank != NULL; }

void judge_close(judge *j) {
    if (j) j->close(j);
}

/* ---- rules ---- */

static status score_demo(judge *j, const judge_item *items, int n, float *score, error *err) {
    (void)j;
    for (int i = 0; i < n; i++) {
        const char *prompt = items[i].prompt ? items[i].prompt : items[i].messages;
        score[i] = demo_gold(prompt, items[i].answer, items[i].finished);
        if (isnan(score[i]))
            return error_set(err, STATUS_DATA, "rule demo: \"%.200s\" is none of the demo's questions",
                             prompt);
    }
    return STATUS_OK;
}

static status score_final_number(judge *j, const judge_item *items, int n, float *score, error *err) {
    (void)j;
    for (int i = 0; i < n; i++) {
        score[i] = final_number_score(items[i].reference, items[i].answer);
        if (isnan(score[i]))
            return error_set(
                err, STATUS_DATA,
                "rule final_number: the prompt \"%.200s\" brings no answer that ends in \"#### N\"",
                items[i].prompt ? items[i].prompt : items[i].messages);
    }
    return STATUS_OK;
}

static void close_rule(judge *j) { free(j); }

static const struct rule {
    const char *name;
    status (*score)(judge *, const judge_item *, int n, float *score, error *err);
} RULES[] = {{"demo", score_demo}, {"final_number", score_final_number}};

status judge_open_rule(const char *name, judge **out, error *err) {
    *out = NULL;
    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++) {
        if (!name || strcmp(name, RULES[i].name) != 0) continue;
        *out = calloc(1, sizeof **out);
        if (!*out) return error_memory(err, "a judge");
        **out = (judge){.score = RULES[i].score, .close = close_rule};
        return STATUS_OK;
    }
    return error_set(err, STATUS_USAGE, "no rule \"%s\"; the rules are: demo, final_number",
                     name ? name : "");
}
