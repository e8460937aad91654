/* core/ops/far/contract: what ops.h says of an op's operands beyond their memory: that their shapes
   and element types agree, and that indices on the device point into what they index. A device of its own
   would read elsewhere and say nothing. */
#ifndef RLHF_OPS_FAR_CONTRACT_H
#define RLHF_OPS_FAR_CONTRACT_H

#include "core/ops/ops.h"

/* The shapes of an op's struct, whose pointers are not followed. sizes: the device that packs and scratch are
   for. STATUS_FAILED with the first disagreement ("rstd holds 7, x.rows is 8"). */
status contract_check_shapes(op_id id, const void *operands, const device *sizes, error *err);

/* The element types: one for all activations and the weight's copies, f32 for what is a parameter's. */
status contract_check_types(op_id id, const void *operands, error *err);

/* The integers that the op will read, when it is about to run; operands are near. */
status contract_check_indices(op_id id, const void *operands, error *err);

#endif
