/* Fuzz target, linked with core_files: any bytes as a .gguf file. What opens must be readable to its last
 * byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/files/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned sum; /* so that reads are not left out */

static void look_at(gguf_text text) {
    for (size_t i = 0; i < text.len; i++) sum += (uint8_t)text.data[i];
}

static void read_metadata(const gguf *g) {
    error err;
    for (int i = 0; i < gguf_n_key(g); i++) {
        const char *key = gguf_key(g, i);
        int64_t whole;
        double number;
        int flag;
        gguf_text text;
        gguf_array array;
        if (!gguf_has(g, key)) abort();
        gguf_get_int(g, key, INT64_MIN, INT64_MAX, &whole, &err);
        gguf_get_number(g, key, &number, &err);
        gguf_get_bool(g, key, &flag, &err);
        if (gguf_get_text(g, key, &text, &err) == STATUS_OK) look_at(text);
        if (gguf_get_texts(g, key, &array, &err) == STATUS_OK)
            for (size_t k = 0; k < array.n; k++) look_at(gguf_next_text(&array));
        if (gguf_get_int32s(g, key, &array, &err) == STATUS_OK)
            for (size_t k = 0; k < array.n; k++) sum += (unsigned)gguf_next_int32(&array);
        if (gguf_get_floats(g, key, &array, &err) == STATUS_OK)
            for (size_t k = 0; k < array.n; k++) sum += gguf_next_float(&array) > 0;
    }
}

static void read_tensors(const gguf *g) {
    for (int i = 0; i < gguf_count(g); i++) {
        const gguf_tensor *t = gguf_entry(g, i);
        if (gguf_find(g, t->name) != t) abort();
        const gguf_format *format = gguf_format_of(t->type);
        size_t n = t->bytes / (size_t)format->bytes * (size_t)format->elements;
        float *out = malloc(n * sizeof *out);
        gguf_dequantize(t->type, t->data, n, out);
        sum += out[n - 1] > 0;
        free(out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    gguf *g;
    error err = {0};
    status result = gguf_open(path, &g, &err);
    if (result == STATUS_OK) {
        read_metadata(g);
        read_tensors(g);
    } else if (result != STATUS_DATA || g || !err.message[0]) {
        abort();
    }
    gguf_close(g);
    close(fd);
    return 0;
}
