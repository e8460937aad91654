/* core/train/optimizer: AdamW (Kingma & Ba 2015; Loshchilov & Hutter 2019) over a model's flat parameters,
   with clipping by the global norm and, optionally, an exponential moving average of the parameters. All of
   it lives in device memory cut when the optimizer is made: a step allocates nothing. */
#ifndef RLHF_TRAIN_OPTIMIZER_H
#define RLHF_TRAIN_OPTIMIZER_H

#include <stdint.h>

#include "core/base/error.h"
#include "core/base/plan.h"
#include "core/dist/dist.h"
#include "core/model/model.h"

typedef struct optimizer optimizer;

struct optimizer_options {
    float beta1, beta2; /* in [0, 1) */
    float eps;          /* > 0 */
    int tf1; /* 1: epsilon is added before the bias correction, as TensorFlow 1 does; 0: as PyTorch does */
    float weight_decay; /* of parameters that decay: matrices and embeddings */
    float clip;         /* largest norm of the gradient; a longer one is scaled by clip / norm. 0: off */
    float ema;          /* decay of the average per step; 0: there is none */
    dist *ranks;        /* whose gradients are summed at each step; NULL: this process alone */
};

/* What a checkpoint holds: device memory at the flat's offsets, [count] each. A restore writes m, v and ema
   (by upload) and sets step. */
struct optimizer_state {
    float *m, *v, *ema; /* moments; the average, NULL where there is none */
    int64_t count;
    int64_t step; /* updates made so far */
};

/* Adds what optimizer_create will take for `count` parameters (flat->count). */
void optimizer_plan(int64_t count, const struct optimizer_options *how, const char *owner, memory_plan *plan);

/* For the parameters of a trained model, as they stand (the average starts from them). parameters stays the
   model's and must outlive the optimizer. */
status optimizer_create(device *dev, const flat *parameters, const struct optimizer_options *how,
                        optimizer **out, error *err);
void optimizer_free(optimizer *o);

/* Afresh: moments 0, step 0, the average equal to the parameters. */
void optimizer_zero(optimizer *o);

/* The norm of the whole gradient: squares in f32, in fixed chunks that are added in f64, ascending. Waits. */
status optimizer_norm(optimizer *o, double *norm, error *err);

/* One update from the gradient, which is left as it is (model_zero_grad). *norm (may be NULL) is that of the
   gradient before clipping. A gradient that is not finite is STATUS_FAILED naming its first parameter, and
   nothing is changed. Call model_changed afterwards. */
status optimizer_step(optimizer *o, double lr, double *norm, error *err);

struct optimizer_state *optimizer_get_state(optimizer *o);

#endif
