/* rlhf/report_read: gathers what a rounds directory holds for its report. */
#ifndef RLHF_REPORT_READ_H
#define RLHF_REPORT_READ_H

#include "core/base/error.h"
#include "core/base/json.h"

enum { REPORT_PHASES = 16 }; /* of a run, kept apart; further ones are added to the last */

/* Seconds and tokens of one phase of a run ("step" for lines of timing.jsonl without a phase). */
typedef struct report_phase {
    char name[32];
    double seconds, tokens;
    double share, share_seconds; /* sum of share of peak x seconds, and of the seconds that it is known for */
} report_phase;

/* A run directory below the rounds directory. */
typedef struct report_run {
    char path[48];   /* "pretrain", "round-01/reward" */
    char title[48];  /* "Pre-training", "Round 1: reward model" */
    json_t *metrics; /* array of metrics.jsonl's objects; NULL: none */
    json_t *lineage; /* lineage.json; NULL: none */
    int n_phase;     /* 0: no timing.jsonl */
    report_phase phase[REPORT_PHASES];
    long long n_answer; /* lines of answers.jsonl; -1: none */
} report_run;

/* The model as it was evaluated after one stage. */
typedef struct report_stage {
    char name[24];   /* as in summary.json: "pretrain", "sft", "round1" */
    char title[32];  /* "Before SFT", "After SFT", "After round 1" */
    json_t *summary; /* its element of summary.json; NULL: none */
    json_t *answers; /* array of {"key","prompt","text","finish","gold","score"}; NULL: none. key tells
                        prompts apart, prompt is what a reader wants to see of it */
    json_t *first;   /* object: key -> the first of its answers (borrowed from answers) */
} report_stage;

/* What round r = 1 .. n_round left, by index into runs; -1 where there is none. */
typedef struct report_round {
    int sample, reward, ppo, evaluate;
    long long n_ranking; /* lines of snapshot.jsonl; -1: none */
} report_round;

typedef struct report {
    char *name; /* the directory's own name */
    int n_run, n_stage, n_round;
    report_run *run;
    report_stage *stage;
    report_round *round; /* [n_round], index r - 1 */
    int pretrain, sft;   /* index into runs, -1: none */
} report;

/* STATUS_DATA: there is no such directory, or a file in it cannot be understood (file:line: what is wrong).
 */
status report_read(const char *directory, report *out, error *err);
void report_free(report *r);

/* The array of summary.json, checked: objects with a string "stage". */
status report_read_summary(const char *directory, json_t **out, error *err);

/* A number of an object; NaN when it is NULL, missing or null. */
double report_number(const json_t *object, const char *key);

/* One curve of metrics.jsonl: y over x where both are numbers; validation lines (with "split") or the others.
   The two arrays are the caller's (free both). n is 0 when there is nothing; -1 without memory. */
typedef struct report_curve {
    int n;
    double *x, *y;
} report_curve;
report_curve report_read_curve(const json_t *metrics, const char *x, const char *y, int validation);
void report_free_curve(report_curve *c);

#endif
