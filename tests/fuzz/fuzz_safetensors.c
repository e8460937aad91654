/* Fuzz target, linked with core_files: any bytes as a .safetensors file. What opens must be readable to its
 * last byte. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/hash.h"
#include "core/files/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_everything(const safetensors *s) {
    error err;
    for (int i = 0; i < safetensors_count(s); i++) {
        const tensor_entry *e = safetensors_entry(s, i);
        hash_bytes(e->data, e->bytes);
        if (safetensors_find(s, e->name) != e) abort();
        void *copy = malloc(2 * e->bytes + 1);
        status f32 = safetensors_copy_f32(s, e->name, e->n_dim, e->shape, copy, &err);
        int is_float = e->dtype == DTYPE_F32 || e->dtype == DTYPE_F16 || e->dtype == DTYPE_BF16;
        if ((f32 == STATUS_OK) != is_float) abort();
        free(copy);
    }
    safetensors_metadata(s, "format");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    safetensors *s;
    error err = {0};
    status result = safetensors_open(path, &s, &err);
    if (result == STATUS_OK)
        read_everything(s);
    else if (result != STATUS_DATA || s || !err.message[0])
        abort();
    safetensors_close(s);
    close(fd);
    return 0;
}
