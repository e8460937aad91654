#include "core/base/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static status map_bytes(const char *path, int fd, mapping *out, error *err) {
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return error_set(err, STATUS_DATA, "%s: is not a file", path);
    if (st.st_size == 0) return STATUS_OK;
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) return error_set(err, STATUS_FAILED, "%s: cannot map: %s", path, strerror(errno));
    *out = (mapping){data, (size_t)st.st_size};
    return STATUS_OK;
}

status mapping_open(const char *path, mapping *out, error *err) {
    *out = (mapping){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set(err, STATUS_DATA, "%s: %s", path, strerror(errno));
    status s = map_bytes(path, fd, out, err);
    close(fd);
    return s;
}

void mapping_release(const mapping *m) {
    if (m->data) madvise((void *)m->data, m->len, MADV_DONTNEED);
}

void mapping_close(mapping *m) {
    if (m->data) munmap((void *)m->data, m->len);
    *m = (mapping){0};
}
