#include "ppo/metrics.h"

#include <inttypes.h>

#include "core/train/moments.h"
#include "ppo/advantages.h"

double ppo_kl_per_answer(const rollout *r) { return r->kl.k1 / r->n; }

static void put_rollout(buffer *b, const rollout *r, double kl_coef) {
    double score = moments_of(r->n, r->score).mean, ended = 0;
    for (int i = 0; i < r->n; i++) ended += (double)r->answers.finished[i] / r->n;
    buffer_json_figure(b, "score", score);
    buffer_json_figure(b, "reward", score - kl_coef * ppo_kl_per_answer(r));
    buffer_json_figure(b, "kl", ppo_kl_per_answer(r));
    buffer_json_figure(b, "kl_k3", r->kl.k3 / r->n);
    buffer_json_figure(b, "length", (double)rollout_tokens(r) / r->n);
    buffer_json_figure(b, "ended_share", ended);
}

static void put_update(buffer *b, const update_figures *u) {
    double tokens = (double)u->policy.n_token, n = u->n_update;
    buffer_json_figure(b, "entropy", u->entropy / tokens);
    buffer_json_figure(b, "ratio_mean", u->policy.ratio / tokens);
    buffer_json_figure(b, "ratio_max", u->policy.ratio_max);
    buffer_json_figure(b, "clip_share", (double)u->policy.n_clipped / tokens);
    buffer_json_figure(b, "approx_kl", 0.5 * u->policy.delta_squared / tokens);
    buffer_json_figure(b, "policy_loss", u->policy.loss / n);
    buffer_json_figure(b, "value_loss", u->value.loss / n);
    buffer_json_figure(b, "value_clip_share", (double)u->value.n_clipped / (double)u->value.n_token);
    buffer_json_figure(b, "grad_norm", u->grad_norm / n);
    buffer_json_figure(b, "value_grad_norm", u->value_grad_norm / n);
}

void ppo_metrics_line(int64_t iteration, const rollout *r, const update_figures *u,
                      const iteration_rates *rates, int with_ptx, buffer *b) {
    buffer_clear(b);
    buffer_format(b, "{\"iteration\":%" PRId64, iteration);
    put_rollout(b, r, rates->kl_coef);
    put_update(b, u);
    buffer_json_figure(b, "explained_variance",
                       ppo_explained_variance(rollout_tokens(r), r->value, r->value_target));
    buffer_json_figure(b, "advantage_std", r->advantage_std);
    buffer_json_figure(b, "return_mean", moments_of(rollout_tokens(r), r->value_target).mean);
    buffer_json_figure(b, "kl_coef", rates->kl_coef);
    buffer_json_figure(b, "lr", rates->lr);
    buffer_json_figure(b, "value_lr", rates->value_lr);
    if (with_ptx) {
        buffer_json_figure(b, "ptx_loss", u->ptx_loss / u->n_update);
        buffer_json_figure(b, "ptx_grad_norm", u->ptx_grad_norm / u->n_update);
    } else {
        buffer_string(b, ",\"ptx_loss\":null");
    }
    buffer_json_figure(b, "logprob_mismatch_max", u->mismatch);
    buffer_string(b, "}");
}

void ppo_metrics_valid_line(int64_t iteration, double score, double length, double ended, buffer *b) {
    buffer_clear(b);
    buffer_format(b, "{\"iteration\":%" PRId64 ",\"split\":\"valid\"", iteration);
    buffer_json_figure(b, "score", score);
    buffer_json_figure(b, "length", length);
    buffer_json_figure(b, "ended_share", ended);
    buffer_string(b, "}");
}
