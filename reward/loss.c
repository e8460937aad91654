#include "reward/loss.h"

#include <math.h>

/* -log sigmoid(-x) = log(1 + e^x), without overflow for any x. */
static double softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }

static double sigmoid(double x) {
    double e = exp(-fabs(x));
    return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

int64_t reward_count_pairs(enum reward_ties ties, int k, const int32_t *rank) {
    int64_t n = 0;
    for (int i = 0; i < k; i++)
        for (int j = i + 1; j < k; j++) n += ties == REWARD_TIES_HALF || rank[i] != rank[j];
    return n;
}

void reward_loss_count(const struct reward_loss *how, int k, const int32_t *rank, float weight,
                       struct reward_totals *totals) {
    int64_t pairs = reward_count_pairs(how->ties, k, rank);
    if (pairs == 0) return;
    totals->prompt += weight;
    totals->pair += weight * (double)pairs;
}

/* The margin that answer a is asked to be ahead of b by: negative where a is the worse one. */
static double pair_margin(const struct reward_loss *how, int32_t rank_a, int32_t rank_b) {
    if (how->n_margin == 0 || rank_a == rank_b) return 0;
    int64_t gap = rank_a < rank_b ? (int64_t)rank_b - rank_a : (int64_t)rank_a - rank_b;
    double m = how->margin[(gap < how->n_margin ? gap : how->n_margin) - 1];
    return rank_a < rank_b ? m : -m;
}

/* The loss of the pair {a, b}, and its derivative by the score of a. better: the chance that a is the better
   one according to the labeller, 1, 0, or 1/2 for a tie. Symmetric: (b, a) has the same loss. */
static double pair_loss(double better, double score_a, double score_b, double margin, double centering,
                        double *dscore_a) {
    double z = score_a - score_b - margin, sum = score_a + score_b;
    *dscore_a = (1 - better) * sigmoid(z) - better * sigmoid(-z) + 2 * centering * sum;
    return (better > 0 ? better * softplus(-z) : 0) + (better < 1 ? (1 - better) * softplus(z) : 0) +
           centering * sum * sum;
}

double reward_loss(const struct reward_loss *how, const struct reward_totals *totals, int k,
                   const float *score, const int32_t *rank, float weight, float *dscore) {
    int64_t pairs = reward_count_pairs(how->ties, k, rank);
    double divisor = how->weight == REWARD_WEIGHT_PROMPT ? totals->prompt * (double)pairs : totals->pair;
    if (pairs == 0 || divisor == 0) return 0;
    double each = weight / divisor, loss = 0;
    for (int i = 0; i < k; i++) {
        double sum = 0; /* over the pairs of answer i, in ascending order of the other one */
        for (int j = 0; j < k; j++) {
            if (j == i || (how->ties == REWARD_TIES_SKIP && rank[i] == rank[j])) continue;
            double better = rank[i] < rank[j] ? 1 : rank[i] > rank[j] ? 0 : 0.5, derivative;
            double term = pair_loss(better, score[i], score[j], pair_margin(how, rank[i], rank[j]),
                                    how->centering, &derivative);
            sum += derivative;
            if (i < j) loss += each * term;
        }
        dscore[i] += (float)(each * sum);
    }
    return loss;
}
