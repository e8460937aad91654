#include "core/ops/cpu/cpu.h"

/* Ops that have a kernel for each type of activations, and the operand that tells the type. */
#define OPS_OF_A_TYPE(X)                                                                                     \
    X(linear, x)                                                                                             \
    X(linear_dx, dy)                                                                                         \
    X(linear_dw, x)                                                                                          \
    X(weights_pack, w)                                                                                       \
    X(norm, x)                                                                                               \
    X(norm_dx, x)                                                                                            \
    X(head_norm, x)                                                                                          \
    X(head_norm_dx, x)                                                                                       \
    X(gelu, x)                                                                                               \
    X(gelu_dx, x)                                                                                            \
    X(glu, x)                                                                                                \
    X(glu_dx, x)                                                                                             \
    X(rope, x)                                                                                               \
    X(add, b)                                                                                                \
    X(scale, x)                                                                                              \
    X(embed, out)                                                                                            \
    X(embed_dw, dout)                                                                                        \
    X(rows_gather, x)                                                                                        \
    X(rows_add, x)                                                                                           \
    X(attention, qkv)                                                                                        \
    X(attention_dx, qkv)                                                                                     \
    X(kv_write, qkv)                                                                                         \
    X(attention_paged, qkv)                                                                                  \
    X(vocab, hidden)                                                                                         \
    X(vocab_dx, hidden)                                                                                      \
    X(score, hidden)                                                                                         \
    X(score_dx, hidden)                                                                                      \
    X(sample, hidden)
#define OPS_OF_NO_TYPE(X) X(adamw) X(sumsq) X(axpby) X(lerp) X(fill)

/* The names of elem.h, seen from outside. */
#define OF_TYPE(type, name, ...)                                                                             \
    ((type) == TYPE_BF16 ? ISA_PASTE(ISA_NAME(name), bf16)(__VA_ARGS__)                                      \
                         : ISA_PASTE(ISA_NAME(name), f32)(__VA_ARGS__))
#define DECLARE(result, name, ...)                                                                           \
    result ISA_PASTE(ISA_NAME(name), f32)(__VA_ARGS__);                                                      \
    result ISA_PASTE(ISA_NAME(name), bf16)(__VA_ARGS__);

/* The entry points: denormals are flushed inside an op, and the caller's mode is put back. */
#define RUN(name, call)                                                                                      \
    static void run_##name(device *dev, const struct op_##name *o) {                                         \
        unsigned mode = _mm_getcsr();                                                                        \
        flush_denormals();                                                                                   \
        call;                                                                                                \
        _mm_setcsr(mode);                                                                                    \
    }
#define RUN_OF_A_TYPE(name, operand)                                                                         \
    DECLARE(void, cpu_##name, device *, const struct op_##name *)                                            \
    RUN(name, OF_TYPE(o->operand.type, cpu_##name, dev, o))
#define RUN_OF_NO_TYPE(name) RUN(name, ISA_NAME(cpu_##name)(dev, o))
OPS_OF_A_TYPE(RUN_OF_A_TYPE)
OPS_OF_NO_TYPE(RUN_OF_NO_TYPE)

DECLARE(int64_t, cpu_forward_pack, int n, int k)
DECLARE(int64_t, cpu_backward_pack, int n, int k)
DECLARE(int64_t, cpu_scratch, int n_thread, const struct scratch_need *)
DECLARE(double, cpu_measure_peak, int n_thread)

static int64_t forward_pack(const device *dev, dtype type, int n, int k) {
    (void)dev;
    return OF_TYPE(type, cpu_forward_pack, n, k);
}

static int64_t backward_pack(const device *dev, dtype type, int n, int k) {
    (void)dev;
    return OF_TYPE(type, cpu_backward_pack, n, k);
}

static int64_t scratch(const device *dev, const struct scratch_need *need) {
    return OF_TYPE(need->type, cpu_scratch, dev->n_thread, need);
}

static double measure_peak(device *dev, dtype type) { return OF_TYPE(type, cpu_measure_peak, dev->n_thread); }

#define MEMBER(name) .name = run_##name,
const struct ops ISA_NAME(cpu_ops) = {
    OPS_LIST(MEMBER).forward_pack = forward_pack,
    .backward_pack = backward_pack,
    .scratch = scratch,
    .measure_peak = measure_peak,
    .allocate = cpu_allocate,
    .release = cpu_release,
    .upload = cpu_upload,
    .copy = cpu_copy,
    .download = cpu_download,
    .sync = cpu_sync,
    .close = cpu_close,
};
