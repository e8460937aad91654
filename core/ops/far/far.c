/* The far backend: the CPU's ops behind memory that callers cannot touch (memory.h). It finds what would go
   wrong on a device of its own: a host pointer among operands, an operand longer than its allocation, memory
   used after its release or read before it was written, a write beyond an allocation, shapes that disagree,
   indices that point nowhere (contract.h) and, queued, host memory that changes before the device has read
   it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops/far/contract.h"
#include "core/ops/far/memory.h"
#include "core/ops/far/operand_names.h"
#include "core/ops/ops.h"

union operands {
#define OPERANDS_MEMBER(name) struct op_##name name;
    OPS_LIST(OPERANDS_MEMBER)
#undef OPERANDS_MEMBER
};

enum { CALL_UPLOAD = OP_COUNT, CALL_COPY, CALL_RELEASE };

/* One piece of work for the device, its far addresses turned into near ones. */
typedef struct call {
    int kind; /* op_id, or CALL_ */
    union {
        union operands op;
        struct {
            void *to;
            const void *from; /* of an upload: host memory, read when the call runs */
            size_t bytes;
        } move;
        far_allocation released;
    };
} call;

typedef struct far_device {
    device base;
    char name[96];
    device *cpu;
    far_memory memory;
    int queued;
    call *queue;
    int n_call, capacity;
    error violation; /* the first one since the last report; code STATUS_OK: none */
} far_device;

static far_device *far_of(device *dev) { return (far_device *)dev; }
static const far_device *far_of_const(const device *dev) { return (const far_device *)dev; }

static void remember(far_device *d, const error *violation) {
    if (d->violation.code == STATUS_OK) d->violation = *violation;
}

static void run_call(far_device *d, call *c) {
    error err;
    if (c->kind < OP_COUNT && contract_check_indices((op_id)c->kind, &c->op, &err) != STATUS_OK) {
        error_context(&err, "%s", op_name((op_id)c->kind));
        remember(d, &err);
        return;
    }
    switch (c->kind) {
#define RUN_OP(name)                                                                                         \
    case OP_##name:                                                                                          \
        d->cpu->ops->name(d->cpu, &c->op.name);                                                              \
        break;
        OPS_LIST(RUN_OP)
#undef RUN_OP
    case CALL_UPLOAD:
    case CALL_COPY:
        memmove(c->move.to, c->move.from, c->move.bytes);
        break;
    case CALL_RELEASE:
        far_memory_discard(&d->memory, &c->released);
        break;
    }
}

/* Runs the call now, or at the next download or sync. */
static void submit(far_device *d, call *c) {
    if (!d->queued) {
        run_call(d, c);
        return;
    }
    if (d->n_call == d->capacity) {
        int capacity = d->capacity ? 2 * d->capacity : 256;
        call *bigger = realloc(d->queue, (size_t)capacity * sizeof *bigger);
        if (!bigger) {
            error err;
            error_memory(&err, "the queue of far memory");
            remember(d, &err);
            return;
        }
        d->queue = bigger;
        d->capacity = capacity;
    }
    d->queue[d->n_call++] = *c;
}

/* ---- ops: check every operand, translate it, submit ---- */

struct check {
    far_device *device;
    op_id id;
    const void *operands; /* the op's struct as it was given */
    int failed;
};

static void check_operand(void *context, void **pointer, size_t bytes) {
    struct check *check = context;
    far_device *d = check->device;
    error err;
    if (far_memory_check(&d->memory, *pointer, bytes, &err) == STATUS_OK) {
        *pointer = far_memory_near(&d->memory, *pointer);
        return;
    }
    error_context(&err, "%s: operand %s", op_name(check->id),
                  operand_name(check->id, check->operands, *pointer));
    remember(d, &err);
    check->failed = 1;
}

static void submit_op(device *dev, op_id id, const void *operands, size_t bytes) {
    far_device *d = far_of(dev);
    call c = {.kind = id};
    memcpy(&c.op, operands, bytes);
    struct check check = {d, id, operands, 0};
    op_visit_operands(id, &c.op, check_operand, &check);
    if (check.failed) return;
    error err;
    if (contract_check_types(id, operands, &err) == STATUS_OK &&
        contract_check_shapes(id, operands, d->cpu, &err) == STATUS_OK) {
        submit(d, &c);
        return;
    }
    error_context(&err, "%s", op_name(id));
    remember(d, &err);
}

#define SUBMIT_OP(name)                                                                                      \
    static void far_##name(device *dev, const struct op_##name *o) {                                         \
        submit_op(dev, OP_##name, o, sizeof *o);                                                             \
    }
OPS_LIST(SUBMIT_OP)
#undef SUBMIT_OP

/* ---- sizes are the CPU's ---- */

