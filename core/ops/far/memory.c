#include "core/ops/far/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, HEAD_GUARD = 64, TAIL_GUARD = 1024 };

static const size_t reserved = (size_t)64 << 30; /* addresses, not memory */
static const uint32_t unset = 0x7fc07fa1;        /* a NaN, and as two bf16 two of them */

static void *map_view(int file, int protection) {
    void *view = mmap(NULL, reserved, protection, MAP_SHARED | MAP_NORESERVE, file, 0);
    return view == MAP_FAILED ? NULL : view;
}

status far_memory_open(far_memory *memory, error *err) {
    *memory = (far_memory){.file = memfd_create("rlhf far memory", MFD_CLOEXEC)};
    if (memory->file >= 0) {
        memory->far = map_view(memory->file, PROT_NONE);
        memory->near = map_view(memory->file, PROT_READ | PROT_WRITE);
    }
    if (memory->far && memory->near) return STATUS_OK;
    error_set(err, STATUS_FAILED, "far memory: cannot map %zu GiB of addresses twice: %s", reserved >> 30,
              strerror(errno));
    far_memory_close(memory);
    return STATUS_FAILED;
}

void far_memory_close(far_memory *memory) {
    if (memory->far) munmap(memory->far, reserved);
    if (memory->near) munmap(memory->near, reserved);
    if (memory->file >= 0) close(memory->file);
    free(memory->allocation);
    *memory = (far_memory){.file = -1};
}

static int grow_table(far_memory *memory) {
    if (memory->n < memory->capacity) return 1;
    int capacity = memory->capacity ? 2 * memory->capacity : 64;
    far_allocation *bigger = realloc(memory->allocation, (size_t)capacity * sizeof *bigger);
    if (!bigger) return 0;
    memory->allocation = bigger;
    memory->capacity = capacity;
    return 1;
}

/* The byte of the pattern that stands at a place of untouched memory. */
static unsigned char unset_byte(size_t at) { return (unsigned char)(unset >> (8 * (at % 4))); }

status far_memory_allocate(far_memory *memory, size_t bytes, void **out, error *err) {
    size_t left = reserved - memory->used;
    if (bytes > left || HEAD_GUARD + TAIL_GUARD + PAGE > left - bytes)
        return error_set(err, STATUS_FAILED,
                         "far memory: %zu bytes do not fit: %zu of %zu GiB were given out", bytes,
                         memory->used >> 30, reserved >> 30);
    far_allocation a = {.start = memory->used + HEAD_GUARD, .bytes = bytes, .begin = memory->used};
    a.end = (a.start + bytes + TAIL_GUARD + PAGE - 1) / PAGE * PAGE;
    if (!grow_table(memory)) return error_memory(err, "the table of far allocations");
    if (ftruncate(memory->file, (off_t)a.end) != 0)
        return error_set(err, STATUS_FAILED, "far memory: cannot grow to %zu bytes: %s", a.end,
                         strerror(errno));
    uint32_t *words = (uint32_t *)(memory->near + a.begin);
    for (size_t i = 0; i < (a.end - a.begin) / sizeof *words; i++) words[i] = unset;
    memory->used = a.end;
    memory->allocation[memory->n++] = a;
    *out = memory->far + a.start;
    return STATUS_OK;
}

/* The last allocation that begins at or before the place; -1 when there is none. */
static int find_allocation(const far_memory *memory, size_t at) {
    int low = 0, high = memory->n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (memory->allocation[middle].begin <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

static int is_far(const far_memory *memory, const void *address) {
    uintptr_t a = (uintptr_t)address, far = (uintptr_t)memory->far;
    return a >= far && a - far < reserved;
}

int far_memory_release(far_memory *memory, const void *address, far_allocation *released) {
    if (!is_far(memory, address)) return 0;
    size_t at = (size_t)((const char *)address - memory->far);
    int i = find_allocation(memory, at);
    if (i < 0 || memory->allocation[i].start != at) return 0;
    *released = memory->allocation[i];
    memory->n--;
    memmove(&memory->allocation[i], &memory->allocation[i + 1],
            (size_t)(memory->n - i) * sizeof memory->allocation[0]);
    return 1;
}

void far_memory_discard(far_memory *memory, const far_allocation *released) {
    fallocate(memory->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)released->begin,
              (off_t)(released->end - released->begin));
}

void *far_memory_near(const far_memory *memory, const void *address) {
    return memory->near + ((const char *)address - memory->far);
}

status far_memory_check(const far_memory *memory, const void *address, size_t bytes, error *err) {
    if (!is_far(memory, address))
        return error_set(err, STATUS_FAILED, "%zu bytes at %p are host memory, where device memory belongs",
                         bytes, address);
    size_t at = (size_t)((const char *)address - memory->far);
    int i = find_allocation(memory, at);
    const far_allocation *a = i < 0 ? NULL : &memory->allocation[i];
    if (!a || at >= a->end)
        return error_set(err, STATUS_FAILED, "%zu bytes at %p lie in no allocation: released, or never made",
                         bytes, address);
    if (at < a->start || at - a->start > a->bytes || bytes > a->bytes - (at - a->start))
        return error_set(err, STATUS_FAILED, "%zu bytes from byte %lld of an allocation of %zu bytes", bytes,
                         (long long)at - (long long)a->start, a->bytes);
    return STATUS_OK;
}

static int guard_is_whole(const far_memory *memory, size_t from, size_t to) {
    for (size_t i = from; i < to; i++)
        if ((unsigned char)memory->near[i] != unset_byte(i)) return 0;
    return 1;
}

status far_memory_check_guards(const far_memory *memory, error *err) {
    for (int i = 0; i < memory->n; i++) {
        const far_allocation *a = &memory->allocation[i];
        if (!guard_is_whole(memory, a->begin, a->start) ||
            !guard_is_whole(memory, a->start + a->bytes, a->end))
            return error_set(err, STATUS_FAILED, "an op wrote outside an allocation of %zu bytes at %p",
                             a->bytes, (void *)(memory->far + a->start));
    }
    return STATUS_OK;
}
