#include "datasets/token_file.h"

#include <string.h>

/* The end of a file of the cache, behind the records and the messages of bad lines. */
typedef struct footer {
    char format[16];
    hash key;
    uint64_t record_bytes, bad_bytes, n_of_split[SPLITS], n_read;
    hash sum; /* of everything before it */
} footer;

static const char FORMAT[16] = "rlhf tokens 1";
_Static_assert(sizeof(footer) == 136, "as docs/formats.md has it");

/* ---- writing ---- */

void token_writer_begin(token_writer *w, file_writer *file) {
    *w = (token_writer){.file = file};
    hash_begin(&w->sum);
}

static void put(token_writer *w, const void *data, size_t len) {
    if (!w->file) {
        buffer_append(&w->memory, data, len);
        return;
    }
    hash_add(&w->sum, data, len);
    file_put(w->file, data, len);
}

status token_writer_add(token_writer *w, const int32_t *token, const int32_t *target, int64_t n,
                        split_kind split, error *err) {
    size_t bytes = token_record_bytes(n);
    buffer_clear(&w->record);
    if (!buffer_reserve(&w->record, bytes)) return buffer_check(&w->record, err);
    token_record *r = memset(w->record.data, 0, bytes);
    *r = (token_record){.n = (int32_t)n, .split = (int32_t)split};
    memcpy(r->token, token, sizeof *token * (size_t)n);
    uint8_t *learned = (uint8_t *)(r->token + n);
    for (int64_t i = 1; i < n; i++) r->n_target += learned[i] = target[i] != 0;
    put(w, r, bytes);
    w->bytes += bytes;
    w->n_of_split[split]++;
    return buffer_check(&w->memory, err);
}

status token_writer_take(token_writer *w, token_file *out, error *err) {
    *out = (token_file){.bytes = w->memory.len, .n_read = w->n_read, .memory = w->memory};
    out->record = (const uint8_t *)out->memory.data;
    memcpy(out->n_of_split, w->n_of_split, sizeof out->n_of_split);
    w->memory = (buffer){0};
    return buffer_check(&out->memory, err);
}

status token_writer_finish(token_writer *w, const hash *key, const buffer *bad, error *err) {
    footer end = {.key = *key, .record_bytes = w->bytes, .bad_bytes = bad->len, .n_read = w->n_read};
    memcpy(end.format, FORMAT, sizeof end.format);
    memcpy(end.n_of_split, w->n_of_split, sizeof end.n_of_split);
    TRY(buffer_check(bad, err));
    if (bad->len) put(w, bad->data, bad->len);
    put(w, &end, offsetof(footer, sum));
    end.sum = hash_end(&w->sum);
    file_put(w->file, &end.sum, sizeof end.sum);
    return STATUS_OK;
}

void token_writer_free(token_writer *w) {
    buffer_free(&w->memory);
    buffer_free(&w->record);
}

/* ---- reading ---- */

static status check_sum(const mapping *m, const footer *end, const char *path, error *err) {
    enum { PIECE = 16 << 20 };
    hash_stream sum;
    hash_begin(&sum);
    size_t len = m->len - sizeof end->sum;
    for (size_t at = 0; at < len; at += PIECE) {
        hash_add(&sum, (const char *)m->data + at, len - at < PIECE ? len - at : PIECE);
        mapping_release(m);
    }
    hash found = hash_end(&sum);
    if (hash_equal(&found, &end->sum)) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: its checksum is wrong", path);
}

static int record_is_sound(const token_record *r, size_t left, int n_vocab) {
    if (left < sizeof *r || r->n < 1 || left < token_record_bytes(r->n)) return 0;
    if (r->split < SPLIT_TRAIN || r->split > SPLIT_TEST) return 0;
    const uint8_t *target = token_record_targets(r);
    int n_target = 0;
    for (int32_t i = 0; i < r->n; i++) {
        if (r->token[i] < 0 || r->token[i] >= n_vocab || target[i] > 1) return 0;
        n_target += target[i];
    }
    return n_target == r->n_target && !target[0];
}

static status check_records(const token_file *f, int n_vocab, const char *path, error *err) {
    enum { PIECE = 16 << 20 };
    uint64_t n[SPLITS] = {0};
    size_t released = 0;
    for (size_t at = 0; at < f->bytes;) {
        const token_record *r = (const token_record *)(const void *)(f->record + at);
        if (!record_is_sound(r, f->bytes - at, n_vocab))
            return error_set(err, STATUS_DATA, "%s: byte %zu begins no record", path, at);
        n[r->split]++;
        at += token_record_bytes(r->n);
        if (at - released < PIECE) continue;
        token_file_release(f);
        released = at;
    }
    token_file_release(f);
    if (memcmp(n, f->n_of_split, sizeof n) == 0) return STATUS_OK;
    return error_set(err, STATUS_DATA, "%s: it counts other records than it has", path);
}

static status read_footer(const mapping *m, const hash *key, footer *end, const char *path, error *err) {
    if (m->len < sizeof *end) return error_set(err, STATUS_DATA, "%s: too short", path);
    size_t body = m->len - sizeof *end;
    memcpy(end, (const char *)m->data + body, sizeof *end);
    if (memcmp(end->format, FORMAT, sizeof FORMAT) != 0)
        return error_set(err, STATUS_DATA, "%s: does not end as such a file does", path);
    if (!hash_equal(&end->key, key)) return error_set(err, STATUS_DATA, "%s: was made of other data", path);
    if (end->record_bytes > body || end->bad_bytes != body - end->record_bytes)
        return error_set(err, STATUS_DATA, "%s: its parts do not fill it", path);
    return STATUS_OK;
}

static status check_file(const char *path, const hash *key, int n_vocab, token_file *f, error *err) {
    const char *data = f->mapped.data;
    footer end;
    TRY(read_footer(&f->mapped, key, &end, path, err));
    TRY(check_sum(&f->mapped, &end, path, err));
    f->record = f->mapped.data;
    f->bytes = (size_t)end.record_bytes;
    f->bad = (text_span){data + end.record_bytes, (size_t)end.bad_bytes};
    f->n_read = end.n_read;
    memcpy(f->n_of_split, end.n_of_split, sizeof f->n_of_split);
    if (f->bad.len && f->bad.data[f->bad.len - 1])
        return error_set(err, STATUS_DATA, "%s: its last message has no end", path);
    return check_records(f, n_vocab, path, err);
}

status token_file_open(const char *path, const hash *key, int n_vocab, token_file *out, error *err) {
    *out = (token_file){0};
    TRY(mapping_open(path, &out->mapped, err));
    status s = check_file(path, key, n_vocab, out, err);
    if (s != STATUS_OK) token_file_close(out);
    return s;
}

void token_file_release(const token_file *f) { mapping_release(&f->mapped); }

void token_file_close(token_file *f) {
    mapping_close(&f->mapped);
    buffer_free(&f->memory);
    *f = (token_file){0};
}
