/* reward/work: what a run of the reward stage holds, and its parts that are not the loop. For reward/ alone.
 */
#ifndef RLHF_REWARD_WORK_H
#define RLHF_REWARD_WORK_H

#include "reward/accuracy.h"
#include "reward/data.h"
#include "reward/reward.h"

/* Everything that a run holds; made at start, so that a step allocates nothing. */
typedef struct reward {
    const struct config *config;
    const struct config_reward *c;
    const stage_options *options;
    session session;
    run *run; /* NULL on a dry run */
    logger *log;
    reward_data data;
    struct reward_loss how;
    model *model;
    workspace *ws;
    optimizer *optimizer;
    struct schedule schedule;
    pack pack;
    float *score, *dscore; /* rows of a micro-batch */
    float *all;            /* scores of a whole step or of all validation answers */
    buffer line;
    int64_t step;
    double best;      /* highest validation accuracy; NaN before the first */
    int best_is_last; /* the model at hand is the one in best/ */
} reward;

/* What a pass over rankings found. */
typedef struct step_figures {
    double loss, norm, lr, flops;
    int64_t tokens, n_score;
    struct reward_accuracy accuracy;
} step_figures;

/* Validation loss and accuracy on the held-out rankings: a line of metrics, and best/ when it is the best so
 * far. */
status reward_validate(reward *w, error *err);
/* Fits the model's reward_mean and reward_std on the files of normalise_on, or on the answers of the training
   rankings. what_is_fitted: "normalised", for the log. */
status reward_fit_scale(reward *w, const char *what_is_fitted, error *err);
/* After the last step and reward_fit_scale: gives the model in best/ its own scale, so that ppo can use it as
   it uses model/. The model at hand may be that one afterwards. */
status reward_scale_best(reward *w, error *err);
/* Adds accuracy, margin, and mean and spread of n raw scores to a line of metrics. */
void reward_put_accuracy(buffer *b, const struct reward_accuracy *a, const float *score, int64_t n);
int reward_count_answers(const rankings *r);

#endif
