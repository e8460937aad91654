/* ppo/controller: the KL coefficient beta, fixed or steered towards a target (Ziegler et al. 2019,
 * section 2.2). */
#ifndef RLHF_PPO_CONTROLLER_H
#define RLHF_PPO_CONTROLLER_H

#include <stdint.h>

struct ppo_controller {
    double kl_coef; /* beta: of the rewards of the current iteration; part of a checkpoint */
    int adaptive;   /* 0: kl_coef never changes */
    double target;  /* nats per answer, > 0; 6 in the paper */
    double horizon; /* episodes, > n_episode / 5, else beta could pass 0; 10000 in the paper */
};

/* After the updates of an iteration of n_episode answers whose mean k1 sum at rollout was kl:
       beta <- beta (1 + clip(kl / target - 1, -0.2, 0.2) n_episode / horizon). */
void ppo_controller_update(struct ppo_controller *c, double kl, int64_t n_episode);

#endif
