/* Fuzz target, linked with core_model: any bytes as a .gguf file that is converted: its tokenizer, its shape,
   its tensors. What is accepted is read back. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/model/from_gguf.h"
#include "core/text/tokenizer_gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/rlhf-fuzz-gguf-XXXXXX";

static void remove_directory(void) { path_remove_tree(directory, NULL); }

static void check(status s, const error *err) {
    if (s != STATUS_OK && (s != STATUS_DATA || !err->message[0])) abort();
}

static void convert_tokenizer(const gguf *g) {
    tokenizer *t, *again;
    error err = {0};
    status s = tokenizer_from_gguf(g, &t, &err);
    check(s, &err);
    if (s != STATUS_OK) return;
    if (tokenizer_save(t, NULL, directory, &err) != STATUS_OK) abort();
    if (tokenizer_load(directory, &again, &err) != STATUS_OK) abort();
    if (tokenizer_vocab(t) != tokenizer_vocab(again)) abort();
    tokenizer_free(again);
    tokenizer_free(t);
}

static void convert_model(const gguf *g) {
    model_config c, again;
    error err = {0};
    status s = model_config_from_gguf(g, &c, &err);
    check(s, &err);
    if (s == STATUS_OK) s = model_convert_gguf(g, &c, DTYPE_BF16, directory, &err);
    check(s, &err);
    if (s != STATUS_OK) return;
    safetensors *file;
    if (model_config_load(directory, &again, &err) != STATUS_OK || !model_config_same_body(&c, &again))
        abort();
    if (safetensors_open(directory, &file, &err) != STATUS_OK) abort();
    safetensors_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int made;
    if (!made++ && (!mkdtemp(directory) || atexit(remove_directory))) abort();
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    gguf *g;
    error err = {0};
    status s = gguf_open(path, &g, &err);
    check(s, &err);
    if (s == STATUS_OK) {
        convert_tokenizer(g);
        convert_model(g);
    }
    gguf_close(g);
    close(fd);
    return 0;
}
