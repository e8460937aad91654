#include <math.h>
#include <stdlib.h>

#include "tests/support/reference.h"

/* The distribution of one row: z = hidden w^T / temperature over the first n ids. */
typedef struct logits {
    int n;
    double *z, *p;
    double *amplify; /* 1 + the magnitudes that go into log p */
    double lse, entropy, mean_magnitude;
} logits;

static logits logits_of_row(mat hidden, int row, const weight *w, int n, double temperature) {
    logits l = {.n = n};
    size_t bytes = sizeof(double) * (size_t)n;
    l.z = malloc(bytes), l.p = malloc(bytes), l.amplify = malloc(bytes);
    double highest = -INFINITY, sum = 0;
    for (int v = 0; v < n; v++) {
        l.z[v] = l.amplify[v] = 0;
        for (int c = 0; c < hidden.cols; c++) {
            double term = at(hidden, row, c) * weight_at(w, v, c) / temperature;
            l.z[v] += term;
            l.amplify[v] += fabs(term);
        }
        highest = fmax(highest, l.z[v]);
    }
    for (int v = 0; v < n; v++) sum += exp(l.z[v] - highest);
    l.lse = highest + log(sum);
    for (int v = 0; v < n; v++) {
        l.p[v] = exp(l.z[v] - l.lse);
        l.entropy -= l.p[v] * (l.z[v] - l.lse);
        l.mean_magnitude += l.p[v] * l.amplify[v];
    }
    for (int v = 0; v < n; v++) l.amplify[v] += 1 + l.mean_magnitude;
    return l;
}

static void logits_free(logits *l) {
    free(l->z);
    free(l->p);
    free(l->amplify);
}

struct reference_vocab reference_vocab(const struct op_vocab *o) {
    int m = o->hidden.rows;
    struct reference_vocab out = {{0}, wide_create(1, m), wide_create(1, m)};
    if (o->target.data) out.logprob = wide_create(1, m);
    for (int r = 0; r < m; r++) {
        logits l = logits_of_row(o->hidden, r, &o->w, o->n_vocab, (double)o->temperature);
        double entropy_magnitude = 0;
        for (int v = 0; v < l.n; v++) entropy_magnitude += l.p[v] * l.amplify[v] * (1 + fabs(l.z[v] - l.lse));
        wide_add(out.lse, 0, r, l.lse, 1 + fabs(l.lse) + l.mean_magnitude);
        wide_add(out.entropy, 0, r, l.entropy, entropy_magnitude + fabs(l.lse));
        if (o->target.data) {
            int target = o->target.data[r];
            wide_add(out.logprob, 0, r, l.z[target] - l.lse, l.amplify[target] + fabs(l.lse));
        }
        logits_free(&l);
    }
    return out;
}

/* d(a logprob + b entropy)/dz_v = a ([v = target] - p_v) - b p_v (log p_v + entropy) */
struct reference_vocab_dx reference_vocab_dx(const struct op_vocab_dx *o) {
    struct reference_vocab_dx out = {wide_create(o->dhidden.rows, o->dhidden.cols), wide_of_mat(o->dw)};
    for (int r = 0; r < o->hidden.rows; r++) {
        logits l = logits_of_row(o->hidden, r, &o->w, o->n_vocab, (double)o->temperature);
        double a = o->dlogprob.data[r], b = o->dentropy.data ? o->dentropy.data[r] : 0;
        for (int v = 0; v < l.n; v++) {
            double chosen = v == o->target.data[r], logp = l.z[v] - l.lse;
            double dz = a * (chosen - l.p[v]) - b * l.p[v] * (logp + l.entropy);
            double magnitude = fabs(a) * (chosen + l.p[v] * l.amplify[v]) +
                               fabs(b) * l.p[v] * l.amplify[v] * (1 + fabs(logp) + l.entropy);
            dz /= o->temperature, magnitude /= o->temperature;
            for (int c = 0; c < o->hidden.cols; c++) {
                double w = weight_at(&o->w, v, c), hidden = at(o->hidden, r, c);
                wide_add(out.dhidden, r, c, dz * w, magnitude * fabs(w));
                if (out.dw.value) wide_add(out.dw, v, c, dz * hidden, magnitude * fabs(hidden));
            }
        }
        logits_free(&l);
    }
    return out;
}

wide reference_score(const struct op_score *o) {
    wide score = wide_create(1, o->hidden.rows);
    for (int r = 0; r < o->hidden.rows; r++) {
        for (int c = 0; c < o->hidden.cols; c++) {
            double term = at(o->hidden, r, c) * o->w.data[c];
            wide_add(score, 0, r, term, fabs(term));
        }
        if (o->bias.data) wide_add(score, 0, r, o->bias.data[0], fabs(o->bias.data[0]));
    }
    return score;
}

struct reference_score_dx reference_score_dx(const struct op_score_dx *o) {
    struct reference_score_dx out = {wide_of_mat(o->dhidden), wide_of_vec(o->dw), wide_of_vec(o->dbias)};
    for (int r = 0; r < o->hidden.rows; r++) {
        double d = o->dscore.data[r];
        for (int c = 0; c < o->hidden.cols; c++) {
            wide_add(out.dhidden, r, c, d * o->w.data[c], fabs(d * o->w.data[c]));
            wide_add(out.dw, 0, c, d * at(o->hidden, r, c), fabs(d * at(o->hidden, r, c)));
        }
        if (out.dbias.value) wide_add(out.dbias, 0, 0, d, fabs(d));
    }
    return out;
}

/* ---- sampling ---- */

/* Whether id v comes before id u when ids are sorted by falling logit. */
static int comes_before(const double *z, int v, int u) { return z[v] > z[u] || (z[v] == z[u] && v < u); }

/* Gumbel-max (Maddison et al. 2014): argmax of z + g is distributed as softmax z. */
static double gumbel(const struct op_sample *o, int row, int v) {
    uint32_t bits[4];
    random_block(o->key, o->sequence.data[row], (uint32_t)o->position.data[row], (uint32_t)v / 4, bits);
    return -log(-log((double)random_uniform(bits[v % 4])));
}

/* top-k keeps the k first ids in that order; top-p then the shortest start of what is left whose share of its
   probability reaches top_p (Holtzman et al. 2020), as transformers' warpers do one after the other. */
wide reference_sample(const struct op_sample *o, int row) {
    logits l = logits_of_row(o->hidden, row, &o->w, o->n_vocab, (double)o->temperature);
    wide score = wide_create(1, l.n);
    int *rank = calloc((size_t)l.n, sizeof *rank);
    for (int v = 0; v < l.n; v++)
        for (int u = 0; u < l.n; u++) rank[v] += comes_before(l.z, u, v);
    int k = o->top_k > 0 ? o->top_k : l.n;
    double kept = 0;
    for (int v = 0; v < l.n; v++) kept += rank[v] < k ? l.p[v] : 0;
    for (int v = 0; v < l.n; v++) {
        double before = 0; /* probability of the ids that come before v */
        for (int u = 0; u < l.n; u++) before += rank[u] < rank[v] ? l.p[u] : 0;
        int cut = !o->greedy && (rank[v] >= k || (o->top_p < 1 && before >= o->top_p * kept));
        double g = o->greedy ? 0 : gumbel(o, row, v);
        wide_add(score, 0, v, cut ? -INFINITY : l.z[v] + g, l.amplify[v] + fabs(g));
    }
    free(rank);
    logits_free(&l);
    return score;
}
