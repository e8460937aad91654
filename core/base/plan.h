/* core/base/plan: what memory a run will take, by purpose. Filled by the same layout code that later cuts the
 * arenas. */
#ifndef RLHF_BASE_PLAN_H
#define RLHF_BASE_PLAN_H

#include <stddef.h>

enum { PLAN_MAX = 64 };

typedef struct memory_plan {
    int n;
    struct {
        char purpose[80];
        size_t bytes;
    } item[PLAN_MAX];
} memory_plan;

/* Adds bytes under "OWNER: PURPOSE"; 0 bytes adds nothing. Items beyond PLAN_MAX are joined to the last one.
 */
void plan_add(memory_plan *plan, const char *owner, const char *purpose, size_t bytes);
size_t plan_total(const memory_plan *plan);

#endif
