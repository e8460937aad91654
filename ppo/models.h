/* ppo/models: the four models of PPO. Policy and value are trained, reference and reward are frozen. */
#ifndef RLHF_PPO_MODELS_H
#define RLHF_PPO_MODELS_H

#include "core/train/optimizer.h"
#include "datasets/session.h"

typedef struct ppo_models {
    model *policy, *value, *reference, *reward; /* reward NULL: a rule or a command scores */
    optimizer *policy_optimizer, *value_optimizer;
} ppo_models;

/* Loads the directories of c. The value model starts from c->value or the reward model, with the reward's
   scale folded in, or else from the policy with a head of zeros. STATUS_DATA: models of different shapes or
   vocabularies. */
status ppo_models_open(session *s, const struct config_ppo *c, ppo_models *out, error *err);
/* Not for a dry run. */
status ppo_models_open_optimizers(session *s, const struct config_ppo *c, ppo_models *m, error *err);
void ppo_models_close(ppo_models *m);
/* The policy's, of a workspace that serves all four. */
model_config ppo_models_shape(const ppo_models *m);
status ppo_models_plan(session *s, const struct config_ppo *c, const ppo_models *m, memory_plan *plan,
                       error *err);

#endif
