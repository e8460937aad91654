#include <math.h>

#include "tests/support/reference.h"

/* ---- norms (Ba et al. 2016; Zhang & Sennrich 2019) ---- */

struct reference_norm reference_norm(const struct op_norm *o) {
    int m = o->x.rows, d = o->x.cols;
    struct reference_norm out = {wide_create(m, d), wide_create(1, m), wide_create(1, m)};
    for (int r = 0; r < m; r++) {
        double mean = 0, mean_magnitude = 0, variance = 0;
        if (o->kind == NORM_LAYER)
            for (int c = 0; c < d; c++) {
                mean += at(o->x, r, c) / d;
                mean_magnitude += fabs(at(o->x, r, c)) / d;
            }
        for (int c = 0; c < d; c++) variance += pow(at(o->x, r, c) - mean, 2) / d;
        double rstd = 1 / sqrt(variance + (double)o->eps);
        wide_add(out.mean, 0, r, mean, mean_magnitude);
        wide_add(out.rstd, 0, r, rstd, rstd * (1 + mean_magnitude * rstd));
        for (int c = 0; c < d; c++) {
            double gain = (double)o->gain.data[c] + (double)o->offset,
                   bias = o->bias.data ? o->bias.data[c] : 0;
            wide_add(out.y, r, c, (at(o->x, r, c) - mean) * rstd * gain + bias,
                     (fabs(at(o->x, r, c)) + mean_magnitude) * rstd * fabs(gain) + fabs(bias));
        }
    }
    return out;
}

/* dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = gain dy and xhat = (x - mean) rstd; rms: no mean(g).
 */
struct reference_norm_dx reference_norm_dx(const struct op_norm_dx *o) {
    int m = o->x.rows, d = o->x.cols, layer = o->kind == NORM_LAYER;
    struct reference_norm_dx out = {wide_of_mat(o->dx), wide_of_vec(o->dgain), wide_of_vec(o->dbias)};
    for (int r = 0; r < m; r++) {
        double mean = layer ? o->mean.data[r] : 0, rstd = o->rstd.data[r];
        double g_mean = 0, g_magnitude = 0, gx_mean = 0, gx_magnitude = 0;
        for (int c = 0; c < d; c++) {
            double gain = (double)o->gain.data[c] + (double)o->offset;
            double g = gain * at(o->dy, r, c), x = at(o->x, r, c);
            g_mean += g / d;
            g_magnitude += fabs(g) / d;
            gx_mean += g * (x - mean) * rstd / d;
            gx_magnitude += fabs(g) * (fabs(x) + fabs(mean)) * rstd / d;
        }
        if (!layer) g_mean = g_magnitude = 0;
        for (int c = 0; c < d; c++) {
            double gain = (double)o->gain.data[c] + (double)o->offset;
            double dy = at(o->dy, r, c), g = gain * dy, x = at(o->x, r, c);
            double xhat = (x - mean) * rstd, xhat_magnitude = (fabs(x) + fabs(mean)) * rstd;
            wide_add(out.dx, r, c, rstd * (g - g_mean - xhat * gx_mean),
                     rstd * (fabs(g) + g_magnitude + xhat_magnitude * gx_magnitude));
            if (out.dgain.value) wide_add(out.dgain, 0, c, dy * xhat, fabs(dy) * xhat_magnitude);
            if (out.dbias.value) wide_add(out.dbias, 0, c, dy, fabs(dy));
        }
    }
    return out;
}

struct reference_head_norm reference_head_norm(const struct op_head_norm *o) {
    int n = o->n_head, d = o->x.cols / n;
    struct reference_head_norm out = {wide_create(o->x.rows, n * d), wide_create(o->x.rows, n)};
    for (int r = 0; r < o->x.rows; r++)
        for (int h = 0; h < n; h++) {
            double square = 0;
            for (int c = 0; c < d; c++) square += pow(at(o->x, r, h * d + c), 2) / d;
            double rstd = 1 / sqrt(square + (double)o->eps);
            wide_add(out.rstd, r, h, rstd, rstd);
            for (int c = 0; c < d; c++) {
                double y = at(o->x, r, h * d + c) * rstd * (double)o->gain.data[c];
                wide_add(out.y, r, h * d + c, y, fabs(y));
            }
        }
    return out;
}

