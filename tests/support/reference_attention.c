#include <math.h>
#include <stdlib.h>

#include "tests/support/reference.h"

/* Attention of one query over n keys (Vaswani et al. 2017, eq. 1). */
typedef struct heads {
    int n, d;
    double scale;
    const double *q;     /* [d] */
    const double *k, *v; /* [n, d] */
    double *p, *amplify; /* [n]: softmax; 1 + the magnitude of its exponent */
    double lse, lse_magnitude;
} heads;

static double dot(const double *a, const double *b, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static double dot_magnitude(const double *a, const double *b, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += fabs(a[i] * b[i]);
    return sum;
}

static void softmax_of_scores(heads *h) {
    double sum = 0, mean = 0;
    for (int j = 0; j < h->n; j++) {
        h->p[j] = exp(h->scale * dot(h->q, h->k + j * h->d, h->d));
        h->amplify[j] = fabs(h->scale) * dot_magnitude(h->q, h->k + j * h->d, h->d);
        sum += h->p[j];
    }
    for (int j = 0; j < h->n; j++) {
        h->p[j] /= sum;
        mean += h->p[j] * h->amplify[j];
    }
    for (int j = 0; j < h->n; j++) h->amplify[j] += 1 + mean;
    h->lse = log(sum);
    h->lse_magnitude = 1 + mean + fabs(h->lse);
}

/* The rows first .. first + n of one head of qkv (or of out), as doubles; freed by the caller. */
static double *take_head(mat m, int first, int n, int column, int d) {
    double *out = malloc(sizeof(double) * ((size_t)n * (size_t)d + 1));
    for (int i = 0; i < n; i++)
        for (int c = 0; c < d; c++) out[i * d + c] = at(m, first + i, column + c);
    return out;
}

static heads heads_create(int n, int d, double scale) {
    size_t bytes = sizeof(double) * ((size_t)n + 1);
    return (heads){.d = d, .scale = scale, .p = malloc(bytes), .amplify = malloc(bytes)};
}

static void heads_free(heads *h) {
    free(h->p);
    free(h->amplify);
}

/* The keys at first_key .. i of k and v [n, d], which the query at position i sees. */
static void see_keys(heads *h, const double *k, const double *v, int i, int window) {
    int first_key = window > 0 && i + 1 > window ? i + 1 - window : 0;
    h->k = k + first_key * h->d, h->v = v + first_key * h->d, h->n = i + 1 - first_key;
}

static void put_output(wide out, int row, int column, const heads *h) {
    for (int j = 0; j < h->n; j++)
        for (int c = 0; c < h->d; c++)
            wide_add(out, row, column + c, h->p[j] * h->v[j * h->d + c],
                     h->p[j] * h->amplify[j] * fabs(h->v[j * h->d + c]));
}

struct reference_attention reference_attention(const struct op_attention *o) {
    int d = o->shape.head_dim, n_head = o->shape.n_head, n_kv = o->shape.n_kv_head;
    struct reference_attention result = {wide_create(o->out.rows, o->out.cols),
                                         wide_create(o->out.rows, n_head)};
    for (int s = 0; s + 1 < o->start.n; s++) {
        int first = o->start.data[s], n = o->start.data[s + 1] - first;
        heads h = heads_create(n, d, o->shape.scale);
        for (int head = 0; head < n_head; head++) {
            int kv = head / (n_head / n_kv);
            double *q = take_head(o->qkv, first, n, head * d, d);
            double *k = take_head(o->qkv, first, n, (n_head + kv) * d, d);
            double *v = take_head(o->qkv, first, n, (n_head + n_kv + kv) * d, d);
            for (int i = 0; i < n; i++) {
                h.q = q + i * d;
                see_keys(&h, k, v, i, o->shape.window);
                softmax_of_scores(&h);
                put_output(result.out, first + i, head * d, &h);
                wide_add(result.lse, first + i, head, h.lse, h.lse_magnitude);
            }
            free(q), free(k), free(v);
        }
        heads_free(&h);
    }
    return result;
}

/* One query's share of dq, dk and dv: with dp_j = dout . v_j and ds_j = p_j (dp_j - sum p dp),
   dq += scale ds_j k_j,  dk_j += scale ds_j q,  dv_j += p_j dout. first: the row of the first key; columns
   are those of q, k, v in dqkv. */
static void add_gradient(wide dqkv, int first, const int column[3], const heads *h, const double *dout) {
    int row = first + h->n - 1, d = h->d;
    double mean = 0, mean_magnitude = 0;
    for (int j = 0; j < h->n; j++) {
        mean += h->p[j] * dot(dout, h->v + j * d, d);
        mean_magnitude += h->p[j] * dot_magnitude(dout, h->v + j * d, d);
    }
    for (int j = 0; j < h->n; j++) {
        const double *k = h->k + j * d, *v = h->v + j * d;
        double ds = h->scale * h->p[j] * (dot(dout, v, d) - mean);
        double ds_magnitude =
            fabs(h->scale) * h->p[j] * h->amplify[j] * (dot_magnitude(dout, v, d) + mean_magnitude);
        for (int c = 0; c < d; c++) {
            wide_add(dqkv, row, column[0] + c, ds * k[c], ds_magnitude * fabs(k[c]));
            wide_add(dqkv, first + j, column[1] + c, ds * h->q[c], ds_magnitude * fabs(h->q[c]));
            wide_add(dqkv, first + j, column[2] + c, h->p[j] * dout[c],
                     h->p[j] * h->amplify[j] * fabs(dout[c]));
        }
    }
}

wide reference_attention_dx(const struct op_attention_dx *o) {
    int d = o->shape.head_dim, n_head = o->shape.n_head, n_kv = o->shape.n_kv_head;
    wide dqkv = wide_create(o->dqkv.rows, o->dqkv.cols);
    for (int s = 0; s + 1 < o->start.n; s++) {
        int first = o->start.data[s], n = o->start.data[s + 1] - first;
        heads h = heads_create(n, d, o->shape.scale);
        for (int head = 0; head < n_head; head++) {
            int kv = head / (n_head / n_kv);
            int column[3] = {head * d, (n_head + kv) * d, (n_head + n_kv + kv) * d};
            double *q = take_head(o->qkv, first, n, column[0], d);
            double *k = take_head(o->qkv, first, n, column[1], d);
            double *v = take_head(o->qkv, first, n, column[2], d);
            double *dout = take_head(o->dout, first, n, head * d, d);
            for (int i = 0; i < n; i++) {
                h.q = q + i * d;
                see_keys(&h, k, v, i, o->shape.window);
                softmax_of_scores(&h);
                add_gradient(dqkv, first + i + 1 - h.n, column, &h, dout + i * d);
            }
            free(q), free(k), free(v), free(dout);
        }
        heads_free(&h);
    }
    return dqkv;
}

/* ---- pages ---- */

/* Where a position of a slot lies: the page's row and its place in the page. */
static int page_of(ivec page_table, int table_width, int slot, int position) {
    return page_table.data[slot * table_width + position / KV_PAGE];
}

/* Columns of a page: per key head [k transposed: d x 64 | v: 64 x d]. */
static int key_column(int kv, int d, int place, int c) { return kv * 2 * d * KV_PAGE + c * KV_PAGE + place; }
static int value_column(int kv, int d, int place, int c) {
    return kv * 2 * d * KV_PAGE + d * KV_PAGE + place * d + c;
}

wide reference_kv_write(const struct op_kv_write *o) {
    wide pages = wide_of_mat(o->pages);
    int d = o->shape.head_dim, n_head = o->shape.n_head, n_kv = o->shape.n_kv_head;
    for (int s = 0; s + 1 < o->start.n; s++)
        for (int row = o->start.data[s]; row < o->start.data[s + 1]; row++) {
            int position = o->cached.data[s] + row - o->start.data[s], place = position % KV_PAGE;
            int page = page_of(o->page_table, o->table_width, o->slot.data[s], position);
            for (int kv = 0; kv < n_kv; kv++)
                for (int c = 0; c < d; c++) {
                    *value_at(pages, page, key_column(kv, d, place, c)) =
                        at(o->qkv, row, (n_head + kv) * d + c);
                    *value_at(pages, page, value_column(kv, d, place, c)) =
                        at(o->qkv, row, (n_head + n_kv + kv) * d + c);
                }
        }
    return pages;
}

wide reference_attention_paged(const struct op_attention_paged *o) {
    int d = o->shape.head_dim, n_head = o->shape.n_head, n_kv = o->shape.n_kv_head;
    wide out = wide_create(o->out.rows, o->out.cols);
    for (int s = 0; s + 1 < o->start.n; s++) {
        int first = o->start.data[s], cached = o->cached.data[s], n = cached + o->start.data[s + 1] - first;
        heads h = heads_create(n, d, o->shape.scale);
        double *k = malloc(sizeof(double) * (size_t)n * (size_t)d);
        double *v = malloc(sizeof(double) * (size_t)n * (size_t)d);
        for (int head = 0; head < n_head; head++) {
            int kv = head / (n_head / n_kv);
            for (int j = 0; j < n; j++)
                for (int c = 0; c < d; c++) {
                    int page = page_of(o->page_table, o->table_width, o->slot.data[s], j);
                    k[j * d + c] = at(o->pages, page, key_column(kv, d, j % KV_PAGE, c));
                    v[j * d + c] = at(o->pages, page, value_column(kv, d, j % KV_PAGE, c));
                }
            double *q = take_head(o->qkv, first, n - cached, head * d, d);
            for (int i = 0; i < n - cached; i++) {
                h.q = q + i * d;
                see_keys(&h, k, v, cached + i, o->shape.window);
                softmax_of_scores(&h);
                put_output(out, first + i, head * d, &h);
            }
            free(q);
        }
        free(k), free(v);
        heads_free(&h);
    }
    return out;
}
