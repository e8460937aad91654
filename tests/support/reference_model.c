#include "tests/support/reference_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MEMORY_MAX = 256 };

/* The states of one block, [n_token, ...]. */
typedef struct block {
    double *x, *norm1, *qkv, *att, *mid, *norm2, *up, *act;
    double *raw; /* qkv before the norm of heads */
} block;

typedef struct run {
    const model_config *c;
    const flat *layout;
    const double *parameters;
    double *grad; /* NULL: no backward */
    const batch *b;
    const forward_options *o;
    int n, *position, *start; /* of each token: its position, its sequence's first token */
    uint64_t *sequence;
    block *blocks;
    double *last; /* the last block's output */
    void *memory[MEMORY_MAX];
    int n_memory;
} run;

static void *zeros(run *r, size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    assert_true(memory && r->n_memory < MEMORY_MAX);
    return r->memory[r->n_memory++] = memory;
}
static double *numbers(run *r, int rows, int cols) {
    return zeros(r, (size_t)rows * (size_t)cols, sizeof(double));
}

/* ---- parameters by name: "layer.%d.NAME" with l >= 0 ---- */

static const param *find(const run *r, int l, const char *name) {
    char full[64];
    if (l >= 0)
        snprintf(full, sizeof full, "layer.%d.%s", l, name);
    else
        snprintf(full, sizeof full, "%s", name);
    for (int i = 0; i < r->layout->n_param; i++)
        if (strcmp(r->layout->param[i].name, full) == 0) return &r->layout->param[i];
    return NULL;
}
static const double *value_of(const run *r, int l, const char *name) {
    const param *p = find(r, l, name);
    return p ? r->parameters + p->offset : NULL;
}
static double *grad_of(const run *r, int l, const char *name) {
    const param *p = find(r, l, name);
    return p ? r->grad + p->offset : NULL;
}

/* ---- y = x w^T + bias ---- */

static void linear(const run *r, const double *x, int n, int k, int l, const char *weight, const char *bias,
                   int m, double *y) {
    const double *w = value_of(r, l, weight), *b = value_of(r, l, bias);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++) {
            double sum = b ? b[j] : 0;
            for (int c = 0; c < k; c++) sum += x[i * k + c] * w[j * k + c];
            y[i * m + j] = sum;
        }
}

static void linear_gradient(const run *r, const double *x, const double *dy, int n, int k, int l,
                            const char *weight, const char *bias, int m, double *dx) {
    const double *w = value_of(r, l, weight);
    double *dw = grad_of(r, l, weight), *db = grad_of(r, l, bias);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++) {
            double g = dy[i * m + j];
            if (db) db[j] += g;
            for (int c = 0; c < k; c++) {
                dx[i * k + c] += g * w[j * k + c];
                dw[j * k + c] += g * x[i * k + c];
            }
        }
}

/* ---- norms ---- */

static void moments(const run *r, const double *x, double *mean, double *rstd) {
    int d = r->c->d_model;
    double variance = 0;
    *mean = 0;
    for (int c = 0; c < d && r->c->norm == NORM_LAYER; c++) *mean += x[c] / d;
    for (int c = 0; c < d; c++) variance += (x[c] - *mean) * (x[c] - *mean) / d;
    *rstd = 1 / sqrt(variance + (double)r->c->norm_eps);
}

static double gain_of(const run *r, const double *gain, int c) {
    return gain[c] + (r->c->gain_from_one != 0);
}

static void norm(const run *r, const double *x, int n, int l, const char *gain, const char *bias, double *y) {
    const double *g = value_of(r, l, gain), *b = value_of(r, l, bias);
    int d = r->c->d_model;
    for (int i = 0; i < n; i++) {
        double mean, rstd;
        moments(r, x + i * d, &mean, &rstd);
        for (int c = 0; c < d; c++)
            y[i * d + c] = (x[i * d + c] - mean) * rstd * gain_of(r, g, c) + (b ? b[c] : 0);
    }
}

