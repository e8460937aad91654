#include "rlhf/eval_tally.h"

#include <math.h>

#include "rlhf/interval.h"

void eval_tally_add(eval_tally *t, const float *score_a, int n_a, const float *score_b, int n_b) {
    double wins = 0, ties = 0;
    for (int i = 0; i < n_a; i++)
        for (int j = 0; j < n_b; j++) {
            wins += score_a[i] > score_b[j];
            ties += score_a[i] == score_b[j];
        }
    double all = (double)n_a * n_b, won = (wins + ties / 2) / all;
    t->n_prompt++;
    t->won += won;
    t->won_squared += won * won;
    t->tied += ties / all;
    t->disjoint += n_a < n_b ? n_a : n_b;
}

/* The number of independent comparisons that the prompts are worth. */
static double effective_count(const eval_tally *t, double p) {
    double n = t->n_prompt, variance = n > 1 ? (t->won_squared / n - p * p) / (n - 1) : 0;
    if (!(p > 0 && p < 1)) return n;
    double count = variance > 0 ? p * (1 - p) / variance : t->disjoint;
    return fmin(fmax(count, n), fmax(t->disjoint, n));
}

eval_rate eval_tally_rate(const eval_tally *t) {
    double p = t->won / t->n_prompt;
    interval wilson = interval_wilson(p, effective_count(t, p));
    return (eval_rate){.win = p, .tie = t->tied / t->n_prompt, .low = wilson.low, .high = wilson.high};
}
