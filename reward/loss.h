/* reward/loss: the ranking loss of a reward model (InstructGPT, Ouyang et al. 2022, eq. 1). For one prompt
   with K answers, scores r and C pairs (w better than l)

       loss = -(1/C) sum over pairs of log sigmoid(r_w - r_l),

   every answer having gone through the model once. A ranking of one prompt by one labeller is one element:
   its answers, their ranks (1 = best, equal = tie) and its weight. */
#ifndef RLHF_REWARD_LOSS_H
#define RLHF_REWARD_LOSS_H

#include <stdint.h>

enum reward_ties {
    REWARD_TIES_SKIP, /* a tie is no pair */
    REWARD_TIES_HALF, /* a tie is half a pair each way: -(log sigmoid(d) + log sigmoid(-d)) / 2 */
};
enum reward_weight {
    REWARD_WEIGHT_PROMPT, /* each element counts the same: (1/C) per pair [InstructGPT] */
    REWARD_WEIGHT_PAIR,   /* each pair of the step counts the same */
};

struct reward_loss {
    enum reward_ties ties;
    enum reward_weight weight;
    float centering; /* c >= 0: adds c (r_w + r_l)^2 to each pair (Eisenstein et al. 2023) */
    /* log sigmoid(r_w - r_l - m), m by the pair's gap in rank (Llama 2, Touvron et al. 2023, eq. 2):
       margin[0] is for a gap of 1, the last one for all larger gaps. n_margin 0: none. A tie has no margin.
     */
    const float *margin;
    int n_margin;
};

/* What the losses of one optimizer step are divided by, over all micro-batches and ranks; start from {0}. */
struct reward_totals {
    double prompt; /* sum of the weights of elements that have a pair */
    double pair;   /* sum of weight x pairs */
};

/* The pairs C that k ranks yield under the rule for ties. */
int64_t reward_count_pairs(enum reward_ties ties, int k, const int32_t *rank);

/* Counts one element into the totals. All elements are counted before the first reward_loss. */
void reward_loss_count(const struct reward_loss *how, int k, const int32_t *rank, float weight,
                       struct reward_totals *totals);

/* One element's share of the step's loss; the shares of a step add up to it. score, rank, dscore: k each.
   d loss / d score is ADDED to dscore. An element without a pair gives 0 and adds nothing. Scores that are
   not finite give a loss that is not finite. */
double reward_loss(const struct reward_loss *how, const struct reward_totals *totals, int k,
                   const float *score, const int32_t *rank, float weight, float *dscore);

#endif