struct reference_head_norm_dx reference_head_norm_dx(const struct op_head_norm_dx *o) {
    int n = o->n_head, d = o->x.cols / n;
    struct reference_head_norm_dx out = {wide_create(o->x.rows, n * d), wide_of_vec(o->dgain)};
    for (int r = 0; r < o->x.rows; r++)
        for (int h = 0; h < n; h++) {
            double rstd = at(o->rstd, r, h), mean = 0, mean_magnitude = 0;
            for (int c = 0; c < d; c++) {
                double gx = (double)o->gain.data[c] * at(o->dy, r, h * d + c) * at(o->x, r, h * d + c);
                mean += gx * rstd / d;
                mean_magnitude += fabs(gx) * rstd / d;
            }
            for (int c = 0; c < d; c++) {
                double dy = at(o->dy, r, h * d + c), g = (double)o->gain.data[c] * dy;
                double xhat = at(o->x, r, h * d + c) * rstd;
                wide_add(out.dx, r, h * d + c, rstd * (g - xhat * mean),
                         rstd * (fabs(g) + fabs(xhat) * mean_magnitude));
                if (out.dgain.value) wide_add(out.dgain, 0, c, dy * xhat, fabs(dy * xhat));
            }
        }
    return out;
}

/* ---- activations ---- */

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* tanh form (Hendrycks & Gimpel 2016): x sigmoid(2u) */
static double gelu_argument(double x) { return 2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x); }

wide reference_gelu(const struct op_gelu *o) {
    wide y = wide_create(o->x.rows, o->x.cols);
    for (int r = 0; r < y.rows; r++)
        for (int c = 0; c < y.cols; c++) {
            double x = at(o->x, r, c), u = gelu_argument(x), value = x * sigmoid(u);
            wide_add(y, r, c, value, fabs(value) * (1 + fabs(u)));
        }
    return y;
}

wide reference_gelu_dx(const struct op_gelu_dx *o) {
    wide dx = wide_create(o->x.rows, o->x.cols);
    for (int r = 0; r < dx.rows; r++)
        for (int c = 0; c < dx.cols; c++) {
            double x = at(o->x, r, c), dy = at(o->dy, r, c), u = gelu_argument(x), s = sigmoid(u);
            double du = 2 * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
            wide_add(dx, r, c, dy * (s + x * s * (1 - s) * du),
                     fabs(dy) * (s + fabs(x) * s * du) * (1 + fabs(u)));
        }
    return dx;
}

/* value: act(x), slope: act'(x), by the kind; each with its magnitude. */
typedef struct activated {
    double value, slope, value_magnitude, slope_magnitude;
} activated;

static activated activate(glu_kind kind, double x) {
    double u = x, du = 1; /* act = x sigmoid(u) */
    if (kind == GLU_GELU) {
        u = 2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
        du = 2 * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
    }
    double s = sigmoid(u);
    return (activated){x * s, s + x * s * (1 - s) * du, fabs(x) * s * (1 + fabs(u)),
                       (s + fabs(x) * s * du) * (1 + fabs(u))};
}

/* SwiGLU and GeGLU (Shazeer 2020): act(gate) up */
wide reference_glu(const struct op_glu *o) {
    wide y = wide_create(o->y.rows, o->y.cols);
    for (int r = 0; r < y.rows; r++)
        for (int c = 0; c < y.cols; c++) {
            activated gate = activate(o->kind, at(o->x, r, c));
            double up = at(o->x, r, y.cols + c);
            wide_add(y, r, c, gate.value * up, gate.value_magnitude * fabs(up));
        }
    return y;
}

