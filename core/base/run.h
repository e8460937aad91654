/* core/base/run: a run directory (docs/formats.md): its lock, its config, its metrics and log, its
   checkpoints, its lineage. SIGKILL at any moment leaves a directory that opens again. */
#ifndef RLHF_BASE_RUN_H
#define RLHF_BASE_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/buffer.h"
#include "core/base/config.h"
#include "core/base/error.h"
#include "core/base/lineage.h"
#include "core/base/log.h"

typedef struct run run;

typedef struct run_options {
    const char *directory;
    const char *kind; /* "sft", "reward", "ppo", "generate", "rounds" ...: for lineage.json */
    int round;        /* 0: of no round */
    uint64_t seed;
    const config_table *table; /* how to print and compare the config */
    const void *values;
    const char *const *sections;
    bool resume;
    int keep_checkpoints; /* at least 1 */
} run_options;

typedef enum run_state {
    RUN_NEW,      /* nothing done yet (also: resumed before the first checkpoint) */
    RUN_RESUMED,  /* run_checkpoint_path tells where to go on */
    RUN_FINISHED, /* done before: the caller ends with exit code 0 */
} run_state;

/* Opens or makes the directory and takes its lock; removes what a kill left; saves config.yaml; starts or
   continues log.txt and lineage.json. metrics.jsonl is empty, or cut back to the latest checkpoint.
   STATUS_FAILED: another program holds the lock, or the disk fails. STATUS_USAGE: there is an unfinished run
   and resume is not set; the config (keys named) or the program's version is another. STATUS_DATA: the
   directory holds something else, or a damaged checkpoint. In state RUN_FINISHED no file is touched. A run
   that was given up before its first metrics and files is begun anew, as if it were not there. */
status run_open(const run_options *options, run **out, run_state *state, error *err);
/* Releases the lock. A run that was not finished stays resumable. NULL is allowed. */
void run_close(run *r);
/* It could not begin, with bad data, say: if this open made the run and nothing stands in it yet, run_close
   removes what run_open made. NULL is allowed. */
void run_give_up(run *r);

const char *run_directory(const run *r);
logger *run_log(run *r); /* writes to stderr and log.txt */
/* "DIRECTORY/NAME", owned by the run until it is closed. NULL when out of memory. */
const char *run_path(run *r, const char *name);
lineage *run_lineage(run *r); /* add artifacts here; written at each checkpoint and at the end */

/* One flat JSON object, without newline, appended to metrics.jsonl (the same bytes in every run) or to
   timing.jsonl (clocks, rates and memory). */
status run_metrics(run *r, const buffer *line, error *err);
status run_timing(run *r, const buffer *line, error *err);

/* A checkpoint in three acts: begin returns a fresh temporary directory (owned by the run) for the caller's
   files; commit adds state.json (step and the length of metrics.jsonl), syncs, renames it to
   checkpoints/step-000037, replaces `latest`, and removes all but the newest keep_checkpoints; abandon
   removes it. stopped: made because a signal came, at a step where an undisturbed run makes none: it is not
   counted among those kept, and removed by the next one, so that both runs end with the same directory. */
status run_checkpoint_begin(run *r, int64_t step, bool stopped, const char **directory, error *err);
status run_checkpoint_commit(run *r, error *err);
void run_checkpoint_abandon(run *r);
/* The checkpoint to go on from: its directory and step; NULL when there is none. */
const char *run_checkpoint_path(const run *r);
int64_t run_checkpoint_step(const run *r);

/* The same for a result directory below the run ("model", "best", "policy" ...): begin returns a temporary
   directory; commit syncs it and puts it in the place of an older one; the moment between leaves the older or
   the newer, never a mixture. */
status run_output_begin(run *r, const char *name, const char **directory, error *err);
status run_output_commit(run *r, error *err);
void run_output_abandon(run *r);

/* Marks the run finished (lineage: ended_ms). Nothing may be written afterwards. */
status run_finish(run *r, error *err);

#endif
