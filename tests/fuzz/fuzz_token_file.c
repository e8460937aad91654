/* Any bytes as a file of tokenised examples, linked with datasets: refused, or records that lie in it whole.
   The first bytes choose how many records of each split it claims, and how long its messages are; its
   checksum is right. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "datasets/token_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_VOCAB = 300, HEAD = 4 };

/* Walks the records as a list of sequences does. */
static void check(const token_file *f) {
    uint64_t n[SPLITS] = {0};
    for (size_t at = 0; at < f->bytes;) {
        const token_record *r = (const token_record *)(const void *)(f->record + at);
        if (f->bytes - at < sizeof *r || r->n < 1 || token_record_bytes(r->n) > f->bytes - at) abort();
        for (int32_t i = 0; i < r->n; i++)
            if (r->token[i] < 0 || r->token[i] >= N_VOCAB || token_record_targets(r)[i] > 1) abort();
        n[r->split]++;
        at += token_record_bytes(r->n);
    }
    if (memcmp(n, f->n_of_split, sizeof n)) abort();
    for (size_t at = 0; at < f->bad.len;) at += strlen(f->bad.data + at) + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[32];
    error err = {0};
    token_writer w;
    token_file f;
    buffer messages = {0};
    hash key = hash_bytes("key", 3);
    if (size < HEAD) return 0;
    int fd = memfd_create("tokens", 0);
    file_writer file = {.stream = fd < 0 ? NULL : fdopen(fd, "wb")};
    if (!file.stream) abort();
    size_t bad = data[HEAD - 1] < size - HEAD ? data[HEAD - 1] : size - HEAD;
    token_writer_begin(&w, &file);
    w.bytes = size - HEAD - bad;
    for (int i = SPLIT_TRAIN; i < SPLITS; i++) w.n_of_split[i] = data[i - 1];
    hash_add(&w.sum, data + HEAD, w.bytes);
    file_put(&file, data + HEAD, w.bytes);
    buffer_append(&messages, data + HEAD + w.bytes, bad);
    if (token_writer_finish(&w, &key, &messages, &err) != STATUS_OK || fflush(file.stream)) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    status s = token_file_open(path, &key, N_VOCAB, &f, &err);
    if (s == STATUS_OK) check(&f);
    if (s != STATUS_OK && (s != STATUS_DATA || strncmp(err.message, path, strlen(path)))) abort();
    token_file_close(&f);
    token_writer_free(&w);
    buffer_free(&messages);
    fclose(file.stream);
    return 0;
}
