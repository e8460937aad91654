#include "ppo/models.h"

#include <string.h>

static const char *value_directory(const struct config_ppo *c) { return c->value ? c->value : c->reward; }

static struct optimizer_options how_of(const session *s, const struct config_ppo *c, int is_policy) {
    return optimizer_options_of(&c->optimizer, is_policy ? c->ema : 0, s->ranks);
}

/* The first one that is loaded lends its frozen weights to the others. */
static status load(session *s, const struct config_ppo *c, const ppo_models *m, const char *directory,
                   int trained, int scores, model **out, error *err) {
    lora_options lora;
    model_options o = {.trained = trained,
                       .language_head = !scores,
                       .n_score = scores,
                       .score_bias = scores && trained,
                       .n_vocab = s->n_vocab,
                       .compute = s->compute,
                       .seed = (uint64_t)s->config->seed,
                       .lora = trained ? session_lora(&c->lora, &lora) : NULL,
                       .share = m->policy};
    TRY(session_check_tokenizer(s, directory, err));
    return model_load(s->dev, directory, &o, out, err);
}

/* From the normalised scalar of a model that scores; one that does not gets a head of zeros (Ziegler et al.
 * 2019). */
static status open_value(session *s, const struct config_ppo *c, ppo_models *m, error *err) {
    const char *directory = value_directory(c) ? value_directory(c) : c->policy;
    model_config stored;
    TRY(model_config_load(directory, &stored, err));
    TRY(load(s, c, m, directory, 1, 1, &m->value, err));
    if (stored.n_score) return model_fold_reward_scale(m->value, err);
    const flat *f = model_flat(m->value);
    for (int i = 0; i < f->n_param; i++)
        if (strncmp(f->param[i].name, "score.", 6) == 0)
            op(s->dev, fill, .y = {f->master + f->param[i].offset, f->param[i].count}, .value = 0);
    model_changed(m->value);
    return STATUS_OK;
}

static status open_reward(session *s, const struct config_ppo *c, ppo_models *m, error *err) {
    const char *directory = c->reward;
    model_config stored;
    TRY(model_config_load(directory, &stored, err));
    if (!stored.n_score)
        return error_set(err, STATUS_DATA, "%s: is no reward model: it has no score head", directory);
    return load(s, c, m, directory, 0, 1, &m->reward, err);
}

static status check_shapes(const ppo_models *m, error *err) {
    const model *others[] = {m->value, m->reference, m->reward};
    static const char *const name[] = {"value", "reference", "reward"};
    for (int i = 0; i < 3; i++)
        if (others[i] && !model_config_same_body(model_get_config(m->policy), model_get_config(others[i])))
            return error_set(err, STATUS_DATA,
                             "the %s model has another shape than the policy; the four share one workspace",
                             name[i]);
    return STATUS_OK;
}

status ppo_models_open(session *s, const struct config_ppo *c, ppo_models *out, error *err) {
    const char *const directory[] = {c->policy, c->reference, c->reward, c->value};
    *out = (ppo_models){0};
    for (int i = 0; i < 4; i++)
        if (directory[i]) TRY(model_check_directory(directory[i], err));
    TRY(load(s, c, out, c->policy, 1, 0, &out->policy, err));
    TRY(load(s, c, out, c->reference ? c->reference : c->policy, 0, 0, &out->reference, err));
    if (c->score.kind == CONFIG_JUDGE_MODEL) TRY(open_reward(s, c, out, err));
    TRY(open_value(s, c, out, err));
    return check_shapes(out, err);
}

status ppo_models_open_optimizers(session *s, const struct config_ppo *c, ppo_models *m, error *err) {
    struct optimizer_options policy = how_of(s, c, 1), value = how_of(s, c, 0);
    TRY(optimizer_create(s->dev, model_flat(m->policy), &policy, &m->policy_optimizer, err));
    return optimizer_create(s->dev, model_flat(m->value), &value, &m->value_optimizer, err);
}

void ppo_models_close(ppo_models *m) {
    optimizer_free(m->policy_optimizer);
    optimizer_free(m->value_optimizer);
    model_free(m->policy);
    model_free(m->value);
    model_free(m->reference);
    model_free(m->reward);
    *m = (ppo_models){0};
}

model_config ppo_models_shape(const ppo_models *m) {
    model_config shape = *model_get_config(m->policy);
    const model *others[] = {m->value, m->reference, m->reward};
    for (int i = 0; i < 3; i++)
        if (others[i] && model_get_config(others[i])->lora_rank > shape.lora_rank)
            shape.lora_rank = model_get_config(others[i])->lora_rank;
    return shape;
}

/* A model that lies over the policy's frozen weights takes its adapter alone. */
static status plan_other(session *s, const ppo_models *m, const model *other, const char *owner,
                         memory_plan *plan, error *err) {
    int shares = model_shares_weights(m->policy, other);
    if (shares && !model_lora(other)) return STATUS_OK;
    return session_plan_model(s, other, !shares, owner, plan, err);
}

status ppo_models_plan(session *s, const struct config_ppo *c, const ppo_models *m, memory_plan *plan,
                       error *err) {
    struct optimizer_options policy = how_of(s, c, 1), value = how_of(s, c, 0);
    TRY(session_plan_model(s, m->policy, 1, "policy", plan, err));
    optimizer_plan(model_flat(m->policy)->count, &policy, "policy", plan);
    TRY(plan_other(s, m, m->value, "value", plan, err));
    optimizer_plan(model_flat(m->value)->count, &value, "value", plan);
    TRY(plan_other(s, m, m->reference, "reference", plan, err));
    return m->reward ? plan_other(s, m, m->reward, "reward", plan, err) : STATUS_OK;
}
