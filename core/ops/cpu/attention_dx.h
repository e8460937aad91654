/* core/ops/cpu/attention_dx: what the backward pass of attention needs. */
#ifndef RLHF_OPS_CPU_ATTENTION_DX_H
#define RLHF_OPS_CPU_ATTENTION_DX_H

#include "core/ops/cpu/elem.h"

/* Floats of scratch of one thread, for sequences of up to max_len tokens. */
int64_t ELEM_NAME(attention_dx_floats)(int max_len, int head_dim);

#endif
