/* core/train/schedule: the learning rate of each optimizer step (of each iteration in PPO), as a factor of
   the configured rate. */
#ifndef RLHF_TRAIN_SCHEDULE_H
#define RLHF_TRAIN_SCHEDULE_H

#include <stdint.h>

enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_LINEAR, SCHEDULE_COSINE };

struct schedule {
    enum schedule_kind kind;
    int64_t steps;      /* all of the run, T */
    int64_t warmup;     /* steps of the rise, W; the last of them has the factor 1. 0: none */
    double warmup_from; /* the first one's factor, f; 0: 1 / W, so that step s has (s + 1) / W */
    double flat;        /* share of all steps until which the factor stays 1, then the fall begins */
    double final;       /* where the fall ends, as a factor */
};

/* step counts from 0. With b = max(W, flat T) and p = (step - b) / (T - b):
       step < W   f + (1 - f) step / (W - 1)
       step < b   1
       else       constant 1;  linear 1 - (1 - final) p;  cosine final + (1 - final) (1 + cos(pi p)) / 2.
   p reaches 1 behind the last step, so that none of them is wasted on a rate of 0: linear to 0 is 1 - step /
   T. */
double schedule_factor(const struct schedule *s, int64_t step);

#endif
