#include <math.h>
#include <stdlib.h>

#include "tests/support/reference.h"

wide wide_create(int64_t rows, int64_t cols) {
    size_t n = (size_t)(rows * cols) + 1;
    return (wide){calloc(n, sizeof(double)), calloc(n, sizeof(double)), (int)rows, (int)cols};
}

void wide_free(wide w) {
    free(w.value);
    free(w.magnitude);
}

wide wide_of_mat(mat m) {
    if (!m.data) return (wide){0};
    wide w = wide_create(m.rows, m.cols);
    for (int r = 0; r < m.rows; r++)
        for (int c = 0; c < m.cols; c++) wide_add(w, r, c, at(m, r, c), fabs(at(m, r, c)));
    return w;
}

wide wide_of_vec(vec v) { return wide_of_mat(mat_of(v.data, 1, (int)v.n)); }

/* out[r, c] += sum over i of left[r, i] right[c, i] */
static void add_product(wide out, mat left, mat right) {
    for (int r = 0; r < out.rows; r++)
        for (int c = 0; c < out.cols; c++) {
            double sum = 0, magnitude = 0;
            for (int i = 0; i < left.cols; i++) {
                double term = at(left, r, i) * at(right, c, i);
                sum += term;
                magnitude += fabs(term);
            }
            wide_add(out, r, c, sum, magnitude);
        }
}

/* A copy with rows and columns exchanged; freed by the caller. */
static mat transposed(mat m) {
    mat t = mat_of(malloc(sizeof(float) * ((size_t)m.rows * (size_t)m.cols + 1)), m.cols, m.rows);
    for (int r = 0; r < m.rows; r++)
        for (int c = 0; c < m.cols; c++) t.data[c * t.ld + r] = (float)at(m, r, c);
    return t;
}

/* A copy of what products see; freed by the caller. */
static mat seen_weight(const weight *w) {
    mat m = mat_of(malloc(sizeof(float) * ((size_t)w->w.rows * (size_t)w->w.cols + 1)), w->w.rows, w->w.cols);
    for (int r = 0; r < m.rows; r++)
        for (int c = 0; c < m.cols; c++) m.data[r * m.ld + c] = (float)weight_at(w, r, c);
    return m;
}

wide reference_linear(const struct op_linear *o) {
    wide y = wide_create(o->y.rows, o->y.cols);
    mat w = seen_weight(&o->w);
    add_product(y, o->x, w);
    free(w.data);
    for (int r = 0; r < y.rows; r++)
        for (int c = 0; c < y.cols; c++) {
            if (o->bias.data) wide_add(y, r, c, o->bias.data[c], fabs(o->bias.data[c]));
            if (o->add.data) wide_add(y, r, c, at(o->add, r, c), fabs(at(o->add, r, c)));
        }
    return y;
}

wide reference_linear_dx(const struct op_linear_dx *o) {
    wide dx = wide_create(o->dx.rows, o->dx.cols);
    mat w = seen_weight(&o->w), columns = transposed(w);
    add_product(dx, o->dy, columns);
    free(w.data);
    free(columns.data);
    for (int r = 0; r < dx.rows && o->add.data; r++)
        for (int c = 0; c < dx.cols; c++) wide_add(dx, r, c, at(o->add, r, c), fabs(at(o->add, r, c)));
    return dx;
}

struct reference_linear_dw reference_linear_dw(const struct op_linear_dw *o) {
    struct reference_linear_dw out = {wide_of_mat(o->dw), wide_of_vec(o->db)};
    mat dy = transposed(o->dy), x = transposed(o->x);
    add_product(out.dw, dy, x);
    for (int c = 0; c < out.db.cols; c++)
        for (int r = 0; r < o->dy.rows; r++) wide_add(out.db, 0, c, at(o->dy, r, c), fabs(at(o->dy, r, c)));
    free(dy.data);
    free(x.data);
    return out;
}
