/* core/ops/far/operand_names: the name by which ops.h knows an operand, for error messages. */
#ifndef RLHF_OPS_FAR_OPERAND_NAMES_H
#define RLHF_OPS_FAR_OPERAND_NAMES_H

#include "core/ops/ops.h"

const char *op_name(op_id id);

/* The operand of the op's struct that lies at the address, by the name of its field ("w.forward"); "?" when
   there is none. */
const char *operand_name(op_id id, const void *operands, const void *address);

#endif
