/* Fuzz target, linked with core_model: any bytes as the files of a model's directory, one behind the other
   with MARK between them: config.json, then model.safetensors, or an index ('{' first) and two shards. What
   loads computes, and is saved and loaded again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/model/model.h"

#define MARK "\n--file--\n"
#define MUST(call)                                                                                           \
    do {                                                                                                     \
        if ((call) != STATUS_OK) abort();                                                                    \
    } while (0)

enum { MOST_WIDTH = 64, MOST_LAYERS = 4 }; /* of the models that are run */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/rlhf-fuzz-model-XXXXXX", saved[sizeof directory + 2];
static device *dev;

static void remove_directory(void) { path_remove_tree(directory, NULL); }

static void put(const char *name, const uint8_t *data, size_t size) {
    char path[80];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "w");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) abort();
}

static void take_out(const char *name) {
    char path[80];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    unlink(path);
}

/* Every part under its name; names that no part has are taken out. */
static void put_files(const uint8_t *data, size_t size) {
    static const char *const whole[] = {"config.json", "model.safetensors", NULL};
    static const char *const divided[] = {"config.json", "model.safetensors.index.json", "1.safetensors",
                                          "2.safetensors", NULL};
    const uint8_t *mark = memmem(data, size, MARK, strlen(MARK));
    int has_index = mark && mark + strlen(MARK) < data + size && mark[strlen(MARK)] == '{';
    take_out(has_index ? "model.safetensors" : "model.safetensors.index.json");
    for (const char *const *name = has_index ? divided : whole; *name; name++) {
        mark = memmem(data, size, MARK, strlen(MARK));
        size_t n = mark && name[1] ? (size_t)(mark - data) : size;
        put(*name, data, n);
        data += n, size -= n;
        size_t skip = size < strlen(MARK) ? size : strlen(MARK);
        data += skip, size -= skip;
    }
}

static void compute(const model *m) {
    const model_config *c = model_get_config(m);
    limits l = {.max_token = 2, .max_row = 1, .max_seq = 1, .max_len = 2};
    int32_t token[2] = {0, c->vocab_size - 1}, start[2] = {0, c->context < 2 ? 1 : 2}, row = start[1] - 1,
            target = 0;
    uint64_t id = 0;
    batch b = {start[1], 1, 1, token, start, &id, &row, &target};
    float logprob, score;
    row_values values = {.logprob = c->language_head ? &logprob : NULL, .score = c->n_score ? &score : NULL};
    forward_options o = {.temperature = 1};
    workspace *ws;
    error err;
    MUST(workspace_create(dev, c, &l, &ws, &err));
    MUST(model_forward(m, ws, &b, &o, &err));
    MUST(model_read(m, ws, &values, &err));
    workspace_free(ws);
}

static void load_again(const model *m, const model_options *o) {
    model *again;
    error err;
    MUST(model_save(m, NULL, saved, &err));
    MUST(model_load(dev, saved, o, &again, &err));
    if (!model_config_same_body(model_get_config(m), model_get_config(again))) abort();
    model_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    error err = {0};
    if (!dev) {
        if (!mkdtemp(directory) || atexit(remove_directory)) abort();
        snprintf(saved, sizeof saved, "%s/s", directory);
        MUST(device_open_cpu(1, &dev, &err));
    }
    model_options o = {.language_head = -1, .n_score = -1, .score_bias = -1};
    model *m;
    put_files(data, size);
    status s = model_load(dev, directory, &o, &m, &err);
    if (s == STATUS_OK) {
        const model_config *c = model_get_config(m);
        if (c->d_model <= MOST_WIDTH && c->d_ff <= MOST_WIDTH && c->n_layer <= MOST_LAYERS) {
            compute(m);
            load_again(m, &o);
        }
        model_free(m);
    } else if (s != STATUS_DATA || m || strncmp(err.message, directory, strlen(directory)) != 0) {
        abort();
    }
    return 0;
}