/* dx += */
static void norm_gradient(const run *r, const double *x, const double *dy, int n, int l, const char *gain,
                          const char *bias, double *dx) {
    const double *g = value_of(r, l, gain);
    double *dg = grad_of(r, l, gain), *db = grad_of(r, l, bias);
    int d = r->c->d_model;
    for (int i = 0; i < n; i++) {
        double mean, rstd, sum = 0, dot = 0;
        moments(r, x + i * d, &mean, &rstd);
        for (int c = 0; c < d; c++) {
            double xhat = (x[i * d + c] - mean) * rstd, a = dy[i * d + c] * gain_of(r, g, c);
            dg[c] += dy[i * d + c] * xhat;
            if (db) db[c] += dy[i * d + c];
            sum += r->c->norm == NORM_LAYER ? a / d : 0;
            dot += a * xhat / d;
        }
        for (int c = 0; c < d; c++) {
            double xhat = (x[i * d + c] - mean) * rstd;
            dx[i * d + c] += rstd * (dy[i * d + c] * gain_of(r, g, c) - sum - xhat * dot);
        }
    }
}

/* Every head of q, or of k: head first .. first + n of qkv. */
static void head_norm(const run *r, double *qkv, int first, int n, int l, const char *gain) {
    const double *g = value_of(r, l, gain);
    int hd = r->c->head_dim, heads = r->c->n_head + 2 * r->c->n_kv_head;
    for (int i = 0; i < r->n; i++)
        for (int h = first; h < first + n; h++) {
            double *x = qkv + (i * heads + h) * hd, square = 0;
            for (int e = 0; e < hd; e++) square += x[e] * x[e] / hd;
            for (int e = 0; e < hd; e++) x[e] *= g[e] / sqrt(square + (double)r->c->norm_eps);
        }
}

/* d becomes the gradient of the raw heads. */
static void head_norm_gradient(const run *r, const double *raw, double *d, int first, int n, int l,
                               const char *gain) {
    const double *g = value_of(r, l, gain);
    double *dg = grad_of(r, l, gain);
    int hd = r->c->head_dim, heads = r->c->n_head + 2 * r->c->n_kv_head;
    for (int i = 0; i < r->n; i++)
        for (int h = first; h < first + n; h++) {
            const double *x = raw + (i * heads + h) * hd;
            double *dx = d + (i * heads + h) * hd, square = 0, dot = 0;
            for (int e = 0; e < hd; e++) square += x[e] * x[e] / hd;
            double rstd = 1 / sqrt(square + (double)r->c->norm_eps);
            for (int e = 0; e < hd; e++) {
                dg[e] += dx[e] * x[e] * rstd;
                dot += dx[e] * g[e] * x[e] * rstd / hd;
            }
            for (int e = 0; e < hd; e++) dx[e] = rstd * (dx[e] * g[e] - x[e] * rstd * dot);
        }
}

/* ---- positions ---- */

/* Radians per position of pair j; scaled as Llama 3.1 tells it, by wavelengths. */
static double frequency(const model_config *c, int j) {
    const rope_scaling *s = &c->rope_scaling;
    double plain = pow((double)c->rope_theta, -2.0 * j / c->head_dim), wavelength = 2 * M_PI / plain;
    if (s->kind == ROPE_UNSCALED) return plain;
    if (s->kind == ROPE_LINEAR) return plain / (double)s->factor;
    double low = (double)s->low_freq_factor, high = (double)s->high_freq_factor;
    if (wavelength < s->original_context / high) return plain;
    if (wavelength > s->original_context / low) return plain / (double)s->factor;
    double smooth = (s->original_context / wavelength - low) / (high - low);
    return (1 - smooth) * plain / (double)s->factor + smooth * plain;
}

/* Turns the query and key heads; sign -1 turns back. */
static void turn(const run *r, double *qkv, double sign) {
    const model_config *c = r->c;
    int width = (c->n_head + 2 * c->n_kv_head) * c->head_dim, half = c->head_dim / 2;
    if (c->position != POSITION_ROPE) return;
    for (int i = 0; i < r->n; i++)
        for (int h = 0; h < c->n_head + c->n_kv_head; h++)
            for (int j = 0; j < half; j++) {
                double angle = r->position[i] * frequency(c, j);
                double *a = qkv + (size_t)i * (size_t)width + h * c->head_dim + j, *b = a + half, x = *a,
                       y = *b;
                *a = x * cos(angle) - sign * y * sin(angle);
                *b = sign * x * sin(angle) + y * cos(angle);
            }
}

