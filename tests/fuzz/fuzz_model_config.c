/* Fuzz target, linked with core_model: any bytes as a model's config.json. What is accepted makes sense, and
   is written and read back the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/rlhf-fuzz-config-XXXXXX";

static void remove_directory(void) { path_remove_tree(directory, NULL); }

static void put(const uint8_t *data, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "%s/config.json", directory);
    FILE *f = fopen(path, "w");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int made;
    if (!made++ && (!mkdtemp(directory) || atexit(remove_directory))) abort();
    model_config c, again;
    error err = {0};
    put(data, size);
    status s = model_config_load(directory, &c, &err);
    if (s == STATUS_OK) {
        if (model_config_check(&c, 1, &err) != STATUS_OK) abort();
        if (model_config_save(&c, DTYPE_F32, directory, &err) != STATUS_OK) abort();
        if (model_config_load(directory, &again, &err) != STATUS_OK) abort();
        if (!model_config_same_body(&c, &again) || c.eos_token != again.eos_token || c.tied != again.tied)
            abort();
        if (c.n_score != again.n_score || (c.n_score && c.reward_mean != again.reward_mean)) abort();
    } else if (s != STATUS_DATA || strncmp(err.message, directory, strlen(directory)) != 0) {
        abort();
    }
    return 0;
}
