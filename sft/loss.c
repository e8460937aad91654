#include "sft/loss.h"

#include <math.h>

void sft_loss_gradient(int n_row, int64_t n_target, float *dlogprob) {
    float each = n_target > 0 ? (float)(-1.0 / (double)n_target) : 0;
    for (int r = 0; r < n_row; r++) dlogprob[r] = each;
}

void sft_loss_add(struct sft_loss *total, int n_row, const float *logprob) {
    for (int r = 0; r < n_row; r++) total->logprob += logprob[r];
    total->n_target += n_row;
}

double sft_loss_mean(const struct sft_loss *total) {
    return total->n_target > 0 ? -total->logprob / (double)total->n_target : NAN;
}

double sft_loss_perplexity(double loss) { return exp(loss); }
