#include "tests/support/allocations.h"

#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/sanitized.h"

static atomic_long made;
/* Where OpenMP's code lies; 0 until it was looked for. */
static uintptr_t openmp_begin, openmp_end;

static int find_openmp(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size;
    (void)context;
    if (!strstr(object->dlpi_name, "/libgomp") && !strstr(object->dlpi_name, "/libomp")) return 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
        openmp_begin = object->dlpi_addr + part->p_vaddr;
        openmp_end = openmp_begin + part->p_memsz;
    }
    return 1;
}

long allocations_so_far(void) {
    if (SANITIZED) {
        print_message("allocations are not counted under AddressSanitizer: skipped\n");
        skip();
    }
    if (!openmp_end) dl_iterate_phdr(find_openmp, NULL);
    return made;
}

#if !SANITIZED
static void count(const void *caller) {
    uintptr_t at = (uintptr_t)caller;
    made += at < openmp_begin || at >= openmp_end;
}
#define COUNT_CALL() count(__builtin_return_address(0))

/* glibc's own, behind the names that this file takes. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t n) {
    COUNT_CALL();
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t size) {
    COUNT_CALL();
    return __libc_calloc(n, size);
}
void *realloc(void *memory, size_t n) {
    COUNT_CALL();
    return __libc_realloc(memory, n);
}
void *memalign(size_t align, size_t n) {
    COUNT_CALL();
    return __libc_memalign(align, n);
}
void *aligned_alloc(size_t align, size_t n) {
    COUNT_CALL();
    return __libc_memalign(align, n);
}
int posix_memalign(void **out, size_t align, size_t n) {
    COUNT_CALL();
    *out = __libc_memalign(align, n);
    return *out ? 0 : ENOMEM;
}
#endif
