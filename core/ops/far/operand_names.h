/* core/ops/far/operand_names: the name by which ops.h knows an operand, for error messages. */
#ifndef RLHF_OPS_FAR_OPERAND_NAMES_H
#define RLHF_OPS_FAR_OPERAND_NAMES_H

#include <stddef.h>

#include "core/ops/ops.h"

const char *op_name(op_id id);

/* The operand whose pointer stands `offset` bytes into the op's struct: "w.forward"; "?" when there is none.
 */
const char *operand_name(op_id id, size_t offset);

#endif
