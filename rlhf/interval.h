/* rlhf/interval: how sure a share is: 95 % intervals of one share, and of the difference of two that were
   counted on the same things. Closed forms: nothing is drawn. */
#ifndef RLHF_RLHF_INTERVAL_H
#define RLHF_RLHF_INTERVAL_H

#define INTERVAL_Z 1.959963984540054 /* the normal distribution's 97.5 % point */

typedef struct interval {
    double value, low, high;
} interval;

/* Wilson's score interval (1927) of a share p in [0, 1] of n > 0 independent trials; n need not be whole. */
interval interval_wilson(double p, double n);

/* How two sides did on the same things. */
typedef struct interval_pairs {
    int both, first, second, neither; /* right: both sides, only the first, only the second, neither */
} interval_pairs;

/* The first side's share less the second's, in [-1, 1]: Newcombe 1998 (Statistics in Medicine 17, 2635),
   method 10: the two Wilson intervals squared and added, less what the correlation of the sides takes away.
   It also holds where the sides hardly differ, or are right always or never. At least one pair. */
interval interval_paired_difference(const interval_pairs *pairs);

/* sum y / sum x over n clusters (documents), each drawn whole: the linearised ratio of cluster samples
   (Cochran 1977, section 6.3), se^2 = n / (n - 1) sum (y - r x)^2 / (sum x)^2. low and high are NaN for fewer
   than two. */
interval interval_ratio(int n, const double *y, const double *x);

#endif
