#include "ppo/update.h"

#include <math.h>
#include <stdlib.h>

status updater_create(const rollout_context *x, int n_answer, int most_rows, const sequence_data *ptx,
                      order *ptx_order, updater *out, error *err) {
    const struct config_ppo *c = x->c;
    int most = answers_most_tokens(c->max_tokens, model_get_config(x->models->policy)->context);
    size_t tokens = (size_t)n_answer * (size_t)most;
    *out = (updater){.x = x, .ptx = ptx, .ptx_order = ptx_order};
    out->how = (struct ppo_objective){c->clip_low, c->clip_high, c->value_clip, c->vf_coef};
    out->most_ptx = ptx ? c->ptx_per_answer * ((n_answer + c->minibatches - 1) / c->minibatches) : 0;
    out->permutation = calloc((size_t)n_answer, sizeof *out->permutation);
    out->logprob = calloc(tokens, sizeof *out->logprob);
    out->value = calloc(tokens, sizeof *out->value);
    out->entropy = calloc((size_t)most_rows, sizeof *out->entropy);
    out->grad = calloc((size_t)most_rows, sizeof *out->grad);
    out->ptx_index = calloc((size_t)out->most_ptx + 1, sizeof *out->ptx_index);
    if (out->permutation && out->logprob && out->value && out->entropy && out->grad && out->ptx_index)
        return STATUS_OK;
    updater_free(out);
    return error_memory(err, "updates");
}

void updater_free(updater *u) {
    free(u->permutation);
    free(u->logprob);
    free(u->value);
    free(u->entropy);
    free(u->grad);
    free(u->ptx_index);
    *u = (updater){0};
}

/* One minibatch as it is worked on. */
typedef struct minibatch {
    const rollout *r;
    const int32_t *index;
    int n, n_token;
} minibatch;

/* Packs answers of the minibatch from *next on. Returns how many went in. */
static int fill(const updater *u, const minibatch *b, int *next) {
    const rollout *r = b->r;
    pack *p = u->x->pack;
    int first = *next;
    pack_clear(p);
    for (; *next < b->n; (*next)++) {
        int i = b->index[*next], n = r->n_prompt[i] + rollout_length(r, i);
        if (!pack_fits(p, n, rollout_length(r, i))) break;
        pack_add(p, (uint64_t)i, r->token + (size_t)i * (size_t)r->width, n);
        pack_rows_of_answer(p, r->n_prompt[i]);
    }
    return *next - first;
}

/* ---- the policy ---- */

static void note_mismatch(const float *now, const float *then, int n, double *largest) {
    for (int t = 0; t < n; t++) {
        double d = fabs((double)now[t] - then[t]);
        if (isnan(d) || d > *largest) *largest = d; /* a NaN stays */
    }
}

/* Gradient of the clipped objective, micro-batch by micro-batch. before_first: no step has been made since
 * the sampling. */
static status policy_gradient(updater *u, const minibatch *b, int before_first, update_figures *f,
                              error *err) {
    const rollout *r = b->r;
    const rollout_context *x = u->x;
    forward_options o = {.temperature = x->c->temperature, .for_backward = 1};
    float *logprob = u->logprob;
    for (int next = 0; next < b->n;) {
        int first = next;
        fill(u, b, &next);
        row_values values = {.logprob = logprob, .entropy = u->entropy};
        TRY(model_forward(x->models->policy, x->ws, &x->pack->b, &o, err));
        TRY(model_read(x->models->policy, x->ws, &values, err));
        for (int j = first, at = 0; j < next; at += rollout_length(r, b->index[j++])) {
            int i = b->index[j], n = rollout_length(r, i), t = r->start[i];
            ppo_policy_loss(&u->how, n, logprob + at, r->logprob + t, r->advantage + t, 1.0 / b->n_token,
                            u->grad + at, &f->policy);
            if (before_first) note_mismatch(logprob + at, r->logprob + t, n, &f->mismatch);
        }
        for (int k = 0; k < x->pack->b.n_row; k++) f->entropy += u->entropy[k];
        f->flops += pack_flops(x->pack, model_get_config(x->models->policy), PASS_STEP);
        TRY(model_backward(x->models->policy, x->ws, &(row_grads){.logprob = u->grad}, NULL, err));
        logprob += x->pack->b.n_row;
    }
    return STATUS_OK;
}

/* Adds ptx_coef x the pre-training loss of the next examples (InstructGPT eq. 2); its gradient comes first,
   so that its norm can be told. */
static status ptx_gradient(updater *u, int n_answer, update_figures *f, error *err) {
    const rollout_context *x = u->x;
    forward_options o = {.temperature = 1, .for_backward = 1};
    double norm, sum = 0; /* of log p over the targets */
    int64_t targets = 0;
    int n = x->c->ptx_per_answer * n_answer;
    if (!u->ptx) return STATUS_OK;
    for (int i = 0; i < n; i++)
        targets += u->ptx->train.entry[u->ptx_index[i] = order_next(u->ptx_order)].n_target;
    for (int next = 0; next < n;) {
        pack_clear(x->pack);
        for (; next < n; next++) {
            const sequence *example = &u->ptx->train.entry[u->ptx_index[next]];
            if (!pack_fits(x->pack, example->n, example->n_target)) break;
            pack_add(x->pack, (uint64_t)u->ptx_index[next], example->token, example->n);
            pack_rows_of_targets(x->pack, sequence_targets(example));
        }
        sequences_release(u->ptx);
        ppo_ptx_gradient(x->pack->b.n_row, targets, x->c->ptx_coef, u->grad);
        row_values values = {.logprob = u->entropy};
        TRY(model_forward(x->models->policy, x->ws, &x->pack->b, &o, err));
        TRY(model_backward(x->models->policy, x->ws, &(row_grads){.logprob = u->grad}, &values, err));
        for (int k = 0; k < x->pack->b.n_row; k++) sum += u->entropy[k];
        f->flops += pack_flops(x->pack, model_get_config(x->models->policy), PASS_STEP);
    }
    TRY(optimizer_norm(x->models->policy_optimizer, &norm, err));
    f->ptx_grad_norm += norm;
    f->ptx_loss -= sum / (double)targets;
    return STATUS_OK;
}