wide reference_glu_dx(const struct op_glu_dx *o) {
    wide dx = wide_create(o->dx.rows, o->dx.cols);
    for (int r = 0; r < dx.rows; r++)
        for (int c = 0; c < o->dy.cols; c++) {
            activated gate = activate(o->kind, at(o->x, r, c));
            double up = at(o->x, r, o->dy.cols + c), dy = at(o->dy, r, c);
            wide_add(dx, r, c, dy * up * gate.slope, fabs(dy * up) * gate.slope_magnitude);
            wide_add(dx, r, o->dy.cols + c, dy * gate.value, fabs(dy) * gate.value_magnitude);
        }
    return dx;
}

/* ---- positions, residuals, gathers ---- */

/* Su et al. 2021: each pair is turned by its angle at the row's position. */
wide reference_rope(const struct op_rope *o) {
    wide x = wide_of_mat(o->x);
    int half = o->head_dim / 2;
    for (int r = 0; r < o->x.rows; r++)
        for (int head = 0; head < o->n_rotated; head++)
            for (int i = 0; i < half; i++) {
                int first = head * o->head_dim + i, second = first + half;
                double a = at(o->x, r, first), b = at(o->x, r, second);
                double cosine = at(o->cosine, o->position.data[r], i);
                double sine = at(o->sine, o->position.data[r], i) * (o->inverse ? -1 : 1);
                *value_at(x, r, first) = a * cosine - b * sine;
                *value_at(x, r, second) = a * sine + b * cosine;
                x.magnitude[r * x.cols + first] = fabs(a * cosine) + fabs(b * sine);
                x.magnitude[r * x.cols + second] = fabs(a * sine) + fabs(b * cosine);
            }
    return x;
}

static double dropout_factor(const struct op_add *o, int r, int c) {
    if (o->dropout == 0) return 1;
    uint32_t counter = (uint32_t)(o->site * o->b.cols + c), bits[4];
    random_block(o->key, o->sequence.data[r], (uint32_t)o->position.data[r], counter / 4, bits);
    return random_uniform(bits[counter % 4]) >= o->dropout ? 1 / (1 - (double)o->dropout) : 0;
}

wide reference_add(const struct op_add *o) {
    wide out = o->a.data ? wide_of_mat(o->a) : wide_create(o->b.rows, o->b.cols);
    for (int r = 0; r < out.rows; r++)
        for (int c = 0; c < out.cols; c++) {
            double term = at(o->b, r, c) * dropout_factor(o, r, c);
            wide_add(out, r, c, term, fabs(term));
        }
    return out;
}

wide reference_scale(const struct op_scale *o) {
    wide y = wide_create(o->y.rows, o->y.cols);
    for (int r = 0; r < y.rows; r++)
        for (int c = 0; c < y.cols; c++) {
            double product = (double)o->factor * at(o->x, r, c);
            wide_add(y, r, c, product, fabs(product));
        }
    return y;
}

wide reference_embed(const struct op_embed *o) {
    wide out = wide_create(o->out.rows, o->out.cols);
    for (int r = 0; r < out.rows; r++)
        for (int c = 0; c < out.cols; c++) {
            double token = at(o->token_table, o->token.data[r], c);
            double position = o->position_table.data ? at(o->position_table, o->position.data[r], c) : 0;
            wide_add(out, r, c, token + position, fabs(token) + fabs(position));
        }
    return out;
}

wide reference_embed_dw(const struct op_embed_dw *o) {
    wide table = wide_of_mat(o->d_table);
    for (int r = 0; r < o->dout.rows; r++)
        for (int c = 0; c < table.cols; c++)
            wide_add(table, o->id.data[r], c, at(o->dout, r, c), fabs(at(o->dout, r, c)));
    return table;
}

wide reference_rows_gather(const struct op_rows_gather *o) {
    wide out = wide_create(o->out.rows, o->out.cols);
    for (int r = 0; r < out.rows; r++)
        for (int c = 0; c < out.cols; c++) wide_add(out, r, c, at(o->x, o->index.data[r], c), 0);
    return out;
}

wide reference_rows_add(const struct op_rows_add *o) {
    wide x = wide_of_mat(o->x);
    for (int r = 0; r < o->in.rows; r++)
        for (int c = 0; c < x.cols; c++)
            wide_add(x, o->index.data[r], c, at(o->in, r, c), fabs(at(o->in, r, c)));
    return x;
}
