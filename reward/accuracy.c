#include "reward/accuracy.h"

#include <math.h>

static void add_pair(struct reward_accuracy *counts, double better, double worse, int64_t gap) {
    double difference = better - worse;
    int right = better > worse, g = (int)(gap < REWARD_GAPS ? gap : REWARD_GAPS) - 1;
    counts->n_pair++;
    counts->n_right += right;
    counts->margin += difference;
    counts->gap_pair[g]++;
    counts->gap_right[g] += right;
    double predicted = 1 / (1 + exp(-fabs(difference)));
    if (isnan(predicted)) return; /* belongs to no bin; the margin tells */
    int bin = (int)((predicted - 0.5) * 2 * REWARD_BINS);
    if (bin >= REWARD_BINS) bin = REWARD_BINS - 1;
    counts->bin_pair[bin]++;
    counts->bin_predicted[bin] += predicted;
    counts->bin_right[bin] += better == worse ? 0.5 : right;
}

void reward_accuracy_add(struct reward_accuracy *counts, int k, const float *score, const int32_t *rank) {
    for (int w = 0; w < k; w++)
        for (int l = 0; l < k; l++)
            if (rank[w] < rank[l]) add_pair(counts, score[w], score[l], (int64_t)rank[l] - rank[w]);
}

static double share(double part, int64_t all) { return all > 0 ? part / (double)all : NAN; }

double reward_accuracy_share(const struct reward_accuracy *counts) {
    return share((double)counts->n_right, counts->n_pair);
}

double reward_accuracy_margin(const struct reward_accuracy *counts) {
    return share(counts->margin, counts->n_pair);
}

double reward_accuracy_at_gap(const struct reward_accuracy *counts, int gap) {
    return share((double)counts->gap_right[gap - 1], counts->gap_pair[gap - 1]);
}

double reward_accuracy_calibration_error(const struct reward_accuracy *counts) {
    int64_t n = 0;
    double sum = 0;
    for (int b = 0; b < REWARD_BINS; b++) {
        n += counts->bin_pair[b];
        sum += fabs(counts->bin_predicted[b] - counts->bin_right[b]);
    }
    return share(sum, n);
}