static status check_loss(double loss, const char *what, const minibatch *b, int64_t iteration, error *err) {
    if (isfinite(loss)) return STATUS_OK;
    return error_set(err, STATUS_FAILED,
                     "iteration %lld: the %s loss is %g over %d answers (first: answer %d): the step was not "
                     "made; lower ppo.lr or "
                     "look at the scores",
                     (long long)iteration, what, loss, b->n, b->index[0]);
}

static status update_policy(updater *u, const minibatch *b, int64_t iteration, double lr, update_figures *f,
                            double *loss, double *norm, error *err) {
    model *policy = u->x->models->policy;
    double before = f->policy.loss, ptx_before = f->ptx_loss;
    model_zero_grad(policy);
    TRY(ptx_gradient(u, b->n, f, err));
    TRY(policy_gradient(u, b, f->n_update == 0, f, err));
    *loss = f->policy.loss - before;
    TRY(check_loss(*loss + f->ptx_loss - ptx_before, "policy", b, iteration, err));
    if (f->mismatch != 0)
        return error_set(err, STATUS_FAILED,
                         "iteration %lld: a sampled log-probability differs by %g from the one that training "
                         "computes: sampling "
                         "and training must be one arithmetic; this is a bug",
                         (long long)iteration, f->mismatch);
    TRY(optimizer_step(u->x->models->policy_optimizer, lr, norm, err));
    model_changed(policy);
    f->grad_norm += *norm;
    return STATUS_OK;
}

/* ---- the value ---- */

static status update_value(updater *u, const minibatch *b, int64_t iteration, double lr, update_figures *f,
                           double *loss, error *err) {
    const rollout *r = b->r;
    const rollout_context *x = u->x;
    forward_options o = {.temperature = 1, .for_backward = 1};
    float *value = u->value;
    double norm, before = f->value.loss;
    model_zero_grad(x->models->value);
    for (int next = 0; next < b->n;) {
        int first = next;
        fill(u, b, &next);
        row_values values = {.score = value};
        TRY(model_forward(x->models->value, x->ws, &x->pack->b, &o, err));
        TRY(model_read(x->models->value, x->ws, &values, err));
        for (int j = first, at = 0; j < next; at += rollout_length(r, b->index[j++])) {
            int i = b->index[j], t = r->start[i];
            ppo_value_loss(&u->how, rollout_length(r, i), value + at, r->value + t, r->value_target + t,
                           1.0 / b->n_token, u->grad + at, &f->value);
        }
        TRY(model_backward(x->models->value, x->ws, &(row_grads){.score = u->grad}, NULL, err));
        f->flops += pack_flops(x->pack, model_get_config(x->models->value), PASS_STEP);
        value += x->pack->b.n_row;
    }
    *loss = f->value.loss - before;
    TRY(check_loss(*loss, "value", b, iteration, err));
    TRY(optimizer_step(x->models->value_optimizer, lr, &norm, err));
    model_changed(x->models->value);
    f->value_grad_norm += norm;
    return STATUS_OK;
}

/* ---- all of it ---- */

static status update_minibatch(updater *u, const minibatch *b, int64_t iteration, double lr, double value_lr,
                               update_figures *f, minibatch_done *done, void *context, error *err) {
    minibatch_record record = {f->n_update, b->n, b->index, u->logprob, u->value, b->n_token, 0, 0, 0};
    TRY(update_policy(u, b, iteration, lr, f, &record.policy_loss, &record.grad_norm, err));
    TRY(update_value(u, b, iteration, value_lr, f, &record.value_loss, err));
    f->n_update++;
    return done ? done(context, &record, err) : STATUS_OK;
}

status update_models(updater *u, const rollout *r, int64_t iteration, double lr, double value_lr,
                     update_figures *f, minibatch_done *done, void *context, error *err) {
    const struct config_ppo *c = u->x->c;
    *f = (update_figures){0};
    for (int epoch = 0; epoch < c->epochs; epoch++) {
        uint32_t step = (uint32_t)(iteration * c->epochs + epoch);
        random_permutation(random_make_key(u->x->seed, RANDOM_MINIBATCH, (uint32_t)u->x->round, step), r->n,
                           u->permutation);
        for (int m = 0; m < c->minibatches; m++) {
            int first = (int)((int64_t)r->n * m / c->minibatches),
                end = (int)((int64_t)r->n * (m + 1) / c->minibatches);
            minibatch b = {r, u->permutation + first, end - first, 0};
            for (int j = 0; j < b.n; j++) b.n_token += rollout_length(r, b.index[j]);
            if (b.n) TRY(update_minibatch(u, &b, iteration, lr, value_lr, f, done, context, err));
        }
    }
    return STATUS_OK;
}
