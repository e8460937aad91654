#include "core/train/moments.h"

#include <math.h>

struct moments moments_of(int64_t n, const float *x) {
    if (n <= 0) return (struct moments){NAN, NAN};
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
    return (struct moments){mean, square / (double)n};
}