/* ---- attention ---- */

/* softmax of q k / sqrt(head_dim) of token i, head h over the tokens start[i] .. i, into p[0 ..]; 0 outside a
   window. */
static void attention_weights(const run *r, const double *qkv, int i, int h, double *p) {
    const model_config *c = r->c;
    int hd = c->head_dim, width = (c->n_head + 2 * c->n_kv_head) * hd, n = i - r->start[i] + 1;
    int k_at = (c->n_head + h / (c->n_head / c->n_kv_head)) * hd;
    double most = -INFINITY, sum = 0;
    for (int t = 0; t < n; t++) {
        p[t] = 0;
        for (int e = 0; e < hd; e++)
            p[t] += qkv[i * width + h * hd + e] * qkv[(r->start[i] + t) * width + k_at + e] / sqrt(hd);
        if (c->window > 0 && n - 1 - t >= c->window) p[t] = -INFINITY;
        most = fmax(most, p[t]);
    }
    for (int t = 0; t < n; t++) sum += p[t] = exp(p[t] - most);
    for (int t = 0; t < n; t++) p[t] /= sum;
}

static void attention(const run *r, const double *qkv, double *att) {
    const model_config *c = r->c;
    int hd = c->head_dim, width = (c->n_head + 2 * c->n_kv_head) * hd;
    double *p = malloc(sizeof *p * (size_t)c->context);
    for (int i = 0; i < r->n; i++)
        for (int h = 0; h < c->n_head; h++) {
            int v_at = (c->n_head + c->n_kv_head + h / (c->n_head / c->n_kv_head)) * hd;
            attention_weights(r, qkv, i, h, p);
            for (int e = 0; e < hd; e++) {
                double sum = 0;
                for (int t = r->start[i]; t <= i; t++) sum += p[t - r->start[i]] * qkv[t * width + v_at + e];
                att[(i * c->n_head + h) * hd + e] = sum;
            }
        }
    free(p);
}

static void attention_gradient(const run *r, const double *qkv, const double *datt, double *dqkv) {
    const model_config *c = r->c;
    int hd = c->head_dim, width = (c->n_head + 2 * c->n_kv_head) * hd;
    double *p = malloc(2 * sizeof *p * (size_t)c->context), *dp = p + c->context;
    for (int i = 0; i < r->n; i++)
        for (int h = 0; h < c->n_head; h++) {
            int group = h / (c->n_head / c->n_kv_head), first = r->start[i], n = i - first + 1;
            int q_at = h * hd, k_at = (c->n_head + group) * hd,
                v_at = (c->n_head + c->n_kv_head + group) * hd;
            const double *d = datt + (i * c->n_head + h) * hd;
            double mean = 0;
            attention_weights(r, qkv, i, h, p);
            for (int t = 0; t < n; t++) {
                dp[t] = 0;
                for (int e = 0; e < hd; e++) {
                    dp[t] += d[e] * qkv[(first + t) * width + v_at + e];
                    dqkv[(first + t) * width + v_at + e] += p[t] * d[e];
                }
                mean += p[t] * dp[t];
            }
            for (int t = 0; t < n; t++) {
                double ds = p[t] * (dp[t] - mean) / sqrt(hd);
                for (int e = 0; e < hd; e++) {
                    dqkv[i * width + q_at + e] += ds * qkv[(first + t) * width + k_at + e];
                    dqkv[(first + t) * width + k_at + e] += ds * qkv[i * width + q_at + e];
                }
            }
        }
    free(p);
}

