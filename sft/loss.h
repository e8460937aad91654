/* sft/loss: what pre-training and fine-tuning minimise, the mean negative log-probability of the target
   tokens

       loss = -(1/N) sum over target rows of log p(target),

   N being all target rows of the optimizer step, over every micro-batch and rank: dividing inside each
   micro-batch instead would give short ones too much weight. */
#ifndef RLHF_SFT_LOSS_H
#define RLHF_SFT_LOSS_H

#include <stdint.h>

/* The running sum of a step or of a validation pass; start from {0}. */
struct sft_loss {
    double logprob; /* sum over rows, in the order in which they were added */
    int64_t n_target;
};

/* d loss / d logprob of each row, -1/n_target: known before the forward. dlogprob: n_row floats, written.
   n_target counts the whole step; with 0 of them there is nothing to learn and the gradient is 0. */
void sft_loss_gradient(int n_row, int64_t n_target, float *dlogprob);

/* Adds n_row target rows. The cuts between calls leave no trace in the sum. */
void sft_loss_add(struct sft_loss *total, int n_row, const float *logprob);

double sft_loss_mean(const struct sft_loss *total); /* nats per target token; NaN without targets */
double sft_loss_perplexity(double loss);            /* exp(loss) */

#endif
