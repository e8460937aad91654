/* rlhf/eval_tally: how often one side's answers beat the other's, and how sure that is. */
#ifndef RLHF_RLHF_EVAL_TALLY_H
#define RLHF_RLHF_EVAL_TALLY_H

typedef struct eval_tally {
    int n_prompt;
    double won, won_squared; /* sums over prompts of A's share of the comparisons, ties half */
    double tied;             /* sum over prompts of the share that tied */
    double disjoint;         /* comparisons that share no answer: the most that can be independent */
} eval_tally;

typedef struct eval_rate {
    double win, tie;  /* shares; each prompt counts the same */
    double low, high; /* 95 % interval of win */
} eval_rate;

/* One prompt: every answer of A, n_a >= 1, is compared with every answer of B, n_b >= 1. */
void eval_tally_add(eval_tally *t, const float *score_a, int n_a, const float *score_b, int n_b);

/* The interval is Wilson's (1927), for as many independent comparisons as explain the variance between
   prompts (the design effect of a cluster sample): n = p (1 - p) / var(mean over prompts), at least the
   prompts and at most the disjoint comparisons. One answer a side and no ties: plain Wilson over prompts.
   n_prompt >= 1. */
eval_rate eval_tally_rate(const eval_tally *t);

#endif
