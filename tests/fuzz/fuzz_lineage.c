/* Any bytes as a lineage.json: refused with a message, or read, written and read back. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/lineage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64], directory[] = "/tmp/rlhf-fuzz-XXXXXX", written[64];
    error err = {0};
    lineage l, again;
    int file = memfd_create("lineage", 0);
    if (file < 0 || write(file, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    status s = lineage_read(path, &l, &err);
    close(file);
    if (s != STATUS_OK) {
        if (s != STATUS_DATA || !err.message[0]) abort();
        return 0;
    }
    if (!mkdtemp(directory)) abort();
    snprintf(written, sizeof written, "%s/lineage.json", directory);
    if (lineage_write(written, &l, &err) != STATUS_OK || lineage_read(written, &again, &err) != STATUS_OK)
        abort();
    if (strcmp(l.kind, again.kind) || l.seed != again.seed || l.n_in != again.n_in || l.n_out != again.n_out)
        abort();
    lineage_free(&l);
    lineage_free(&again);
    unlink(written);
    rmdir(directory);
    return 0;
}
