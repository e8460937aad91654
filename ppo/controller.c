#include "ppo/controller.h"

void ppo_controller_update(struct ppo_controller *c, double kl, int64_t n_episode) {
    if (!c->adaptive) return;
    double miss = kl / c->target - 1;
    if (miss > 0.2) miss = 0.2;
    if (miss < -0.2) miss = -0.2;
    c->kl_coef *= 1 + miss * (double)n_episode / c->horizon;
}
