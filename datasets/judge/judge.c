#include "datasets/judge/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/demo/rule.h"
#include "datasets/judge/internal.h"

status judge_score(judge *j, const judge_item *items, int n, float *score, error *err) {
    if (!j->score) return error_set(err, STATUS_USAGE, "this judge ranks answers and gives no scores");
    return j->score(j, items, n, score, err);
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

static void close_rule(judge *j) { free(j); }

status judge_open_rule(const char *name, judge **out, error *err) {
    *out = NULL;
    if (!name || strcmp(name, "demo") != 0)
        return error_set(err, STATUS_USAGE, "no rule \"%s\"; the rules are: demo", name ? name : "");
    *out = calloc(1, sizeof **out);
    if (!*out) return error_memory(err, "a judge");
    **out = (judge){.score = score_demo, .close = close_rule};
    return STATUS_OK;
}
