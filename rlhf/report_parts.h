/* rlhf/report_parts: the sections of the page, each in a file of its own. All append to out and leave out
   what is missing; a failed allocation is remembered in out. */
#ifndef RLHF_REPORT_PARTS_H
#define RLHF_REPORT_PARTS_H

#include "core/base/buffer.h"
#include "rlhf/report_read.h"

void report_append_overview(buffer *out, const report *r);
void report_append_stages(buffer *out, const report *r);
void report_append_answers(buffer *out, const report *r);
void report_append_time(buffer *out, const report *r);
void report_append_lineage(buffer *out, const report *r);

/* A figure of a stage, from summary.json; NaN when there is none. stage: index, or -1. */
double report_stage_number(const report *r, int stage, const char *key);
/* Index of the stage by its name in summary.json, or -1. */
int report_find_stage(const report *r, const char *name);

/* Mean and standard deviation of the gold scores of a stage's answers. n is 0 when there are none. */
typedef struct report_spread {
    int n;
    double mean, deviation;
} report_spread;
report_spread report_gold_spread(const report *r, int stage);

/* Seconds that a run took: by its lineage where it was not interrupted, else the sum of its timing; NaN:
 * unknown. */
double report_run_seconds(const report_run *run);

/* The sum over all runs where it is known. */
double report_total_seconds(const report *r);

/* Whether the held-out prompts are the bundled demo's, so that the gold rule is known. */
int report_asks_demo(const report *r);

#endif
