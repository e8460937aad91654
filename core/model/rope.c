/* The tables of rope: cosine and sine of position x frequency (Su et al. 2021). */
#include <math.h>
#include <stdlib.h>

#include "core/model/internal.h"

double model_rope_frequency(const model_config *c, int i) {
    const rope_scaling *s = &c->rope_scaling;
    double plain = pow((double)c->rope_theta, -2.0 * i / c->head_dim), slow = plain / (double)s->factor;
    if (s->kind == ROPE_UNSCALED) return plain;
    if (s->kind == ROPE_LINEAR) return slow;
    /* Waves in the original context: below low_freq_factor slowed down, above high_freq_factor kept. */
    double waves = s->original_context * plain / (2 * M_PI);
    double low = (double)s->low_freq_factor, high = (double)s->high_freq_factor;
    double kept = fmin(1, fmax(0, (waves - low) / (high - low)));
    return kept * plain + (1 - kept) * slow;
}

status weights_upload_rope(weights *w, error *err) {
    if (w->config.position != POSITION_ROPE) return STATUS_OK;
    int n = w->config.context, half = w->config.head_dim / 2;
    float *host = malloc(2 * sizeof *host * (size_t)n * (size_t)half);
    if (!host) return error_memory(err, "rope tables");
    float *cosine = host, *sine = host + (size_t)n * (size_t)half;
    for (int i = 0; i < half; i++) {
        double step = model_rope_frequency(&w->config, i);
        for (int p = 0; p < n; p++) {
            cosine[(size_t)p * (size_t)half + (size_t)i] = (float)cos(p * step);
            sine[(size_t)p * (size_t)half + (size_t)i] = (float)sin(p * step);
        }
    }
    size_t bytes = sizeof *host * (size_t)n * (size_t)half;
    w->dev->ops->upload(w->dev, w->cosine.data, cosine, bytes);
    w->dev->ops->upload(w->dev, w->sine.data, sine, bytes);
    status s = w->dev->ops->sync(w->dev, err);
    free(host);
    return s;
}
