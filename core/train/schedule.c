#include "core/train/schedule.h"

#include <math.h>

static double rise(const struct schedule *s, int64_t step) {
    double from = s->warmup_from > 0 ? s->warmup_from : 1 / (double)s->warmup;
    return s->warmup == 1 ? from : from + (1 - from) * (double)step / (double)(s->warmup - 1);
}

double schedule_factor(const struct schedule *s, int64_t step) {
    if (step < s->warmup) return rise(s, step);
    double begin = s->flat * (double)s->steps, end = (double)s->steps;
    if (begin < (double)s->warmup) begin = (double)s->warmup;
    if (s->kind == SCHEDULE_CONSTANT || (double)step < begin) return 1;
    if ((double)step >= end) return s->final;
    double p = ((double)step - begin) / (end - begin);
    if (s->kind == SCHEDULE_LINEAR) return 1 - (1 - s->final) * p;
    return s->final + (1 - s->final) * 0.5 * (1 + cos(3.14159265358979323846 * p));
}
