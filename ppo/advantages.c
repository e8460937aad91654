#include "ppo/advantages.h"

#include <math.h>

#include "core/train/moments.h"

void ppo_advantages(int n_token, const float *reward, const float *value, float gamma, float lambda,
                    float *advantage, float *value_target) {
    double next_advantage = 0, next_value = 0;
    for (int t = n_token - 1; t >= 0; t--) {
        double delta = reward[t] + gamma * next_value - value[t];
        next_advantage = delta + (double)gamma * lambda * next_advantage;
        next_value = value[t];
        advantage[t] = (float)next_advantage;
        value_target[t] = (float)(next_advantage + next_value);
    }
}

void ppo_whiten(int64_t n, float *x, int keep_mean) {
    struct moments m = moments_of(n, x);
    double scale = 1 / sqrt(m.variance + 1e-8), shift = keep_mean ? m.mean : 0;
    for (int64_t i = 0; i < n; i++) x[i] = (float)((x[i] - m.mean) * scale + shift);
}

double ppo_explained_variance(int64_t n, const float *value, const float *value_target) {
    double variance = moments_of(n, value_target).variance, error_mean = 0, error_variance = 0;
    if (!(variance > 0)) return NAN;
    for (int64_t i = 0; i < n; i++) error_mean += (double)value_target[i] - value[i];
    error_mean /= (double)n;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)value_target[i] - value[i] - error_mean;
        error_variance += d * d;
    }
    return 1 - error_variance / (double)n / variance;
}