static int64_t far_forward_pack(const device *dev, dtype type, int n, int k) {
    const device *cpu = far_of_const(dev)->cpu;
    return cpu->ops->forward_pack(cpu, type, n, k);
}

static int64_t far_backward_pack(const device *dev, dtype type, int n, int k) {
    const device *cpu = far_of_const(dev)->cpu;
    return cpu->ops->backward_pack(cpu, type, n, k);
}

static int64_t far_scratch(const device *dev, const struct scratch_need *need) {
    const device *cpu = far_of_const(dev)->cpu;
    return cpu->ops->scratch(cpu, need);
}

static double far_measure_peak(device *dev, dtype type) { return device_peak_flops(far_of(dev)->cpu, type); }

/* ---- memory ---- */

static status far_allocate(device *dev, size_t bytes, void **out, error *err) {
    return far_memory_allocate(&far_of(dev)->memory, bytes, out, err);
}

static void far_release(device *dev, void *memory) {
    far_device *d = far_of(dev);
    if (!memory) return;
    call c = {.kind = CALL_RELEASE};
    if (far_memory_release(&d->memory, memory, &c.released)) {
        submit(d, &c);
        return;
    }
    error err;
    error_set(&err, STATUS_FAILED, "release: no allocation starts at %p", memory);
    remember(d, &err);
}

static int is_device_memory(far_device *d, const void *address, size_t bytes, const char *what) {
    error err;
    if (far_memory_check(&d->memory, address, bytes, &err) == STATUS_OK) return 1;
    error_context(&err, "%s", what);
    remember(d, &err);
    return 0;
}

static void far_upload(device *dev, void *to, const void *host, size_t bytes) {
    far_device *d = far_of(dev);
    if (!bytes || !is_device_memory(d, to, bytes, "upload: to")) return;
    submit(d, &(call){.kind = CALL_UPLOAD, .move = {far_memory_near(&d->memory, to), host, bytes}});
}

static void far_copy(device *dev, void *to, const void *from, size_t bytes) {
    far_device *d = far_of(dev);
    if (!bytes || !is_device_memory(d, to, bytes, "copy: to") ||
        !is_device_memory(d, from, bytes, "copy: from"))
        return;
    submit(d, &(call){.kind = CALL_COPY,
                      .move = {far_memory_near(&d->memory, to), far_memory_near(&d->memory, from), bytes}});
}

static status far_sync(device *dev, error *err) {
    far_device *d = far_of(dev);
    for (int i = 0; i < d->n_call; i++) run_call(d, &d->queue[i]);
    d->n_call = 0;
    TRY(d->cpu->ops->sync(d->cpu, err));
    error found;
    if (far_memory_check_guards(&d->memory, &found) != STATUS_OK) remember(d, &found);
    if (d->violation.code == STATUS_OK) return STATUS_OK;
    found = d->violation;
    d->violation.code = STATUS_OK;
    return error_set(err, found.code, "%s", found.message);
}

static status far_download(device *dev, void *host, const void *from, size_t bytes, error *err) {
    far_device *d = far_of(dev);
    int valid = !bytes || is_device_memory(d, from, bytes, "download: from");
    TRY(far_sync(dev, err));
    if (valid && bytes) memcpy(host, far_memory_near(&d->memory, from), bytes);
    return STATUS_OK;
}

/* What is still queued is dropped: nobody can see its results any more. */
static void far_close(device *dev) {
    far_device *d = far_of(dev);
    far_memory_close(&d->memory);
    device_close(d->cpu);
    free(d->queue);
    free(d);
}

static const struct ops far_ops = {
#define OPS_ENTRY(name) .name = far_##name,
    OPS_LIST(OPS_ENTRY)
#undef OPS_ENTRY
        .forward_pack = far_forward_pack,
    .backward_pack = far_backward_pack,
    .scratch = far_scratch,
    .measure_peak = far_measure_peak,
    .allocate = far_allocate,
    .release = far_release,
    .upload = far_upload,
    .copy = far_copy,
    .download = far_download,
    .sync = far_sync,
    .close = far_close,
};

status device_open_far(int threads, int queued, device **out, error *err) {
    device *cpu;
    TRY(device_open_cpu(threads, &cpu, err));
    far_device *d = calloc(1, sizeof *d);
    status code = d ? far_memory_open(&d->memory, err) : error_memory(err, "a far device");
    if (code != STATUS_OK) {
        device_close(cpu);
        free(d);
        return code;
    }
    d->cpu = cpu;
    d->queued = queued;
    snprintf(d->name, sizeof d->name, "far%s, %s", queued ? " queued" : "", cpu->name);
    d->base = (device){.ops = &far_ops, .name = d->name, .n_thread = cpu->n_thread};
    *out = &d->base;
    return STATUS_OK;
}
