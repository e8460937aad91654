/* core/train/checkpoint: a model and its optimizer in a checkpoint's directory, to the last bit. */
#ifndef RLHF_TRAIN_CHECKPOINT_H
#define RLHF_TRAIN_CHECKPOINT_H

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

#endif
