/* core/ops/cpu/kv: the form in which keys and values are kept. A page holds 64 positions, per key head
   [k transposed: head_dim x 64 | v: 64 x head_dim]; what lies behind the last position written is undefined.
 */
#ifndef RLHF_OPS_CPU_KV_H
#define RLHF_OPS_CPU_KV_H

#include "core/ops/cpu/elem.h"

/* Elements of one key head in a page. */
static inline int64_t kv_head_size(int head_dim) { return (int64_t)2 * head_dim * KV_PAGE; }

/* Positions [first, first + n) of one key head's page from rows k and v [n, head_dim], both ld apart. */
void ELEM_NAME(kv_put)(elem *page, int first, int n, const elem *k, const elem *v, int64_t ld, int head_dim);

#endif
