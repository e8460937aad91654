#include "core/base/plan.h"

#include <stdio.h>

void plan_add(memory_plan *plan, const char *owner, const char *purpose, size_t bytes) {
    if (!bytes) return;
    if (plan->n < PLAN_MAX) {
        snprintf(plan->item[plan->n].purpose, sizeof plan->item[plan->n].purpose, "%s: %s", owner, purpose);
        plan->item[plan->n++].bytes = bytes;
    } else {
        plan->item[PLAN_MAX - 1].bytes += bytes;
    }
}

size_t plan_total(const memory_plan *plan) {
    size_t total = 0;
    for (int i = 0; i < plan->n; i++) total += plan->item[i].bytes;
    return total;
}