/* ---- activations ---- */

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double gelu(double x) { return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
static double gelu_slope(double x) {
    double t = tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
}

static void activate(const run *r, const double *up, double *act) {
    int f = r->c->d_ff;
    for (int i = 0; i < r->n; i++)
        for (int j = 0; j < f; j++) {
            if (r->c->activation == ACTIVATION_GELU) {
                act[i * f + j] = gelu(up[i * f + j]);
                continue;
            }
            double gate = up[i * 2 * f + j];
            double value = r->c->activation == ACTIVATION_SWIGLU ? gate * sigmoid(gate) : gelu(gate);
            act[i * f + j] = value * up[i * 2 * f + f + j];
        }
}

static void activate_gradient(const run *r, const double *up, const double *dact, double *dup) {
    int f = r->c->d_ff;
    for (int i = 0; i < r->n; i++)
        for (int j = 0; j < f; j++) {
            double d = dact[i * f + j];
            if (r->c->activation == ACTIVATION_GELU) {
                dup[i * f + j] = d * gelu_slope(up[i * f + j]);
                continue;
            }
            double gate = up[i * 2 * f + j], s = sigmoid(gate);
            int silu = r->c->activation == ACTIVATION_SWIGLU;
            dup[i * 2 * f + j] =
                d * up[i * 2 * f + f + j] * (silu ? s + gate * s * (1 - s) : gelu_slope(gate));
            dup[i * 2 * f + f + j] = d * (silu ? gate * s : gelu(gate));
        }
}

/* ---- dropout: kept when the counter's uniform number is at least the rate ---- */

static double kept(const run *r, int i, int site, int c) {
    if (!(r->o->dropout > 0)) return 1;
    uint32_t counter = (uint32_t)(site * r->c->d_model + c), bits[4];
    random_block(r->o->dropout_key, r->sequence[i], (uint32_t)r->position[i], counter / 4, bits);
    return random_uniform(bits[counter % 4]) >= r->o->dropout ? 1 / (1 - (double)r->o->dropout) : 0;
}

/* out = residual (NULL: 0) + dropout(branch); also a branch's gradient from its residual's. */
static void add(const run *r, const double *residual, const double *branch, int site, double *out) {
    int d = r->c->d_model;
    for (int i = 0; i < r->n; i++)
        for (int c = 0; c < d; c++)
            out[i * d + c] = (residual ? residual[i * d + c] : 0) + kept(r, i, site, c) * branch[i * d + c];
}

/* ---- a block ---- */

static int qkv_width(const run *r) { return (r->c->n_head + 2 * r->c->n_kv_head) * r->c->head_dim; }
static int att_width(const run *r) { return r->c->n_head * r->c->head_dim; }
static int up_width(const run *r) { return r->c->d_ff * (r->c->activation == ACTIVATION_GELU ? 1 : 2); }

static double *block_forward(run *r, int l, block *s) {
    int n = r->n, d = r->c->d_model, f = r->c->d_ff;
    double *branch = numbers(r, n, d), *out = numbers(r, n, d);
    s->norm1 = numbers(r, n, d), s->qkv = numbers(r, n, qkv_width(r)), s->att = numbers(r, n, att_width(r));
    s->mid = numbers(r, n, d), s->norm2 = numbers(r, n, d), s->up = numbers(r, n, up_width(r));
    s->act = numbers(r, n, f);
    norm(r, s->x, n, l, "norm1.weight", "norm1.bias", s->norm1);
    linear(r, s->norm1, n, d, l, "qkv.weight", "qkv.bias", qkv_width(r), s->qkv);
    if (r->c->qk_norm) {
        s->raw = numbers(r, n, qkv_width(r));
        memcpy(s->raw, s->qkv, sizeof *s->raw * (size_t)(n * qkv_width(r)));
        head_norm(r, s->qkv, 0, r->c->n_head, l, "q_norm.weight");
        head_norm(r, s->qkv, r->c->n_head, r->c->n_kv_head, l, "k_norm.weight");
    }
    turn(r, s->qkv, 1);
    attention(r, s->qkv, s->att);
    linear(r, s->att, n, att_width(r), l, "out.weight", "out.bias", d, branch);
    add(r, s->x, branch, 1 + 2 * l, s->mid);
    norm(r, s->mid, n, l, "norm2.weight", "norm2.bias", s->norm2);
    linear(r, s->norm2, n, d, l, "up.weight", "up.bias", up_width(r), s->up);
    activate(r, s->up, s->act);
    linear(r, s->act, n, f, l, "down.weight", "down.bias", d, branch);
    add(r, s->mid, branch, 2 + 2 * l, out);
    return out;
}

/* dx of the block's output becomes that of its input. */
static void block_gradient(run *r, int l, const block *s, double *dx) {
    int n = r->n, d = r->c->d_model, f = r->c->d_ff;
    double *branch = numbers(r, n, d), *dnorm1 = numbers(r, n, d), *dnorm2 = numbers(r, n, d);
    double *dact = numbers(r, n, f), *dup = numbers(r, n, up_width(r)), *datt = numbers(r, n, att_width(r)),
           *dqkv = numbers(r, n, qkv_width(r));
    add(r, NULL, dx, 2 + 2 * l, branch);
    linear_gradient(r, s->act, branch, n, f, l, "down.weight", "down.bias", d, dact);
    activate_gradient(r, s->up, dact, dup);
    linear_gradient(r, s->norm2, dup, n, d, l, "up.weight", "up.bias", up_width(r), dnorm2);
    norm_gradient(r, s->mid, dnorm2, n, l, "norm2.weight", "norm2.bias", dx);
    add(r, NULL, dx, 1 + 2 * l, branch);
    linear_gradient(r, s->att, branch, n, att_width(r), l, "out.weight", "out.bias", d, datt);
    attention_gradient(r, s->qkv, datt, dqkv);
    turn(r, dqkv, -1);
    if (r->c->qk_norm) {
        head_norm_gradient(r, s->raw, dqkv, 0, r->c->n_head, l, "q_norm.weight");
        head_norm_gradient(r, s->raw, dqkv, r->c->n_head, r->c->n_kv_head, l, "k_norm.weight");
    }
    linear_gradient(r, s->norm1, dqkv, n, d, l, "qkv.weight", "qkv.bias", qkv_width(r), dnorm1);
    norm_gradient(r, s->x, dnorm1, n, l, "norm1.weight", "norm1.bias", dx);
}

/* ---- the whole ---- */

static void locate(run *r) {
    r->n = r->b->n_token;
    r->position = zeros(r, (size_t)r->n, sizeof *r->position);
    r->start = zeros(r, (size_t)r->n, sizeof *r->start);
    r->sequence = zeros(r, (size_t)r->n, sizeof *r->sequence);
    for (int s = 0; s < r->b->n_seq; s++)
        for (int i = r->b->seq_start[s]; i < r->b->seq_start[s + 1]; i++) {
            r->start[i] = r->b->seq_start[s];
            r->position[i] = i - r->start[i];
            r->sequence[i] = r->b->seq_id[s];
        }
}

static double embedding_scale(const run *r) { return r->c->scaled_embedding ? sqrt(r->c->d_model) : 1; }

static void run_blocks(run *r) {
    int d = r->c->d_model;
    const double *tokens = value_of(r, -1, "token.weight"), *positions = value_of(r, -1, "position.weight");
    double *x = numbers(r, r->n, d);
    for (int i = 0; i < r->n; i++)
        for (int c = 0; c < d; c++)
            x[i * d + c] = embedding_scale(r) * (tokens[r->b->token[i] * d + c] +
                                                 (positions ? positions[r->position[i] * d + c] : 0));
    add(r, NULL, x, 0, x);
    r->blocks = zeros(r, (size_t)r->c->n_layer, sizeof *r->blocks);
    for (int l = 0; l < r->c->n_layer; l++) {
        r->blocks[l].x = x;
        x = block_forward(r, l, &r->blocks[l]);
    }
    r->last = x;
}

/* One row's language head: log p of its target and entropy; with dhidden also their gradients (+=). */
static void language_row(const run *r, const double *hidden, int row, struct reference_values out,
                         const row_grads *g, double *dhidden) {
    const model_config *c = r->c;
    const char *name = c->tied ? "token.weight" : "head.weight";
    const double *w = value_of(r, -1, name);
    double *dw = dhidden ? grad_of(r, -1, name) : NULL;
    double tau = (double)r->o->temperature, most = -INFINITY, sum = 0, entropy = 0;
    double *z = malloc(sizeof *z * (size_t)c->n_vocab);
    int target = r->b->row_target[row], d = c->d_model;
    for (int v = 0; v < c->n_vocab; v++) {
        z[v] = 0;
        for (int e = 0; e < d; e++) z[v] += hidden[e] * w[v * d + e] / tau;
        most = fmax(most, z[v]);
    }
    for (int v = 0; v < c->n_vocab; v++) sum += exp(z[v] - most);
    for (int v = 0; v < c->n_vocab; v++) z[v] -= most + log(sum); /* log p */
    for (int v = 0; v < c->n_vocab; v++) entropy -= exp(z[v]) * z[v];
    if (out.logprob) out.logprob[row] = z[target];
    if (out.entropy) out.entropy[row] = entropy;
    double a = g && g->logprob ? g->logprob[row] : 0, b = g && g->entropy ? g->entropy[row] : 0;
    for (int v = 0; v < c->n_vocab && dw; v++) {
        double dz = (a * ((v == target) - exp(z[v])) - b * exp(z[v]) * (z[v] + entropy)) / tau;
        for (int e = 0; e < d; e++) {
            dhidden[e] += dz * w[v * d + e];
            dw[v * d + e] += dz * hidden[e];
        }
    }
    free(z);
}

static void score_row(const run *r, const double *hidden, int row, struct reference_values out,
                      const row_grads *g, double *dhidden) {
    const double *w = value_of(r, -1, "score.weight"), *bias = value_of(r, -1, "score.bias");
    double score = bias ? bias[0] : 0, ds = g && g->score ? g->score[row] : 0;
    for (int e = 0; e < r->c->d_model; e++) score += w[e] * hidden[e];
    if (out.score) out.score[row] = score;
    if (!dhidden) return;
    for (int e = 0; e < r->c->d_model; e++) {
        dhidden[e] += ds * w[e];
        grad_of(r, -1, "score.weight")[e] += ds * hidden[e];
    }
    if (bias) grad_of(r, -1, "score.bias")[0] += ds;
}

static void run_rows(run *r, struct reference_values out, const row_grads *g, double *dx) {
    int d = r->c->d_model;
    double *hidden = numbers(r, 1, d), *dhidden = numbers(r, 1, d);
    for (int row = 0; row < r->b->n_row; row++) {
        int at = r->b->row_pos[row];
        memset(dhidden, 0, sizeof *dhidden * (size_t)d);
        norm(r, r->last + at * d, 1, -1, "norm.weight", "norm.bias", hidden);
        if (r->c->language_head) language_row(r, hidden, row, out, g, dx ? dhidden : NULL);
        if (r->c->n_score) score_row(r, hidden, row, out, g, dx ? dhidden : NULL);
        if (dx) norm_gradient(r, r->last + at * d, dhidden, 1, -1, "norm.weight", "norm.bias", dx + at * d);
    }
}

static void embedding_gradient(run *r, double *dx) {
    int d = r->c->d_model;
    double *tokens = grad_of(r, -1, "token.weight"), *positions = grad_of(r, -1, "position.weight");
    add(r, NULL, dx, 0, dx);
    for (int i = 0; i < r->n; i++)
        for (int c = 0; c < d; c++) {
            tokens[r->b->token[i] * d + c] += embedding_scale(r) * dx[i * d + c];
            if (positions) positions[r->position[i] * d + c] += embedding_scale(r) * dx[i * d + c];
        }
}

void reference_model(const model_config *config, const flat *layout, const double *parameters, const batch *b,
                     const forward_options *options, struct reference_values values, const row_grads *grads,
                     double *grad) {
    run *r = calloc(1, sizeof *r);
    assert_non_null(r);
    *r = (run){.c = config, .layout = layout, .parameters = parameters, .grad = grad, .b = b, .o = options};
    locate(r);
    run_blocks(r);
    double *dx = grad ? numbers(r, r->n, config->d_model) : NULL;
    run_rows(r, values, grads, dx);
    for (int l = config->n_layer - 1; l >= 0 && dx; l--) block_gradient(r, l, &r->blocks[l], dx);
    if (dx) embedding_gradient(r, dx);
    for (int i = 0; i < r->n_memory; i++) free(r->memory[i]);
    free(r);
}
