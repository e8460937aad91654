/* core/base/run_internal: what the parts of core/base/run share. */
#ifndef RLHF_BASE_RUN_INTERNAL_H
#define RLHF_BASE_RUN_INTERNAL_H

#include "core/base/run.h"

/* A directory in the making: temporary until it is put in place. */
typedef struct run_draft {
    char *temporary, *final; /* NULL: none in the making */
} run_draft;

struct run {
    char *directory, *checkpoints; /* "DIRECTORY/checkpoints" */
    char **path;                   /* what run_path gave out */
    int n_path;
    int keep_checkpoints;
    int n_made; /* directories that this open made: the run's own and those above it */
    bool is_new, given_up;
    int lock; /* file descriptors; -1: none */
    int metrics, timing;
    int64_t metrics_bytes; /* length of metrics.jsonl */
    logger log;
    lineage lineage;
    char *latest; /* path of the checkpoint to go on from; NULL: none */
    int64_t latest_step;
    run_draft checkpoint, output;
    int64_t checkpoint_step;
    bool checkpoint_stopped;
};

/* Opens the directory's checkpoints: finds the latest, removes those that a kill left behind or before their
 *turn. metrics_bytes: the length that metrics.jsonl had then; 0 without a checkpoint. */
status run_find_checkpoint(run *r, int64_t *metrics_bytes, error *err);
/* Finishes what a kill left between two renames of run_output_commit, for every entry of the directory. */
status run_recover_outputs(const char *directory, error *err);

status run_write_lineage(run *r, error *err);
/* Paths of files in the run, malloc'd; the status says "out of memory". */
status run_join(const char *directory, const char *name, char **out, error *err);

#endif
