/* Scratch of all ops, of which one runs at a time. */
#include "core/ops/cpu/elem.h"

int64_t ELEM_NAME(cpu_scratch)(int n_thread, const struct scratch_need *need) {
    int64_t floats =
        ELEM_NAME(cpu_vocab_scratch)(n_thread, need->max_row, need->width, need->vocab, need->backward);
    if (need->max_len > 0)
        floats = max_of(floats, ELEM_NAME(cpu_attention_scratch)(n_thread, need->max_len, need->head_dim,
                                                                 need->backward));
    if (need->backward)
        floats = max_of(floats, ELEM_NAME(cpu_linear_dw_scratch)(n_thread, need->max_token, need->max_cols));
    return floats;
}
