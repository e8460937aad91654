#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base/cpu.h"
#include "core/ops/cpu/cpu.h"

enum { VECTOR_BYTES = 64, HUGE_PAGE = 2 << 20 };

struct cpu_device {
    device base;
    char name[64];
};

status cpu_allocate(device *dev, size_t bytes, void **out, error *err) {
    size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : VECTOR_BYTES;
    void *memory = NULL;
    *out = NULL;
    if (bytes > SIZE_MAX / 2) return error_set(err, STATUS_FAILED, "cannot allocate %zu bytes", bytes);
    size_t rounded = (bytes + align) / align * align;
    if (posix_memalign(&memory, align, rounded) != 0)
        return error_set(err, STATUS_FAILED,
                         "cannot allocate %zu bytes of memory; lower the batch or cache limits", bytes);
    if (align == HUGE_PAGE) madvise(memory, rounded, MADV_HUGEPAGE);
    /* Touched here, so that no page fault lands in a step. */
    long n_page = (long)(rounded / 4096);
#pragma omp parallel for num_threads(dev->n_thread) if (n_page > 4096)
    for (long i = 0; i < n_page; i++) ((volatile char *)memory)[(size_t)i * 4096] = 0;
    *out = memory;
    return STATUS_OK;
}

void cpu_release(device *dev, void *memory) {
    (void)dev;
    free(memory);
}

void cpu_upload(device *dev, void *to, const void *host, size_t bytes) { cpu_copy(dev, to, host, bytes); }

void cpu_copy(device *dev, void *to, const void *from, size_t bytes) {
    (void)dev;
    if (bytes > 0) memmove(to, from, bytes);
}

status cpu_download(device *dev, void *host, const void *from, size_t bytes, error *err) {
    (void)err;
    cpu_copy(dev, host, from, bytes);
    return STATUS_OK;
}

status cpu_sync(device *dev, error *err) {
    (void)dev;
    (void)err;
    return STATUS_OK;
}

void cpu_close(device *dev) { free(dev); }

static const struct ops *ops_of(cpu_isa isa) {
    static const struct ops *const ops[] = {&cpu_ops_avx2, &cpu_ops_avx512, &cpu_ops_avx512bf16};
    return ops[isa];
}

status device_open_cpu(int threads, device **out, error *err) {
    *out = NULL;
    if (threads < 0) return error_set(err, STATUS_USAGE, "threads: %d is negative; 0 means all", threads);
    cpu_isa isa;
    TRY(cpu_choose_isa(&isa, err));
    struct cpu_device *made = calloc(1, sizeof *made);
    if (!made) return error_memory(err, "device");
    made->base.ops = ops_of(isa);
    made->base.n_thread = threads > 0 ? threads : cpu_count();
    made->base.name = made->name;
    snprintf(made->name, sizeof made->name, "cpu %s, %d thread%s", cpu_isa_name(isa), made->base.n_thread,
             made->base.n_thread == 1 ? "" : "s");
    *out = &made->base;
    return STATUS_OK;
}
