/* reward/data: rankings as the steps of a loop; the answers of one ranking are never cut apart. */
#ifndef RLHF_REWARD_DATA_H
#define RLHF_REWARD_DATA_H

#include "datasets/answers.h"
#include "datasets/order.h"
#include "datasets/pack.h"
#include "datasets/rankings.h"
#include "datasets/session.h"
#include "reward/loss.h"

typedef struct reward_data {
    rankings train, valid;    /* valid may be empty */
    answer_list normalise_on; /* n 0: the answers of the training rankings serve */
    order order;
    int64_t steps;
    int32_t *index; /* rankings of the current step, [n_index] */
    int n_index;
    struct reward_totals totals; /* what the step's losses are divided by */
} reward_data;

status reward_data_open(session *s, const struct config_reward *c, int round, reward_data *out, error *err);
void reward_data_close(reward_data *d);
/* Draws the rankings of the next step and counts their totals. */
void reward_data_step(reward_data *d, const struct config_reward *c, const struct reward_loss *how);

/* Fills the pack with whole rankings from index[*next] on (index NULL: ranking *next itself), each answer
   with the row at its end. Returns how many went in: at least one while *next < n. */
int reward_fill_pack(pack *p, const rankings *from, const int32_t *index, int n, int *next);
limits reward_limits(const reward_data *d, const struct config_reward *c);

#endif
