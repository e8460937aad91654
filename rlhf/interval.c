#include "rlhf/interval.h"

#include <math.h>

interval interval_wilson(double p, double n) {
    const double z = INTERVAL_Z;
    double scale = 1 + z * z / n, middle = (p + z * z / (2 * n)) / scale,
           half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale;
    return (interval){p, fmax(middle - half, 0), fmin(middle + half, 1)};
}

/* The correlation of the two sides, corrected for continuity where it is positive. */
static double correlation(const interval_pairs *t, double n) {
    double a = t->both, b = t->first, c = t->second, d = t->neither;
    double margins = (a + b) * (c + d) * (a + c) * (b + d), excess = a * d - b * c;
    if (margins == 0) return 0;
    if (excess > 0) excess = fmax(excess - n / 2, 0);
    return excess / sqrt(margins);
}

/* sqrt(x^2 - 2 phi x y + y^2), which rounding must not push below 0. */
static double joined(double x, double y, double phi) {
    return sqrt(fmax(x * x - 2 * phi * x * y + y * y, 0));
}

interval interval_paired_difference(const interval_pairs *t) {
    double n = (double)t->both + t->first + t->second + t->neither;
    interval p = interval_wilson(((double)t->both + t->first) / n, n),
             q = interval_wilson(((double)t->both + t->second) / n, n);
    double phi = correlation(t, n), difference = ((double)t->first - t->second) / n;
    return (interval){difference, difference - joined(p.value - p.low, q.high - q.value, phi),
                      difference + joined(q.value - q.low, p.high - p.value, phi)};
}

interval interval_ratio(int n, const double *y, const double *x) {
    double sum_y = 0, sum_x = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        sum_y += y[i];
        sum_x += x[i];
    }
    double r = sum_y / sum_x;
    for (int i = 0; i < n; i++) squares += (y[i] - r * x[i]) * (y[i] - r * x[i]);
    double half = n > 1 ? INTERVAL_Z * sqrt(squares * n / (n - 1)) / sum_x : (double)NAN;
    return (interval){r, r - half, r + half};
}
