/* core/train/checkpoint: a model and its optimizer in a checkpoint's directory, to the last bit. */
#ifndef RLHF_TRAIN_CHECKPOINT_H
#define RLHF_TRAIN_CHECKPOINT_H

#include "core/base/run.h"
#include "core/model/model.h"
#include "core/train/optimizer.h"

/* DIRECTORY/NAME/: the model as model_save writes it, and optimizer.safetensors with step, m, v and the
 * average. */
status checkpoint_save(const char *directory, const char *name, const model *m, optimizer *o, error *err);
/* Restores both in place. STATUS_DATA: missing, damaged, or of another shape. */
status checkpoint_load(const char *directory, const char *name, model *m, optimizer *o, error *err);

/* Where a loop stands: named numbers in DIRECTORY/loop.json. Whole numbers below 2^53 and doubles come back
   exactly; a figure that is not finite is written null and comes back NaN. */
typedef struct loop_figure {
    const char *name;
    double *value;
} loop_figure;
status checkpoint_save_loop(const char *directory, const loop_figure *figures, int n, error *err);
status checkpoint_load_loop(const char *directory, const loop_figure *figures, int n, error *err);

/* The whole checkpoint of a run: its models with their optimizers, and where its loop stands. Written whole
   or not at all; stopped: see run_checkpoint_begin. Read from the latest one, which must be there. */
typedef struct checkpoint_part {
    const char *name; /* "model", "policy", ... */
    model *model;
    optimizer *optimizer;
} checkpoint_part;
status checkpoint_write(run *r, int64_t step, int stopped, const checkpoint_part *parts, int n_part,
                        const loop_figure *loop, int n_loop, error *err);
status checkpoint_read(const run *r, const checkpoint_part *parts, int n_part, const loop_figure *loop,
                       int n_loop, error *err);

#endif
