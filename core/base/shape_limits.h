/* core/base/shape_limits: the largest sizes of a model: what the settings offer is what core/model takes. */
#ifndef RLHF_BASE_SHAPE_LIMITS_H
#define RLHF_BASE_SHAPE_LIMITS_H

enum {
    SHAPE_MOST_VOCAB = 1 << 24,
    SHAPE_MOST_CONTEXT = 1 << 20,
    SHAPE_MOST_WIDTH = 1 << 16, /* d_model */
    SHAPE_MOST_LAYERS = 1024,
    SHAPE_MOST_HEADS = 1024,
    SHAPE_MOST_HEAD_DIM = 256,
    SHAPE_MOST_MLP = 1 << 18, /* d_ff */
};

#endif
