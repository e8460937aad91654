#include "core/ops/cpu/cpu.h"

/* The entry points: denormals are flushed inside an op, and the caller's mode is put back. */
#define TABLE_ENTRY(name)                                                                                    \
    static void run_##name(device *dev, const struct op_##name *o) {                                         \
        unsigned mode = _mm_getcsr();                                                                        \
        flush_denormals();                                                                                   \
        ISA_NAME(cpu_##name)(dev, o);                                                                        \
        _mm_setcsr(mode);                                                                                    \
    }
OPS_LIST(TABLE_ENTRY)

#define TABLE_MEMBER(name) .name = run_##name,
const struct ops ISA_NAME(cpu_ops) = {
    OPS_LIST(TABLE_MEMBER).forward_pack = ISA_NAME(cpu_forward_pack),
    .backward_pack = ISA_NAME(cpu_backward_pack),
    .scratch = ISA_NAME(cpu_scratch),
    .measure_peak = ISA_NAME(cpu_measure_peak),
    .allocate = cpu_allocate,
    .release = cpu_release,
    .upload = cpu_upload,
    .copy = cpu_copy,
    .download = cpu_download,
    .sync = cpu_sync,
    .close = cpu_close,
};

int64_t ISA_NAME(cpu_scratch)(const device *dev, const struct scratch_need *need) {
    int64_t head =
        ISA_NAME(cpu_vocab_scratch)(dev->n_thread, need->max_row, need->width, need->vocab, need->backward);
    int64_t attention = 0, dw = 0;
    if (need->max_len > 0)
        attention =
            ISA_NAME(cpu_attention_scratch)(dev->n_thread, need->max_len, need->head_dim, need->backward);
    if (need->backward) dw = ISA_NAME(cpu_linear_dw_scratch)(dev->n_thread, need->max_token, need->max_cols);
    return max_of(head, max_of(attention, dw));
}
