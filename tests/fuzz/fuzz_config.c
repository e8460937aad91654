/* Any bytes as a config file (linked with configs): refused with a message, or read, printed and read back to
   the same text. The bytes behind the first zero byte are a --set argument. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "configs/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file in memory, as a path. */
static int memory_file(const void *data, size_t size, char path[64]) {
    int file = memfd_create("config", 0);
    if (file < 0 || write(file, data, size) != (ssize_t)size) abort();
    snprintf(path, 64, "/proc/self/fd/%d", file);
    return file;
}

static void read_back(const struct config *c) {
    char path[64];
    struct config again;
    error err;
    buffer first = {0}, second = {0};
    if (config_print(&CONFIG_TABLE, c, NULL, "/proc/self/fd", &first, &err) != STATUS_OK) abort();
    int file = memory_file(first.data, first.len, path);
    if (config_load_file(path, NULL, 0, &again, &err) != STATUS_OK) abort();
    if (config_print(&CONFIG_TABLE, &again, NULL, "/proc/self/fd", &second, &err) != STATUS_OK) abort();
    if (strcmp(first.data, second.data) != 0) abort();
    config_free(NULL, &again);
    buffer_free(&first);
    buffer_free(&second);
    close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    struct config c;
    error err = {0};
    const uint8_t *zero = memchr(data, 0, size);
    size_t head = zero ? (size_t)(zero - data) : size;
    char *setting = zero ? strndup((const char *)zero + 1, size - head - 1) : NULL;
    int file = memory_file(data, head, path);
    status s = config_load_file(path, (const char *const *)&setting, setting != NULL, &c, &err);
    if (s == STATUS_OK)
        read_back(&c);
    else if (s != STATUS_USAGE || !err.message[0])
        abort();
    config_free(NULL, &c);
    free(setting);
    close(file);
    return 0;
}
